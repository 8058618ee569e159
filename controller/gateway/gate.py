"""The first moments of a connection: counted in, tuned, and brought under TLS.

1. One connection too many is dropped before it costs a TLS handshake.
2. TLS is started by hand on the raw connection, because only then can the buffer *below* TLS be bounded: with the
   loop's own TLS server 64 KiB of sound could hide there, out of sight of ``get_write_buffer_size``.
3. uvloop begins to read as soon as a connection is made, whatever the protocol wants, so the first bytes of a
   ClientHello may arrive before TLS is there. They are kept and handed to the TLS protocol right after it was
   connected, before anything that comes later.
4. A handshake that does not finish in time is dropped; at most a few dozen are computed at once.

Not here: what comes after (:mod:`controller.gateway.front`).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol, cast, runtime_checkable

import structlog

from controller.gateway.front import HIGH_WATER, Front, Porch
from controller.gateway.sockets import tune

_log = structlog.get_logger(__name__)

#: A closing TLS connection may take this long to say goodbye, in seconds.
_SHUTDOWN_S = 2.0
#: A ClientHello is far below this; more before TLS has begun is no handshake.
_EARLY_MAX = 64 * 1024


@runtime_checkable
class _Buffered(Protocol):
    """What the TLS protocols of asyncio and of uvloop have in common."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where bytes may be put."""
        ...

    def buffer_updated(self, nbytes: int) -> None:
        """So many were put there."""
        ...


class Gate(asyncio.Protocol):
    """The first protocol of a raw connection."""

    def __init__(self, porch: Porch) -> None:
        self._porch = porch
        self._front: Front | None = None
        self._raw: asyncio.Transport | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection in, or drop it."""
        raw = self._raw = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        porch = self._porch
        peer = raw.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not porch.census.admit(address):
            raw.abort()
            return
        tune(raw, porch.limits)
        raw.set_write_buffer_limits(high=HIGH_WATER, low=0)
        self._front = Front(porch, address)
        if porch.tls is None:
            raw.set_protocol(self._front)
            self._front.connection_made(raw)
            return
        raw.pause_reading()
        securing = self._secure(raw, self._front, porch.tls)
        task = asyncio.get_running_loop().create_task(securing, name="agent-tls")
        porch.tasks.add(task)
        task.add_done_callback(porch.tasks.discard)

    def data_received(self, data: bytes) -> None:
        """Keep what came before TLS (rule 3), and have no more of it."""
        self._early += data
        if self._raw is not None:
            self._raw.pause_reading()
            if len(self._early) > _EARLY_MAX:
                self._raw.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Gone before TLS took over."""
        if self._front is not None:
            self._front.connection_lost(None)

    async def _secure(self, raw: asyncio.Transport, front: Front, context: ssl.SSLContext) -> None:
        try:
            async with asyncio.timeout(self._porch.limits.request_s), self._porch.handshakes:
                secure = None if front.gone else await self._shake_hands(raw, front, context)
        except (OSError, TimeoutError) as error:
            _log.info("agent_tls_failed", address=front.address, reason=str(error) or type(error).__name__)
            secure = None
        except asyncio.CancelledError:
            raw.abort()
            front.connection_lost(None)
            raise
        if secure is None:
            raw.abort()
            # The TLS protocol keeps a failed handshake to itself, so the connection is counted out here.
            front.connection_lost(None)
        else:
            front.connection_made(secure)

    async def _shake_hands(
        self, raw: asyncio.Transport, front: Front, context: ssl.SSLContext
    ) -> asyncio.Transport | None:
        loop = asyncio.get_running_loop()
        raw.pause_reading()
        starting = loop.create_task(
            loop.start_tls(
                raw,
                front,
                context,
                server_side=True,
                ssl_handshake_timeout=self._porch.limits.request_s,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            ),
            name="agent-tls-handshake",
        )
        try:
            # The task's first step schedules "connect the TLS protocol" and "resume reading"; what is scheduled after
            # that step runs after both, and before the loop looks at the socket again.
            await asyncio.sleep(0)
            loop.call_soon(self._hand_over, raw)
            return await starting
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)

    def _hand_over(self, raw: asyncio.Transport) -> None:
        protocol = raw.get_protocol()
        early = bytes(self._early)
        self._early.clear()
        while early and isinstance(protocol, _Buffered) and not raw.is_closing():
            buffer = protocol.get_buffer(len(early))
            count = min(len(buffer), len(early))
            buffer[:count] = early[:count]
            protocol.buffer_updated(count)
            early = early[count:]
