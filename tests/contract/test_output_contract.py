"""What every output promises, checked on each that this machine can have."""

from __future__ import annotations

import os
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples
from audio.playout import NullOutput, Output, OutputError, OutputStatus, Timing, WavOutput, monotonic_us, open_output
from audio.playout.outputs import KeptOutput
from audio.playout.outputs.port import Driver
from schedules.instants import MonoUs


class Listening:
    """A driver that wants ``wanted`` blocks and keeps what it was asked."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.asked: list[tuple[int, int, int]] = []  # asked at, frames, instant
        self.lost: list[tuple[int, int]] = []
        self.begun = 0
        self.troubles: list[str] = []
        self.enough = threading.Event()
        self.told = threading.Event()

    @property
    def idle(self) -> bool:
        return len(self.asked) >= self.wanted

    def begin(self) -> None:
        self.begun += 1

    def render(self, frames: int, dac: MonoUs, *, glitch: bool = False, called: MonoUs | None = None) -> Samples:
        self.asked.append((monotonic_us(), frames, dac))
        if self.idle:
            self.enough.set()
        return np.full(frames, 0.25, np.float32)

    def lose(self, frames: int, dac: MonoUs) -> None:
        self.lost.append((frames, dac))

    def trouble(self, code: str, detail: str) -> None:
        assert detail
        self.troubles.append(code)
        self.told.set()


class FlakyOutput(KeptOutput):
    """An output whose device fails to open, and then is lost while it serves, as often as it is told."""

    def __init__(self, *, refusals: int, losses: int) -> None:
        super().__init__("flaky")
        self._refusals = refusals
        self._losses = losses
        self.released = 0

    def _open(self) -> None:
        if self._refusals > 0:
            self._refusals -= 1
            raise OutputError("not plugged in", code="no_device")

    def _serve(self, driver: Driver) -> None:
        while not driver.idle and not self._closing.is_set():
            driver.render(960, monotonic_us())
            if self._losses > 0:
                self._losses -= 1
                raise OSError("the cable")
            self._closing.wait(0.002)

    def _release(self) -> None:
        self.released += 1


Make = Callable[[Path], Output]
OUTPUTS: dict[str, Make] = {
    "null": lambda folder: NullOutput(block_ms=20, latency_ms=40),
    "wav": lambda folder: WavOutput(folder / "out.wav"),
    "kept": lambda folder: FlakyOutput(refusals=0, losses=0),
}


@pytest.fixture(params=sorted(OUTPUTS))
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Output]:
    output = OUTPUTS[request.param](tmp_path)
    yield output
    output.close()


def test_asks_for_blocks_until_idle_and_then_rests(output: Output) -> None:
    driver = Listening(5)
    output.probe()
    assert driver.asked == []
    output.start(driver)
    output.wake()
    assert driver.enough.wait(5)
    time.sleep(0.05)
    assert len(driver.asked) == 5
    assert driver.begun == 1
    assert output.state().status is OutputStatus.IDLE
    driver.enough.clear()
    driver.wanted = 8
    output.wake()
    assert driver.enough.wait(5)
    assert len(driver.asked) == 8
    assert driver.begun == 2


def test_nothing_is_asked_while_nothing_is_armed(output: Output) -> None:
    driver = Listening(0)
    output.start(driver)
    output.wake()
    time.sleep(0.05)
    assert driver.asked == []
    assert output.state().code is None


def test_a_device_that_is_warmed_is_open_before_anything_is_armed() -> None:
    class Slow(FlakyOutput):
        look_every_s = 60.0

        def _serve(self, driver: Driver) -> None:
            while self._wanted(driver) and not self._closing.is_set():
                driver.render(960, monotonic_us())
                self._closing.wait(0.002)

    output, driver = Slow(refusals=0, losses=0), Listening(0)
    output.start(driver)
    output.warm(MonoUs(monotonic_us() + 200_000))
    deadline = time.monotonic() + 5
    while not driver.asked and time.monotonic() < deadline:
        time.sleep(0.005)
    assert driver.asked
    while output.state().status is not OutputStatus.IDLE and time.monotonic() < deadline:
        time.sleep(0.005)
    assert output.state().status is OutputStatus.IDLE
    output.close()


def test_close_may_be_repeated_and_ends_the_asking(output: Output) -> None:
    driver = Listening(1_000_000)
    output.start(driver)
    output.wake()
    time.sleep(0.05)
    output.close()
    asked = len(driver.asked)
    output.close()
    time.sleep(0.05)
    assert len(driver.asked) == asked


@pytest.mark.parametrize("kind", ["null", "wav"])
def test_a_paced_output_keeps_the_monotonic_clock(kind: str, tmp_path: Path) -> None:
    output, driver = OUTPUTS[kind](tmp_path), Listening(10)
    output.start(driver)
    output.wake()
    assert driver.enough.wait(5)
    output.close()
    instants = [dac for _, _, dac in driver.asked]
    underruns = output.state().underruns
    steps = np.diff(instants)
    assert np.count_nonzero(steps != 20_000) <= underruns
    assert all(asked <= dac for asked, _, dac in driver.asked[1:]) or underruns
    assert output.exact
    assert output.state().timing is Timing.EXACT


def test_a_device_that_is_not_there_is_told_once_and_taken_up_when_it_comes() -> None:
    output, driver = FlakyOutput(refusals=2, losses=0), Listening(3)
    with pytest.raises(OutputError) as refused:
        output.probe()
    assert refused.value.code == "no_device"
    output.start(driver)
    output.wake()
    assert driver.told.wait(5)
    state = output.state()
    assert (state.status, state.code) == (OutputStatus.FAILED, "no_device")
    assert driver.enough.wait(5)
    output.close()
    assert driver.troubles == ["no_device", "output_back"]
    assert output.state().reopened == 1
    assert output.released >= 3


def test_time_passes_while_the_device_is_lost() -> None:
    output, driver = FlakyOutput(refusals=0, losses=1), Listening(3)
    output.start(driver)
    output.wake()
    assert driver.enough.wait(5)
    output.close()
    assert driver.troubles == ["output_lost", "output_back"]
    assert sum(frames for frames, _ in driver.lost) == pytest.approx(24_000, abs=6_000)
    for (frames, dac), (_, following) in zip(driver.lost, driver.lost[1:], strict=False):
        assert abs(dac + frames * 1_000_000 // 48_000 - following) <= 1


def test_a_wav_file_is_valid_at_any_moment(tmp_path: Path) -> None:
    output, driver = WavOutput(tmp_path / "deep" / "out.wav"), Listening(80)
    output.start(driver)
    output.wake()
    assert driver.enough.wait(5)
    as_if_killed = (tmp_path / "deep" / "out.wav").read_bytes()
    (tmp_path / "copy.wav").write_bytes(as_if_killed)
    with wave.open(str(tmp_path / "copy.wav")) as file:
        assert file.getnframes() >= 48_000
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 48_000)
        assert np.frombuffer(file.readframes(100), "<i2").tolist() == [8192] * 100
    output.close()
    with wave.open(str(tmp_path / "deep" / "out.wav")) as file:
        assert file.getnframes() >= 80 * 960


def test_a_wav_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    output = open_output(f"wav:{tmp_path}/file/out.wav")
    with pytest.raises(OutputError) as refused:
        output.probe()
    assert refused.value.code == "file_unwritable"
    assert "--output wav:FILE" in str(refused.value)


@pytest.mark.parametrize("spec", ["", "wav", "wav:", "null:x", "alsa:", "mp3:x", "pulse:", "NULL"])
def test_an_output_that_nobody_knows_is_a_clear_error(spec: str) -> None:
    with pytest.raises(OutputError) as refused:
        open_output(spec)
    assert refused.value.code == "bad_output"
    assert "use alsa" in str(refused.value)


@pytest.mark.parametrize("spec", ["alsa", "alsa:USB Audio", "pulse", "pulse:hall", "null", "wav:x.wav"])
def test_opening_by_name_touches_nothing(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = open_output(spec)
    assert output.state().name == spec
    assert output.state().status is OutputStatus.IDLE
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a plain list to compare
