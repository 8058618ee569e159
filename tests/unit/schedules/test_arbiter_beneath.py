"""What runs on beneath a higher class: three buses, silence or softness, and lines that do not move."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schedules.arbiter import Presence, Sounding, State, Stop, advance
from schedules.instants import SAMPLE_RATE
from schedules.ladder import Bus, Priority, bus_of, may_duck
from schedules.model import AfterPreempt, ClusterSettings
from tests.unit.schedules.scenario import CLUSTER, SETTINGS, at, clip, decide, item, live, relay, situation, story

EMERGENCY = Priority.EMERGENCY_STORED
MINUTE = 60 * SAMPLE_RATE
DUCKING = replace(SETTINGS, duck_db=-20.0)


def lines(beneath: tuple[Sounding, ...]) -> list[tuple[str, str]]:
    return [(one.item.rule_id if one.item else "live", one.presence.value) for one in beneath]


def test_every_class_but_stop_lies_on_a_bus() -> None:
    assert {p: bus_of(p) for p in Priority if p is not Priority.STOP} == {
        Priority.EMERGENCY_LIVE: Bus.EMERGENCY,
        Priority.EMERGENCY_STORED: Bus.EMERGENCY,
        Priority.DRILL: Bus.EMERGENCY,
        Priority.PRIORITY_BULLETIN: Bus.LOCAL,
        Priority.COMMUNE_LIVE: Bus.LOCAL,
        Priority.PROGRAMME: Bus.SCHEDULED,
        Priority.RELAY: Bus.SCHEDULED,
        Priority.FILLER: Bus.SCHEDULED,
        Priority.TEST_TONE: Bus.SCHEDULED,
    }
    with pytest.raises(ValueError, match="STOP lies on no bus"):
        bus_of(Priority.STOP)


def test_only_a_live_announcement_may_speak_over_something() -> None:
    pairs = {(upper, lower) for upper in Priority for lower in Priority if may_duck(upper, lower)}
    assert pairs == {(Priority.COMMUNE_LIVE, lower) for lower in (Priority.RELAY, Priority.FILLER, Priority.TEST_TONE)}


@pytest.mark.parametrize("db", [-60.0, -3.0, 0.0, 6.0, float("nan"), float("inf")])
def test_ducking_is_bounded(db: float) -> None:
    with pytest.raises(ValueError, match="ducking lies between"):
        ClusterSettings(CLUSTER, "Asia/Ho_Chi_Minh", duck_db=db)


def test_a_relay_runs_on_unheard_beneath_a_bulletin() -> None:
    radio = relay("radio", 10, 30)
    plan = situation(
        radio, item("bulletin", 20, 5, Priority.PROGRAMME), live=(live(7, 10, 40, Priority.RELAY, of=radio),)
    )
    during = decide(plan, 22)
    (under,) = during.beneath
    assert (under.occurrence_id, under.stream_id, under.presence) == (radio.occurrence_for(CLUSTER), 7, Presence.MUTED)
    after = decide(plan, 26)
    assert after.beneath == ()
    assert after.sounding is not None
    assert (after.sounding.stream_id, after.sounding.presence) == (7, Presence.ON_AIR)


def test_what_resumes_waits_and_does_not_run_on() -> None:
    plan = situation(item("a", 10, 10), item("siren", 13, 2, EMERGENCY))
    assert decide(plan, 14).beneath == ()
    back = decide(plan, 15).sounding
    assert back is not None
    assert (back.offset, back.line.at, back.line.sample) == (3 * MINUTE, at(15), 3 * MINUTE)


def test_what_joins_keeps_its_line_to_the_sample() -> None:
    """Begun at an instant between two samples, silenced at another: the line is the one it began on."""
    joins = item("a", 10, 10, after=AfterPreempt.JOIN)
    odd = timedelta(microseconds=7)
    siren = item("siren", 13, 2, EMERGENCY)
    siren = replace(siren, start=siren.start + odd, recurrence=siren.recurrence + odd)
    plan = situation(joins, siren)
    before, during, after = (decide(plan, minute) for minute in (11, 14, 16))
    assert before.sounding is not None
    assert after.sounding is not None
    (under,) = during.beneath
    assert under.presence is Presence.MUTED
    assert under.line == before.sounding.line == after.sounding.line
    assert (after.sounding.line.at, after.sounding.line.sample) == (at(10), 0)
    assert after.sounding.since == at(15) + odd
    assert during.upcoming == after.sounding


def test_what_came_beneath_a_higher_class_is_ready_too() -> None:
    plan = situation(item("siren", 9, 4, EMERGENCY), item("a", 10, 10, after=AfterPreempt.JOIN))
    assert lines(decide(plan, 11).beneath) == [("a", "muted")]
    joined = decide(plan, 13).sounding
    assert joined is not None
    assert (joined.since, joined.offset, joined.line.at) == (at(13), 3 * MINUTE, at(10))


def test_a_live_announcement_speaks_over_a_relay_where_the_settings_say_so() -> None:
    radio = relay("radio", 10, 30)
    streams = (live(7, 10, 40, Priority.RELAY, of=radio), live(9, 20, 25))
    assert lines(decide(situation(radio, live=streams), 22).beneath) == [("radio", "muted")]
    plan = situation(radio, live=streams, settings=DUCKING)
    assert lines(decide(plan, 22).beneath) == [("radio", "ducked")]
    assert story(plan) == [
        "10 started radio",
        "20 ducked radio",
        "20 started 9",
        "25 cut 9 time_limit =partial",
        "25 resumed radio ducked",
        "40 finished radio =played",
    ]


def test_what_is_ducked_is_heard_and_what_is_muted_is_not() -> None:
    song = item("song", 10, 20, Priority.FILLER, after=AfterPreempt.JOIN)
    streams = (live(9, 15, 20),)
    heard = {
        db: advance(State.initial(), situation(song, live=streams, settings=cluster), at(40))[1].events[-1].frames
        for db, cluster in ((None, SETTINGS), (-20.0, DUCKING))
    }
    assert heard == {None: 15 * MINUTE, -20.0: 20 * MINUTE}


def test_an_emergency_silences_the_speaker_and_what_is_spoken_over() -> None:
    radio = relay("radio", 10, 30)
    streams = (live(7, 10, 40, Priority.RELAY, of=radio), live(9, 15, 30))
    plan = situation(radio, item("siren", 20, 2, EMERGENCY), live=streams, settings=DUCKING)
    assert lines(decide(plan, 21).beneath) == [("live", "muted"), ("radio", "muted")]
    assert story(plan, 29) == [
        "10 started radio",
        "15 ducked radio",
        "15 started 9",
        "20 preempted 9",
        "20 preempted radio",
        "20 started siren",
        "22 finished siren =played",
        "22 resumed 9",
    ]
    # Nothing begins beneath a speaker: the relay is back when he has ended.
    assert lines(decide(plan, 25).beneath) == [("radio", "muted")]


def test_a_programme_is_never_spoken_over() -> None:
    plan = situation(item("a", 10, 10), live=(live(9, 12, 15),), settings=DUCKING)
    assert story(plan, 14) == ["10 started a", "12 preempted a", "12 started 9"]


def test_a_drill_is_never_spoken_over_and_ducks_nothing() -> None:
    radio = relay("radio", 10, 30)
    streams = (live(7, 10, 40, Priority.RELAY, of=radio),)
    plan = situation(radio, item("drill", 20, 5, Priority.DRILL), live=streams, settings=DUCKING)
    assert lines(decide(plan, 22).beneath) == [("radio", "muted")]


def test_a_ducked_relay_that_loses_its_stream_falls_back_softly_or_is_silent() -> None:
    radio = relay("radio", 10, 30, fallback=(clip("song", 2),))
    spoken = live(9, 15, 30)
    carried = situation(radio, live=(live(7, 10, 40, Priority.RELAY, of=radio), spoken), settings=DUCKING)
    state, _ = advance(State.initial(), carried, at(20))
    lost = carried.updated(live=(live(7, 10, 40, Priority.RELAY, of=radio, healthy=False), spoken))
    _, decision = advance(state, lost, at(20), before=carried)
    (under,) = decision.beneath
    assert (under.presence, under.stream_id, under.since) == (Presence.DUCKED, None, at(20))
    bare = relay("radio", 10, 30)
    state, _ = advance(State.initial(), carried.updated(items=(bare,)), at(20))
    _, decision = advance(state, lost.updated(items=(bare,)), at(20), before=carried.updated(items=(bare,)))
    assert decision.beneath == ()


def test_settings_that_forbid_ducking_hold_at_once() -> None:
    radio = relay("radio", 10, 30)
    streams = (live(7, 10, 40, Priority.RELAY, of=radio), live(9, 15, 30))
    soft = situation(radio, live=streams, settings=DUCKING)
    state, _ = advance(State.initial(), soft, at(20))
    _, decision = advance(state, soft.updated(settings=SETTINGS), at(20), before=soft)
    assert lines(decision.beneath) == [("radio", "muted")]


def test_a_reboot_while_it_is_ducked_forgets_nothing() -> None:
    song = item("song", 10, 20, Priority.FILLER)
    plan = situation(song, live=(live(9, 15, 20),), settings=DUCKING)
    state, _ = advance(State.initial(), plan, at(17))
    saved = State.from_plain(state.to_plain())
    assert saved == state
    _, decision = advance(saved, plan.updated(live=(), ready_from=at(18)), at(18))
    assert decision.sounding is not None
    assert (decision.sounding.occurrence_id, decision.sounding.offset) == (song.occurrence_for(CLUSTER), 8 * MINUTE)


def test_stop_ends_what_runs_on_beneath() -> None:
    radio = relay("radio", 10, 30)
    streams = (live(7, 10, 40, Priority.RELAY, of=radio), live(9, 15, 30))
    plan = situation(radio, live=streams, settings=DUCKING, orders=(Stop(at(20)),))
    decision = decide(plan, 20)
    assert (decision.sounding, decision.beneath) == (None, ())
