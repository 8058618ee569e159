"""Options of the sockets that agents hold, set so that nothing old waits in front of something new.

At 32 kbit/s the default buffers of a kernel hold minutes of sound. ``TCP_NOTSENT_LOWAT`` keeps what is not yet on
the wire small, ``TCP_USER_TIMEOUT`` ends connections whose peer is gone, ``TCP_NODELAY`` sends at once.
"""

from __future__ import annotations

import asyncio
import socket

from controller.gateway.limits import GatewayLimits

#: linux/tcp.h; Python 3.11 does not name it.
_TCP_NOTSENT_LOWAT = 25


def tune(transport: asyncio.BaseTransport, limits: GatewayLimits) -> None:
    """Set the options every agent's connection has."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.tcp_user_timeout_ms)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, limits.notsent_lowat_bytes)


def narrow(transport: asyncio.BaseTransport, limits: GatewayLimits) -> None:
    """Make the send buffer of a media connection small: what is late must wait here, where it can be dropped."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.stream_send_buffer_bytes)
