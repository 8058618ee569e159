"""What a path between two clocks is like: its least delay, remembered long, and the queue that stands on it now.

Rules kept here:

1. The two directions of a burst are judged apart: the least of the way up and the least of the way back seldom fall
   on the same exchange, and their sum is nearer to the bare path than any round trip.
2. The floor is the least path in :data:`FLOOR_WINDOW_US`. Queues of many minutes do not lift it; a route that became
   longer for good does, hours later. Until then it only counts as a standing queue, which costs holdover, not error.
3. A queue stands when no burst of the last :data:`RECENT_US` came near the floor. Its error is of one sign for as long
   as it stands, so averaging does not help against it.

Not here: what is done about it (:mod:`protocol.clock`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from protocol.burst import Exchange
from schedules.instants import MonoUs

#: As long as a crystal may be trusted to hold the time alone within a few milliseconds.
FLOOR_WINDOW_US: Final = 6 * 3_600_000_000
RECENT_US: Final = 100_000_000

#: Bursts without which nothing is said of what stands.
RECENT_LEAST: Final = 3

#: A queue is more than this, and more than the spread that bursts themselves have on this path.
STANDING_LEAST_US: Final = 500.0
_SPREAD_SHARE: Final = 0.25

#: Of delays that vary evenly, the least of eight there and back lies half as many spreads above the floor.
_DOUBT: Final = 0.9

_BUCKET_US: Final = 300_000_000
_RECENT_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """One burst, boiled down.

    Attributes:
        at: the local instant it speaks of.
        media: media time at that instant, if the way up is as long as the way back.
        path_us: the least way up and the least way back, together.
        spread_us: how much the round trips within the burst differed (median above least).
    """

    at: MonoUs
    media: float
    path_us: float
    spread_us: float


def read_burst(burst: Sequence[Exchange], drift: float, asymmetry_us: int) -> Reading:
    """Boil a burst down.

    Args:
        burst: its exchanges, at least one.
        drift: what is known of how much faster the other clock runs.
        asymmetry_us: known extra time of the way up.
    """
    best = min(burst, key=lambda exchange: exchange.round_trip)
    at, base = best.middle, best.t1 - best.t0
    # Relative to one whole number, so that no digit is lost however long the machines have run.
    up = min((one.t1 - one.t0 - base) - drift * (one.t0 - at) for one in burst)
    back = min((one.t3 - one.t2 + base) + drift * (one.t3 - at) for one in burst)
    trips = [one.round_trip for one in burst]
    # A burst's stamps are microseconds: two minima can seem to undercut nothing at all.
    path = max(0.0, up + back)
    return Reading(at, at + base + (up - back - asymmetry_us) / 2, path, median(trips) - min(trips))


class PathMemory:
    """The floor, and what was seen lately. Bounded: one number for five minutes of six hours, and 64 bursts."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, float]] = deque()
        self._recent: deque[Reading] = deque(maxlen=_RECENT_MOST)
        self._seen = 0

    def add(self, reading: Reading) -> None:
        """One more burst; readings come in the order of time."""
        self._seen += 1
        bucket = reading.at // _BUCKET_US
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = bucket, min(self._buckets[-1][1], reading.path_us)
        else:
            self._buckets.append((bucket, reading.path_us))
        while self._buckets[0][0] < (reading.at - FLOOR_WINDOW_US) // _BUCKET_US:
            self._buckets.popleft()
        self._recent.append(reading)
        while len(self._recent) > RECENT_LEAST and self._recent[0].at < reading.at - RECENT_US:
            self._recent.popleft()

    @property
    def floor_us(self) -> float | None:
        """The bare path, as far as it was ever seen; None before the first burst."""
        return min((path for _, path in self._buckets), default=None)

    @property
    def excess_us(self) -> float:
        """Queueing of the last burst."""
        floor = self.floor_us
        return 0.0 if floor is None else self._recent[-1].path_us - floor

    @property
    def doubt_us(self) -> float:
        """How much further down the floor may be: much after the first burst, ever less with each."""
        return _DOUBT * median(one.spread_us for one in self._recent) / self._seen if self._recent else 0.0

    @property
    def standing_us(self) -> float:
        """The part of it that stands; 0 for a queue that comes and goes."""
        floor = self.floor_us
        if floor is None or len(self._recent) < RECENT_LEAST:
            return 0.0
        lately = min(self._recent, key=lambda reading: reading.path_us)
        allowed = max(STANDING_LEAST_US, _SPREAD_SHARE * median(one.spread_us for one in self._recent))
        standing = lately.path_us - floor
        return standing if standing > allowed else 0.0
