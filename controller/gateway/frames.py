"""WebSocket frames made once and written to any number of connections.

A server's frames carry no mask (RFC 6455, section 5.1), so the same bytes serve every agent: fan-out encodes a
bundle once and writes it N times. Compression is never negotiated on our sockets, so no frame has a state.

Not here: reading frames, pings and the closing handshake; aiohttp does those.
"""

from __future__ import annotations

import struct

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82
_FIN_CLOSE = 0x88

#: The longest payload of the one-byte and of the two-byte length (RFC 6455, section 5.2).
_SHORT, _MEDIUM = 125, 0xFFFF

#: A close reason has at most 123 bytes beside its code.
_REASON_BYTES = 123


def text_frame(text: str) -> bytes:
    """One unfragmented text message."""
    return _frame(_FIN_TEXT, text.encode())


def binary_frame(payload: bytes) -> bytes:
    """One unfragmented binary message."""
    return _frame(_FIN_BINARY, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close with its code and a reason cut to what fits, on a character boundary."""
    text = reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
    return _frame(_FIN_CLOSE, struct.pack("!H", code) + text)


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length <= _SHORT:
        return struct.pack("!BB", first, length) + payload
    if length <= _MEDIUM:
        return struct.pack("!BBH", first, 126, length) + payload
    return struct.pack("!BBQ", first, 127, length) + payload
