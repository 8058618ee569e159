"""When a sample reaches the converter: from what PortAudio says to the monotonic clock, and made smooth.

Two steps, both pure:

* :class:`StreamClock` maps one callback's times to the monotonic clock. PortAudio's times have an epoch of their own
  (it differs by system), so only differences are used: ``offset = min over 256 callbacks of (now - currentTime)``.
  A callback may run late, never early; the minimum is the callback that ran on time.
* :class:`DacLine` lays a straight line through the noisy instants of the last half minute, and knows how fast the
  device's converter runs against the monotonic clock.

Constants: research on PortAudio's ALSA back end (window 256 callbacks), and times recorded from PulseAudio 16.

Not here: what is done about an error (:mod:`audio.playout.servo`).
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from statistics import median

import numpy as np
import numpy.typing as npt

from schedules.instants import SAMPLE_RATE, MonoUs

_WINDOW = 256
_STEP_US = 100_000  # a clock that differs by this much, again and again, was set
_STEP_DOWN = 3
_STEP_UP = 8
_DEAD_CALLBACKS = 12  # as many callbacks without a plausible time make the timing degraded

_US_PER_FRAME = 1e6 / SAMPLE_RATE
_LINE_US = 1e6
_LINE_LEAST = 5
_MOVED_US = 3_000.0
_MOVED_YOUNG_US = 10_000.0
_MOVED_SECONDS = 3

#: Seconds that a line may look back: PulseAudio's times wander by ±60 µs within ten, and less than ±10 µs within these.
LOOK_BACK_S = 30.0

#: PulseAudio's times after opening were seen to be wrong by up to 5 ms for as long as this.
STEADY_US = 20e6

#: The line moves by this share of time; what is further off than a device's wild times was moved.
FOLLOW = 100e-6

#: The same where the rate is known, so that only an offset is left to be found: wild times fool it the less.
FOLLOW_KNOWN = 40e-6

#: After a device ran dry it is followed within this time, but no faster than sound may be resampled: the times of the
#: first second were seen to be wrong by 4 to 8 ms then.
_FOLLOW_US = 15e6
FOLLOW_MOST = 400e-6

_SLOPE_LEAST_US = 8e6
_SLOPE_SURE_US = 30e6  # a rate that is known is only given up for one read over as long as this
_STRAIGHT_US = 50.0
_LEARN_EVERY_US = 1e6
_STEP_LEAST_US = 3_000.0
_SLOPE_MOST = 120  # seconds of history the rate is read from
_PPM_CLAMP = 500.0


class StreamClock:
    """Maps ``outputBufferDacTime`` of each callback to the monotonic clock."""

    def __init__(self, latency_us: int) -> None:
        """``latency_us``: what the stream states, used when it does not tell the time."""
        self._latency_us = latency_us
        self._offsets: deque[float] = deque(maxlen=_WINDOW)
        self._outliers: deque[float] = deque(maxlen=_STEP_UP)
        self._last_current = float("-inf")
        self._implausible = 0
        self._frames = 0
        self.degraded = False
        #: What the device says lies between now and its converter, in µs.
        self.latency_us = latency_us

    def instant(self, now: MonoUs, current_s: float, dac_s: float, frames: int) -> MonoUs:
        """When the first sample of this callback's block reaches the converter.

        Args:
            now: the monotonic clock, read first thing in the callback.
            current_s: PortAudio's ``currentTime``.
            dac_s: PortAudio's ``outputBufferDacTime``.
            frames: length of the block.
        """
        # Several blocks of one wake-up share a currentTime; only a clock that never moves is dead.
        moves = current_s != self._last_current
        plausible = 0 < dac_s - current_s < 10  # noqa: PLR2004 - seconds
        self._last_current = current_s
        self._implausible = 0 if plausible and moves else self._implausible + 1
        if self.degraded or self._implausible >= _DEAD_CALLBACKS:
            return self._guess(now, frames)
        self._frames += frames
        if not plausible:
            return MonoUs(now + self._latency_us)
        self.latency_us = round((dac_s - current_s) * 1e6)
        return MonoUs(round(dac_s * 1e6 + self._offset(now - current_s * 1e6)))

    def _guess(self, now: MonoUs, frames: int) -> MonoUs:
        """Count samples from the callbacks' own rhythm; the stated latency stands for the truth."""
        if not self.degraded:
            self.degraded = True
            self._offsets.clear()
        counted = self._frames * _US_PER_FRAME
        self._frames += frames
        self.latency_us = self._latency_us
        return MonoUs(round(counted + self._offset(now - counted) + self._latency_us))

    def _offset(self, value: float) -> float:
        if not self._offsets:
            self._offsets.append(value)
            return value
        least = min(self._offsets)
        if abs(value - least) > _STEP_US:
            self._outliers.append(value)
            limit = _STEP_DOWN if value < least else _STEP_UP
            if len(self._outliers) < limit:
                return least
            self._offsets.clear()
            self._offsets.extend(self._outliers)
        else:
            self._offsets.append(value)
        self._outliers.clear()
        return min(self._offsets)


