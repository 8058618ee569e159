"""Decoding ahead of time, away from the thread that plays.

* :class:`ClipFeeder`: stored segments into a ring, 200 ms a step, up to 2.4 s ahead of the reader.
* :class:`DecodeWorker`: one thread that steps any number of feeders; players may share it.

What is about to be heard is decoded at once; the rest of the way ahead gently, because a box that decodes all of it the
moment an order comes has no processor left for the order itself.

Rule: a file that is missing, damaged or shorter than the plan says costs silence of that length, is reported once,
and never disturbs the place in time of what follows.

Not here: live packets (:mod:`audio.playout.live`), playing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Protocol

import numpy as np

from audio.codec import OggOpusReader
from audio.errors import AudioError
from audio.pcm import Samples, silence
from audio.playout.cues import ClipSegment, Segment
from audio.playout.level import EDGE_FRAMES
from audio.playout.live import Report
from audio.playout.ring import SampleRing

_STEP_FRAMES = 9_600
_REST_S = 0.4

#: So far ahead of the reader sound is needed: three steps, several times the longest wait for a slow card.
_SOON_FRAMES = 3 * _STEP_FRAMES

#: Beyond that a feeder makes one step in this time: twice as fast as it is played.
_GENTLY_S = 0.1


class Feeder(Protocol):
    """Fills one ring."""

    finished: bool
    broken: bool

    def step(self, *, ahead: bool = True) -> bool:
        """Do a little work; False when there is nothing to do now. ``ahead``: also what is not needed soon."""

    def fail(self, error: Exception) -> None:
        """Something nobody foresaw was raised: tell it, and do no more."""

    def close(self) -> None:
        """Let files go and do no more."""


class ClipFeeder:
    """Decodes the segments of one cue into a ring, from the ring's end on."""

    def __init__(self, segments: tuple[Segment, ...], ring: SampleRing, report: Report) -> None:
        self._ring = ring
        self._report = report
        self._starts: list[tuple[int, Segment]] = []
        self._total = 0
        for segment in segments:
            self._starts.append((self._total, segment))
            self._total += segment.frames
        self._reader: OggOpusReader | None = None
        self._reading: int | None = None  # start of the segment the reader belongs to
        self._bad: set[int] = set()
        self._checked = False
        self.finished = False
        self.broken = False

    def step(self, *, ahead: bool = True) -> bool:
        """Decode 200 ms if there is room for them; whether it did. See :class:`Feeder`."""
        if self.finished:
            return False
        if not self._checked:
            self._check()
        if self._ring.room() < _STEP_FRAMES:
            return False
        if not ahead and self._ring.end - self._ring.wanted >= _SOON_FRAMES:
            return False
        if self._ring.wanted > self._ring.end:  # the reader has jumped ahead
            self._ring.skip(self._ring.wanted)
        at = self._ring.end
        if at >= self._total:
            self.close()
            return False
        start, segment = next(pair for pair in reversed(self._starts) if pair[0] <= at)
        count = min(_STEP_FRAMES, start + segment.frames - at)
        if isinstance(segment, ClipSegment):
            self._ring.write(self._decode(start, segment, at - start, count))
        else:
            self._ring.write(silence(count))
        return True

    def close(self) -> None:
        """Let the file go."""
        self.finished = True
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def fail(self, error: Exception) -> None:
        """Tell what nobody foresaw, and do no more: the rest is silence."""
        self.broken = True
        self._report("decoding_failed", f"decoding failed: {type(error).__name__}: {error}")
        self.close()

    def _check(self) -> None:
        """Tell at arming, not in the middle, that a file is missing."""
        self._checked = True
        paths = {segment.path for _, segment in self._starts if isinstance(segment, ClipSegment)}
        missing = sorted(str(path) for path in paths if not path.is_file())
        if missing:
            self._report("clip_missing", f"not on this disk: {', '.join(missing)}")
        self.broken = bool(paths) and len(missing) == len(paths)

    def _decode(self, start: int, segment: ClipSegment, offset: int, count: int) -> Samples:
        """``count`` samples of a clip with its edges faded, NaN where there are none."""
        out = np.full(count, np.nan, np.float32)
        if start in self._bad:
            return out
        try:
            samples = self._open(start, segment).read(offset, count)
        except (AudioError, OSError) as error:
            self._bad.add(start)
            clips = [begin for begin, other in self._starts if isinstance(other, ClipSegment)]
            self.broken = len(self._bad) == len(clips)
            self._report("clip_unreadable", f"{segment.path.name} cannot be played, silence instead: {error}")
            return out
        if len(samples) < count:
            self._bad.add(start)
            self._report("clip_short", f"{segment.path.name} is shorter than the plan says; the rest is silence")
        out[: len(samples)] = samples
        places = np.arange(offset, offset + count)
        edge = np.minimum(places + 1, segment.frames - places) / EDGE_FRAMES
        if edge[0] < 1.0 or edge[-1] < 1.0:
            out *= np.minimum(edge, 1.0).astype(np.float32)
        return out

    def _open(self, start: int, segment: ClipSegment) -> OggOpusReader:
        if self._reader is None or self._reading != start:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            self._reader = OggOpusReader(segment.path)
            self._reading = start
        return self._reader


class Decoding(Protocol):
    """Who steps feeders."""

    def add(self, feeder: Feeder) -> None:
        """Step it from now on until it has finished."""

    def remove(self, feeder: Feeder) -> None:
        """Close it and step it no more."""

    def wake(self) -> None:
        """There is something to do now. From any thread."""

    def close(self) -> None:
        """Close every feeder and stop."""


class DecodeWorker:
    """One thread for any number of feeders. Asleep while none is there."""

    def __init__(self) -> None:
        self._feeders: list[Feeder] = []
        self._bell = threading.Event()
        self._closing = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, feeder: Feeder) -> None:
        """Step it from now on until it has finished."""
        with self._lock:
            self._feeders.append(feeder)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="loa-decode", daemon=True)
                self._thread.start()
        self._bell.set()

    def remove(self, feeder: Feeder) -> None:
        """Step it no more; the thread closes it, since only that may touch its file."""
        feeder.finished = True
        self._bell.set()

    def wake(self) -> None:
        """There is something to do now."""
        self._bell.set()

    def close(self) -> None:
        """Close every feeder and stop the thread."""
        self._closing = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        filling, filled_at = False, 0.0
        while not self._closing:
            rest = _GENTLY_S if filling else _REST_S
            self._bell.wait(rest if self._feeders else None)
            self._bell.clear()
            while self._round(ahead=False) and not self._closing:
                pass
            if time.monotonic() - filled_at >= _GENTLY_S:
                filling, filled_at = self._round(ahead=True), time.monotonic()
        for feeder in tuple(self._feeders):
            feeder.close()

    def _round(self, *, ahead: bool) -> bool:
        """One step of each; whether any had something to do."""
        return sum(self._step(feeder, ahead=ahead) for feeder in tuple(self._feeders)) > 0

    def _step(self, feeder: Feeder, *, ahead: bool) -> bool:
        did = False
        try:
            did = not feeder.finished and feeder.step(ahead=ahead)
        except Exception as error:  # noqa: BLE001 - one bad file must not silence the cues beside it
            feeder.fail(error)
        if feeder.finished:
            feeder.close()
            with self._lock, contextlib.suppress(ValueError):
                self._feeders.remove(feeder)
        return did
