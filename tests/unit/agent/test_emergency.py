"""Emergencies on one box: rounds, reboots, mute, what is told at once, and what is set aside so that they are heard."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from agent.conductor import conductor as conductor_room
from agent.conductor.orders import Reference
from agent.conductor.quarantine import DEATHS, DEATHS_EMERGENCY
from protocol.documents import PlayOrder, ReleaseOrder, SilentTestOrder, StopOrder, WithdrawOrder
from protocol.messages import Progress, ProgressStage
from protocol.telemetry import MuteBy, PlayOutcome
from schedules.arbiter import advance
from schedules.instants import SAMPLE_RATE
from schedules.ladder import Priority
from schedules.model import EMERGENCY_GAIN_DB, Item, LateKind, LatePolicy, QuietHours
from tests.unit.agent.rehearsal import SECOND, T0, Rehearsal, command, item, play, settings

START = T0 + timedelta(seconds=30)
HOUR = timedelta(hours=1)


def alarm(name: str, start: datetime, seconds: float = 10, **more: object) -> Item:
    return item(name, start, seconds, priority=Priority.EMERGENCY_STORED, **more)  # type: ignore[arg-type]


def told(agent: Rehearsal) -> list[Progress]:
    found = []
    while (one := agent.conductor.herald.take()) is not None:
        found.append(one)
    return found


def stages(agent: Rehearsal) -> list[str]:
    return [one.stage.value for one in told(agent)]


# -- loudness ----------------------------------------------------------------------------------------------


def test_emergencies_are_louder_where_nothing_is_set() -> None:
    assert settings().gain_db(Priority.EMERGENCY_STORED) == EMERGENCY_GAIN_DB == 6.0
    assert settings().gain_db(Priority.EMERGENCY_LIVE) == 6.0
    assert settings().gain_db(Priority.DRILL) == 0.0
    set_by_hand = settings(gains=((Priority.EMERGENCY_STORED, -3.0),))
    assert set_by_hand.gain_db(Priority.EMERGENCY_STORED) == -3.0


def test_an_emergency_has_a_cap_of_its_own() -> None:
    agent = Rehearsal(cluster=settings(max_emergency=timedelta(minutes=1)))
    agent.run_for(1)
    agent.conductor.take(play(alarm("long", agent.now, 300), agent.now))
    agent.run_for(400)
    (record,) = agent.records()
    assert (record.outcome, record.code) == (PlayOutcome.PARTIAL, "too_long")
    assert record.frames == pytest.approx(60 * SAMPLE_RATE, abs=SAMPLE_RATE)


# -- progress ----------------------------------------------------------------------------------------------


def test_what_becomes_of_an_emergency_is_told_at_once() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    order = play(alarm("flood", agent.now + SECOND), agent.now)
    agent.conductor.take(order)
    agent.run_for(5)
    (started,) = told(agent)
    assert (started.term, started.seq) == (order.term, order.seq)
    assert (started.rule_id, started.recurrence) == ("pr_flood", T0 + timedelta(seconds=2))
    assert (started.stage, started.start_error_us) == (ProgressStage.STARTED, 0)
    agent.run_for(20)
    (finished,) = told(agent)
    assert (finished.stage, finished.code) == (ProgressStage.FINISHED, None)


def test_below_class_70_nothing_is_told_and_a_stop_says_so() -> None:
    agent = Rehearsal(item("a", START))
    agent.run_for(1)
    agent.conductor.take(play(item("b", agent.now, 5), agent.now))
    agent.run_until(START + timedelta(seconds=30))
    assert told(agent) == []
    agent.conductor.take(play(alarm("flood", agent.now), agent.now))
    agent.run_for(3)
    agent.conductor.take(command(StopOrder(), agent.now))
    agent.run_for(3)
    assert [(one.stage.value, one.code) for one in told(agent)] == [("started", None), ("finished", "stopped")]


def test_an_order_that_comes_too_late_is_told_as_refused_or_not_heard() -> None:
    agent = Rehearsal()
    agent.run_for(600)
    agent.conductor.take(play(alarm("old", T0, 5, slack=timedelta(seconds=1)), agent.now))
    agent.run_for(5)
    assert agent.heard() is None
    assert all(one.stage is not ProgressStage.STARTED for one in told(agent))


def test_a_late_emergency_sounds_at_once_from_its_first_word() -> None:
    agent = Rehearsal()
    agent.run_for(60)
    agent.conductor.take(play(alarm("flood", T0 + timedelta(seconds=20), 10), agent.now))
    agent.run_for(15)
    (record,) = agent.records()
    assert (record.outcome, record.frames) == (PlayOutcome.PLAYED, 10 * SAMPLE_RATE)
    assert record.started is not None
    assert record.started - (T0 + timedelta(seconds=60)) < timedelta(seconds=0.3)


# -- rounds ------------------------------------------------------------------------------------------------


def repeated(start: datetime, *, every: timedelta = HOUR, rounds: int = 3, seconds: float = 20) -> PlayOrder:
    return PlayOrder(alarm("storm", start, seconds), every, start + every * (rounds - 1) + SECOND)


def test_rounds_are_occurrences_of_their_own() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    agent.conductor.take(command(repeated(START), agent.now))
    agent.run_until(START + 5 * HOUR)
    records = agent.records()
    assert [record.started for record in records] == [START + n * HOUR for n in range(3)]
    assert [record.recurrence for record in records] == [START + n * HOUR for n in range(3)]
    assert len({record.occurrence_id for record in records}) == 3
    assert stages(agent) == ["started", "finished"] * 3


def test_a_box_that_was_off_takes_up_the_rounds_where_they_are() -> None:
    order = command(repeated(START), T0)
    before = Rehearsal()
    before.run_for(1)
    before.conductor.take(order)
    before.run_until(START + timedelta(minutes=1))
    after = before.crash(off_for=3600)  # through the second round
    after.conductor.take(order)
    after.run_until(START + 5 * HOUR)
    played = [record.started for record in after.records() if record.outcome is PlayOutcome.PLAYED]
    assert played[0] == START
    assert played[-1] == START + 2 * HOUR
    assert len(played) == len(set(played))


def test_an_order_that_comes_between_two_rounds_brings_none_of_the_past() -> None:
    agent = Rehearsal()
    agent.run_until(START + HOUR + timedelta(minutes=30))
    agent.conductor.take(command(repeated(START), agent.now))
    agent.run_until(START + 4 * HOUR)
    started = [record.started for record in agent.records() if record.started is not None]
    assert started == [START + 2 * HOUR]


def test_extended_and_cancelled_by_later_orders() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    agent.conductor.take(command(repeated(START, rounds=2), agent.now))
    agent.run_until(START + timedelta(minutes=30))
    agent.conductor.take(command(repeated(START, rounds=10), agent.now))
    agent.run_until(START + 3 * HOUR + timedelta(minutes=30))
    assert len(agent.records()) == 4
    agent.conductor.take(command(WithdrawOrder("pr_storm"), agent.now))
    agent.run_until(START + 9 * HOUR)
    assert len(agent.records()) == 4


@pytest.mark.parametrize("ending", [StopOrder(), WithdrawOrder("pr_storm")])
def test_what_was_ended_does_not_come_back_after_a_reboot(ending: StopOrder | WithdrawOrder) -> None:
    order = command(repeated(START), T0)
    before = Rehearsal()
    before.run_for(1)
    before.conductor.take(order)
    before.run_until(START + timedelta(minutes=10))
    before.conductor.take(command(ending, before.now))
    before.run_for(1)
    after = before.crash(off_for=5)
    after.conductor.take(order)  # its envelope is still on the disk
    after.run_until(START + 4 * HOUR)
    assert len([record for record in after.records() if record.started is not None]) == 1


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("every", [None, HOUR])
def test_what_was_ordered_after_a_stop_is_not_stopped_by_it(*, reboot: bool, every: timedelta | None) -> None:
    """Both come late and together, to a box that was away: the STOP takes effect after the alarm's start."""
    agent = Rehearsal()
    agent.run_for(10)
    given = agent.now - timedelta(seconds=5)
    stop = command(StopOrder(), given)
    one = alarm("flood", given + timedelta(seconds=0.4), 20)
    order = command(PlayOrder(one, every, None if every is None else one.start + 2 * HOUR), given)
    agent.conductor.take(stop)
    agent.conductor.take(order)
    agent.run_for(2)
    assert agent.heard() == "bulletin flood"
    if reboot:
        agent = agent.crash(off_for=1)
        agent.conductor.orders.recall_stop(Reference(stop.term, stop.seq))  # as the register does
        agent.conductor.take(order)
        agent.run_for(2)
        assert agent.heard() == "bulletin flood"
    agent.run_for(60)
    assert len(agent.records()) == 1
    if every is not None:
        agent.run_until(one.start + HOUR + timedelta(seconds=5))
        assert agent.heard() == "bulletin flood"
        agent.run_for(60)
        assert agent.records()[-1].started == one.start + HOUR
    agent.conductor.take(command(StopOrder(), agent.now))
    agent.run_for(3 * 3600)
    assert len(agent.records()) == (1 if every is None else 2)


