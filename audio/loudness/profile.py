"""How much loudness a limiter will cost, told from a sketch of the sound instead of another pass over it.

The sketch is peak and power of every 10 ms (8 MB for three hours). A limiter's effect on it is easily reckoned, the
difference in gated loudness is what the limiter costs, and the gain that makes up for it follows by iteration. The
power is not K-weighted: only differences are used, in which the weighting nearly cancels.

Not here: the limiter itself (:mod:`audio.loudness.limiter`), the final measurement (:mod:`audio.codec`).
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from audio.pcm import Samples, amplitude, silence
from schedules.instants import SAMPLE_RATE

_STEP = SAMPLE_RATE // 100
_BLOCK, _HOP = 40, 10  # 400 ms gating blocks, every 100 ms (ITU-R BS.1770-4)
_ABSOLUTE_GATE = 10 ** (-70 / 10)
_RELATIVE_GATE = 0.1
_ROUNDS = 12
#: Beyond this the limiter would be heard as distortion; then the programme stays quieter.
_MAX_MAKE_UP = 14.0


class Profile:
    """Collects the sketch block by block."""

    def __init__(self) -> None:
        self._peaks = array("f")
        self._powers = array("f")
        self._rest: Samples = silence(0)

    def push(self, samples: Samples) -> None:
        """Sketch more."""
        whole = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        used = len(whole) // _STEP * _STEP
        rows = whole[:used].reshape(-1, _STEP)
        if len(rows):
            self._peaks.frombytes(np.abs(rows).max(axis=1).astype("f4").tobytes())
            self._powers.frombytes((np.einsum("ij,ij->i", rows, rows) / _STEP).astype("f4").tobytes())
        self._rest = whole[used:].copy()

    def gain_for(self, wanted_db: float, ceiling_db: float) -> float:
        """The gain before a limiter at ``ceiling_db`` that gives as much loudness as ``wanted_db`` would without it."""
        if len(self._powers) < _BLOCK:
            return wanted_db
        gain = wanted_db
        for _ in range(_ROUNDS):
            missing = wanted_db - gain + self._loss(gain, ceiling_db)
            if abs(missing) < 0.02:  # noqa: PLR2004 - LU, far below what is heard
                break
            gain = min(gain + missing, wanted_db + _MAX_MAKE_UP)
        return gain

    def _loss(self, gain_db: float, ceiling_db: float) -> float:
        """LU that the limiter takes away at this gain."""
        powers = np.frombuffer(self._powers, np.float32).astype(np.float64) * amplitude(gain_db) ** 2
        peaks = np.frombuffer(self._peaks, np.float32) * amplitude(gain_db)
        needed = np.minimum(1.0, amplitude(ceiling_db) / np.maximum(peaks, 1e-9))
        held = np.minimum(needed, np.minimum(np.append(needed[1:], 1.0), np.append(1.0, needed[:-1])))
        return _gated(powers) - _gated(powers * held**2)


def _gated(powers: NDArray[np.float64]) -> float:
    """Gated loudness of 10 ms powers, in LU on a scale of its own."""
    total = np.concatenate((np.zeros(1), np.cumsum(powers)))
    blocks = (total[_BLOCK:] - total[:-_BLOCK])[::_HOP] / _BLOCK
    loud = blocks[blocks > _ABSOLUTE_GATE]
    if not len(loud):
        return -70.0
    loud = loud[loud > loud.mean() * _RELATIVE_GATE]
    return 10.0 * float(np.log10(loud.mean()))
