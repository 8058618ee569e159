"""When a sample reaches the converter: from what PortAudio says to the monotonic clock, and made smooth.

Two steps, both pure:

* :class:`StreamClock` maps one callback's times to the monotonic clock. PortAudio's times have an epoch of their own
  (it differs by system), so only differences are used: ``offset = min over 256 callbacks of (now - currentTime)``.
  A callback may run late, never early; the minimum is the callback that ran on time.
* :class:`DacLine` lays a straight line through the noisy instants of the last minutes, and knows how fast the device's
  converter runs against the monotonic clock.

Constants: research on PortAudio's ALSA back end (window 256 callbacks), and times recorded from PulseAudio 16 on a
machine with two cores at loads of 3 to 8, where two such lines stay within 0.1 ms of the truth between them.

Not here: what is done about an error (:mod:`audio.playout.servo`).
"""

from __future__ import annotations

from collections import deque
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
_MOVED_SECONDS = 4
_MOVED_ALIKE_US = 1_000.0
_MOVED_FAR_US = 50_000.0  # no reading of a device that is open for a while was seen to be as wild as this
_MOVED_FAR_SECONDS = 2
_CALLS_MOVED_US = 2_000.0  # a sound server that asks for a block more or less moves its calls by 20 ms
_CALLS_MOVED_SECONDS = 2

#: Seconds of calls that the line's shape is read from, and of told instants where the calls are not known.
CALLS_S = 30.0
TOLD_S = 120.0

#: Seconds of told instants that the line's level is read from: under load PulseAudio's were seen to be wrong by up to
#: 3 ms for 12 s on end.
LEVEL_S = 120

#: PulseAudio's times after opening were seen to be wrong by up to 5 ms for as long as this.
STEADY_US = 20e6

#: The line moves by this share of time, once it is steady and before.
FOLLOW = 200e-6
FOLLOW_YOUNG = 100e-6

#: After a device ran dry it is followed within this time, but no faster than sound may be resampled: the times of the
#: first second were seen to be wrong by 4 to 8 ms then.
_FOLLOW_US = 15e6
FOLLOW_MOST = 400e-6