@pytest.mark.parametrize("comes_after", [False, True])
def test_a_stop_ends_what_was_ordered_and_has_not_begun(*, comes_after: bool) -> None:
    """Somebody presses STOP in the lead between the confirmation and the first sample."""
    agent = Rehearsal()
    agent.run_for(10)
    order = play(alarm("flood", agent.now + timedelta(seconds=0.4), 20), agent.now)
    stop = command(StopOrder(), agent.now)
    if comes_after:  # STOP overtakes what still waits for the disk
        agent.conductor.take(stop)
        agent.conductor.take(order)
    else:
        agent.conductor.take(order)
        agent.run_for(0.1)
        agent.conductor.take(stop)
    agent.run_for(60)
    assert [(record.outcome, record.started) for record in agent.records()] == [(PlayOutcome.STOPPED, None)]


def test_what_was_ordered_before_a_stop_is_stopped_by_it_even_if_it_comes_after() -> None:
    agent = Rehearsal()
    agent.run_for(10)
    order = play(alarm("flood", agent.now - timedelta(seconds=5), 20), agent.now)
    agent.conductor.take(command(StopOrder(), agent.now))
    agent.conductor.take(order)
    agent.run_for(60)
    assert agent.heard() is None
    assert [record.outcome for record in agent.records()] == [PlayOutcome.STOPPED]


