"""The converter in software: it runs at its own rate, and its file tells the truth about it."""

from __future__ import annotations

import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples
from audio.playout import OutputError, Timing, monotonic_us, open_output
from schedules.instants import MonoUs

pytestmark = pytest.mark.slow


class Counting:
    """Asks for half a second and remembers the instants it was told."""

    def __init__(self) -> None:
        self.told: list[MonoUs] = []
        self.over = threading.Event()

    @property
    def idle(self) -> bool:
        return len(self.told) >= 25

    def begin(self) -> None:
        """Nothing to prepare."""

    def render(self, frames: int, dac: MonoUs, *, glitch: bool = False, called: MonoUs | None = None) -> Samples:
        self.told.append(dac)
        if self.idle:
            self.over.set()
        return np.full(frames, 0.5, np.float32)

    def lose(self, frames: int, dac: MonoUs) -> None:
        raise AssertionError("it is never lost")

    def trouble(self, code: str, detail: str) -> None:
        raise AssertionError(code)


def test_it_runs_fast_and_says_where_it_began(tmp_path: Path) -> None:
    output, driver = open_output(f"skewed:500:{tmp_path}/out.wav"), Counting()
    before = monotonic_us()
    output.start(driver)
    output.wake()
    assert driver.over.wait(10)
    time.sleep(0.05)
    assert output.state().timing is Timing.DAC
    assert not output.exact
    output.close()
    first, at = (tmp_path / "out.times").read_text().split("\n")[0].split()
    assert first == "0"
    assert float(at) >= before
    lasted = np.polyfit(range(25), driver.told, 1)[0]
    assert lasted == pytest.approx(20_000 / (1 + 500e-6), abs=12)  # 100 µs of noise on each of 25
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getnframes() == 25 * 960


@pytest.mark.parametrize("spec", ["skewed:", "skewed:80", "skewed:x:out.wav", "skewed:80:", "skewed:900:out.wav"])
def test_what_is_no_converter_is_refused(spec: str) -> None:
    with pytest.raises(OutputError) as refused:
        open_output(spec)
    assert refused.value.code == "bad_output"
