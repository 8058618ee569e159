"""When a sample reaches the converter: from what PortAudio says to the monotonic clock, and made smooth.

Two steps, both pure:

* :class:`StreamClock` maps one callback's times to the monotonic clock. PortAudio's times have an epoch of their own
  (it differs by system), so only differences are used: ``offset = min over 256 callbacks of (now - currentTime)``.
  A callback may run late, never early; the minimum is the callback that ran on time.
* :class:`DacLine` lays a straight line through the noisy instants of the last second, and knows how fast the
  device's converter runs against the monotonic clock.

Constants: research on PortAudio's ALSA back end (window 256 callbacks; 51 callbacks ≈ 1 s of 20 ms blocks).

Not here: what is done about an error (:mod:`audio.playout.servo`).
"""

from __future__ import annotations

from collections import deque
from statistics import median

import numpy as np

from schedules.instants import SAMPLE_RATE, MonoUs

_WINDOW = 256
_STEP_US = 100_000  # a clock that differs by this much, again and again, was set
_STEP_DOWN = 3
_STEP_UP = 8
_DEAD_CALLBACKS = 12  # as many callbacks without a plausible time make the timing degraded

_US_PER_FRAME = 1e6 / SAMPLE_RATE
_LINE_FRAMES = 51 * 960
_LINE_LEAST = 5
_SLOPE_LEAST_US = 8e6
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
    """A straight line through the last second of converter instants.

    The median of the last 51 blocks' residuals (against counting samples) is immune to single late or early
    readings; since it is taken over the device alone, no correction made meanwhile disturbs it.
    """

    def __init__(self, ppm: float = 0.0) -> None:
        """``ppm``: how much faster than the monotonic clock the converter ran last time."""
        self.ppm = max(-_PPM_CLAMP, min(_PPM_CLAMP, ppm))
        self.reset()

    def reset(self) -> None:
        """The device was opened again, or ran dry: forget all but its rate."""
        self._counted = 0.0  # µs that the samples so far stand for, at the rate believed in
        self._nominal = 0.0  # µs that they stand for at 48 kHz
        self._residuals: deque[tuple[float, int]] = deque()
        self._held = 0
        self._slope: deque[tuple[float, float]] = deque(maxlen=_SLOPE_MOST)

    @property
    def settled(self) -> bool:
        """Whether a second's worth of instants was seen, so that corrections may begin."""
        return self._held >= _LINE_FRAMES and len(self._residuals) >= _LINE_LEAST

    def instant(self, dac: float, frames: int) -> float:
        """The smoothed instant of a block whose first sample is said to reach the converter at ``dac``."""
        self._residuals.append((dac - self._counted, frames))
        self._held += frames
        while len(self._residuals) > _LINE_LEAST and self._held - self._residuals[0][1] >= _LINE_FRAMES:
            self._held -= self._residuals.popleft()[1]
        smooth = self._counted + median(residual for residual, _ in self._residuals)
        if self.settled:
            self._learn(smooth)
        lasted = frames * _US_PER_FRAME
        self._nominal += lasted
        self._counted += lasted / (1.0 + self.ppm * 1e-6)
        return smooth

    def _learn(self, smooth: float) -> None:
        """Read the rate from the instants of the last two minutes, once a second."""
        if self._slope:
            counted, real = self._nominal - self._slope[-1][0], smooth - self._slope[-1][1]
            if counted < _LEARN_EVERY_US:
                return
            if abs(real - counted) > _STEP_LEAST_US:  # the instants stepped: no rate can be read across that
                self._slope.clear()
        self._slope.append((self._nominal, smooth))
        while self._nominal - self._slope[0][0] >= _SLOPE_LEAST_US:
            points = np.array(self._slope) - self._slope[0]
            line = np.polyfit(points[:, 0], points[:, 1], 1)
            if float(np.std(points[:, 1] - np.polyval(line, points[:, 0]))) <= _STRAIGHT_US:
                self._turn(max(-_PPM_CLAMP, min(_PPM_CLAMP, (1.0 / float(line[0]) - 1.0) * 1e6)))
                return
            self._slope.popleft()  # a device that has just been opened tells wild times: forget them

    def _turn(self, ppm: float) -> None:
        """Believe in another rate. The line's past is counted anew, turned about its newest point."""
        turn = (1.0 / (1.0 + self.ppm * 1e-6) - 1.0 / (1.0 + ppm * 1e-6)) * _US_PER_FRAME
        self.ppm = ppm
        behind = self._held - self._residuals[-1][1]
        turned: deque[tuple[float, int]] = deque()
        for residual, frames in self._residuals:
            turned.append((residual - turn * behind, frames))
            behind -= frames
        self._residuals = turned
