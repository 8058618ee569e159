"""Loudness that never jumps: ramps, the concealment of gaps, and the last limiter.

Everything here works on blocks of samples in place and keeps its state between blocks.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from audio.pcm import Samples
from schedules.instants import SAMPLE_RATE

#: 5 ms: fall and rise at the edges of a gap.
EDGE_FRAMES = SAMPLE_RATE * 5 // 1000

#: −1 dBFS: the programme's true-peak ceiling, which the sum of two programmes could exceed.
CEILING = 10.0 ** (-1.0 / 20.0)

_ATTACK_FRAMES = 64
_RELEASE_S = 0.2
_UNITY = 0.9999


class Ramp:
    """A factor that moves in straight lines."""

    def __init__(self, level: float = 1.0) -> None:
        self._level = level
        self._target = level
        self._left = 0

    @property
    def level(self) -> float:
        """The factor now."""
        return self._level

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self._left > 0

    def go(self, target: float, frames: int) -> None:
        """Move to ``target`` over ``frames`` samples (at once if none)."""
        self._target = target
        self._left = max(0, frames)
        if self._left == 0:
            self._level = target

    def apply(self, block: Samples) -> None:
        """Multiply ``block`` by the next ``len(block)`` values."""
        moving = min(self._left, len(block))
        if moving:
            step = (self._target - self._level) / self._left
            block[:moving] *= (self._level + step * np.arange(1, moving + 1)).astype(np.float32)
            self._left -= moving
            self._level = self._level + step * moving if self._left else self._target
        if self._level != 1.0 and moving < len(block):
            block[moving:] *= np.float32(self._level)


class GapGuard:
    """Turns NaN into silence without a click.

    What was heard last falls to zero in 5 ms; what returns rises in 5 ms, over the fall if that is not over.
    """

    def __init__(self) -> None:
        self._last = 0.0  # the sample put out last
        self._gap = False
        self._held = 0.0  # what falls
        self._fall = 0  # samples of the fall still to come
        self._rise = 0  # samples of the rise still to come

    def apply(self, block: Samples) -> int:
        """Fill the gaps of ``block`` and return how many samples were missing."""
        if len(block) == 0:
            return 0
        missing = np.isnan(block)
        count = int(np.count_nonzero(missing))
        if count or self._gap or self._fall or self._rise:
            edges = [0, *(np.flatnonzero(np.diff(missing)) + 1).tolist(), len(block)]
            for begin, end in pairwise(edges):
                self._run(block[begin:end], gap=bool(missing[begin]))
        self._last = float(block[-1])
        return count

    def _run(self, run: Samples, *, gap: bool) -> None:
        if gap:
            if not self._gap:
                self._held, self._fall = self._last, EDGE_FRAMES
            run[:] = 0.0
        else:
            if self._gap:
                self._rise = EDGE_FRAMES
            rising = min(self._rise, len(run))
            run[:rising] *= (np.arange(1, rising + 1) + (EDGE_FRAMES - self._rise)) / np.float32(EDGE_FRAMES)
            self._rise -= rising
        self._gap = gap
        falling = min(self._fall, len(run))
        run[:falling] += self._held * (self._fall - np.arange(1, falling + 1)) / np.float32(EDGE_FRAMES)
        self._fall -= falling
        self._last = float(run[-1])


class Limiter:
    """Holds the sum of all voices under :data:`CEILING`: quick down, slow up, and a hard stop for what is left."""

    def __init__(self) -> None:
        self._gain = Ramp()
        #: Blocks that had to be turned down.
        self.limited = 0
        #: Blocks that held no numbers and were silenced.
        self.broken = 0

    def apply(self, block: Samples) -> None:
        """Limit ``block`` in place."""
        peak = float(np.max(np.abs(block), initial=0.0))
        if not np.isfinite(peak):  # never hand a loudspeaker what is not a number
            block.fill(0.0)
            self.broken += 1
            return
        allowed = min(1.0, CEILING / peak) if peak > 0 else 1.0
        if allowed < self._gain.level:
            self._gain.go(allowed, min(_ATTACK_FRAMES, len(block)))
        elif self._gain.level < 1.0:
            share = 1.0 - np.exp(-len(block) / (_RELEASE_S * SAMPLE_RATE))
            wanted = self._gain.level + (allowed - self._gain.level) * float(share)
            self._gain.go(1.0 if wanted > _UNITY else wanted, len(block))
        elif peak <= CEILING:
            return
        self.limited += 1
        self._gain.apply(block)
        np.clip(block, -CEILING, CEILING, out=block)
