"""WebSockets on the staff listener: who is there, from which page, and with which bounds.

Rules kept here:

1. The token is checked before the upgrade: in the ``Authorization`` header, or (browsers cannot set one) as the
   subprotocol ``bearer.TOKEN`` beside the real one. It is never in the address, which is logged by proxies.
2. A page of another origin may not connect: browsers say where a page is from, and do not keep it from trying. An
   origin that is none (``null``: a sandboxed frame, a file) is another one.
3. The client must offer the subprotocol: who does not know it is told so at once.
4. Messages are bounded, dead peers are found by pings, compression is off (sound is compressed already).
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from yarl import URL

from controller.api.problems import RequestError
from controller.services.errors import ForbiddenError

_BEARER: Final = "bearer."
_PING_S: Final = 10.0


def token_of(request: web.Request) -> str:
    """The bearer token of a request, from its header or its subprotocols; empty when there is none."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    if not is_upgrade(request):
        return ""
    return next((part.removeprefix(_BEARER) for part in _offered(request) if part.startswith(_BEARER)), "")


def _offered(request: web.Request) -> list[str]:
    """The subprotocols that the client speaks."""
    headers = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [part.strip() for header in headers for part in header.split(",")]


def is_upgrade(request: web.Request) -> bool:
    """Whether the client wants a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def upgraded(request: web.Request, protocol: str, *, max_bytes: int) -> web.WebSocketResponse:
    """Accept a WebSocket.

    Raises:
        RequestError: ``upgrade_required`` (426), ``wrong_subprotocol`` (400).
        ForbiddenError: ``wrong_origin``.
    """
    if not is_upgrade(request):
        raise RequestError(426, "upgrade_required", "this is a WebSocket; connect with one")
    _check_origin(request)
    if protocol not in _offered(request):
        raise RequestError(400, "wrong_subprotocol", f"offer the subprotocol {protocol}")
    socket = web.WebSocketResponse(
        protocols=(protocol,), max_msg_size=max_bytes, heartbeat=_PING_S, compress=False, timeout=5.0
    )
    await socket.prepare(request)
    return socket


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is None:
        return
    try:
        page = URL(origin)
        same = page.scheme in {"http", "https"} and page.authority == URL(f"{page.scheme}://{request.host}").authority
    except ValueError:
        same = False
    if not same:
        raise ForbiddenError("a page of another site may not connect here", code="wrong_origin")
