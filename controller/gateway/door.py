"""The agents' listener: sockets open, TLS, and aiohttp behind it.

1. TLS unless the address is loopback; plain anywhere else is refused at start with what to do.
2. aiohttp sees only connections that were counted in (:mod:`controller.gateway.gate`). Compression, access log and
   the server's version are off; a request that is not understood gets a short text and no traceback.
3. Closing says 1012 to every agent (they come back with jitter), then lets go of everything within its time-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from controller.gateway.admission import Census, is_loopback
from controller.gateway.errors import ListenError
from controller.gateway.front import Front, Porch
from controller.gateway.gate import Gate
from controller.gateway.limits import GatewayLimits
from controller.keys.certificates import CertificatePair
from protocol.link import NO_CERTIFICATE

_log = structlog.get_logger(__name__)

Handler = Callable[[web.Request, Front], Awaitable[web.StreamResponse]]

#: Idle HTTP connections (between two downloads) are kept this long, in seconds.
_KEEPALIVE_S = 15.0
#: Connections waiting to be accepted: a district reconnects within a second.
_BACKLOG = 4096
_CLOSE_S = 5.0
_UNREADABLE = "this is not a request that can be read"
_FAILED = "the controller failed on this request; its log says why"


class Door:
    """The listening sockets of one gateway."""

    def __init__(
        self,
        routes: Sequence[tuple[str, Handler]],
        *,
        limits: GatewayLimits,
        now_us: Callable[[], int],
        tls: CertificatePair | None,
    ) -> None:
        self._tls = tls
        app = web.Application(middlewares=[_front_desk], client_max_size=1024)
        for path, handler in routes:
            app.router.add_get(path, _with_front(handler), allow_head=False)
        app.on_response_prepare.append(_anonymous)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_S, handle_signals=False)
        self._servers: list[asyncio.Server] = []
        self._limits = limits
        self._now_us = now_us
        self.census = Census(limits)
        self._porch: Porch | None = None

    @property
    def certificate_sha256(self) -> bytes:
        """What handshakes on this listener are bound to."""
        return NO_CERTIFICATE if self._tls is None else bytes.fromhex(self._tls.fingerprint())

    @property
    def secure(self) -> bool:
        """Whether TLS is on."""
        return self._tls is not None

    @property
    def port(self) -> int:
        """The port that was opened.

        Raises:
            ListenError: nothing is open.
        """
        if not self._servers:
            raise ListenError("the agents' listener is not open")
        return int(self._servers[0].sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            ListenError: plain off loopback, or an address that is taken or not ours.
            VaultError: the certificate cannot be used.
        """
        if self._tls is None and not (host == "localhost" or is_loopback(host)):
            raise ListenError(f"agents may not be served without TLS on {host}; use 127.0.0.1, or switch TLS on")
        context = None if self._tls is None else self._tls.server_context()
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101 - setup() has just made it
        porch = self._porch = Porch(self._limits, self.census, lambda: _Inner(server), self._now_us, context)
        try:
            listening = await asyncio.get_running_loop().create_server(
                lambda: Gate(porch), host, port, backlog=_BACKLOG, reuse_address=True
            )
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(
                f"the agents' listener cannot use {host}:{port} ({error.strerror or error}); "
                "another controller may be running, or the address is not this machine's"
            ) from error
        self._servers.append(listening)

    async def close(self) -> None:
        """Stop listening and let go of every connection."""
        for server in self._servers:
            server.close()
        if self._porch is not None:
            for task in list(self._porch.tasks):
                task.cancel()
            await asyncio.gather(*self._porch.tasks, return_exceptions=True)
        await self._runner.cleanup()
        if self._porch is not None:
            for front in list(self._porch.fronts):
                front.abort()
        self._servers.clear()


class _Inner(RequestHandler):
    """aiohttp's protocol, which neither writes down nor sends back what it could not read.

    aiohttp's own would put a traceback with all that was sent into the log: a stranger could fill the disk with it.
    """

    __slots__ = ()

    def __init__(self, manager: web.Server) -> None:
        options: dict[str, Any] = {"access_log": None, "keepalive_timeout": _KEEPALIVE_S}
        super().__init__(manager, loop=asyncio.get_running_loop(), **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's, and it quotes what was sent
    ) -> web.StreamResponse:
        """Bad HTTP gets a short text; a fault below the routes the same, and a place in the log."""
        if isinstance(exc, ConnectionError):
            raise exc  # the agent is gone (a pong found nobody, say): there is nobody to tell, and no fault to log
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("agent_request_failed", path=request.path[:200], exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; another cannot follow")
        text = _UNREADABLE if status < HTTPStatus.INTERNAL_SERVER_ERROR else _FAILED
        response = web.Response(status=status, text=text)
        response.headers["Server"] = "loa"
        response.force_close()
        return response


@web.middleware
async def _front_desk(
    request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    front = front_of(request)
    front.request_arrived()
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001 - the edge: whatever it is, an agent gets a short text and the log the rest
        _log.exception("agent_request_failed", path=request.path)
        raise web.HTTPInternalServerError(text=_FAILED) from None
    finally:
        front.request_done()


def _with_front(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request, front_of(request))

    return handle


def front_of(request: web.Request) -> Front:
    """The front of the connection a request came on.

    Raises:
        ConnectionResetError: it is gone already.
    """
    transport = request.transport
    front = None if transport is None else transport.get_protocol()
    if not isinstance(front, Front):
        raise ConnectionResetError("the connection is gone")
    return front


async def _anonymous(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "loa"
