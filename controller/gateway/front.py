"""What stands between a socket and aiohttp: counts, deadlines, back-pressure and the instant of arrival.

1. Write buffers have a high-water mark of nothing: :attr:`Front.paused` is true exactly while something waits in
   user space, and :attr:`Front.on_drained` is called when the last byte went to the kernel. Fan-out therefore
   needs no task and no polling for each connection.
2. A connection on which no whole request arrives in time is closed.
3. :meth:`Front.send` hands a frame to the kernel itself where there is no TLS: uvloop's transports keep what is written
   until the loop's round is over, which costs as much again as a third of the system call.

Not here: accepting and TLS (:mod:`controller.gateway.gate`), HTTP and WebSocket (aiohttp), what is said on them
(:mod:`controller.gateway.control`).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from controller.gateway.admission import Census
from controller.gateway.limits import GatewayLimits
from controller.gateway.questions import Shortcut

#: TLS handshakes computed at once; the others wait their turn within their deadline.
_HANDSHAKES = 64

#: High-water mark of write buffers, in bytes. Not 0: the TLS transports compare with ">=" and would pause when empty.
HIGH_WATER = 1


@dataclass(slots=True)
class Porch:
    """What all fronts of one listener share."""

    limits: GatewayLimits
    census: Census
    make_inner: Callable[[], asyncio.Protocol]
    now_us: Callable[[], int]
    tls: ssl.SSLContext | None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    fronts: set[Front] = field(default_factory=set)
    handshakes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HANDSHAKES))


class Front(asyncio.Protocol):
    """The protocol of one admitted connection; passes everything on to aiohttp's."""

    __slots__ = (
        "_deadline",
        "_early",
        "_file",
        "_inner",
        "_left",
        "_porch",
        "_transport",
        "address",
        "on_drained",
        "paused",
        "paused_at_us",
        "proven",
        "received_us",
        "shortcut",
    )

    def __init__(self, porch: Porch, address: str) -> None:
        self._porch = porch
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._file: int | None = None
        self._early: list[bytes] = []
        self._left = False
        self._deadline: asyncio.TimerHandle | None = None
        self.address = address
        self.proven = False
        self.paused = False
        self.paused_at_us = 0
        self.received_us = 0
        self.on_drained: Callable[[], None] | None = None
        self.shortcut: Shortcut | None = None

    @property
    def gone(self) -> bool:
        """The connection was lost."""
        return self._left

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, or None when the connection is gone."""
        return self._transport

    def prove(self) -> None:
        """This connection belongs to an enrolled agent: it no longer counts as a stranger's."""
        if not self.proven and self._transport is not None:
            self.proven = True
            self._porch.census.prove(self.address)

    def request_arrived(self) -> None:
        """A whole request is here; the handler has its own deadlines from now on."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def request_done(self) -> None:
        """The answer is out; the next request has to be whole in time again."""
        self.request_arrived()
        if self._transport is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._porch.limits.request_s, self.abort)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def send(self, frame: bytes) -> None:
        """Write a frame; what the kernel does not take at once waits in the transport, and :attr:`paused` tells of it.

        A transport that is closing has given its descriptor back: somebody else's connection may have it by now.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._file is not None and transport.get_write_buffer_size() == 0:
            try:
                taken = os.write(self._file, frame)
            except OSError:
                taken = 0  # full, or broken: the transport finds out
            if taken == len(frame):
                return
            frame = frame[taken:]
        transport.write(frame)

    # --- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection that is ready for HTTP."""
        stream = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        stream.set_write_buffer_limits(high=HIGH_WATER, low=0)
        self._transport = stream
        if self._porch.tls is None:
            self._file = stream.get_extra_info("socket").fileno()
        inner = self._porch.make_inner()
        self._porch.fronts.add(self)
        inner.connection_made(transport)
        if self.paused:  # TLS tickets may still be on their way out
            inner.pause_writing()
        self._inner = inner
        self.request_done()
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Note when bytes came and pass them on (those before the handover wait for it)."""
        if self._inner is None:
            self._early.append(data)
            return
        self.received_us = self._porch.now_us()
        if self.shortcut is None or not self.shortcut.takes(data):
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the end of the peer's bytes on."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """Something waits in user space."""
        self.paused = True
        self.paused_at_us = self._porch.now_us()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Everything went to the kernel."""
        self.paused = False
        if self._inner is not None:
            self._inner.resume_writing()
        if self.on_drained is not None:
            self.on_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: count it out, once."""
        if self._left:
            return
        self._left = True
        self.request_arrived()
        self.on_drained = None
        self._transport = self._file = None
        self._porch.fronts.discard(self)
        self._porch.census.leave(self.address, proven=self.proven)
        if self._inner is not None:
            self._inner.connection_lost(exc)
