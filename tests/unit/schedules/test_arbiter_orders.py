"""Rules 4, 5 and 6 of the run: quiet hours, orders, untrusted time; and clocks that were wrong."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schedules.arbiter import Outcome, PlayNow, Situation, State, Stop, Withdraw, advance
from schedules.ladder import Priority
from schedules.model import LatePolicy
from tests.unit.schedules.scenario import (
    CLUSTER,
    JOIN,
    SETTINGS,
    SKIP,
    at,
    clip,
    decide,
    item,
    live,
    relay,
    situation,
    story,
    told,
    within,
)

NIGHT = 14 * 60 + 30  # 21:30 in Việt Nam, as minutes of the test's day
MORNING = 21 * 60 + 45  # 04:45


# -- quiet hours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [p for p in Priority if p < Priority.EMERGENCY_STORED])
def test_below_80_an_item_that_touches_quiet_hours_is_refused(priority: Priority) -> None:
    plan = situation(item("a", NIGHT - 3, 5, priority))
    assert story(plan, NIGHT + 60) == [f"{NIGHT - 3} refused a quiet_hours =refused"]


@pytest.mark.parametrize("priority", [Priority.EMERGENCY_STORED, Priority.EMERGENCY_LIVE])
def test_an_emergency_crosses_them(priority: Priority) -> None:
    plan = situation(item("a", NIGHT - 3, 5, priority))
    assert story(plan, NIGHT + 60) == [f"{NIGHT - 3} started a", f"{NIGHT + 2} finished a =played"]


def test_sound_may_end_as_they_begin_and_begin_as_they_end() -> None:
    plan = situation(item("a", NIGHT - 5, 5), item("b", MORNING, 5))
    assert [line.split(" ", 1)[1] for line in story(plan, MORNING + 60)] == [
        "started a",
        "finished a =played",
        "started b",
        "finished b =played",
    ]


def test_what_runs_late_is_cut_as_they_begin_and_not_heard_the_morning_after() -> None:
    drill = item("d", NIGHT - 10, 8, Priority.DRILL)
    plan = situation(item("a", NIGHT - 12, 9, delay=24 * 60), drill, item("b", NIGHT - 11, 5, delay=24 * 60))
    assert story(plan, MORNING + 60) == [
        f"{NIGHT - 12} started a",
        f"{NIGHT - 10} preempted a",
        f"{NIGHT - 10} started d",
        f"{NIGHT - 2} finished d =played",
        f"{NIGHT - 2} resumed a",
        f"{NIGHT} cut a quiet_hours =partial",
        f"{NIGHT} missed b quiet_hours =missed",
    ]


def test_the_cut_is_announced_with_a_fade() -> None:
    plan = situation(item("a", NIGHT - 12, 9), item("d", NIGHT - 10, 8, Priority.DRILL))
    sounding = decide(plan, NIGHT - 1).sounding
    assert sounding is not None
    assert (sounding.ends, sounding.fade) == (at(NIGHT), True)


def test_a_boot_in_the_morning_does_not_play_the_evening() -> None:
    plan = situation(item("a", NIGHT - 20, 10, late=within(24 * 60), delay=24 * 60))
    state, _ = advance(State.initial(), plan, at(NIGHT - 30))
    woken = plan.updated(ready_from=at(MORNING + 5))
    assert told(advance(state, woken, at(MORNING + 60))[1].events) == [f"{MORNING + 5} missed a quiet_hours =missed"]


def test_a_live_voice_is_cut_and_stays_cut() -> None:
    plan = situation(live=(live(1, NIGHT - 10, MORNING + 60), live(2, NIGHT + 10, MORNING + 60)))
    assert story(plan, MORNING + 90) == [
        f"{NIGHT - 10} started 1",
        f"{NIGHT} cut 1 quiet_hours =partial",
        f"{NIGHT + 10} refused 2 quiet_hours =refused",
    ]


def test_a_relay_window_that_touches_them_is_refused() -> None:
    window = relay("r", NIGHT - 30, 31)
    assert story(situation(window), NIGHT + 60) == [f"{NIGHT - 30} refused r quiet_hours =refused"]


def test_a_cluster_without_quiet_hours_sounds_at_night() -> None:
    plan = situation(item("a", NIGHT, 5), settings=replace(SETTINGS, quiet_hours=None))
    assert story(plan, NIGHT + 60) == [f"{NIGHT} started a", f"{NIGHT + 5} finished a =played"]


# -- STOP -------------------------------------------------------------------------------------------------------


def test_stop_ends_what_sounds_and_what_waits_and_nothing_that_starts_later() -> None:
    plan = situation(item("a", 10, 10), item("b", 12, 5), item("c", 16, 2), orders=(Stop(at(15)),))
    assert story(plan) == [
        "10 started a",
        "15 stopped a =stopped",
        "15 stopped b =stopped",
        "16 started c",
        "18 finished c =played",
    ]


def test_stop_holds_after_the_order_is_forgotten_and_after_a_reboot() -> None:
    plan = situation(item("a", 10, 10, delay=30))
    state, _ = advance(State.initial(), plan.updated(orders=(Stop(at(15)),)), at(15))
    saved = State.from_plain(state.to_plain())
    late = replace(item("l", 14, 5), late=within(60))
    assert told(advance(saved, plan.updated(ready_from=at(16), items=(*plan.items, late)), at(120))[1].events) == [
        "16 stopped l =stopped"
    ]


def test_stop_twice_is_once() -> None:
    once = situation(item("a", 10, 10), orders=(Stop(at(15)),))
    twice = once.updated(orders=(Stop(at(15)), Stop(at(15))))
    assert story(once) == story(twice)


def test_stop_silences_live_sources_that_were_open() -> None:
    plan = situation(live=(live(1, 10, 30, Priority.EMERGENCY_LIVE), live(2, 16, 18)), orders=(Stop(at(15)),))
    assert story(plan) == ["10 started 1", "15 stopped 1 =stopped", "16 started 2", "18 cut 2 time_limit =partial"]


def test_stop_that_arrives_late_spares_what_started_after_it() -> None:
    plan = situation(item("a", 10, 10), item("b", 21, 5))
    stopped = plan.updated(orders=(Stop(at(15)),))
    state, _ = advance(State.initial(), plan, at(23))
    assert told(advance(state, stopped, at(60))[1].events) == ["26 finished b =played"]


def test_stop_ends_a_relay_whatever_streams_follow() -> None:
    window = relay("r", 10, 30)
    streams = (live(1, 10, 40, Priority.RELAY, of=window), live(2, 20, 40, Priority.RELAY, of=window))
    plan = situation(window, live=streams, orders=(Stop(at(15)),))
    assert story(plan) == ["10 started r", "15 stopped r =stopped"]


# -- withdraw, play now -----------------------------------------------------------------------------------------


def test_withdraw_one_occurrence_or_all_of_a_rule() -> None:
    first, second = item("a", 10, 10), item("a", 30, 10)
    one = situation(first, second, orders=(Withdraw(at(12), "a", first.recurrence),))
    assert story(one) == ["10 started a", "12 withdrawn a =withdrawn", "30 started a", "40 finished a =played"]
    every = situation(first, second, orders=(Withdraw(at(12), "a"),))
    assert story(every) == ["10 started a", "12 withdrawn a =withdrawn", "30 withdrawn a =withdrawn"]


def test_withdraw_holds_after_the_order_is_forgotten() -> None:
    plan = situation(item("a", 10, 10))
    state, _ = advance(State.initial(), plan.updated(orders=(Withdraw(at(5), "a"),)), at(6))
    assert told(advance(State.from_plain(state.to_plain()), plan, at(60))[1].events) == ["10 withdrawn a =withdrawn"]


def test_play_now_sounds_from_its_first_sample_however_late_it_comes() -> None:
    order = PlayNow(at(10), item("now", 10, 5, late=SKIP))
    quiet = situation()
    state, _ = advance(State.initial(), quiet, at(10.5))
    _, decision = advance(state, quiet.updated(orders=(order,)), at(10.5), before=quiet)
    assert decision.sounding is not None
    assert (decision.sounding.offset, decision.sounding.since) == (0, at(10.5))


def test_play_now_follows_the_ladder_and_ends_when_it_is_taken_back() -> None:
    order = PlayNow(at(12), item("now", 12, 5, Priority.COMMUNE_LIVE))
    plan = situation(item("a", 10, 10), orders=(order,))
    assert story(plan) == [
        "10 started a",
        "12 preempted a",
        "12 started now",
        "17 finished now =played",
        "17 resumed a",
        "25 finished a =played",
    ]
    state, _ = advance(State.initial(), plan, at(13))
    gone, back = advance(state, plan.updated(orders=()), at(13))[1].events
    assert (gone.code, gone.outcome, gone.occurrence_id) == (
        "not_in_plan",
        Outcome.WITHDRAWN,
        order.item.occurrence_for(CLUSTER),
    )
    assert told([back]) == ["13 resumed a"]


def test_play_now_in_quiet_hours_is_refused_below_80() -> None:
    low = PlayNow(at(NIGHT + 5), item("low", NIGHT + 5, 5))
    high = PlayNow(at(NIGHT + 5), item("high", NIGHT + 5, 5, Priority.EMERGENCY_STORED))
    assert story(situation(orders=(low, high)), NIGHT + 60) == [
        f"{NIGHT + 5} refused low quiet_hours =refused",
        f"{NIGHT + 5} started high",
        f"{NIGHT + 10} finished high =played",
    ]


# -- relays -----------------------------------------------------------------------------------------------------


def test_a_relay_sounds_its_stream_and_nothing_else_sounds_that_stream() -> None:
    window = relay("r", 10, 30)
    plan = situation(window, live=(live(1, 8, 60, Priority.RELAY, of=window),))
    assert story(plan) == ["10 started r", "40 finished r =played"]
    sounding = decide(plan, 20).sounding
    assert sounding is not None
    assert (sounding.stream_id, sounding.item, sounding.ends) == (1, window, at(40))


def test_a_relay_waits_for_its_stream_and_was_carried_if_it_was_there_until_the_end() -> None:
    window = relay("r", 10, 30)
    plan = situation(
        window, item("f", 10, 60, Priority.FILLER), live=(live(1, 10.02, 39.95, Priority.RELAY, of=window),)
    )
    assert story(plan, 40) == [
        "10 started f",
        "10.02 preempted f",
        "10.02 started r",
        "39.95 preempted r source_lost",
        "39.95 resumed f",
        "40 finished r =played",
    ]


def test_a_relay_without_a_stream_is_missed_and_says_why() -> None:
    assert story(situation(relay("r", 10, 30))) == ["40 missed r no_source =missed"]


def test_a_relay_falls_back_and_returns() -> None:
    window = relay("r", 10, 30, fallback=(clip("song", 3),))
    good = situation(window, live=(live(1, 10, 60, Priority.RELAY, of=window),))
    bad = good.updated(live=(live(1, 10, 60, Priority.RELAY, of=window, healthy=False),))
    state, start = advance(State.initial(), good, at(15))
    state, lost = advance(state, bad, at(15))
    state, back = advance(state, good, at(20), before=bad)
    assert told(start.events + lost.events + back.events) == [
        "10 started r",
        "15 resumed r fallback",
        "20 resumed r source_back",
    ]
    assert lost.sounding is not None
    assert (lost.sounding.stream_id, lost.sounding.offset, lost.sounding.since) == (None, 0, at(15))


def test_a_relay_falls_silent_without_a_usable_fallback() -> None:
    window = relay("r", 10, 30, fallback=(clip("song", 3),))
    plan = situation(window, missing=frozenset({clip("song", 3).sha256}))
    assert decide(plan, 15).sounding is None


def test_an_unhealthy_live_source_gives_way() -> None:
    plan = situation(item("a", 10, 10), live=(live(1, 11, 40, healthy=False),))
    assert story(plan, 30) == ["10 started a", "20 finished a =played"]


def test_a_live_source_that_is_closed_has_been_played() -> None:
    plan = situation(live=(live(1, 10, 40),))
    state, _ = advance(State.initial(), plan, at(20))
    assert told(advance(state, plan.updated(live=()), at(20))[1].events) == ["20 finished 1 closed =played"]


# -- time -------------------------------------------------------------------------------------------------------


def untrusted(plan: Situation) -> Situation:
    return plan.updated(time_trusted=False)


def test_untrusted_time_holds_the_plan_and_says_so_once() -> None:
    plan = untrusted(situation(item("a", 10, 10), item("b", 30, 5)))
    assert story(plan, 20) == ["10 waiting - time_untrusted"]
    state, _ = advance(State.initial(), plan, at(20))
    assert advance(state, plan, at(40))[1].events == ()


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (JOIN, ["15 started a late", "20 finished a =partial"]),
        (SKIP, ["15 skipped a late =skipped"]),
        (within(6), ["15 started a", "25 finished a =played"]),
    ],
)
def test_once_time_is_trusted_late_decides(late: LatePolicy, expected: list[str]) -> None:
    plan = situation(item("a", 10, 10, late=late))
    state, _ = advance(State.initial(), untrusted(plan), at(15))
    assert told(advance(state, plan.updated(ready_from=at(15)), at(60))[1].events) == expected


def test_an_emergency_sounds_on_an_untrusted_clock_and_moves_onto_the_right_one() -> None:
    years = timedelta(days=365 * 40)
    alarm = item("e", 10, 5, Priority.EMERGENCY_STORED)
    then = replace(alarm, start=alarm.start - years, recurrence=alarm.recurrence - years, expires=alarm.expires - years)
    wrong = situation(
        item("a", 9, 20), ready_from=at(0) - years, time_trusted=False, orders=(PlayNow(then.start, then),)
    )
    state, first = advance(State.initial(), wrong, at(12) - years)
    assert first.sounding is not None
    right = wrong.updated(
        time_trusted=True,
        ready_from=at(12),
        orders=(PlayNow(at(10), replace(alarm, recurrence=then.recurrence)),),
    )
    state, second = advance(state, right, at(12))
    assert told(second.events) == []
    assert second.sounding is not None
    assert second.sounding.ends == at(15)
    assert told(advance(state, right, at(60))[1].events)[0] == "15 finished e =played"


def test_a_wrong_future_burns_nothing() -> None:
    """An untrusted clock of 2066, with a STOP in it, leaves no mark on the plan of today."""
    years = timedelta(days=365 * 40)
    plan = situation(item("a", 10, 10), item("b", 30, 5))
    wrong = plan.updated(time_trusted=False, ready_from=at(0) + years, orders=(Stop(at(1) + years),))
    state, _ = advance(State.initial(), wrong, at(5) + years)
    right = plan.updated(ready_from=at(8), orders=())
    assert told(advance(state, right, at(60))[1].events) == [
        "10 started a",
        "20 finished a =played",
        "30 started b",
        "35 finished b =played",
    ]


def test_a_trusted_clock_put_back_repeats_nothing_and_disturbs_nothing() -> None:
    plan = situation(item("a", 10, 10), item("b", 70, 10), item("c", 85, 5))
    state, _ = advance(State.initial(), plan, at(75))
    state, back = advance(state, plan, at(15))
    assert back.events == ()
    assert back.sounding is not None
    assert back.sounding.ends == at(20)
    assert told(advance(state, plan, at(100))[1].events) == [
        "20 finished b =played",
        "85 started c",
        "90 finished c =played",
    ]


def test_a_jitter_backwards_is_waited_out() -> None:
    plan = situation(item("a", 10, 10))
    state, _ = advance(State.initial(), plan, at(15))
    again, decision = advance(state, plan, at(15) - timedelta(seconds=2))
    assert again == state
    assert decision.events == ()


def test_before_it_is_ready_an_agent_says_nothing() -> None:
    plan = situation(item("a", 10, 10), ready_from=at(12))
    state, decision = advance(State.initial(), plan, at(11))
    assert state == State.initial()
    assert (decision.sounding, decision.until) == (None, at(12))


def test_174_years_in_one_step_are_cheap() -> None:
    plan = situation(item("a", 10, 10))
    state, decision = advance(State.initial(), plan, at(0) + timedelta(days=365 * 174))
    assert told(decision.events) == ["10 started a", "20 finished a =played"]
    assert len(state.played) == 1
