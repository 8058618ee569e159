"""What an agent says of how well it keeps time, and the fault it raises when its sound device tells nonsense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.health.care import MARGIN_US, REMEMBER_US, DeviceCare
from agent.health.sync import CLEAR_AFTER_S, SyncWatch
from agent.watch import Watch
from audio.playout import (
    WARM_US,
    CuePhase,
    CueState,
    OutputState,
    OutputStatus,
    PlayerState,
    TimedPlayer,
    Timing,
)
from protocol.clock import ClockFilter
from protocol.telemetry import SyncTiming
from schedules.instants import Frames, MonoUs
from tests.unit.protocol.paths import FIBRE, World

CUE = CueState("one", CuePhase.SOUNDING, Frames(48_000), Frames(0))
CARD = OutputState("alsa", OutputStatus.RUNNING, Timing.DAC, latency_us=150_000)
WELL = PlayerState(output=CARD, cues=(CUE,), dac_ppm=42.0)


def _clock() -> ClockFilter:
    world, clock = World(FIBRE, 1), ClockFilter()
    for at in world.starts(60):
        clock.update(world.burst(at)[0])
    return clock


def test_errors_of_the_last_minute_and_counters_that_only_grow() -> None:
    sync = SyncWatch()
    for n in range(200):
        cue = replace(CUE, error_us=-float(n), jumps=n // 100, silence_frames=Frames(48 * n))
        assert sync.sample(replace(WELL, cues=(cue,))) is None
    assert sync.sample(replace(WELL, cues=())) is None
    other = replace(CUE, cue_id="two", jumps=2, silence_frames=Frames(4_800), phase=CuePhase.ARMED)
    sync.sample(replace(WELL, cues=(other,)))
    told = sync.state(WELL, _clock().report(World(FIBRE, 1).mono(61e6)))
    assert (told.error_p50_us, told.error_p95_us) == (170, 197)
    assert told.jumps == 1 + 2
    assert told.gap_ms == 199 + 100
    assert told.timing is SyncTiming.OK
    assert (told.dac_ppm, told.dac_latency_us) == (42.0, 150_000)
    assert told.rtt_min_us is not None
    assert 2_000 <= told.rtt_min_us <= 2_300
    assert told.sigma_us is not None
    assert told.sigma_us < 500
    assert told.age_ms is not None
    assert 0 <= told.age_ms < 15_000
    assert told.bursts == 9


@pytest.mark.parametrize(
    ("ill", "word"),
    [
        (replace(WELL, output=replace(CARD, timing=Timing.DEGRADED)), "latency"),
        (replace(WELL, dac_scatter_us=2_400.0), "2.4 ms"),
    ],
    ids=["no time", "scatter"],
)
def test_bad_timing_is_told_and_taken_back_when_it_has_been_well(ill: PlayerState, word: str) -> None:
    sync = SyncWatch()
    assert sync.sample(WELL) is None
    reason = sync.sample(ill)
    assert reason is not None
    assert word in reason
    report = ClockFilter().report(MonoUs(0))
    assert sync.state(ill, report).timing is SyncTiming.DEGRADED
    assert word in sync.state(ill, report).reason
    for _ in range(CLEAR_AFTER_S - 1):
        assert sync.sample(WELL) == reason
    assert sync.sample(WELL) is None
    assert sync.state(WELL, report).timing is SyncTiming.OK


def test_a_young_device_may_tell_wild_times() -> None:
    assert SyncWatch().sample(replace(WELL, dac_scatter_us=2_400.0, dac_steady=False)) is None


def test_a_device_that_runs_dry_again_and_again() -> None:
    sync = SyncWatch()
    told = [sync.sample(replace(WELL, output=replace(CARD, underruns=n // 5))) for n in range(30)]
    assert told[19] is None
    assert told[-1] is not None
    assert "ran dry" in told[-1]


class Warmed(TimedPlayer):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.until: list[MonoUs] = []
        self.said = WELL

    def warm(self, until: MonoUs) -> None:
        self.until.append(until)

    def state(self) -> PlayerState:
        return self.said


class StillClock:
    now = MonoUs(1_000_000_000)

    def mono_us(self) -> MonoUs:
        return self.now

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def _care(expected: Callable[[], MonoUs | None], remember: Callable[[], None]) -> tuple[DeviceCare, Warmed, Watch]:
    clock, player = StillClock(), Warmed()
    watch = Watch(clock, clock.wall)
    return DeviceCare(clock, player, SyncWatch(), watch, expected=expected, remember=remember), player, watch


async def test_a_device_is_opened_ahead_and_not_long_before() -> None:
    at: list[MonoUs | None] = [None, MonoUs(StillClock.now + WARM_US + 1), MonoUs(StillClock.now + 5_000_000)]
    care, player, _ = _care(lambda: at.pop(0), lambda: None)
    assert care.look()
    care.look()
    assert player.until == []
    care.look()
    assert player.until == [StillClock.now + 5_000_000 + MARGIN_US]


async def test_the_fault_is_raised_and_what_was_learnt_is_written_down() -> None:
    written: list[int] = []
    care, player, watch = _care(lambda: None, lambda: written.append(1))
    player.said = replace(WELL, output=replace(CARD, timing=Timing.DEGRADED))
    care.look()
    assert [fault.code for fault in watch.faults] == ["timing_degraded"]
    player.said = WELL
    for _ in range(CLEAR_AFTER_S):
        care.look()
    assert watch.faults == ()
    assert written == []
    StillClock.now = MonoUs(StillClock.now + REMEMBER_US)
    care.look()
    care.look()
    assert written == [1]
