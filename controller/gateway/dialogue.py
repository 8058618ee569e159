"""Messages over one WebSocket: reading them bounded, and ending a conversation with a reason.

A peer's mistake is a :class:`~protocol.errors.ProtocolError`; a connection that ended is :class:`LinkEndedError`. The
largest message is the wire's own bound, checked on the frame's header before anything is allocated.
"""

from __future__ import annotations

from aiohttp import WSMsgType, web

from controller.gateway.errors import GatewayError
from controller.gateway.links import CLOSE_REFUSED
from protocol.errors import MalformedError, ProtocolError
from protocol.handshake import refusal
from protocol.limits import MAX_FRAME
from protocol.messages import Message, Refused, decode, encode

#: How long the closing handshake may take, in seconds.
_CLOSE_S = 2.0


class LinkEndedError(GatewayError):
    """The other side is gone, or said goodbye."""

    code = "link_ended"


def open_socket(*, ping_s: float | None, max_bytes: int = MAX_FRAME) -> web.WebSocketResponse:
    """A WebSocket as every agent's connection has it: bounded, without compression, pinged."""
    return web.WebSocketResponse(compress=False, max_msg_size=max_bytes, heartbeat=ping_s, timeout=_CLOSE_S)


async def read(ws: web.WebSocketResponse) -> Message:
    """The next message.

    Raises:
        MalformedError: it breaks the format, or is binary (agents send no sound).
        LinkEndedError: there is none.
    """
    frame = await ws.receive()
    if frame.type is WSMsgType.TEXT:
        return decode(frame.data)
    if frame.type is WSMsgType.BINARY:
        raise MalformedError("bad_message", "an agent sends text frames only")
    raise LinkEndedError(f"{frame.type.name.lower()} {frame.data if frame.type is WSMsgType.ERROR else ''}".strip())


async def say(ws: web.WebSocketResponse, message: Message) -> None:
    """Send one message before a session begins (afterwards :class:`ControlLink` does)."""
    try:
        await ws.send_str(encode(message))
    except ConnectionError as error:
        raise LinkEndedError("the agent is gone") from error


async def refuse(ws: web.WebSocketResponse, error: ProtocolError | Refused) -> None:
    """Say why it ends here, and end it."""
    message = error if isinstance(error, Refused) else refusal(error)
    try:
        await ws.send_str(encode(message))
        await ws.close(code=CLOSE_REFUSED, message=message.code.encode())
    except ConnectionError:
        return  # nobody is listening any more
