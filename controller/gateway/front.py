"""What stands between a socket and aiohttp: counts, deadlines, back-pressure and the instant of arrival.

1. Nothing is read before the connection is counted in; one too many is dropped before it costs a TLS handshake.
2. TLS is started by hand, because only then can the buffer *below* TLS be bounded: with the loop's own TLS server
   64 KiB of sound could hide there, out of sight of ``get_write_buffer_size``.
3. Write buffers have a high-water mark of nothing: :attr:`Front.paused` is true exactly while something waits in
   user space, and :attr:`Front.on_drained` is called when the last byte went to the kernel. Fan-out therefore
   needs no task and no polling for each connection.
4. A connection on which no whole request arrives in time is closed; so is a TLS handshake that does not finish.

Not here: HTTP and WebSocket (aiohttp), what is said on them (:mod:`controller.gateway.control`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import structlog

from controller.gateway.admission import Census
from controller.gateway.limits import GatewayLimits
from controller.gateway.sockets import tune

_log = structlog.get_logger(__name__)

#: TLS handshakes computed at once; the others wait their turn within their deadline.
_HANDSHAKES = 64

#: High-water mark of write buffers, in bytes. Not 0: the TLS transports compare with ">=" and would pause when empty.
_HIGH = 1

#: A closing TLS connection may take this long to say goodbye.
_TLS_SHUTDOWN_S = 2.0


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

    def gate(self) -> asyncio.Protocol:
        """The protocol factory for the listening sockets."""
        return _Gate(self)


class Front(asyncio.Protocol):
    """The protocol of one admitted connection; passes everything on to aiohttp's."""

    __slots__ = (
        "_deadline",
        "_early",
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
    )

    def __init__(self, porch: Porch, address: str) -> None:
        self._porch = porch
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._left = False
        self._deadline: asyncio.TimerHandle | None = None
        self.address = address
        self.proven = False
        self.paused = False
        self.paused_at_us = 0
        self.received_us = 0
        self.on_drained: Callable[[], None] | None = None

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

    # --- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection that is ready for HTTP."""
        stream = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        stream.set_write_buffer_limits(high=_HIGH, low=0)
        self._transport = stream
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
        self._transport = None
        self._porch.fronts.discard(self)
        self._porch.census.leave(self.address, proven=self.proven)
        if self._inner is not None:
            self._inner.connection_lost(exc)


class _Gate(asyncio.Protocol):
    """The first protocol of a raw connection: counts it in and starts TLS."""

    def __init__(self, porch: Porch) -> None:
        self._porch = porch
        self._front: Front | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raw = cast("asyncio.Transport", transport)
        porch = self._porch
        peer = raw.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not porch.census.admit(address):
            raw.abort()
            return
        tune(raw, porch.limits)
        raw.set_write_buffer_limits(high=_HIGH, low=0)
        self._front = Front(porch, address)
        if porch.tls is None:
            raw.set_protocol(self._front)
            self._front.connection_made(raw)
            return
        raw.pause_reading()
        task = asyncio.get_running_loop().create_task(self._start_tls(raw, porch.tls), name="agent-tls")
        porch.tasks.add(task)
        task.add_done_callback(porch.tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Gone before TLS took over."""
        if self._front is not None:
            self._front.connection_lost(None)

    async def _start_tls(self, raw: asyncio.Transport, context: ssl.SSLContext) -> None:
        porch, front = self._porch, self._front
        deadline = porch.limits.request_s
        if front is None:
            return
        try:
            async with asyncio.timeout(deadline), porch.handshakes:
                if front.gone:
                    return  # it left while it waited for its turn
                secure = await asyncio.get_running_loop().start_tls(
                    raw,
                    front,
                    context,
                    server_side=True,
                    ssl_handshake_timeout=deadline,
                    ssl_shutdown_timeout=_TLS_SHUTDOWN_S,
                )
        except (OSError, TimeoutError) as error:
            _log.info("agent_tls_failed", address=front.address, reason=str(error) or type(error).__name__)
            self._give_up(raw)
            return
        except asyncio.CancelledError:
            self._give_up(raw)
            raise
        if secure is None:  # the loop says so when the peer left in the same breath
            self._give_up(raw)
            return
        front.connection_made(secure)

    def _give_up(self, raw: asyncio.Transport) -> None:
        raw.abort()
        # The TLS protocol keeps a failed handshake to itself, so it is counted out here.
        if self._front is not None:
            self._front.connection_lost(None)
