"""How far two loudspeakers are apart, second by second, from a recording that holds both on one sample clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio.pcm import Samples
from schedules.instants import SAMPLE_RATE
from tests.system.pulse_hall import offset_us

#: Quieter than this (of full scale) is silence.
_SOUND = 0.004

#: Two channels that hold the same sound are at least this alike once the offset is taken out.
_LIKE = 0.5

#: What is compared at once: a tenth of a second, within which not even a player that is led back to its place moves.
_PIECE = SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True)
class Spread:
    """Absolute offsets over a while, in milliseconds."""

    median: float
    p95: float
    p99: float
    largest: float
    seconds: int


def spread_of(offsets_us: Sequence[float]) -> Spread:
    """Sum up offsets given in microseconds.

    Raises:
        ValueError: there are none.
    """
    if not offsets_us:
        raise ValueError("nothing was heard on both channels")
    sizes = np.abs(np.asarray(offsets_us)) / 1000
    median, p95, p99 = (float(np.percentile(sizes, part)) for part in (50, 95, 99))
    return Spread(median, p95, p99, float(sizes.max()), len(sizes))


def onset(channel: Samples) -> int | None:
    """The first sample that is sound; None when all is silence."""
    loud = np.flatnonzero(np.abs(channel) > _SOUND)
    return int(loud[0]) if len(loud) else None


def both_from(left: Samples, right: Samples) -> int | None:
    """The first sample at which both sound."""
    begins = onset(left), onset(right)
    return None if begins[0] is None or begins[1] is None else max(begins[0], begins[1])


def offset_at(left: Samples, right: Samples, begin: int, frames: int) -> float | None:
    """How much later ``right`` is than ``left`` around one place, in microseconds; None where that is not told.

    The middle of what its tenths of a second tell: a player that is being led back to its place by 500 ppm moves half a
    millisecond a second, and noise that is compared with itself over a whole second is not found again then. A piece in
    which one of them is silent, or in which they are not alike, tells nothing; half of the pieces must tell.
    """
    pieces = range(begin, begin + frames - _PIECE + 1, _PIECE)
    told = [one for at in pieces if (one := _piece(left[at : at + _PIECE], right[at : at + _PIECE])) is not None]
    return float(np.median(told)) if 2 * len(told) > len(pieces) else None


def _piece(one: Samples, other: Samples) -> float | None:
    if min(len(one), len(other)) < _PIECE or min(_level(one), _level(other)) < _SOUND:
        return None
    offset = offset_us(one, other)
    return offset if _alike(one, other, round(offset * SAMPLE_RATE / 1e6)) > _LIKE else None


def each_second(left: Samples, right: Samples, begin: int) -> list[float | None]:
    """The offset of every whole second from ``begin`` on; None for one that told none."""
    seconds = range(begin, min(len(left), len(right)) - SAMPLE_RATE + 1, SAMPLE_RATE)
    return [offset_at(left, right, at, SAMPLE_RATE) for at in seconds]


def gaps_ms(channel: Samples) -> float:
    """Milliseconds of digital silence in a piece that should sound throughout (in steps of 5 ms)."""
    step = SAMPLE_RATE // 200
    whole = channel[: len(channel) // step * step].reshape(-1, step)
    return 5.0 * int(np.sum(np.abs(whole).max(axis=1) < 1e-5)) if len(whole) else 0.0


def _level(piece: Samples) -> float:
    return float(np.sqrt(np.mean(piece**2)))


def _alike(one: Samples, other: Samples, later: int) -> float:
    first, second = (one[: len(one) - later], other[later:]) if later >= 0 else (one[-later:], other[:later])
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.dot(first, second)) / norm if norm else 0.0
