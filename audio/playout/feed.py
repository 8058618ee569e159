"""Live sound on its way in: chunks of packets, and the bounded queue they wait in.

Drop rule of :class:`LiveFeed`: when more than :data:`QUEUE_FRAMES` wait unread, the oldest chunk goes (in live sound
the newest matters), and is counted. Of what was read, the newest :data:`KEEP_FRAMES` stay.

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

#: A minute of packets may wait.
QUEUE_FRAMES: Final = 60 * SAMPLE_RATE

#: The longest lead of a stream and a second: 36 kB at 32 kbit/s.
KEEP_FRAMES: Final = 9 * SAMPLE_RATE

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
    """The packets of one stream, and where its timeline lies on this machine's clock.

    Several cues may read one feed, each from the oldest chunk that is kept: a cue that takes a stream up again after
    something more urgent finds what another cue has read ahead already.

    ``to_mono`` is called from the threads that decode and play: it must only read values. While it raises (the clock
    filter does not know yet, or the controller's timeline has changed), the last relation it gave holds.
    """

    def __init__(self, to_mono: ToMono, *, queue_frames: int = QUEUE_FRAMES) -> None:
        self.to_mono = to_mono
        self._shift: int | None = None  # the last relation: monotonic minus media
        self._chunks: deque[LiveChunk] = deque()
        self._first = 0  # running number of the oldest chunk kept
        self._held = 0  # samples in all of them
        self._lock = threading.Lock()
        self._queue_frames = queue_frames
        self._readers: dict[LiveReader, Callable[[], None]] = {}
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Chunks that no reader took before a minute of newer ones had come, or that were longer than a second."""
        return self._dropped

    def locate(self, media: MediaUs) -> MonoUs | None:
        """``media`` on this machine's clock; None while that was never known."""
        try:
            self._shift = self.to_mono(media) - media
        except Exception:  # noqa: BLE001 - a clock that does not know raises an error of its own package
            if self._shift is None:
                return None
        return MonoUs(media + self._shift)

    def reader(self, bell: Callable[[], None]) -> LiveReader:
        """Read from the oldest chunk on; ``bell`` rings after every push, on the pushing thread."""
        with self._lock:
            reader = LiveReader(self, self._first)
            self._readers[reader] = bell
        return reader

    def push(self, chunk: LiveChunk) -> None:
        """Add what arrived. Never blocks, never raises for what a stream may contain."""
        with self._lock:
            if chunk.frames > MAX_CHUNK_FRAMES or chunk.packet_frames <= 0:
                self._dropped += 1
                return
            self._chunks.append(chunk)
            self._held += chunk.frames
            self._forget()
            bells = tuple(self._readers.values())
        for bell in bells:
            bell()

    def take(self, reader: LiveReader) -> LiveChunk | None:
        """The next chunk for ``reader``, or None. For readers."""
        with self._lock:
            reader.cursor = max(reader.cursor, self._first)
            place = reader.cursor - self._first
            if place >= len(self._chunks):
                return None
            reader.cursor += 1
            return self._chunks[place]

    def leave(self, reader: LiveReader) -> None:
        """``reader`` reads no more. For readers."""
        with self._lock:
            self._readers.pop(reader, None)

    def _forget(self) -> None:
        """Keep what somebody has still to read, within the bound, and the newest seconds for who comes later."""
        read = min((reader.cursor for reader in self._readers), default=self._first + len(self._chunks))
        while self._held - self._chunks[0].frames >= KEEP_FRAMES:
            unread = read <= self._first
            if unread and self._held <= self._queue_frames:
                return
            self._held -= self._chunks.popleft().frames
            self._first += 1
            self._dropped += unread


class LiveReader:
    """One cue's place in a feed."""

    def __init__(self, feed: LiveFeed, cursor: int) -> None:
        self._feed = feed
        self.cursor = cursor

    def take(self) -> LiveChunk | None:
        """The next chunk, or None."""
        return self._feed.take(self)

    def close(self) -> None:
        """Read no more."""
        self._feed.leave(self)
