"""Packets of a live stream into a ring, at their place in a running programme.

What a stream can do wrong, and what is heard: a lost bundle is a gap of its length; a bundle that comes twice or
backwards is left out; a discontinuity, or times that contradict the sample numbers by more than 20 ms, begin a new
stretch with a fresh decoder; so does what follows a hole of :data:`HOLE_FRAMES` or more (a connection that came back),
because a decoder that missed so much would begin with a noise. A new stretch rises in 20 ms, over the fall of what was
heard last. A packet that is not Opus is 20 ms of silence.

Not here: whether the stream may sound (signatures, classes), how early bundles are sent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audio.codec import PRE_ROLL, OpusDecoder
from audio.errors import CodecError
from audio.pcm import Samples
from audio.playout.feed import LiveChunk, LiveFeed
from audio.playout.level import EDGE_FRAMES
from audio.playout.ring import CAPACITY, HISTORY, SampleRing
from audio.playout.timeline import FRAMES_PER_US, Anchor, LiveTimeline
from schedules.instants import SAMPLE_RATE, MonoUs

#: Times may contradict sample numbers by this much, in µs, before a new stretch begins; less is slewed.
CONTRADICTION_US = 20_000

#: A hole of 100 ms: what a decoder knew before it is worth nothing after it.
HOLE_FRAMES = SAMPLE_RATE // 10

#: A new stretch rises in this time.
RISE_FRAMES = SAMPLE_RATE * 20 // 1000

Report = Callable[[str, str], None]


class LiveFeeder:
    """Decodes one feed into one ring. Runs in the decoding thread."""

    def __init__(
        self,
        feed: LiveFeed,
        ring: SampleRing,
        timeline: LiveTimeline,
        report: Report,
        *,
        now: Callable[[], MonoUs],
        bell: Callable[[], None],
    ) -> None:
        """``bell`` is rung by every push: it should bring a :meth:`step` about."""
        self._feed = feed
        self._reader = feed.reader(bell)
        self._now = now
        self._ring = ring
        self._timeline = timeline
        self._report = report
        self._decoder = OpusDecoder()
        self._next: LiveChunk | None = None
        self._shift: int | None = None  # position = sample_index + shift, within one stretch
        self._end = 0
        self._risen = RISE_FRAMES  # the cue's own fade opens the first stretch
        self._last = 0.0  # the sample decoded last
        self._falling = 0.0  # what falls under the beginning of a stretch
        self._reported = False
        self.finished = False
        self.broken = False

    def step(self, *, ahead: bool = True) -> bool:  # noqa: ARG002 - what is live is always needed soon
        """Decode one chunk if there is one and room for it; whether it did."""
        chunk = self._next or self._reader.take()
        self._next = None
        if chunk is None or self.finished:
            return False
        if self._shift is None and self._is_over(chunk):
            return True
        position, fresh = self._place(chunk)
        if position is None:
            return True
        if position + chunk.frames > self._ring.wanted - HISTORY + CAPACITY:
            self._next = chunk
            return False
        if fresh or position - self._end >= HOLE_FRAMES:
            self._decoder.reset()
            self._risen = 0
            self._falling = self._last if position == self._end else 0.0
        self._shift = position - chunk.sample_index
        self._timeline.add(Anchor(position, chunk.play_at), keep_from=self._ring.wanted - HISTORY)
        self._ring.skip(position)
        for packet in chunk.packets:
            self._ring.write(self._joined(self._decode(packet, chunk.packet_frames)))
        self._end = position + chunk.frames
        if chunk.end:
            self._timeline.finish(self._end)
            self.finished = True
        return True

    def fail(self, error: Exception) -> None:
        """Tell what nobody foresaw, and do no more: the rest is silence."""
        self.broken = True
        self._report("decoding_failed", f"decoding the stream failed: {type(error).__name__}: {error}")
        self.close()

    def close(self) -> None:
        """Take no more."""
        self.finished = True
        self._reader.close()

    def _is_over(self, chunk: LiveChunk) -> bool:
        """It was due so long ago that not even the decoder, which needs a run-up, has a use for it."""
        begin = self._feed.locate(chunk.play_at)
        if begin is None or chunk.end:
            return False
        return begin + (chunk.frames + PRE_ROLL) / FRAMES_PER_US < self._now()

    def _place(self, chunk: LiveChunk) -> tuple[int | None, bool]:
        """Where a chunk belongs (None: nowhere, it is old), and whether a new stretch begins with it."""
        if self._shift is None:
            return 0, False
        position = chunk.sample_index + self._shift
        if not chunk.discontinuity:
            contradiction = abs(chunk.play_at - self._timeline.projected(position))
            if position < self._end and contradiction <= CONTRADICTION_US:
                return None, False
            if position >= self._end and contradiction <= CONTRADICTION_US:
                return position, False
        gap = (chunk.play_at - self._timeline.projected(self._end)) * FRAMES_PER_US
        return self._end + max(0, round(gap)), True

    def _joined(self, samples: Samples) -> Samples:
        """The beginning of a stretch rises, over the fall of what the one before ended with."""
        rising = min(len(samples), RISE_FRAMES - self._risen)
        if rising > 0:
            places = np.arange(self._risen + 1, self._risen + rising + 1, dtype=np.float32)
            samples[:rising] *= places / RISE_FRAMES
            samples[:rising] += self._falling * np.maximum(0.0, 1.0 - places / EDGE_FRAMES)
            self._risen += rising
        self._last = float(samples[-1]) if len(samples) and not np.isnan(samples[-1]) else 0.0
        return samples

    def _decode(self, packet: bytes, frames: int) -> Samples:
        out = np.full(frames, np.nan, np.float32)
        try:
            samples = self._decoder.decode(packet)
        except CodecError as error:
            if not self._reported:
                self._reported = True
                self._report("live_undecodable", f"packets of the stream are not Opus; silence instead ({error})")
            return out
        out[: len(samples)] = samples[:frames]
        return out
