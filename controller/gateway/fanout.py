"""Which connections carry which live stream, and the one pass that writes a bundle to all of them.

1. A bundle's frame is made once; the same bytes go to every connection, in one plain loop without tasks.
2. The loop runs in slices of :data:`SLICE_US`, however dear a write is (TLS, a machine that is busy elsewhere), so that
   an order never waits for more than one slice of a large fan-out. What is still unwritten when its bundle should sound
   is dropped.
3. Classes of 80 and more travel on the control connections, the others on media connections. A connection that
   joins late hears from the next bundle on; nothing older is kept.
4. Closing a stream discards what waits of it, everywhere.

Not here: sockets and queues (:mod:`controller.gateway.links`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from controller.gateway.errors import UnknownStreamError
from controller.gateway.frames import binary_frame

#: How long is written in one go, in microseconds, so that neither a STOP nor a clock question in between is late.
SLICE_US = 2_000
#: Connections between two looks at the clock: half a millisecond with TLS.
LOOK = 25


class Carrier(Protocol):
    """A connection that can carry live sound."""

    def carry(self, stream_id: int, frame: bytes, play_at_us: int) -> None:
        """Send or queue a frame."""
        ...

    def forget(self, stream_id: int) -> None:
        """Drop what is queued of a stream."""
        ...


@dataclass(slots=True)
class OpenStream:
    """One live stream and who carries it. ``announcement`` is the control frame that tells of it."""

    stream_id: int
    targets: frozenset[str]
    on_control: bool
    announcement: bytes
    published: int = 0
    _carriers: dict[str, Carrier] = field(default_factory=dict)
    _flat: tuple[Carrier, ...] | None = None

    def join(self, agent_id: str, carrier: Carrier) -> None:
        """Let a connection carry the stream, in the place of the agent's former one."""
        self._carriers[agent_id] = carrier
        self._flat = None

    def leave(self, agent_id: str, carrier: Carrier) -> None:
        """Take a connection out, unless a newer one has its place already."""
        if self._carriers.get(agent_id) is carrier:
            del self._carriers[agent_id]
            self._flat = None

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        """All connections that carry the stream."""
        if self._flat is None:
            self._flat = tuple(self._carriers.values())
        return self._flat


@dataclass(slots=True)
class _Pass:
    stream: OpenStream
    frame: bytes
    play_at_us: int
    carriers: tuple[Carrier, ...]
    next: int = 0


class Fanout:
    """The open streams."""

    def __init__(self, media_us: Callable[[], int], *, slice_us: int = SLICE_US, look: int = LOOK) -> None:
        self.streams: dict[int, OpenStream] = {}
        self.sends = 0
        self.too_late = 0
        self._media_us = media_us
        self._slice_us = slice_us
        self._look = look
        self._passes: deque[_Pass] = deque()
        self._scheduled: asyncio.Handle | None = None

    def open(self, stream: OpenStream) -> None:
        """Begin a stream."""
        self.streams[stream.stream_id] = stream

    def close(self, stream_id: int) -> OpenStream:
        """End a stream and discard what waits of it.

        Raises:
            UnknownStreamError: it is not open.
        """
        stream = self.streams.pop(stream_id, None)
        if stream is None:
            raise UnknownStreamError(f"stream {stream_id} is not open")
        self._passes = deque(one for one in self._passes if one.stream is not stream)
        for carrier in stream.carriers:
            carrier.forget(stream_id)
        return stream

    def targeting(self, agent_id: str) -> list[OpenStream]:
        """The open streams that one agent is to hear."""
        return [stream for stream in self.streams.values() if agent_id in stream.targets]

    def attach(self, agent_id: str, carrier: Carrier, *, control: bool) -> None:
        """A connection came: it carries every open stream of its kind that targets its agent."""
        for stream in self.targeting(agent_id):
            if stream.on_control == control:
                stream.join(agent_id, carrier)

    def detach(self, agent_id: str, carrier: Carrier) -> None:
        """A connection is gone."""
        for stream in self.streams.values():
            stream.leave(agent_id, carrier)

    def publish(self, stream_id: int, bundle: bytes, play_at_us: int) -> None:
        """Write a bundle to every connection of the stream.

        Raises:
            UnknownStreamError: it is not open.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            raise UnknownStreamError(f"stream {stream_id} is not open")
        stream.published += 1
        self._passes.append(_Pass(stream, binary_frame(bundle), play_at_us, stream.carriers))
        if self._scheduled is None:
            self._run()

    def stop(self) -> None:
        """Forget everything (the gateway closes)."""
        self._passes.clear()
        self.streams.clear()
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _run(self) -> None:
        """Write one slice; come back for the rest after whatever else the loop has to do."""
        self._scheduled = None
        now = self._media_us()
        until = now + self._slice_us
        while self._passes:
            one = self._passes[0]
            if one.next and now >= one.play_at_us:
                self.too_late += len(one.carriers) - one.next
                self._passes.popleft()
                continue
            some = one.carriers[one.next : one.next + self._look]
            stream_id, frame, play_at_us = one.stream.stream_id, one.frame, one.play_at_us
            for carrier in some:
                carrier.carry(stream_id, frame, play_at_us)
            self.sends += len(some)
            one.next += len(some)
            if one.next >= len(one.carriers):
                self._passes.popleft()
            now = self._media_us()
            if now >= until:
                break
        if self._passes:
            self._scheduled = asyncio.get_running_loop().call_soon(self._run)
