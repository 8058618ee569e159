"""When each second of a relayed station is to sound: packets in, timed chunks out. Pure.

Rules kept here:

1. A chunk holds at most as many packets as its kind of source bundles; its ``play_at`` follows the chunk before it to
   the microsecond, or it is marked ``discontinuity`` and lies later. Chunks never overlap in time.
2. Opened ahead of its window, a source is only kept warm: old packets make room for new ones, and the first chunk
   plays exactly at the window's start.
3. A chunk is handed out a lead (:data:`LEAD` for relays) before it plays. One that would go out with less than
   :data:`SHORTEST_LEAD` left is put off to a new anchor: a short silence everywhere instead of fragments somewhere.
4. At most :data:`MAX_BUFFER` packets wait. When full, the reader stops reading, and the station waits for us (a file
   served as a "stream" at full speed is thereby played at its own pace).

Not here: where packets come from (:mod:`controller.services.carrier`), their bytes on the wire (:mod:`protocol`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from audio.stream import Level
from controller.services.chunks import PACKET_US, Chunk, SourceKind
from schedules.instants import MediaUs

#: How far ahead of its playing a chunk goes out; a new anchor may have a little less.
LEAD: Final = 3_000_000
ANCHOR_LEAD: Final = 2_000_000
SHORTEST_LEAD: Final = 1_000_000
#: What is kept of the burst that a station sends at first: it carries us over stalls of its network.
CUSHION: Final = 250
#: 30 s of sound.
MAX_BUFFER: Final = 1500


@dataclass(frozen=True, slots=True)
class Pace:
    """How a source is bundled and how far ahead it goes out. Times in microseconds."""

    packets: int = SourceKind.RELAY.packets
    lead: int = LEAD
    anchor_lead: int = ANCHOR_LEAD
    shortest_lead: int = SHORTEST_LEAD

    @classmethod
    def of(cls, kind: SourceKind, lead: int) -> Pace:
        """For agents that need to be ``lead`` ahead: a third of it may be lost before a new anchor is needed.

        Up to a relay's usual :data:`LEAD` a new anchor may have less, so that a station is heard soon; agents that
        asked for more get all of it.
        """
        return cls(kind.packets, lead, lead if lead > LEAD else lead * 2 // 3, lead // 3)


class Pacer:
    """Times the packets of one source. ``start`` is the first instant anything is to sound."""

    def __init__(self, start: MediaUs, pace: Pace | None = None) -> None:
        self._start = start
        self._pace = pace or Pace()
        self._buffer: deque[tuple[bytes, Level | None]] = deque()
        self._next: MediaUs | None = None  # play_at of the next chunk; None: to be anchored
        self._ended: MediaUs = start  # end of what was handed out last
        self._flush = False  # the source is gone: a short last chunk may go

    def begin(self, start: MediaUs) -> None:
        """The first instant that may sound, if nothing was handed out yet."""
        if self._next is None:
            self._start = self._ended = start

    def grow(self, lead: int) -> None:
        """Agents need more: what waits goes out earlier, and a new anchor has it from the start."""
        if lead > self._pace.lead:
            self._pace = replace(Pace.of(SourceKind.RELAY, lead), packets=self._pace.packets)

    @property
    def full(self) -> bool:
        """Whether the reader must wait."""
        return len(self._buffer) >= MAX_BUFFER

    @property
    def buffered_us(self) -> int:
        """Microseconds of sound that wait."""
        return len(self._buffer) * PACKET_US

    def push(self, packets: Sequence[bytes], level: Level | None = None) -> None:
        """Packets that follow the ones before, as the encoder made them; ``level``: how loud they are."""
        if self._flush:  # what is left belongs to a source that was lost; the new one begins a new anchor
            self._anew()
        self._buffer.extend((packet, level) for packet in packets)
        if self._next is None:
            while len(self._buffer) > CUSHION:
                self._buffer.popleft()

    def interrupt(self) -> None:
        """The source is lost: what is buffered still goes out; what comes later starts anew."""
        self._flush = True

    def due_at(self, now: MediaUs) -> MediaUs | None:
        """When :meth:`take` will have something, if nothing more comes. None: only after more packets."""
        if not self._ready():
            return None
        if self._next is None:
            return MediaUs(max(now, self._start - self._pace.lead))
        return MediaUs(max(now, self._next - self._pace.lead))

    def take(self, now: MediaUs) -> Chunk | None:
        """The next chunk, if it is time for it."""
        due = self.due_at(now)
        if due is None or due > now:
            return None
        fresh = self._next is None or self._next - now < self._pace.shortest_lead
        if fresh:
            self._next = MediaUs(max(self._start, self._ended, now + self._pace.anchor_lead))
        play_at = self._next
        assert play_at is not None  # noqa: S101 - anchored above
        some = [self._buffer.popleft() for _ in range(min(self._pace.packets, len(self._buffer)))]
        levels = [level for _, level in some if level is not None]
        loudest = max(levels, key=lambda level: level.rms_db, default=None)
        chunk = Chunk(play_at, tuple(packet for packet, _ in some), fresh, level=loudest)
        self._next = self._ended = chunk.ends
        if self._flush and not self._buffer:
            self._anew()
        return chunk

    def _ready(self) -> bool:
        return len(self._buffer) >= self._pace.packets or (self._flush and bool(self._buffer))

    def _anew(self) -> None:
        self._buffer.clear()
        self._next = None
        self._flush = False
