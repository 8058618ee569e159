"""Ducked, silenced, back again: to the sample, in 4800 samples, without a click."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.pcm import Samples
from audio.playout.cues import MUTED_DB, ON_AIR_DB
from audio.playout.engine import Engine
from audio.playout.player import Outcome
from audio.playout.voice import LEVEL_FRAMES, Finished, Started
from schedules.instants import SAMPLE_RATE, MonoUs
from tests.unit.audio.playout_hall import NO_CLICK, US, VirtualDac, counting, sine

LENGTH = 3 * SAMPLE_RATE


def ones(position: int, count: int) -> Samples:
    """Half of full scale, so that the output is the fader's own curve."""
    del position
    return np.full(count, 0.5, np.float32)


def undisturbed() -> Samples:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, LENGTH)
    dac.run(3.2)
    return dac.heard


def at(dac: VirtualDac, sample: int) -> MonoUs:
    return MonoUs(round(dac.start + sample * US))


def test_the_fader_moves_in_exactly_4800_samples_from_its_sample() -> None:
    assert LEVEL_FRAMES == 4800
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, LENGTH, programme=ones)
    dac.engine.set_level("a", -20.0, at(dac, 48_000))
    dac.run(1.5)
    heard = dac.heard
    assert np.all(heard[240:48_000] == 0.5)
    ramp = heard[48_000 : 48_000 + 4800]
    assert np.allclose(ramp, 0.5 * (1 - 0.9 * np.arange(1, 4801) / 4800), atol=1e-5)
    assert np.allclose(heard[48_000 + 4799 :], 0.05, atol=1e-6)


def test_joined_after_a_silence_it_is_the_undisturbed_programme_to_the_sample() -> None:
    """The relay runs beneath an emergency: afterwards every sample is where it would have been."""
    reference = undisturbed()
    dac = VirtualDac(Engine(exact=True))
    dac.arm("relay", dac.start, LENGTH)
    dac.engine.set_level("relay", MUTED_DB, at(dac, 40_001))
    dac.run(1)
    dac.engine.set_level("relay", ON_AIR_DB, at(dac, 90_007))
    dac.run(2.2)
    heard = dac.heard
    assert np.array_equal(heard[:40_001], reference[:40_001])
    assert not heard[40_001 + 4800 : 90_007].any()
    assert np.array_equal(heard[90_008 + 4800 :], reference[90_008 + 4800 :])
    finished = next(event for event in dac.events if isinstance(event, Finished))
    assert finished.outcome is Outcome.COMPLETE
    assert abs(finished.frames - (LENGTH - (90_007 - 40_001))) <= 1  # an instant is a whole µs, a sample is 20.8
    assert finished.silence_frames == 0


def test_resumed_after_a_silence_it_is_the_undisturbed_programme_shifted_to_the_sample() -> None:
    """A programme that resumes: stopped at sample n, armed again at sample n; nothing lost, nothing twice."""
    reference = undisturbed()
    silenced, pause = 40_000, 33_333
    dac = VirtualDac(Engine(exact=True))
    dac.arm("first", dac.start, LENGTH)
    dac.engine.stop("first", at(dac, silenced), 100)
    dac.run(1.2)
    dac.arm("again", at(dac, silenced + pause), LENGTH, offset=silenced)
    dac.run(3)
    heard = dac.heard
    assert np.array_equal(heard[:silenced], reference[:silenced])
    begin = silenced + pause + 240
    assert np.array_equal(heard[begin : LENGTH + pause], reference[silenced + 240 : LENGTH])


@pytest.mark.parametrize("ppm", [0.0, 80.0, -60.0])
def test_on_a_drifting_device_what_comes_back_is_in_step_at_once(ppm: float) -> None:
    dac = VirtualDac(Engine(dac_ppm=ppm), ppm=ppm, noise_us=100.0)
    dac.run(2, keep=False)
    timeline = dac.arm("a", dac.now, 48_000 * 40)
    dac.run(5, keep=False)
    dac.engine.set_level("a", MUTED_DB, None)
    dac.run(20, keep=False)
    dac.engine.set_level("a", ON_AIR_DB, None)
    dac.run(0.12, keep=False)
    dac.run(5)
    assert float(np.abs(dac.true_error_us(timeline)).max()) < 100
    assert dac.engine.states()[0].jumps == 0


