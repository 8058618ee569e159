"""What a converter in software wrote, asked by time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples, write_wav
from benchmarks.soak import Recording
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
    expected = [
        (0.0, 4.0, 100.0, 130.0, 1),
        (0.5, 0.9, 0.0, 0.0, 0),
        (1.05, 2.065, 50.0, 65.0, 1),
        (3.0, 5.0, 0.0, 870.0, 1),
    ]
    for since, until, silent_ms, dry_ms, dry in expected:
        missing = heard.missing(begin + since * 1e6, begin + until * 1e6)
        assert (missing.silent_ms, missing.dry) == (silent_ms, dry)
        assert missing.dry_ms == pytest.approx(dry_ms)
    assert heard.at(begin + 1.5e6, SAMPLE_RATE) is None
    there = heard.at(begin + 2.5e6, 480)
    assert there is not None
    assert np.allclose(there[0], sound[2 * SAMPLE_RATE + 17_760 :][:480], atol=1e-4)