def test_rounds_are_one_start_and_orders_are_not() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    for n in range(7):
        agent.conductor.take(play(alarm(f"n{n}", agent.now, 2, slack=timedelta(0)), agent.now))
        agent.run_for(5)
    outcomes = [record.outcome for record in agent.records()]
    assert outcomes == [PlayOutcome.PLAYED] * 4 + [PlayOutcome.REFUSED] * 3
    assert [one.code for one in told(agent) if one.stage is ProgressStage.REFUSED] == ["start_flood"] * 3


# -- reboot ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [LatePolicy(LateKind.JOIN), LatePolicy(LateKind.SKIP)])
def test_an_emergency_goes_on_after_a_reboot_in_step_with_the_neighbours(late: LatePolicy) -> None:
    order = play(alarm("flood", START, 60, late=late), T0)
    before = Rehearsal()
    before.run_for(1)
    before.conductor.take(order)
    before.run_until(START + timedelta(seconds=10))
    after = before.crash(off_for=5)
    after.conductor.take(order)
    after.run_until(START + timedelta(seconds=20))
    assert after.heard() == "bulletin flood"
    after.run_until(START + timedelta(seconds=90))
    (record,) = after.records()
    assert record.outcome is PlayOutcome.PARTIAL
    assert record.ended == START + timedelta(seconds=60)


@pytest.mark.parametrize(("off_for", "again"), [(30, True), (600, False)])
def test_an_emergency_whose_time_passed_meanwhile_is_heard_once_more(off_for: float, *, again: bool) -> None:
    order = play(alarm("flood", START, 10), T0)  # expires five minutes after its end
    before = Rehearsal()
    before.run_for(1)
    before.conductor.take(order)
    before.run_until(START + timedelta(seconds=2))
    after = before.crash(off_for=off_for)
    after.conductor.take(order)
    after.run_for(5)
    assert (after.heard() is not None) is again
    after.run_for(120)
    assert len(after.records()) == 1


def test_what_was_played_is_not_played_again() -> None:
    order = play(alarm("flood", START, 10), T0)
    before = Rehearsal()
    before.run_for(1)
    before.conductor.take(order)
    before.run_until(START + timedelta(seconds=15))
    after = before.crash(off_for=3)
    after.conductor.take(order)
    after.run_for(120)
    assert [record.outcome for record in after.records()] == [PlayOutcome.PLAYED]


# -- mute --------------------------------------------------------------------------------------------------


def test_a_mute_box_is_silent_and_says_what_it_does_not_sound() -> None:
    agent = Rehearsal(item("a", START, 10))
    agent.run_for(1)
    agent.conductor.mute_here(timedelta(minutes=10))
    assert agent.conductor.muted is not None
    agent.run_until(START + timedelta(seconds=5))
    assert agent.heard() is None
    assert "muted" in agent.faults()
    order = play(alarm("flood", agent.now, 5), agent.now)
    agent.conductor.take(order)
    agent.run_for(30)
    assert [(record.outcome, record.code, record.frames) for record in agent.records()] == [
        (PlayOutcome.REFUSED, "muted", 0)
    ] * 2
    assert stages(agent) == ["muted", "refused"]


def test_a_mute_silences_what_sounds_and_ends_by_itself() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    agent.conductor.take(play(alarm("flood", agent.now, 120), agent.now))
    agent.run_for(5)
    assert agent.heard() == "bulletin flood"
    agent.conductor.mute_here(timedelta(seconds=60))
    agent.run_for(1)
    assert agent.heard() is None
    agent.run_for(62)
    assert agent.heard() == "bulletin flood"
    assert "muted" not in agent.faults()
    agent.run_for(120)
    (record,) = agent.records()
    assert (record.outcome, record.code) == (PlayOutcome.PARTIAL, "muted")


