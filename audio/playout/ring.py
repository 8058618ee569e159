"""Decoded sound between the thread that makes it and the thread that plays it.

Rules kept here:

1. One writer, one reader, no lock: each side moves only its own integer, and moves it last.
2. Positions are the programme's own sample numbers, so reader and writer can jump without telling each other.
3. What is not there reads as NaN. A hole is told apart from silence by value, and needs no list of holes.
4. Bounded: the writer may be at most ``capacity - HISTORY`` ahead of the reader; a little past is kept, because a
   correction may step back.
"""

from __future__ import annotations

import numpy as np

from audio.pcm import Samples
from schedules.instants import SAMPLE_RATE

#: Samples kept behind the reader.
HISTORY = SAMPLE_RATE * 6 // 10

#: Three seconds: 0.6 s of past and 2.4 s ahead, 576 kB.
CAPACITY = SAMPLE_RATE * 3


class SampleRing:
    """A window of decoded samples over a programme of any length."""

    def __init__(self, first: int = 0, capacity: int = CAPACITY) -> None:
        self._data = np.full(capacity, np.nan, np.float32)
        self._capacity = capacity
        self._first = first  # nothing before this was ever written
        self._end = first  # one past the newest sample; the writer's
        self._wanted = first  # the sample the reader will ask for next; the reader's

    @property
    def end(self) -> int:
        """One past the newest sample."""
        return self._end

    @property
    def wanted(self) -> int:
        """The sample that will be read next."""
        return self._wanted

    def want(self, position: int) -> None:
        """The reader stands at ``position`` now; what lies well before it may be overwritten."""
        self._wanted = position

    def room(self) -> int:
        """How many samples may be written now."""
        return self._wanted - HISTORY + self._capacity - self._end

    def skip(self, position: int) -> None:
        """The writer goes on at ``position`` (ahead of the end); what lies between reads as NaN."""
        gap = min(position - self._end, self._capacity)
        if gap > 0:
            self._put(position - gap, np.full(gap, np.nan, np.float32))
            self._end = position

    def write(self, samples: Samples) -> None:
        """Add samples at the end. The caller keeps to :meth:`room`."""
        if len(samples) > self._capacity:
            raise ValueError("more samples than the ring holds")
        self._put(self._end, samples)
        self._end += len(samples)

    def _put(self, position: int, samples: Samples) -> None:
        at = position % self._capacity
        head = min(len(samples), self._capacity - at)
        self._data[at : at + head] = samples[:head]
        self._data[: len(samples) - head] = samples[head:]

    def read(self, position: int, count: int) -> Samples:
        """``count`` samples from ``position`` (a copy), NaN where there is nothing."""
        out = np.full(count, np.nan, np.float32)
        end = self._end
        begin = max(position, self._first, end - self._capacity)
        stop = min(position + count, end)
        if stop > begin:
            at = begin % self._capacity
            head = min(stop - begin, self._capacity - at)
            to = begin - position
            out[to : to + head] = self._data[at : at + head]
            out[to + head : stop - position] = self._data[: stop - begin - head]
        return out
