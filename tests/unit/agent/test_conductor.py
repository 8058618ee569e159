"""The conductor with the real arbiter: on time, at most once, silent when it must be."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from agent.conductor.wall import Reading, Source
from audio.playout import Outcome
from protocol.telemetry import PlayOutcome
from schedules.instants import SAMPLE_RATE, Frames, MonoUs, to_unix_us
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Amplifier, LateKind, LatePolicy, Overrun
from tests.unit.agent.rehearsal import (
    SECOND,
    T0,
    Rehearsal,
    SimClock,
    StopOrder,
    WithdrawOrder,
    clip,
    command,
    item,
    play,
    relay,
    settings,
)

START = T0 + timedelta(seconds=30)


def test_an_item_starts_at_its_instant_and_leaves_one_record() -> None:
    agent = Rehearsal(item("a", START, 10))
    agent.run_until(START + timedelta(seconds=5))
    assert agent.heard() == "bulletin a"
    agent.run_until(START + timedelta(seconds=20))
    assert agent.heard() is None
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.PLAYED
    assert (record.planned_start, record.started) == (START, START)
    assert record.start_error_us == 0
    assert record.frames == 10 * SAMPLE_RATE
    assert record.ended == START + timedelta(seconds=10)
    assert record.occurrence_id == item("a", START).occurrence_for("cl_krongklang")


def test_a_player_that_counts_wrong_costs_no_record() -> None:
    agent = Rehearsal(item("a", START, 10))
    agent.run_until(START + timedelta(seconds=5))
    stage = agent.conductor._show.stage
    (act,) = stage.acts
    stage.finished(act.cue_id, agent.clock.mono_us(), Frames(-7), Frames(-960), Outcome.STOPPED)
    agent.run_until(START + timedelta(seconds=20))
    (record,) = agent.records()
    assert record.started == START
    assert (record.silence_frames, "miscounted" in agent.events()) == (0, True)


def test_nothing_is_armed_long_before_and_the_start_is_written_down_before_it_sounds() -> None:
    agent = Rehearsal(item("a", START, 10))
    agent.run_until(START - timedelta(seconds=3))
    assert agent.conductor.idle
    agent.run_until(START - timedelta(seconds=1))
    assert agent.conductor._show.stage.acts
    assert "armed" in {key.value for key in agent.store.read()}


def test_a_new_plan_does_not_disturb_what_sounds() -> None:
    one = item("a", START, 10)
    agent = Rehearsal(one)
    agent.run_until(START + timedelta(seconds=5))
    agent.conductor.set_plan((one, item("b", START + timedelta(minutes=2), 5)))
    agent.run_until(START + timedelta(minutes=3))
    assert [record.outcome for record in agent.records()] == [PlayOutcome.PLAYED] * 2
    assert [record.frames for record in agent.records()] == [10 * SAMPLE_RATE, 5 * SAMPLE_RATE]


def test_a_crash_in_the_middle_joins_where_the_clock_says() -> None:
    one = item("a", START, 20)
    before = Rehearsal(one)
    before.run_until(START + timedelta(seconds=5))
    after = before.crash(one, off_for=4)
    after.run_until(START + timedelta(seconds=40))
    (record,) = after.records()
    assert record.outcome is PlayOutcome.PARTIAL
    assert record.started == START
    assert record.frames == 11 * SAMPLE_RATE  # from second 9 to 20; what was heard before the crash left no proof
    assert record.ended == START + timedelta(seconds=20)


def test_a_crash_in_the_middle_skips_when_the_item_says_so() -> None:
    one = item("a", START, 20, late=LatePolicy(LateKind.SKIP))
    before = Rehearsal(one)
    before.run_until(START + timedelta(seconds=5))
    after = before.crash(one, off_for=4)
    after.run_until(START + timedelta(seconds=40))
    (record,) = after.records()
    assert record.outcome is PlayOutcome.PARTIAL
    assert after.heard() is None


@pytest.mark.parametrize("late", [LateKind.JOIN, LateKind.SKIP])
def test_a_crash_in_the_middle_on_a_box_without_a_clock(late: LateKind) -> None:
    """Until the controller speaks the box thinks it is the minute it died in; it must not take that for no absence."""
    one = item("a", START, 20, late=LatePolicy(late))
    before = Rehearsal(one)
    before.run_until(START + timedelta(seconds=5))
    after = before.crash(one, off_for=4, trusted=False)
    after.run_for(1)
    assert after.heard() is None
    after.learn_time()
    after.run_until(START + timedelta(seconds=15))
    assert (after.heard() is not None) is (late is LateKind.JOIN)
    after.run_until(START + timedelta(seconds=60))
    (record,) = after.records()
    assert record.outcome is PlayOutcome.PARTIAL
    assert record.frames == (10 * SAMPLE_RATE if late is LateKind.JOIN else 0)


@pytest.mark.parametrize("died_after", [-1.0, 0.0, 0.5])
def test_what_began_is_never_begun_again_from_its_first_sample(died_after: float) -> None:
    """Killed just before or after the start, with nothing written since it was armed: the armed state counts."""
    late = LatePolicy(LateKind.PLAY_FULL, timedelta(minutes=5))
    one = item("a", START, 20, late=late)
    before = Rehearsal(one)
    before.run_until(START - SECOND)
    on_disk = len(before.ledger.batches)
    before.clock.move_to(to_unix_us(START + timedelta(seconds=died_after)) - before.clock.offset_us)
    assert len(before.ledger.batches) == on_disk
    after = before.crash(one, off_for=3)
    after.run_until(START + timedelta(minutes=2))
    assert len(after.records()) == 1


def test_missing_while_off_is_told_once() -> None:
    one = item("a", START, 10, slack=timedelta(0))
    before = Rehearsal(one)
    before.run_until(START - timedelta(seconds=20))
    after = before.crash(one, off_for=60)
    after.run_for(10)
    again = after.crash(one, off_for=60)
    again.run_for(10)
    (record,) = again.records()
    assert record.outcome in (PlayOutcome.MISSED, PlayOutcome.SKIPPED)
    assert record.started is None


def test_boot_in_1970_is_silent_until_the_controller_tells_the_time() -> None:
    clock = SimClock(wall=datetime.fromisoformat("1970-01-01T00:00:10+00:00"))
    agent = Rehearsal(item("a", START, 10), clock=clock, trusted=False)
    agent.run_for(60)
    assert "time_untrusted" in agent.faults()
    assert agent.heard() is None
    assert agent.records() == []
    clock.offset_us = to_unix_us(T0) - clock.mono_us()
    agent.learn_time()
    agent.run_until(START + timedelta(seconds=20))
    assert "time_untrusted" not in agent.faults()
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.PLAYED
    assert record.started == START


def test_an_emergency_sounds_without_trusted_time() -> None:
    clock = SimClock(wall=datetime.fromisoformat("1970-01-01T00:00:10+00:00"))
    agent = Rehearsal(clock=clock, trusted=False)
    agent.run_for(5)
    alarm = item("flood", T0, 10, priority=Priority.EMERGENCY_STORED)
    agent.conductor.take(play(alarm, T0))
    agent.run_for(2)
    assert agent.heard() == "bulletin flood"
    clock.offset_us = to_unix_us(T0 + timedelta(seconds=2)) - clock.mono_us()
    agent.learn_time()  # waits for silence
    assert not agent.wall.trusted
    agent.run_for(20)
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.PLAYED
    assert record.frames == 10 * SAMPLE_RATE
    agent.learn_time()
    agent.run_for(5)
    assert "time_untrusted" not in agent.faults()
    assert len(agent.records()) == 1


def test_trusted_time_is_never_before_the_last_that_was_written_down() -> None:
    before = Rehearsal(item("a", START, 10))
    before.run_until(START + timedelta(minutes=1))
    after = before.crash(item("a", START, 10), trusted=False)
    earlier = to_unix_us(T0 - timedelta(days=1))
    after.wall.offer(Reading(Source.HARDWARE_CLOCK, earlier, after.clock.mono_us()), idle=True)
    assert not after.wall.trusted
    assert after.wall.implausible


def test_a_step_of_the_wall_clock_moves_no_sounding_item() -> None:
    agent = Rehearsal(item("a", START, 20), item("b", START + timedelta(hours=1, seconds=40), 5))
    agent.run_until(START + timedelta(seconds=5))
    began = agent.clock.mono_us() - 5_000_000
    agent.clock.offset_us += 3_600_000_000  # the clock was an hour behind
    agent.learn_time()
    assert agent.wall.pending_step_us == 3_600_000_000
    agent.clock.offset_us -= 3_600_000_000
    agent.run_until(START + timedelta(seconds=21))
    (record,) = agent.records()
    assert record.frames == 20 * SAMPLE_RATE
    assert agent.clock.mono_us() - began == 21_000_000
    assert agent.wall.pending_step_us == 0  # silence came, and the step with it
    agent.clock.offset_us += 3_600_000_000
    agent.run_until(START + timedelta(hours=1, seconds=50))
    assert [one.title for one in agent.records()] == ["bulletin a", "bulletin b"]
    assert agent.records()[1].start_error_us == 0


def test_small_differences_are_slewed_while_it_sounds() -> None:
    agent = Rehearsal(item("a", START, 60))
    agent.run_until(START + timedelta(seconds=5))
    agent.clock.offset_us += 10_000
    agent.learn_time()
    agent.run_for(10)
    behind = agent.clock.offset_us - agent.wall.offset_us
    assert 0 < behind < 10_000
    assert behind >= 10_000 - 10_100_000 * 500 // 1_000_000


def test_stop_silences_at_once_and_twice() -> None:
    agent = Rehearsal(item("a", START, 60), item("b", START + timedelta(seconds=90), 5))
    agent.run_until(START + timedelta(seconds=5))
    agent.conductor.take(command(StopOrder(), agent.now))
    agent.run_for(0.1)
    assert agent.conductor.idle
    agent.conductor.take(command(StopOrder(), agent.now))
    agent.run_for(1)
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.STOPPED
    assert record.ended is not None
    assert record.ended - (START + timedelta(seconds=5)) < timedelta(seconds=0.1)
    agent.run_until(START + timedelta(seconds=100))  # what starts later goes on normally
    assert [one.outcome for one in agent.records()] == [PlayOutcome.STOPPED, PlayOutcome.PLAYED]


def test_stop_survives_a_crash() -> None:
    one = item("a", START, 60)
    before = Rehearsal(one)
    before.run_until(START + timedelta(seconds=5))
    before.conductor.take(command(StopOrder(), before.now))
    after = before.crash(one, off_for=3)
    after.run_for(80)
    assert [record.outcome for record in after.records()] == [PlayOutcome.STOPPED]


def test_a_withdrawn_item_fades_and_is_told() -> None:
    one = item("a", START, 60)
    agent = Rehearsal(one)
    agent.run_until(START + timedelta(seconds=5))
    agent.conductor.take(command(WithdrawOrder(one.rule_id), agent.now))
    agent.run_for(1)
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.WITHDRAWN
    assert agent.conductor.idle


def test_an_armed_item_that_is_withdrawn_never_sounds() -> None:
    one = item("a", START, 60)
    agent = Rehearsal(one)
    agent.run_until(START - SECOND)
    assert not agent.conductor.idle
    agent.conductor.take(command(WithdrawOrder(one.rule_id), agent.now))
    agent.run_until(START + timedelta(seconds=70))
    assert all(record.started is None for record in agent.records())


def test_play_now_begins_with_its_first_sample() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    agent.conductor.take(play(item("now", agent.now, 10, priority=Priority.COMMUNE_LIVE), agent.now))
    agent.run_for(15)
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.PLAYED
    assert record.frames == 10 * SAMPLE_RATE
    assert record.start_error_us is not None
    assert record.start_error_us <= 200_000


def test_an_emergency_interrupts_and_the_programme_resumes() -> None:
    one = item("a", START, 30, after_preempt=AfterPreempt.RESUME)
    agent = Rehearsal(one)
    agent.run_until(START + timedelta(seconds=10))
    alarm = item("flood", agent.now + SECOND, 5, priority=Priority.EMERGENCY_STORED)
    agent.conductor.take(play(alarm, agent.now))
    agent.run_for(3)
    assert agent.heard() == "bulletin flood"
    agent.run_for(5)
    assert agent.heard() == "bulletin a"
    agent.run_for(60)
    by_title = {record.title: record for record in agent.records()}
    assert by_title["bulletin flood"].outcome is PlayOutcome.PLAYED
    assert by_title["bulletin flood"].start_error_us == 0
    whole = by_title["bulletin a"]
    assert abs(whole.frames - 30 * SAMPLE_RATE) < SAMPLE_RATE // 5


def test_an_altered_sound_is_not_played() -> None:
    agent = Rehearsal(item("a", START, 10, slack=timedelta(0)))
    agent.media.altered.add(clip("a", 10).sha256)
    agent.run_until(START - timedelta(seconds=5))
    agent.conductor.media_changed()
    agent.run_until(START + timedelta(seconds=30))
    assert agent.heard() is None
    (record,) = agent.records()
    assert record.outcome in (PlayOutcome.MISSED, PlayOutcome.SKIPPED)
    assert record.started is None


def test_a_sound_that_arrives_late_is_joined() -> None:
    agent = Rehearsal(item("a", START, 20))
    agent.media.gone.add(clip("a", 20).sha256)
    agent.conductor.media_changed()
    agent.run_until(START + timedelta(seconds=5))
    assert agent.heard() is None
    agent.media.gone.clear()
    agent.conductor.media_changed()
    agent.run_until(START + timedelta(seconds=40))
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.PARTIAL
    assert record.frames == pytest.approx(15 * SAMPLE_RATE, abs=SAMPLE_RATE // 5)


def test_the_fifth_distinct_start_within_a_minute_is_held() -> None:
    items = [item(f"n{n}", START + timedelta(seconds=5 * n), 2, slack=timedelta(0)) for n in range(7)]
    agent = Rehearsal(*items)
    agent.run_until(START + timedelta(seconds=40))
    outcomes = [record.outcome for record in agent.records()]
    assert outcomes == [PlayOutcome.PLAYED] * 4 + [PlayOutcome.REFUSED] * 3
    assert {record.code for record in agent.records()[4:]} == {"start_flood"}
    assert "start_flood" in agent.events()
    assert "start_flood" in agent.faults()


def test_repeating_one_order_is_no_flood() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    for _ in range(7):
        one = item("again", agent.now, 2, priority=Priority.EMERGENCY_STORED, slack=timedelta(0))
        agent.conductor.take(play(one, agent.now))
        agent.run_for(5)
    assert [record.outcome for record in agent.records()] == [PlayOutcome.PLAYED] * 7


def test_gains_move_while_it_sounds() -> None:
    agent = Rehearsal(item("a", START, 20))
    agent.run_until(START + timedelta(seconds=5))
    agent.conductor.set_settings(settings(gains=((Priority.PROGRAMME, -6.0),)))
    agent.run_until(START + timedelta(seconds=30))
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.PLAYED
    assert record.frames == 20 * SAMPLE_RATE


def test_the_amplifier_goes_on_before_and_off_after() -> None:
    amplifier = Amplifier("gpio", 17, lead=timedelta(seconds=3), tail=timedelta(seconds=2))
    agent = Rehearsal(item("a", START, 10), cluster=settings(amplifier=amplifier))
    agent.run_until(START + timedelta(seconds=30))
    switched = agent.ports[-1].switched
    assert [on for _, on in switched] == [True, False]
    assert abs(switched[0][0] - (START - timedelta(seconds=3))) < timedelta(seconds=0.01)
    assert abs(switched[1][0] - (START + timedelta(seconds=12))) < timedelta(seconds=0.01)


def test_an_item_that_is_cut_fades_before_its_end() -> None:
    one = item("a", START, 20, slot_end=START + timedelta(seconds=8), overrun=Overrun.CUT_WITH_FADE)
    agent = Rehearsal(one)
    agent.run_until(START + timedelta(seconds=30))
    (record,) = agent.records()
    assert record.ended is not None
    assert abs(record.ended - (START + timedelta(seconds=8))) < timedelta(seconds=0.1)


def test_a_stopped_process_bursts_out_with_nothing() -> None:
    items = [item(f"n{n}", START + timedelta(seconds=5 * n), 3, slack=timedelta(0)) for n in range(3)]
    agent = Rehearsal(*items, item("later", START + timedelta(minutes=5), 3))
    agent.run_until(START - timedelta(seconds=5))
    agent.clock.move_to(agent.clock.mono_us() + 60_000_000)  # SIGSTOP for a minute
    agent.run_for(10)
    assert agent.heard() is None
    agent.run_until(START + timedelta(minutes=6))
    by_title = {record.title: record.outcome for record in agent.records()}
    assert by_title["bulletin later"] is PlayOutcome.PLAYED
    assert PlayOutcome.PLAYED not in {by_title[f"bulletin n{n}"] for n in range(3)}


def test_quiet_hours_are_kept_by_the_agent_too() -> None:
    night = T0.replace(hour=16)  # 23:00 in Hanoi
    agent = Rehearsal(item("a", night, 10), clock=SimClock(night - timedelta(seconds=30)))
    agent.run_until(night + timedelta(minutes=10))
    (record,) = agent.records()
    assert record.outcome is PlayOutcome.REFUSED
    assert record.code == "quiet_hours"
    assert record.started is None


def test_output_delay_is_wanted_and_no_error() -> None:
    agent = Rehearsal(item("a", START, 10), cluster=settings(output_delay=timedelta(milliseconds=870)))
    agent.run_until(START + timedelta(seconds=20))
    (record,) = agent.records()
    assert record.started == START + timedelta(milliseconds=870)
    assert record.start_error_us == 0


def test_each_programme_of_a_day_sounds_once_and_little_is_written() -> None:
    items = [item(f"h{hour}", START + timedelta(hours=hour), 300) for hour in range(8)]
    agent = Rehearsal(*items)
    agent.run_until(START + timedelta(hours=10))
    assert [record.outcome for record in agent.records()] == [PlayOutcome.PLAYED] * 8
    assert len(agent.ledger.batches) <= 8 * 6 + 10 * 6 + 10  # six a programme, the clock every ten minutes


def test_a_planned_relay_is_expected_before_its_stream_is_there() -> None:
    """The sound device is warmed by this: a relay's stream opens ten seconds ahead, and a device needs forty."""
    agent = Rehearsal(relay("news", START + timedelta(minutes=1), 60), item("a", START + timedelta(hours=1), 10))
    agent.run_until(START)
    assert agent.conductor.expected(agent.now) == START + timedelta(minutes=1)
    agent.run_until(START + timedelta(seconds=90))
    assert agent.conductor.expected(agent.now) == agent.now
    agent.run_until(START + timedelta(minutes=3))
    assert agent.conductor.expected(agent.now) == START + timedelta(hours=1)
    agent.run_until(START + timedelta(hours=2))
    assert agent.conductor.expected(agent.now) is None


def test_mono_is_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the conductor reads a clock of its own."""

    def forbidden() -> float:
        raise AssertionError("a clock was read")

    monkeypatch.setattr("time.time", forbidden)
    monkeypatch.setattr("time.monotonic", forbidden)
    agent = Rehearsal(item("a", START, 10))
    agent.run_until(START + timedelta(seconds=20))
    assert agent.clock.mono_us() > MonoUs(0)