def test_a_mute_survives_a_reboot_and_each_hand_lifts_its_own() -> None:
    before = Rehearsal()
    before.run_for(1)
    before.conductor.take(command(StopOrder(HOUR), before.now))
    before.conductor.mute_here(2 * HOUR)
    agent = before.crash(off_for=10)
    agent.run_for(1)
    assert agent.conductor.muted is not None
    assert agent.conductor.muted.by is MuteBy.TECHNICIAN
    agent.conductor.take(command(ReleaseOrder(), agent.now))
    assert agent.conductor.muted is not None  # the technician's stays
    assert agent.conductor.unmute()
    assert "mute" not in _why(agent)
    agent.conductor.take(command(StopOrder(HOUR), agent.now))
    assert not agent.conductor.unmute()
    assert "mute" in _why(agent)  # the desk's stays
    agent.run_for(3700)
    assert "mute" not in _why(agent)


def _why(agent: Rehearsal) -> str:
    muted = agent.conductor.muted
    return "free" if muted is None else f"mute by {muted.by.value}"


def test_a_hold_counts_from_when_it_was_given_and_is_bounded() -> None:
    agent = Rehearsal()
    agent.run_for(1)
    agent.conductor.take(command(StopOrder(timedelta(minutes=10)), agent.now - timedelta(minutes=5)))
    assert agent.conductor.muted is not None
    assert agent.conductor.muted.until == T0 + timedelta(seconds=1) + timedelta(minutes=5)
    agent.conductor.mute_here(timedelta(days=30))
    assert agent.conductor.muted.until <= agent.now + timedelta(hours=24)


def test_a_silent_test_sounds_nothing() -> None:
    agent = Rehearsal()
    asked: list[Reference] = []
    agent.conductor.on_test = asked.append
    agent.run_for(1)
    order = command(SilentTestOrder(), agent.now)
    agent.conductor.take(order)
    agent.run_for(10)
    assert [(name.term, name.seq) for name in asked] == [(order.term, order.seq)]
    assert agent.records() == []


# -- quarantine --------------------------------------------------------------------------------------------


def test_an_item_that_the_arbiter_cannot_bear_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(state: object, situation: object, now: datetime, **more: object) -> object:
        agenda = {entry.item.rule_id for entry in situation.agenda.entries}  # type: ignore[attr-defined]
        ordered = {entry.item.rule_id for entry in situation.ordered.values()}  # type: ignore[attr-defined]
        if {"pr_poison", "pr_venom"} & (agenda | ordered):
            raise ZeroDivisionError("poison")
        return advance(state, situation, now, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(conductor_room, "advance", poisoned)
    monkeypatch.setattr("agent.conductor.quarantine.advance", poisoned)
    plan = [item("a", START, 5), item("poison", START + timedelta(minutes=1), 5), item("b", START + HOUR, 5)]
    agent = Rehearsal(*plan)
    agent.run_for(1)
    assert "quarantined" in agent.events()
    agent.conductor.take(play(alarm("venom", agent.now, 5), agent.now))
    agent.conductor.take(play(alarm("flood", agent.now, 5), agent.now))
    agent.run_for(3)
    assert agent.heard() == "bulletin flood"
    agent.conductor.set_plan(tuple(plan))  # it comes again with the next plan
    agent.run_until(START + 2 * HOUR)
    assert [record.title for record in agent.records()] == ["bulletin flood", "bulletin a", "bulletin b"]


@pytest.mark.parametrize(("urgent", "deaths"), [(False, DEATHS), (True, DEATHS_EMERGENCY)])
def test_a_sound_that_kills_the_process_is_not_tried_for_ever(*, urgent: bool, deaths: int) -> None:
    night = QuietHours(*(datetime(2026, 1, 1, hour, tzinfo=None).time() for hour in (21, 4)))  # noqa: DTZ001
    one = alarm("killer", START, 900, slack=HOUR) if urgent else item("killer", START, 900)
    agent = Rehearsal(*(() if urgent else (one,)), cluster=settings(quiet_hours=night))
    heard = 0
    for _ in range(deaths + 2):
        if urgent:
            agent.conductor.take(play(one, T0))
        agent.run_until(max(START, agent.now) + timedelta(seconds=2))
        if agent.heard() is None:
            break
        heard += 1
        agent = agent.crash(*(() if urgent else (one,)), off_for=1)
    assert heard == deaths
    assert "quarantined" in agent.events()
    agent.conductor.take(play(alarm("flood", agent.now, 5), agent.now))
    agent.run_for(3)
    assert agent.heard() == "bulletin flood"


def test_a_power_cut_in_the_middle_is_no_reason_for_quarantine() -> None:
    one = item("relayed", START, 900)
    agent = Rehearsal(one)
    for _ in range(5):
        agent.run_until(max(START, agent.now) + timedelta(seconds=20))
        assert agent.heard() is not None
        agent = agent.crash(one, off_for=1)
