"""What waits to be written on one control connection, and in which order.

1. Four lanes, the first non-empty one is served: ``CLOCK`` (made at the moment of writing, so that the stamp is
   honest), ``ORDER`` (commands, stream opens and closes, receipts), ``LIVE`` (emergency voice), ``DOCUMENT``.
2. Nothing is unbounded. CLOCK drops its oldest (a lost exchange to the agent). ORDER is never dropped: when it is
   full, :meth:`Outbox.put` says so and the connection is closed; the agent comes back and is told again. LIVE drops
   what can no longer arrive in time, then its oldest. DOCUMENT keeps the newest of each kind.
3. An order never waits behind sound or documents; within a lane the order of arrival is kept.

Not here: sockets (:mod:`controller.gateway.links`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from controller.gateway.limits import GatewayLimits


class Lane(IntEnum):
    """Where a message queues; lower is served first."""

    CLOCK = 0
    ORDER = 1
    LIVE = 2
    DOCUMENT = 3


@dataclass(slots=True)
class Outbox:
    """The bounded lanes of one control connection. Frames are ready bytes; clock replies are made when written."""

    limits: GatewayLimits
    dropped: int = 0
    _clock: deque[Callable[[], bytes]] = field(default_factory=deque)
    _orders: deque[bytes] = field(default_factory=deque)
    _live: deque[tuple[int, bytes]] = field(default_factory=deque)
    _live_bytes: int = 0
    _documents: dict[str, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._clock) + len(self._orders) + len(self._live) + len(self._documents)

    def put_clock(self, make: Callable[[], bytes]) -> None:
        """Queue a clock reply; the oldest goes when too many wait."""
        if len(self._clock) >= self.limits.clock_waiting:
            self._clock.popleft()
            self.dropped += 1
        self._clock.append(make)

    def put_order(self, frame: bytes) -> bool:
        """Queue an order. False: the lane is full and the connection must be closed."""
        if len(self._orders) >= self.limits.orders_waiting:
            return False
        self._orders.append(frame)
        return True

    def put_live(self, frame: bytes, play_at_us: int) -> None:
        """Queue a bundle of live sound that must be there by ``play_at_us`` on the media timeline."""
        self._live.append((play_at_us, frame))
        self._live_bytes += len(frame)
        while self._live_bytes > self.limits.live_waiting_bytes:
            self._pop_live()
            self.dropped += 1

    def put_document(self, kind: str, frame: bytes) -> None:
        """Queue a document; a newer one of the same ``kind`` takes the older one's place."""
        if self._documents.pop(kind, None) is not None:
            self.dropped += 1
        self._documents[kind] = frame

    def drop_live(self) -> None:
        """Forget queued sound (its stream was closed)."""
        self.dropped += len(self._live)
        self._live.clear()
        self._live_bytes = 0

    def pop(self, media_us: int) -> bytes | None:
        """The next frame to write at ``media_us``, or None."""
        if self._clock:
            return self._clock.popleft()()
        if self._orders:
            return self._orders.popleft()
        while self._live:
            play_at, frame = self._pop_live()
            if play_at - media_us >= self.limits.live_margin_us:
                return frame
            self.dropped += 1
        if self._documents:
            return self._documents.pop(next(iter(self._documents)))
        return None

    def _pop_live(self) -> tuple[int, bytes]:
        play_at, frame = self._live.popleft()
        self._live_bytes -= len(frame)
        return play_at, frame