class DacLine:
    """A straight line through the converter instants that a device tells.

    The median of residuals (against counting samples at the believed rate) is immune to single wild readings, and is
    taken over the device alone, so no correction made meanwhile disturbs it. It looks back over half of the time since
    the device was opened, from one second up to :data:`LOOK_BACK_S`: a sound server's own smoothing tells times that
    are wrong by milliseconds for 5 to 20 s after opening, and by tenths of one for some seconds later on.
    """

    def __init__(self, ppm: float = 0.0) -> None:
        """``ppm``: how much faster than the monotonic clock the converter ran last time."""
        self.ppm = max(-_PPM_CLAMP, min(_PPM_CLAMP, ppm))
        self._known = ppm != 0.0
        self.reset()

    def reset(self, *, dry: bool = False) -> None:
        """The device was opened again, or (``dry``) ran dry: forget all but its rate."""
        self._dry = dry
        self._counted = 0.0  # µs that the samples so far stand for, at the rate believed in
        self._nominal = 0.0  # µs that they stand for at 48 kHz
        self._latest: deque[tuple[float, float]] = deque()  # (nominal, residual) of the last second
        self._seconds: deque[tuple[float, float]] = deque()  # the same, one median a second
        self._slope: deque[tuple[float, float]] = deque(maxlen=_SLOPE_MOST)
        self._stepped = 0
        self._past: float | None = None  # median of the seconds looked back over
        self._line: float | None = None  # where the line is now: it follows that, but slowly
        #: How far the device's instants lie beside the line, in the middle.
        self.scatter_us = 0.0

    @property
    def settled(self) -> bool:
        """Whether a second's worth of instants was seen, so that corrections may begin."""
        return self._nominal >= _LINE_US and len(self._latest) >= _LINE_LEAST

    @property
    def steady(self) -> bool:
        """Whether the device has been open long enough for its times to be believed to the tenth of a millisecond."""
        return self._nominal >= STEADY_US

    def instant(self, dac: float, frames: int) -> float:
        """The smoothed instant of a block whose first sample is said to reach the converter at ``dac``."""
        self._latest.append((self._nominal, dac - self._counted))
        while len(self._latest) > _LINE_LEAST and self._nominal - self._latest[0][0] >= _LINE_US:
            self._latest.popleft()
        lasted = frames * _US_PER_FRAME
        smooth = self._counted + self._follow(lasted)
        if self.settled:
            self._each_second()
        self._nominal += lasted
        self._counted += lasted / (1.0 + self.ppm * 1e-6)
        return smooth

    def _follow(self, lasted: float) -> float:
        """Move the line towards what the device says, at a rate at which nothing is heard."""
        said = median(residual for _, residual in self._latest) if self._past is None else self._past
        if self._line is None or not self.settled:
            self._line = said
        least = FOLLOW_KNOWN if self._known else FOLLOW
        if self._dry:
            least = min(FOLLOW_MOST, max(least, abs(said - self._line) / _FOLLOW_US))
        most = least * lasted
        self._line += max(-most, min(most, said - self._line))
        return self._line

    def _each_second(self) -> None:
        """Fold the last second into one point, look back over enough of them, and read the rate."""
        if self._seconds and self._nominal - self._seconds[-1][0] < _LINE_US:
            return
        now = median(residual for _, residual in self._latest)
        self._seconds.append((self._nominal, now))
        self._watch_for_a_step(now)
        back = min(max(self._nominal / 2, _LINE_US), LOOK_BACK_S * 1e6)
        while self._nominal - self._seconds[0][0] > back:
            self._seconds.popleft()
        self._learn(self._counted + now)
        self._past = past = median(residual for _, residual in self._seconds)
        self.scatter_us = median(abs(residual - past) for _, residual in self._seconds)

    def _watch_for_a_step(self, now: float) -> None:
        """Times that differ from the line for seconds on end are a device that was moved, not a wild reading."""
        bound = _MOVED_US if self.steady else _MOVED_YOUNG_US
        self._stepped = self._stepped + 1 if self._past is not None and abs(now - self._past) > bound else 0
        if self._stepped >= _MOVED_SECONDS:
            newest = list(self._seconds)[-_MOVED_SECONDS:]
            self._seconds.clear()
            self._seconds.extend(newest)
            self._slope.clear()
            self._stepped = 0
            self._line = median(residual for _, residual in newest)

    def _learn(self, instant: float) -> None:
        """Read the rate from the instants of the last two minutes, once a second."""
        if self._slope:
            counted, real = self._nominal - self._slope[-1][0], instant - self._slope[-1][1]
            if abs(real - counted) > _STEP_LEAST_US:  # the instants stepped: no rate can be read across that
                self._slope.clear()
        self._slope.append((self._nominal, instant))
        while self._nominal - self._slope[0][0] > max(_SLOPE_LEAST_US, self._nominal / 2):
            self._slope.popleft()
        span = self._nominal - self._slope[0][0]
        if span < (_SLOPE_SURE_US if self._known else _SLOPE_LEAST_US):
            return
        rate, scatter = _fit(np.array(self._slope) - self._slope[0])
        if scatter <= _STRAIGHT_US:
            self._known = self._known or span >= _SLOPE_SURE_US
            self._turn(max(-_PPM_CLAMP, min(_PPM_CLAMP, (1.0 / rate - 1.0) * 1e6)))

    def _turn(self, ppm: float) -> None:
        """Believe in another rate. The line's past is counted anew, turned about its newest point."""
        turn = 1.0 / (1.0 + self.ppm * 1e-6) - 1.0 / (1.0 + ppm * 1e-6)
        self.ppm = ppm
        now = self._nominal
        self._latest = deque((at, residual - turn * (now - at)) for at, residual in self._latest)
        self._seconds = deque((at, residual - turn * (now - at)) for at, residual in self._seconds)


@lru_cache(maxsize=2)  # the number of points stays the same once there is enough history
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Both places of every pair of points."""
    one, other = np.triu_indices(count, 1)
    return one, other


def _fit(points: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The middle of all slopes between two points, which a third of wild points does not move; and the scatter."""
    one, other = _pairs(len(points))
    at, told = points.T.copy()  # columns: each is read several thousand times
    rate = float(np.median((told[other] - told[one]) / (at[other] - at[one])))
    beside = told - rate * at
    return rate, float(np.median(np.abs(beside - np.median(beside))))
