"""The staff listener: an aiohttp application from routes, behind limits on connections.

Rules kept here:

1. One address may hold :data:`PER_ADDRESS` connections (this machine may hold all: a proxy speaks for many), the
   listener :data:`CONNECTIONS`. What is beyond is dropped before it costs anything.
2. A connection on which no whole request has arrived within :data:`IDLE_SECONDS` is closed (slow-loris), which also
   ends idle keep-alive.
3. Whatever aiohttp itself refuses (404, 405, bad HTTP) answers problem+json too.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from controller.api.problems import problem
from controller.api.routing import BODY_MAX, Authenticate, Dispatcher, Observe, Route, Suspect
from controller.config import is_loopback

CONNECTIONS = 1_024
PER_ADDRESS = 50
IDLE_SECONDS = 15.0
#: How long requests may go on after the listener was told to end.
_GRACE_SECONDS = 5.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 400: "bad_request"}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ListenError(Exception):
    """The listener cannot be opened as configured; the message says why."""

    code = "cannot_listen"


def staff_application(
    routes: tuple[Route, ...], authenticate: Authenticate, observe: Observe, suspect: Suspect
) -> web.Application:
    """The application that serves these routes."""
    app = web.Application(middlewares=[_refusals], client_max_size=BODY_MAX)
    Dispatcher(authenticate, observe, suspect).mount(app, routes)
    app.on_response_prepare.append(_headers)
    return app


class StaffListener:
    """The open socket of the staff API."""

    def __init__(self, app: web.Application, tls: ssl.SSLContext | None) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=IDLE_SECONDS, handle_signals=False, shutdown_timeout=_GRACE_SECONDS
        )
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._census: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port it is on (useful when 0 was asked for)."""
        if self._server is None:
            raise ListenError("the staff listener is not open")
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            ListenError: the address is taken or not ours.
        """
        await self._runner.setup()
        manager = self._runner.server
        if manager is None:
            raise ListenError("the web server did not start")
        loop = asyncio.get_running_loop()

        def accept() -> RequestHandler:
            return _Guarded(manager, self._census, loop=loop, access_log=None, keepalive_timeout=IDLE_SECONDS)

        try:
            self._server = await loop.create_server(accept, host, port, ssl=self._tls, backlog=256)
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(
                f"cannot listen on {host}:{port} ({error.strerror}); is another controller running? "
                "Set staff_listen to another port"
            ) from error

    async def close(self) -> None:
        """Take no more, let running requests finish (bounded), let go."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()


class _Guarded(RequestHandler):
    """aiohttp's protocol, counted by address."""

    __slots__ = ("_address", "_census")

    def __init__(self, manager: web.Server, census: Counter[str], **options: object) -> None:
        super().__init__(manager, **options)  # type: ignore[arg-type] # aiohttp's own keyword arguments
        self._census = census
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        full = self._census.total() >= CONNECTIONS
        if full or (self._census[address] >= PER_ADDRESS and not is_loopback(address)):
            transport.abort()  # type: ignore[attr-defined] # every server transport is a WriteTransport
            return
        self._census[address] += 1
        self._address = address
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address is None:
            return
        self._census[self._address] -= 1
        if self._census[self._address] <= 0:
            del self._census[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._address is not None:
            super().data_received(data)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Bad HTTP, or a fault below the routes: a problem, never aiohttp's page.

        Bad HTTP is a stranger's and not logged: aiohttp would write a traceback with all he sent.
        """
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            if request.writer.output_size > 0:
                raise ConnectionError("the answer has begun; another cannot follow")
            code, detail = "bad_request", "this is not a request that can be read"
        else:
            super().handle_error(request, status, exc, message)  # logs it
            code, detail = "internal_error", "something went wrong inside"
        response = problem(status, code, detail)
        response.force_close()
        return response


@web.middleware
async def _refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        if refusal.status < HTTPStatus.BAD_REQUEST:
            raise
        code = _CODES.get(refusal.status, "refused")
        allowed = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else {}
        detail = {
            404: f"there is nothing at {request.path}; see /api/v1/openapi.json",
            405: f"{request.method} is not possible here",
        }.get(refusal.status, refusal.reason)
        return problem(refusal.status, code, detail, headers=allowed)


async def _headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)