def test_no_click_whatever_the_fader_does() -> None:
    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, LENGTH, programme=sine)
    for sample, level in ((20_000, MUTED_DB), (23_000, ON_AIR_DB), (24_500, -20.0), (60_000, MUTED_DB), (99_999, 0.0)):
        while dac.now < at(dac, 0) + (sample - 2000) * US:
            dac.step()
        dac.engine.set_level("a", level, at(dac, sample))
    dac.run(2)
    assert float(np.abs(np.diff(dac.heard)).max()) < NO_CLICK


SHORT = 48_000 * 3 // 2


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(5000, 15_000), st.sampled_from([MUTED_DB, -20.0, ON_AIR_DB])), max_size=3),
    st.sampled_from([960, 4800]),
    st.sampled_from([MUTED_DB, ON_AIR_DB]),
)
def test_whatever_the_fader_did_the_place_never_moved(moves: list[tuple[int, float]], block: int, first: float) -> None:
    """And heard is exactly what passed while it was open."""
    dac = VirtualDac(Engine(exact=True), block=block)
    dac.arm("a", dac.start, SHORT, level_db=first)
    level, place, heard, began = first, 0, 0, 0 if first != MUTED_DB else None
    for step, next_level in moves:
        heard += 0 if level == MUTED_DB else step
        place += step
        while dac.now + dac.block * US <= dac.start + (place + 1) * US:
            dac.step()
        dac.engine.set_level("a", next_level, at(dac, place))
        level = next_level
        dac.step()
        began = place if began is None and level != MUTED_DB else began
    heard += 0 if level == MUTED_DB else SHORT - place
    dac.run(1.6)
    finished = next(event for event in dac.events if isinstance(event, Finished))
    assert abs(finished.at - (dac.start + SHORT * US)) <= 1
    assert abs(finished.frames - heard) <= len(moves) + 1
    assert finished.silence_frames == 0
    starts = [event for event in dac.events if isinstance(event, Started)]
    assert len(starts) == (began is not None)
    if began is not None:
        assert abs(starts[0].at - (dac.start + began * US)) <= 22
    if level == ON_AIR_DB and place + 4800 < SHORT - 240:
        after = max(place + 4801, 240)
        assert np.array_equal(dac.heard[after : SHORT - 240], counting(after, SHORT - 240 - after))


def test_a_lost_output_while_it_is_muted_is_no_missing_sound() -> None:
    engine = Engine(exact=True)
    dac = VirtualDac(engine)
    dac.arm("a", dac.start, LENGTH)
    dac.run(0.5)
    engine.set_level("a", MUTED_DB, None)
    dac.run(0.1)
    for _ in range(50):
        engine.lose(dac.block, MonoUs(round(dac.now)))
        dac.now += dac.block * US
    engine.set_level("a", ON_AIR_DB, MonoUs(round(dac.now + 200_000)))
    dac.run(3)
    (finished,) = (event for event in engine.take_events() + dac.events if isinstance(event, Finished))
    assert finished.silence_frames == 0
    assert finished.frames == pytest.approx(LENGTH - 48_000 * 1.3, abs=960)


def test_an_open_fader_is_asked_for_while_the_output_is_lost() -> None:
    engine = Engine(exact=True)
    dac = VirtualDac(engine)
    dac.arm("a", dac.start, LENGTH, level_db=MUTED_DB)
    dac.run(0.5)
    engine.set_level("a", ON_AIR_DB, None)
    engine.lose(dac.block, MonoUs(round(dac.now)))
    dac.now += dac.block * US
    dac.run(3)
    (finished,) = (event for event in dac.events if isinstance(event, Finished))
    assert finished.frames + finished.silence_frames == pytest.approx(LENGTH - 24_000, abs=960)
