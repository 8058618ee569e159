"""WebSockets on the staff listener: from which page, and with which bounds.

Rules kept here:

1. Who is there is known before the upgrade; who shows a cookie has said by then which page connects
   (:mod:`controller.api.credentials`).
2. A page of another origin may not connect: browsers say where a page is from, and do not keep it from trying.
3. The client must offer the subprotocol: who does not know it is told so at once.
4. Messages are bounded, dead peers are found by pings, compression is off (sound is compressed already).
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.api.credentials import is_own_origin, is_upgrade, offered
from controller.api.problems import RequestError
from controller.services.errors import ForbiddenError

_PING_S: Final = 10.0


async def upgraded(request: web.Request, protocol: str, *, max_bytes: int) -> web.WebSocketResponse:
    """Accept a WebSocket.

    Raises:
        RequestError: ``upgrade_required`` (426), ``wrong_subprotocol`` (400).
        ForbiddenError: ``wrong_origin``.
    """
    if not is_upgrade(request):
        raise RequestError(426, "upgrade_required", "this is a WebSocket; connect with one")
    _check_origin(request)
    if protocol not in offered(request):
        raise RequestError(400, "wrong_subprotocol", f"offer the subprotocol {protocol}")
    socket = web.WebSocketResponse(
        protocols=(protocol,), max_msg_size=max_bytes, heartbeat=_PING_S, compress=False, timeout=5.0
    )
    await socket.prepare(request)
    return socket


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and not is_own_origin(request, origin):
        raise ForbiddenError("a page of another site may not connect here", code="wrong_origin")