#: What one second's earliest call, and one second's told instants, are off by (1 sigma); beyond it they count for less.
_CALLS_NOISE_US = 40.0
_TOLD_NOISE_US = 150.0
_LEVEL_NOISE_US = 50.0
#: How far two crystals may differ, and one from what it did last time (1 sigma).
_UNKNOWN_PPM = 60.0
_KNOWN_PPM = 5.0
_ROUNDS = 6
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

    Two things are known of each block. Its told instant is right in the long run, but a sound server's own smoothing
    makes it wrong by milliseconds for seconds, whenever the machine is busy. The call that asks for it may come late,
    never early: the earliest call of each second lies on a line as straight as the converter's own, busy or not (±50 µs
    in one second, on PulseAudio), but nobody knows how far ahead of the converter. So the calls of the last
    :data:`CALLS_S` give the line's shape (its rate above all), and the told instants of the last :data:`LEVEL_S` its
    level. Both by weights that fall with the distance (Cauchy's), so that a minority of wild seconds moves neither.

    Without the calls, the told instants give the shape, too. No correction made meanwhile disturbs any of this: it is
    taken over the device alone.
    """

    def __init__(self, ppm: float = 0.0) -> None:
        """``ppm``: how much faster than the monotonic clock the converter ran last time."""
        self.ppm = max(-_PPM_CLAMP, min(_PPM_CLAMP, ppm))
        self._prior = self.ppm, _KNOWN_PPM if ppm != 0.0 else _UNKNOWN_PPM
        self.reset()

    def reset(self, *, dry: bool = False) -> None:
        """The device was opened again, or (``dry``) ran dry: forget all but its rate."""
        self._dry = dry
        self._nominal = 0.0  # µs that the samples so far stand for at 48 kHz: the abscissa
        self._latest: list[tuple[float, float, float | None]] = []  # (nominal, told - nominal, call - nominal)
        self._folded = 0.0
        self._shape: deque[tuple[float, float]] = deque()  # (nominal, that beside it), one point a second
        self._levels: deque[float] = deque(maxlen=LEVEL_S)  # told minus shape, one a second
        self._stepped: deque[float] = deque(maxlen=_MOVED_SECONDS)
        self._calls_stepped = 0
        self._said: tuple[float, float] | None = None  # (nominal, instant beside it) of the line wished for
        self._line: float | None = None  # the instant beside the nominal one: it follows that, but slowly
        #: How far the device's instants lie beside the line, in the middle.
        self.scatter_us = 0.0

    @property
    def settled(self) -> bool:
        """Whether a second's worth of instants was seen, so that corrections may begin."""
        return self._nominal >= _LINE_US and self._said is not None

    @property
    def steady(self) -> bool:
        """Whether the device has been open long enough for its times to be believed to the tenth of a millisecond."""
        return self._nominal >= STEADY_US

    def instant(self, dac: float, frames: int, called: float | None = None, *, silent: bool = False) -> float:
        """The smoothed instant of a block whose first sample is said to reach the converter at ``dac``.

        ``called``: when the device asked for the block; None where that says nothing. ``silent``: nothing sounds, so
        the line may go at once to where it is wished.
        """
        if self._nominal - self._folded >= _LINE_US and len(self._latest) >= _LINE_LEAST:
            self._each_second()
        self._latest.append((self._nominal, dac - self._nominal, None if called is None else called - self._nominal))
        lasted = frames * _US_PER_FRAME
        smooth = self._nominal + self._follow(lasted, silent=silent)
        self._nominal += lasted
        return smooth

    @property
    def _slope(self) -> float:
        """µs that the converter's instants gain on the nominal ones, in each µs."""
        return 1.0 / (1.0 + self.ppm * 1e-6) - 1.0

    def _follow(self, lasted: float, *, silent: bool) -> float:
        """Move the line towards what is wished for, at a rate at which nothing is heard."""
        if self._said is None:
            self._line = median(told + self._slope * (self._nominal - at) for at, told, _ in self._latest)
            return self._line
        wished = self._said[1] + self._slope * (self._nominal - self._said[0])
        if self._line is None or silent:
            self._line = wished
            return wished
        going_on = self._line + self._slope * lasted
        share = FOLLOW if self.steady else FOLLOW_YOUNG
        if self._dry:
            share = min(FOLLOW_MOST, max(share, abs(wished - going_on) / _FOLLOW_US))
        most = share * lasted
        self._line = going_on + max(-most, min(most, wished - going_on))
        return self._line

    def _each_second(self) -> None:
        """Fold the last second into one point of the shape and one of the level, and lay the line anew."""
        latest, self._latest = self._latest, []
        self._folded = now = self._nominal
        slope = self._slope
        told = median(beside + slope * (now - at) for at, beside, _ in latest)
        calls = [call + slope * (now - at) for at, _, call in latest if call is not None]
        shape = min(calls, default=told)
        if calls and self._watch_the_calls(shape):
            return
        self._shape.append((now, shape))
        while now - self._shape[0][0] > (CALLS_S if calls else TOLD_S) * 1e6:
            self._shape.popleft()
        self._levels.append(told - shape)
        if moved := self._watch_for_a_step(told):
            self._forget_what_was_before(moved, timed=bool(calls))
        level = _middle(np.array(self._levels), _LEVEL_NOISE_US)
        here, self.ppm, beside = self._fit(_CALLS_NOISE_US if calls else _TOLD_NOISE_US)
        self._said = now, here + level
        self.scatter_us = float(np.median(np.abs(np.array(self._levels) - level))) if calls else beside
        if moved:
            self._line = here + level

    def _watch_the_calls(self, shape: float) -> bool:
        """Calls that come earlier or later from now on say nothing of the converter; True while that is in doubt."""
        if not self._shape:
            return False
        at, before = self._shape[-1]
        step = shape - (before + self._slope * (self._nominal - at))
        self._calls_stepped = self._calls_stepped + 1 if abs(step) > _CALLS_MOVED_US else 0
        if 0 < self._calls_stepped < _CALLS_MOVED_SECONDS:
            return True
        if self._calls_stepped:
            self._calls_stepped = 0
            self._shape = deque((at, beside + step) for at, beside in self._shape)
            self._levels = deque((level - step for level in self._levels), maxlen=LEVEL_S)
        return False

    def _watch_for_a_step(self, told: float) -> int:
        """Times that differ from the line for seconds on end are a device that was moved, not a wild reading.

        The seconds since then, once that is sure; else 0.
        """
        if self._said is None:
            return 0
        expected = self._said[1] + self._slope * (self._nominal - self._said[0])
        bound = _MOVED_US if self.steady else _MOVED_YOUNG_US
        if abs(told - expected) <= bound:
            self._stepped.clear()
            return 0
        self._stepped.append(told - expected)
        far = self.steady and abs(told - expected) > _MOVED_FAR_US
        enough = _MOVED_FAR_SECONDS if far else _MOVED_SECONDS
        newest = list(self._stepped)[-enough:]
        return enough if len(newest) == enough and max(newest) - min(newest) <= _MOVED_ALIKE_US else 0

    def _forget_what_was_before(self, seconds: int, *, timed: bool) -> None:
        """The device was moved: only its newest seconds count."""
        self._stepped.clear()
        self._levels = deque(list(self._levels)[-seconds:], maxlen=LEVEL_S)
        if not timed:
            self._shape = deque(list(self._shape)[-seconds:])

    def _fit(self, noise: float) -> tuple[float, float, float]:
        """The straight line through the shape: where it is now, its rate in ppm, and how far points lie beside it.

        Least squares, again and again with the weights that the last line gives; the rate that is known beforehand
        counts as one more point.
        """
        points = np.array(self._shape)
        ago, beside = (points[:, 0] - self._nominal) * 1e-6, points[:, 1]
        prior, sigma = self._prior
        slope = expected = -prior  # µs a second: ppm, to a part in two thousand
        here = float(np.median(beside - slope * ago))
        scatter = 0.0
        for _ in range(_ROUNDS):
            off = np.abs(beside - here - slope * ago)
            scatter = float(np.median(off))
            weights = 1.0 / (1.0 + (off / max(noise, scatter)) ** 2)
            doubt = (max(noise, scatter) / sigma) ** 2
            total, first = float(weights.sum()), float((weights * ago).sum())
            second = float((weights * ago * ago).sum()) + doubt
            mean, moment = float((weights * beside).sum()), float((weights * ago * beside).sum()) + doubt * expected
            apart = total * second - first * first
            slope = (total * moment - first * mean) / apart
            here = (second * mean - first * moment) / apart
        ppm = (1.0 / (1.0 + slope * 1e-6) - 1.0) * 1e6
        return here, max(-_PPM_CLAMP, min(_PPM_CLAMP, ppm)), scatter


def _middle(values: npt.NDArray[np.float64], noise: float) -> float:
    """Where most of the values lie."""
    middle = float(np.median(values))
    for _ in range(_ROUNDS):
        off = np.abs(values - middle)
        weights = 1.0 / (1.0 + (off / max(noise, float(np.median(off)))) ** 2)
        middle = float((weights * values).sum() / weights.sum())
    return middle
