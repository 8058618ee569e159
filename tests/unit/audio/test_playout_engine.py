"""The engine on a virtual converter: to the sample, without clicks, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.playout.engine import Engine
from audio.playout.player import Outcome
from audio.playout.voice import Finished, Started
from schedules.instants import MonoUs
from tests.unit.audio.playout_hall import NO_CLICK, US, VirtualDac, counting, sine


def _finish(dac: VirtualDac) -> Finished:
    (event,) = (event for event in dac.events if isinstance(event, Finished))
    return event


def _start(dac: VirtualDac) -> Started:
    (event,) = (event for event in dac.events if isinstance(event, Started))
    return event


@settings(deadline=None)  # the machine may be busy
@given(shift=st.integers(0, 4000), length=st.integers(600, 9000), block=st.sampled_from([240, 960, 4800]))
def test_on_an_exact_output_every_sample_is_in_its_place(shift: int, length: int, block: int) -> None:
    dac = VirtualDac(Engine(exact=True), block=block)
    dac.arm("a", dac.start + shift * US, length)
    dac.run(0.4)
    heard, wanted = dac.heard, counting(0, length)
    assert not heard[:shift].any()
    assert not heard[shift + length :].any()
    assert np.array_equal(heard[shift + 240 : shift + length - 240], wanted[240:-240])
    finished = _finish(dac)
    assert (finished.outcome, finished.frames, finished.silence_frames) == (Outcome.COMPLETE, length, 0)
    assert abs(_start(dac).at - (dac.start + shift * US)) <= 1
    assert abs(finished.at - (dac.start + (shift + length) * US)) <= 1


def test_on_a_sound_card_the_start_lies_between_two_samples() -> None:
    dac = VirtualDac(Engine())
    timeline = dac.arm("a", dac.start + 1000.4 * US, 48_000)
    dac.run(0.5)
    assert max(abs(error) for error in dac.true_error_us(timeline)) < 2.0
    assert abs(_start(dac).at - timeline.time_of(0.6)) < 2


@pytest.mark.parametrize("ppm", [80.0, -60.0, 0.0])
def test_drift_is_followed_to_a_tenth_of_a_millisecond(ppm: float) -> None:
    dac = VirtualDac(Engine(), ppm=ppm, noise_us=150.0)
    dac.run(2, keep=False)  # the conductor arms two seconds ahead
    timeline = dac.arm("a", dac.now + 1_000_000, 48_000 * 200)
    dac.run(1.1, keep=False)
    dac.run(10)
    first = np.abs(dac.true_error_us(timeline))
    dac.run(60, keep=False)
    dac.sound.clear()
    dac.times.clear()
    dac.run(60)
    steady = np.abs(dac.true_error_us(timeline))
    assert float(first.max()) < 600  # before anything is known of the device
    assert float(np.percentile(steady, 95)) < 60
    assert float(steady.max()) < 100
    assert dac.engine.states()[0].jumps == 0
    assert dac.engine.dac_ppm == pytest.approx(ppm, abs=3)


def test_a_known_device_is_right_from_the_first_sample() -> None:
    dac = VirtualDac(Engine(dac_ppm=80), ppm=80, noise_us=100.0)
    dac.run(2, keep=False)
    timeline = dac.arm("a", dac.now, 48_000 * 60)
    dac.run(0.1, keep=False)
    dac.run(30)
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 60


def test_a_device_that_ran_dry_causes_one_jump_and_no_click() -> None:
    dac = VirtualDac(Engine(), noise_us=100.0)
    timeline = dac.arm("a", dac.start, 48_000 * 60, programme=sine)
    dac.run(5)
    dac.step(glitch_us=60_000)
    dac.run(3)
    assert dac.engine.states()[0].jumps == 1
    assert float(np.abs(np.diff(dac.heard)).max()) < NO_CLICK
    assert dac.engine.states()[0].silence_frames == pytest.approx(2880, abs=100)
    assert abs(dac.engine.states()[0].error_us) < 300
    del timeline


def test_eight_milliseconds_are_slewed_not_jumped() -> None:
    dac = VirtualDac(Engine())
    timeline = dac.arm("a", dac.start, 48_000 * 60)
    dac.run(2)
    dac.step(glitch_us=8_000)
    dac.run(40, keep=False)
    dac.sound.clear()
    dac.times.clear()
    dac.run(1)
    assert dac.engine.states()[0].jumps == 0
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 200


def test_one_absurd_reading_moves_nothing() -> None:
    dac = VirtualDac(Engine())
    timeline = dac.arm("a", dac.start, 48_000 * 10)
    dac.run(2)
    dac.now += 300_000
    block = dac.engine.render(dac.block, MonoUs(round(dac.now)))
    dac.now -= 300_000
    dac.now += len(block) * US
    dac.run(2)
    assert dac.engine.states()[0].jumps == 0
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 100


def test_who_is_armed_late_joins_where_the_clock_is() -> None:
    dac = VirtualDac(Engine(exact=True))
    timeline = dac.arm("a", dac.start - 2_000_000, 48_000 * 4)
    dac.run(4)
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 11
    finished = _finish(dac)
    assert finished.frames == pytest.approx(48_000 * 2, abs=1000)
    assert finished.at == pytest.approx(dac.start + 2_000_000, abs=2)


def test_resuming_begins_at_the_offset() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 24_000, offset=12_345)
    dac.run(0.3)
    assert np.array_equal(dac.heard[240:9000], counting(12_345 + 240, 9000 - 240))
    assert _finish(dac).frames == 24_000 - 12_345


def test_a_cue_whose_time_is_over_says_it_was_silent() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start - 2_000_000, 48_000)
    dac.run(0.1)
    assert _finish(dac).outcome is Outcome.SILENT
    assert not dac.heard.any()


def test_stop_is_silent_within_a_block_and_its_fade() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 480_000, programme=sine)
    dac.run(1)
    dac.engine.stop("a", None, 20)
    dac.run(0.2)
    assert not dac.heard[48_000 + 960 :].any()
    assert float(np.abs(np.diff(dac.heard)).max()) < NO_CLICK
    finished = _finish(dac)
    assert finished.outcome is Outcome.STOPPED
    assert finished.at == pytest.approx(dac.start + 1_020_000, abs=2)


def test_a_stop_at_an_instant_fades_from_there_and_the_earlier_one_wins() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 480_000)
    dac.engine.stop("a", MonoUs(round(dac.start + 500_250)), 100)
    dac.engine.stop("a", MonoUs(round(dac.start + 700_000)), 20)
    dac.run(1)
    place = round(500_250 / US)
    assert np.array_equal(dac.heard[240:place], counting(240, place - 240))
    assert 0 < float(dac.heard[place + 2400]) < float(counting(place + 2400, 1)[0])
    assert not dac.heard[place + 4801 :].any()
    assert _finish(dac).at == pytest.approx(dac.start + 600_250, abs=25)


def test_a_stop_before_the_start_ends_it_unheard() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start + 500_000, 48_000)
    dac.run(0.1)
    dac.engine.stop("a", None, 20)
    dac.run(1)
    assert not dac.heard.any()
    assert _finish(dac).outcome is Outcome.STOPPED
    assert not [event for event in dac.events if isinstance(event, Started)]


def test_a_gap_is_silence_without_a_click_and_is_counted() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 48_000, programme=sine, holes=((10_000, 15_000), (20_010, 20_020)))
    dac.run(1.2)
    heard = dac.heard
    assert np.isfinite(heard).all()
    assert not heard[10_000 + 240 : 15_000].any()
    assert float(np.abs(np.diff(heard)).max()) < NO_CLICK
    finished = _finish(dac)
    assert (finished.frames, finished.silence_frames) == (48_000 - 5010, 5010)


def test_two_loud_voices_stay_under_the_ceiling() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 48_000, programme=sine, gain_db=4)
    dac.arm("b", dac.start + 200_000, 48_000, programme=sine, gain_db=4)
    dac.run(1.5)
    assert float(np.abs(dac.heard).max()) <= 10 ** (-1 / 20) + 1e-6
    assert dac.engine.limited > 0
    assert float(np.abs(dac.heard[5_000:9_000]).max()) == pytest.approx(0.5 * 10 ** (4 / 20), abs=0.01)


def test_gain_moves_in_a_ramp() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 96_000, programme=lambda position, count: np.full(count, 0.5, np.float32))
    dac.run(0.5)
    dac.engine.set_gain("a", -20.0, 100)
    dac.run(0.5)
    heard = dac.heard
    assert heard[20_000] == pytest.approx(0.5)
    assert heard[24_000 + 2_400] == pytest.approx(0.5 * 0.55, abs=0.01)
    assert heard[24_000 + 4_801] == pytest.approx(0.05, abs=1e-3)
    assert float(np.abs(np.diff(heard[1000:])).max()) < 0.001


def test_a_lost_output_goes_on_along_the_line() -> None:
    dac = VirtualDac(Engine(exact=True))
    timeline = dac.arm("a", dac.start, 480_000)
    dac.run(1)
    for _ in range(20):
        dac.engine.lose(4_800, MonoUs(round(dac.now)))
        dac.now += 100_000
    dac.sound.clear()
    dac.times.clear()
    dac.engine.reopened()
    dac.run(7.5)
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 11
    finished = _finish(dac)
    assert (finished.frames, finished.silence_frames) == (480_000 - 96_000, 96_000)
    assert len([event for event in dac.events if isinstance(event, Started)]) == 1


def test_a_cue_that_ends_while_the_output_is_lost_is_told() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 48_000)
    for _ in range(15):
        dac.engine.lose(4_800, MonoUs(round(dac.now)))
        dac.now += 100_000
    dac.events += dac.engine.take_events()
    finished = _finish(dac)
    assert (finished.outcome, finished.frames, finished.silence_frames) == (Outcome.SILENT, 0, 48_000)


def test_the_output_delay_shifts_everything_later() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.engine.output_delay_us = 250_000
    dac.arm("a", dac.start, 4_800)
    dac.run(0.5)
    assert not dac.heard[:12_000].any()
    assert np.array_equal(dac.heard[12_240:16_000], counting(240, 3_760))
    assert _start(dac).at == pytest.approx(dac.start + 250_000, abs=1)


def test_what_is_not_a_number_never_leaves() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 48_000, programme=lambda position, count: np.full(count, np.inf, np.float32))
    dac.run(0.5)
    assert not dac.heard.any()
    assert dac.engine.broken > 0


def test_an_armed_cue_waits_any_time_without_losing_its_place() -> None:
    dac = VirtualDac(Engine(), ppm=80)
    timeline = dac.arm("a", dac.start + 60_000_000, 48_000 * 3)
    dac.run(59, keep=False)
    dac.run(3.5)
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 60
