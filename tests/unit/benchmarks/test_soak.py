"""What a converter in software wrote, asked by time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples, write_wav
from benchmarks.soak import Missing, Recording
from schedules.instants import SAMPLE_RATE
from tests.system.pulse_hall import pink_noise


def recording(folder: Path, sound: Samples, *stretches: tuple[int, float]) -> Recording:
    file = folder / "left.wav"
    write_wav(file, sound)
    file.with_suffix(".times").write_text("".join(f"{frame} {at:.1f}\n" for frame, at in stretches))
    return Recording(file, 0.0)


def test_what_is_missing_is_counted_to_the_millisecond(tmp_path: Path) -> None:
    sound = pink_noise(4)
    sound[SAMPLE_RATE : SAMPLE_RATE + 4800] = 0  # 100 ms of silence
    begin = 5_000_000.0
    dry_for = 130_000.0
    heard = recording(tmp_path, sound, (0, begin), (2 * SAMPLE_RATE, begin + 2e6 + dry_for))
    assert heard.missing(begin, begin + 4e6) == Missing(100.0, pytest.approx(130.0), 1)
    assert heard.missing(begin + 0.5e6, begin + 0.9e6) == Missing(0.0, 0.0, 0)
    assert heard.missing(begin + 1.05e6, begin + 2.065e6) == Missing(50.0, pytest.approx(65.0), 1)
    assert heard.missing(begin + 3e6, begin + 5e6) == Missing(0.0, pytest.approx(870.0), 1)
    assert heard.at(begin + 1.5e6, SAMPLE_RATE) is None
    there = heard.at(begin + 2.5e6, 480)
    assert there is not None
    assert np.allclose(there[0], sound[2 * SAMPLE_RATE + 17_760 :][:480], atol=1e-4)
