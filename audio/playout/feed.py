"""Live sound on its way in: chunks of packets, and the bounded queue they wait in.

Drop rule of :class:`LiveFeed`: when more than :data:`QUEUE_FRAMES` wait, the oldest chunk goes (in live sound the
newest matters); drops are counted.

Not here: whether the stream may sound (signatures, classes), decoding (:mod:`audio.playout.live`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from audio.codec import PACKET_FRAMES
from audio.playout.ring import CAPACITY, HISTORY
from schedules.instants import SAMPLE_RATE, Frames, MediaUs, MonoUs

#: From a controller's media timeline to this machine's clock, by the clock filter.
ToMono: TypeAlias = Callable[[MediaUs], MonoUs]

#: A minute of packets may wait; the longest lead of a stream is 8 s.
QUEUE_FRAMES: Final = 60 * SAMPLE_RATE

#: A chunk longer than this would not fit the ring beside its past.
MAX_CHUNK_FRAMES: Final = (CAPACITY - HISTORY) // 2


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """Some 20 ms packets of a live stream.

    ``play_at`` is when the first sample of the first packet sounds, ``sample_index`` its running number in the
    stream. ``discontinuity``: what came before does not lead up to this (decoder reset, fade in). ``end``: nothing
    follows. ``packet_frames`` is the length of each packet in samples.
    """

    play_at: MediaUs
    sample_index: int
    packets: tuple[bytes, ...]
    discontinuity: bool = False
    end: bool = False
    packet_frames: Frames = PACKET_FRAMES

    @property
    def frames(self) -> Frames:
        """Samples in all packets."""
        return Frames(len(self.packets) * self.packet_frames)


class LiveFeed:
    """The packets of one stream that have not been played.

    ``to_mono`` is called from the thread that plays: it must only read values that are replaced whole.
    """

    def __init__(self, to_mono: ToMono, *, queue_frames: int = QUEUE_FRAMES) -> None:
        self.to_mono = to_mono
        self._chunks: deque[LiveChunk] = deque()
        self._lock = threading.Lock()
        self._waiting = 0
        self._queue_frames = queue_frames
        self._bell: Callable[[], None] | None = None
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Chunks left out because too many waited, or because one was longer than a second."""
        return self._dropped

    def listen(self, bell: Callable[[], None] | None) -> None:
        """Ring ``bell`` after every push, on the pushing thread. For the player."""
        self._bell = bell

    def push(self, chunk: LiveChunk) -> None:
        """Add what arrived. Never blocks, never raises for what a stream may contain."""
        with self._lock:
            if chunk.frames > MAX_CHUNK_FRAMES or chunk.packet_frames <= 0:
                self._dropped += 1
                return
            self._chunks.append(chunk)
            self._waiting += chunk.frames
            while self._waiting > self._queue_frames:
                self._waiting -= self._chunks.popleft().frames
                self._dropped += 1
        if self._bell is not None:
            self._bell()

    def take(self) -> LiveChunk | None:
        """The oldest chunk, or None."""
        with self._lock:
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._waiting -= chunk.frames
            return chunk
