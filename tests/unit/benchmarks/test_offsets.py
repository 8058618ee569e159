"""What the recordings of two loudspeakers say of the time between them."""

from __future__ import annotations

import numpy as np
import pytest

from audio.pcm import Samples
from benchmarks.offsets import each_second
from schedules.instants import SAMPLE_RATE
from tests.system.pulse_hall import pink_noise

NOISE = pink_noise(5)


def played(*, begin: float, ppm: float, seconds: int = 3) -> Samples:
    """The noise from a place on, by a player that runs so much too fast."""
    places = begin + np.arange(seconds * SAMPLE_RATE) * (1 + ppm * 1e-6)
    return np.asarray(np.interp(places, np.arange(len(NOISE)), NOISE), np.float32)


@pytest.mark.parametrize("ppm", [0, 300, 500, 1000, 2000])
def test_a_player_on_its_way_back_is_told_where_it_is_in_the_middle_of_each_second(ppm: float) -> None:
    late = played(begin=SAMPLE_RATE - 240, ppm=ppm)
    steady = played(begin=SAMPLE_RATE, ppm=0)
    expected = [5_000 - ppm * (second + 0.5) for second in range(3)]
    assert each_second(steady, late, 0) == pytest.approx(expected, abs=40)


def test_silence_and_another_programme_tell_nothing() -> None:
    steady = played(begin=SAMPLE_RATE, ppm=0)
    other = pink_noise(3, seed=9)
    other[SAMPLE_RATE : 2 * SAMPLE_RATE] = steady[SAMPLE_RATE : 2 * SAMPLE_RATE]
    assert each_second(steady, other, 0) == [None, pytest.approx(0, abs=1), None]
    quiet = steady.copy()
    quiet[: SAMPLE_RATE * 6 // 10] = 0
    assert each_second(steady, quiet, 0) == [None, pytest.approx(0, abs=1), pytest.approx(0, abs=1)]
