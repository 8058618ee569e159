"""A look-ahead limiter for true peaks: nothing above the ceiling, no audible pumping.

For each sample the gain that its four times oversampled peak needs is found, held over 10 ms before and after, and
smoothed over the same length. The smoothed gain is never above the needed one, so a peak cannot slip through, and it
changes slowly enough to be heard as loudness, not as distortion. Works on blocks; memory is one block and 21 ms.

Not here: which ceiling (:mod:`audio.loudness.normalise`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio.pcm import Samples, amplitude, silence

_HOLD = 480  # 10 ms
_TAPS = 12  # to each side of the interpolating filter
_MARGIN = 2 * _HOLD + _TAPS
# A sample peak below this part of the ceiling cannot hide a true peak above it in any sound that is not contrived.
_SAFE = 0.6


def _interpolators() -> list[NDArray[np.float32]]:
    """Windowed-sinc filters for the points at 1/4, 1/2 and 3/4 between two samples."""
    kernels = []
    for phase in (0.25, 0.5, 0.75):
        at = np.arange(-_TAPS + 1, _TAPS + 1) - phase
        kernel = np.sinc(at) * np.cos(np.pi * at / (2 * _TAPS + 2)) ** 2
        kernels.append((kernel / kernel.sum()).astype(np.float32)[::-1])
    return kernels


_KERNELS = _interpolators()


class TruePeakLimiter:
    """Holds blocks of samples under ``ceiling_db`` dBTP. What goes in comes out 21 ms later, in equal number."""

    def __init__(self, ceiling_db: float) -> None:
        self._ceiling = amplitude(ceiling_db)
        self._buffer = silence(_MARGIN)
        #: The strongest reduction so far, in linear gain (1.0 = the limiter did nothing).
        self.lowest_gain = 1.0

    def push(self, samples: Samples) -> Samples:
        """Take more; what is ready comes back."""
        self._buffer = np.concatenate((self._buffer, samples))
        ready = len(self._buffer) - 2 * _MARGIN
        if ready <= 0:
            return silence(0)
        out = self._buffer[_MARGIN : _MARGIN + ready]
        if float(np.max(np.abs(self._buffer))) > self._ceiling * _SAFE:
            gain = self._gain()[_MARGIN : _MARGIN + ready]
            self.lowest_gain = min(self.lowest_gain, float(gain.min()))
            out = out * gain
        else:
            out = out.copy()
        self._buffer = self._buffer[ready:].copy()
        return out

    def flush(self) -> Samples:
        """The last samples."""
        return self.push(silence(_MARGIN))

    def _gain(self) -> NDArray[np.float32]:
        peak = np.abs(self._buffer)
        for kernel in _KERNELS:
            between = np.abs(np.convolve(self._buffer, kernel, "full"))[_TAPS : _TAPS + len(peak)]
            # The point between two samples belongs to both.
            np.maximum(peak, between, out=peak)
            np.maximum(peak[1:], between[:-1], out=peak[1:])
        needed = np.minimum(1.0, self._ceiling / np.maximum(peak, 1e-9))
        if float(needed.min()) >= 1.0:
            return np.ones(len(peak), np.float32)
        held = _sliding_minimum(needed, _HOLD)
        return _smoothed(_smoothed(held, _HOLD // 2), _HOLD // 2).astype(np.float32)


def _sliding_minimum(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The smallest value within ``reach`` samples to either side (van Herk's two running minima)."""
    width = 2 * reach + 1
    length = len(values)
    padded = np.concatenate((np.ones(reach), values, np.ones(reach + (-(length + 2 * reach)) % width)))
    rows = padded.reshape(-1, width)
    forward = np.minimum.accumulate(rows, axis=1).ravel()
    backward = np.minimum.accumulate(rows[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.asarray(np.minimum(backward[:length], forward[width - 1 : width - 1 + length]), np.float64)


def _smoothed(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The mean over ``reach`` samples to either side."""
    width = 2 * reach + 1
    padded = np.concatenate((np.full(reach + 1, values[0]), values, np.full(reach, values[-1])))
    total = np.cumsum(padded)
    return np.asarray((total[width:] - total[:-width]) / width, np.float64)
