"""Which sample of a programme belongs to which instant.

* :class:`ClipTimeline`: a straight line, fixed when the cue is armed.
* :class:`LiveTimeline`: anchors (sample, media time) told by a stream, seen through the clock filter, which may
  still be learning. Written by the decoding thread, read by the audio thread; every change replaces one tuple.

Instants here are float µs of the monotonic clock; positions are float samples, because a voice stands between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from audio.playout.feed import LiveFeed
from schedules.instants import SAMPLE_RATE, MediaUs, MonoUs

FRAMES_PER_US = SAMPLE_RATE / 1e6

_ANCHORS = 512  # 20 ms bundles of a whole ring


class Timeline(Protocol):
    """The two directions, and where the programme begins and ends."""

    @property
    def origin(self) -> int | None:
        """First sample that may sound; None while nothing has arrived."""

    @property
    def end(self) -> int | None:
        """One past the last sample; None while nobody knows."""

    def time_of(self, position: float) -> float:
        """The instant of a sample."""

    def index_at(self, instant: float) -> float | None:
        """The sample of an instant (may lie before the origin or after the end)."""


class ClipTimeline:
    """Sample ``offset`` sounds at ``start_at``."""

    def __init__(self, start_at: MonoUs, offset: int, end: int) -> None:
        self._start_at = start_at
        self._offset = offset
        self._end = end

    @property
    def origin(self) -> int | None:
        """The sample that sounds at the start."""
        return self._offset

    @property
    def end(self) -> int | None:
        """Length of the programme."""
        return self._end

    def time_of(self, position: float) -> float:
        """The instant of a sample."""
        return self._start_at + (position - self._offset) / FRAMES_PER_US

    def index_at(self, instant: float) -> float:
        """The sample of an instant."""
        return self._offset + (instant - self._start_at) * FRAMES_PER_US


@dataclass(frozen=True, slots=True)
class Anchor:
    """Sample ``index`` sounds at ``play_at``."""

    index: int
    play_at: MediaUs


class LiveTimeline:
    """Anchors of a stream, newest last."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._anchors: tuple[Anchor, ...] = ()
        self._end: int | None = None

    @property
    def origin(self) -> int | None:
        """First sample still known; None while nothing has arrived, or its time is not known."""
        anchors = self._anchors
        return anchors[0].index if anchors and self._feed.locate(anchors[0].play_at) is not None else None

    @property
    def end(self) -> int | None:
        """One past the last sample, once the stream has said so."""
        return self._end

    def finish(self, end: int) -> None:
        """The stream has ended: ``end`` is one past its last sample."""
        self._end = end

    def add(self, anchor: Anchor, *, keep_from: float) -> None:
        """Learn one more anchor; those before the one that holds ``keep_from`` are forgotten."""
        known = self._anchors
        while len(known) >= 2 and known[1].index <= keep_from:  # noqa: PLR2004 - one must remain
            known = known[1:]
        self._anchors = (*known[-_ANCHORS + 1 :], anchor)

    def projected(self, index: int) -> float:
        """The media time that ``index`` has if the last anchor goes on; only after :meth:`add`."""
        last = self._anchors[-1]
        return last.play_at + (index - last.index) / FRAMES_PER_US

    def time_of(self, position: float) -> float:
        """The instant of a sample; only once there is an :attr:`origin`."""
        anchors = self._anchors
        anchor = anchors[0]
        for candidate in reversed(anchors):
            if candidate.index <= position:
                anchor = candidate
                break
        located = self._feed.locate(anchor.play_at)
        assert located is not None  # noqa: S101 - what was known once stays known
        return located + (position - anchor.index) / FRAMES_PER_US

    def index_at(self, instant: float) -> float | None:
        """The sample of an instant."""
        found: float | None = None
        for anchor in reversed(self._anchors):
            located = self._feed.locate(anchor.play_at)
            if located is None:
                return None
            since = instant - located
            found = anchor.index + since * FRAMES_PER_US
            if since >= 0:
                break
        return found
