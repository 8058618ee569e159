"""Through the real thing: PortAudio, ALSA, PulseAudio, and back from the recording."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from audio.codec import OggOpusReader, OggOpusWriter
from audio.pcm import Samples
from audio.playout import (
    ClipSegment,
    Cue,
    EnginePlayer,
    Outcome,
    OutputError,
    OutputStatus,
    Timing,
    monotonic_us,
    open_output,
)
from schedules.instants import MonoUs
from tests.contract.playout_stage import Told
from tests.system.pulse_hall import Hall, find, offset_us, pink_noise, require_sound_server

pytestmark = [pytest.mark.system, pytest.mark.timing, pytest.mark.slow]

SECONDS = 8

#: Samples compared at a time: while the rate is corrected, a longer piece is not quite as long as it was.
PART = 12_000

#: How alike programme and recording must be (1 = the same; noise unrelated to it reaches 0.03).
LIKE = 0.7


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    require_sound_server()
    hall = Hall(tmp_path)
    for name, value in hall.environment.items():
        monkeypatch.setenv(name, value)
    hall.open()
    yield hall
    hall.close()


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipSegment, Samples]:
    path = tmp_path_factory.mktemp("programme") / "noise.opus"
    with OggOpusWriter(path, bit_rate=64_000) as writer:
        writer.write(pink_noise(SECONDS))
    with OggOpusReader(path) as reader:
        return ClipSegment(path, reader.frames), reader.read(0, reader.frames)


async def _until(happened: Callable[[], bool], seconds: float = SECONDS + 15) -> None:
    """Look every 50 ms: what is waited for happens in other processes and threads."""
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110 - a sound server has no event to set
            await asyncio.sleep(0.05)


async def _finished(told: Told) -> None:
    await _until(lambda: "noise" in told.finished_at)


async def test_two_loudspeakers_sound_the_programme_together(
    hall: Hall, programme: tuple[ClipSegment, Samples]
) -> None:
    clip, sound = programme
    hall.record()
    players = [EnginePlayer(open_output(f"pulse:{side}")) for side in ("left", "right")]
    told = [Told(), Told()]
    start = MonoUs(monotonic_us() + 2_500_000)
    try:
        for player, ear in zip(players, told, strict=True):
            player.attach(ear)
            player.arm(Cue("noise", start, (clip,)))
        await asyncio.sleep(4)
        for player in players:
            assert player.state().output.status is OutputStatus.RUNNING
            assert player.state().output.timing is Timing.DAC
        for ear in told:
            await _finished(ear)
        await asyncio.sleep(0.6)  # what is rendered is still on its way to the converter
    finally:
        for player in players:
            await player.close()
    for ear in told:
        assert abs(ear.started_at["noise"] - start) < 50_000
        _, frames, silent, outcome = ear.finished_at["noise"]
        assert outcome is Outcome.COMPLETE
        assert frames == pytest.approx(SECONDS * 48_000, abs=480)
        assert silent <= 4_800
        assert ear.troubles == []
    left, right = hall.recorded()
    part = slice(3 * 48_000, 3 * 48_000 + PART)
    for side in (left, right):
        place, likeness = find(sound[part], side)
        assert likeness > LIKE
        before = side[max(0, place - 4 * 48_000) : place - 3 * 48_000 - 4_800]
        assert float(np.abs(before).max(initial=0)) < 1e-3
    place, _ = find(sound[part], left)
    offsets = [
        offset_us(left[at : at + 48_000], right[at : at + 48_000]) for at in range(place, place + 4 * 48_000, 48_000)
    ]
    sys.stdout.write(f"offset right - left, each second, µs: {[round(offset) for offset in offsets]}\n")
    # A sink that was just opened tells times that are wrong by milliseconds for some seconds; benchmarks wait longer.
    assert float(np.median(np.abs(offsets))) < 10_000, offsets


async def test_a_stop_is_heard_as_silence(hall: Hall, programme: tuple[ClipSegment, Samples]) -> None:
    clip, sound = programme
    hall.record()
    player, told = EnginePlayer(open_output("pulse:left")), Told()
    player.attach(told)
    start = MonoUs(monotonic_us() + 1_500_000)
    player.arm(Cue("noise", start, (clip,)))
    try:
        await asyncio.sleep(4)
        ordered = monotonic_us()
        player.stop("noise")
        await _finished(told)
        await asyncio.sleep(1)
    finally:
        await player.close()
    at, _, _, outcome = told.finished_at["noise"]
    assert outcome is Outcome.STOPPED
    assert at - ordered < 500_000
    left, _ = hall.recorded()
    place, likeness = find(sound[48_000 : 48_000 + PART], left)
    assert likeness > LIKE
    length = round((at - start) * 0.048) - 48_000
    after = left[place + length + 2 * 4_800 :]
    assert len(after) > 4_800
    assert float(np.abs(after).max()) < 1e-3


async def test_a_sound_server_that_dies_is_told_and_taken_up_again(
    hall: Hall, programme: tuple[ClipSegment, Samples]
) -> None:
    clip, sound = programme
    player, told = EnginePlayer(open_output("pulse:left")), Told()
    player.attach(told)
    start = MonoUs(monotonic_us() + 1_000_000)
    player.arm(Cue("noise", start, (clip,)))
    try:
        await asyncio.sleep(2)
        hall.close()
        await _until(lambda: player.state().output.status is OutputStatus.FAILED, 5)
        hall.open()
        hall.record()
        await _until(lambda: player.state().output.status is OutputStatus.RUNNING, 5)
        await _finished(told)
        await asyncio.sleep(0.6)
    finally:
        await player.close()
    codes = [code for code, _ in told.troubles]
    assert codes[0] in {"output_lost", "no_device"}
    assert codes[-1] == "output_back"
    at, frames, silent, outcome = told.finished_at["noise"]
    assert outcome is Outcome.COMPLETE
    assert abs(at - (start + SECONDS * 1_000_000)) < 50_000
    assert silent > 4_800
    assert frames + silent == pytest.approx(SECONDS * 48_000, abs=24_000)
    left, _ = hall.recorded()
    _, likeness = find(sound[-48_000 : PART - 48_000], left)
    assert likeness > LIKE


def test_a_sink_that_does_not_exist_is_a_clear_error(hall: Hall) -> None:
    with pytest.raises(OutputError) as refused:
        open_output("pulse:nowhere").probe()
    assert refused.value.code == "no_device"
    assert "nowhere" in str(refused.value)
    assert "pactl" in str(refused.value)
    open_output("pulse:left").probe()
