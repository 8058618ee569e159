"""Measures what goes through an encoding process, and tells its parent."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from audio.pcm import Samples, decibels, silence
from audio.stream.framing import LEVEL, LEVELS, frame
from schedules.instants import SAMPLE_RATE

_METER = SAMPLE_RATE // 10


class Meter:
    """Peak and RMS of every 100 ms."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._rest: Samples = silence(0)

    def push(self, samples: Samples) -> None:
        """Measure; what makes a whole 100 ms is told."""
        held = np.concatenate((self._rest, samples))
        while len(held) >= _METER:
            block, held = held[:_METER], held[_METER:]
            peak, rms = float(np.max(np.abs(block))), float(np.sqrt(np.mean(block**2)))
            self._out.write(frame(LEVEL, LEVELS.pack(decibels(peak), decibels(rms))))
        self._rest = held
