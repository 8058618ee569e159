"""Rule 3 of the run: boots, late plans and late audio; and rule 2: nothing twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schedules.arbiter import EventKind, Outcome, Situation, State, advance
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Item, LatePolicy
from tests.unit.schedules.scenario import CLUSTER, JOIN, SKIP, at, item, live, relay, situation, story, told, within


def reboot(of: Situation, off: float, back: float, until: float = 120) -> list[str]:
    """What is told from the boot on, of an agent that was off from one minute to another."""
    state, _ = advance(State.initial(), of, at(off))
    saved = State.from_plain(state.to_plain())
    return told(advance(saved, of.updated(ready_from=at(back)), at(until))[1].events)


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (JOIN, ["12 started a late", "20 finished a =partial"]),
        (SKIP, ["12 skipped a late =skipped"]),
        (within(3), ["12 started a", "22 finished a =played"]),
        (within(1), ["12 missed a late =missed"]),
    ],
)
def test_a_first_boot_in_the_middle(late: LatePolicy, expected: list[str]) -> None:
    assert story(situation(item("a", 10, 10, late=late), ready_from=at(12))) == expected


def test_joining_is_exact_to_the_sample() -> None:
    state, decision = advance(State.initial(), situation(item("a", 10, 10), ready_from=at(12.000_017)), at(13))
    assert decision.sounding is not None
    assert decision.sounding.offset == (at(12.000_017) - at(10)).total_seconds() * 48_000 // 1
    assert decision.sounding.ends is not None
    assert abs(decision.sounding.ends - at(20)) < timedelta(seconds=1 / 48_000)
    assert state.on_air == decision.sounding.occurrence_id


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (JOIN, ["15 resumed a after_restart", "20 finished a =partial"]),
        (SKIP, ["15 cut a agent_was_off =partial"]),
        (within(6), ["15 resumed a after_restart", "25 finished a =played"]),
        (within(4), ["15 cut a agent_was_off =partial"]),
    ],
)
def test_a_reboot_in_the_middle_of_an_item(late: LatePolicy, expected: list[str]) -> None:
    assert reboot(situation(item("a", 10, 10, late=late)), off=13, back=15) == expected


def test_a_reboot_that_lasts_longer_than_the_item() -> None:
    assert reboot(situation(item("a", 10, 10)), off=13, back=25) == ["25 cut a preempted =partial"]


def test_what_fell_into_the_absence_is_missed() -> None:
    plan = situation(item("a", 10, 10), item("b", 30, 5, delay=1), item("c", 50, 5))
    assert reboot(plan, off=25, back=40) == [
        "40 missed b agent_was_off =missed",
        "50 started c",
        "55 finished c =played",
    ]


def test_what_was_played_does_not_start_again_after_a_reboot() -> None:
    plan = situation(item("a", 10, 10, late=within(60), delay=60))
    assert reboot(plan, off=21, back=25) == []


def test_a_paused_item_goes_on_after_a_reboot_where_it_was() -> None:
    plan = situation(item("a", 10, 10), item("b", 13, 4, Priority.PRIORITY_BULLETIN, late=SKIP))
    assert reboot(plan, off=15, back=16) == [
        "16 cut b agent_was_off =partial",
        "16 resumed a",
        "23 finished a =played",
    ]


def test_what_waited_at_the_power_cut_is_late_afterwards() -> None:
    plan = situation(item("a", 10, 10, late=SKIP), item("b", 12, 5, late=within(10)), item("c", 13, 5, late=SKIP))
    assert reboot(plan, off=15, back=16) == [
        "16 cut a agent_was_off =partial",
        "16 skipped c late =skipped",
        "16 started b",
        "21 finished b =played",
    ]


def test_nothing_from_before_the_agent_was_born_is_missed() -> None:
    plan = situation(item("a", 10, 5, delay=1), item("b", 40, 5), ready_from=at(30))
    assert story(plan) == ["40 started b", "45 finished b =played"]


def late_plan(one: Item, known: float, until: float = 120) -> list[str]:
    empty = situation()
    state, _ = advance(State.initial(), empty, at(5))
    return told(advance(state, empty.updated(items=(one,)), at(known), before=empty)[1].events) + told(
        advance(advance(state, empty.updated(items=(one,)), at(known), before=empty)[0], situation(one), at(until))[
            1
        ].events
    )


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (JOIN, ["12 started a late", "20 finished a =partial"]),
        (SKIP, ["12 skipped a late =skipped"]),
        (within(3), ["12 started a", "22 finished a =played"]),
    ],
)
def test_a_plan_that_comes_late(late: LatePolicy, expected: list[str]) -> None:
    assert late_plan(item("a", 10, 10, late=late), known=12) == expected


def test_a_plan_that_comes_far_too_late_is_reported() -> None:
    assert late_plan(item("a", 10, 10), known=50) == ["50 missed a late =missed"]


def test_a_plan_that_comes_two_days_late_is_reported_and_later_is_not() -> None:
    assert late_plan(item("a", 10, 10), known=47 * 60, until=48 * 60) == [f"{47 * 60} missed a late =missed"]
    state, _ = advance(State.initial(), situation(), at(50 * 60))
    assert advance(state, situation(item("a", 10, 10)), at(50 * 60))[1].events == ()


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (JOIN, ["10 waiting a media_missing", "12 started a late", "20 finished a =partial"]),
        (SKIP, ["10 missed a media_missing =missed"]),
        (within(3), ["10 waiting a media_missing", "12 started a", "22 finished a =played"]),
        (within(1), ["10 waiting a media_missing", "11 missed a media_missing =missed"]),
    ],
)
def test_audio_that_comes_late(late: LatePolicy, expected: list[str]) -> None:
    one = item("a", 10, 10, late=late)
    sha = next(iter(one.content.clips)).sha256
    without = situation(one, missing=frozenset({sha}))
    state, first = advance(State.initial(), without, at(12))
    _, second = advance(state, without.updated(missing=frozenset()), at(120))
    assert told(first.events + second.events) == expected


def test_audio_that_never_comes() -> None:
    one = item("a", 10, 10)
    sha = next(iter(one.content.clips)).sha256
    assert story(situation(one, missing=frozenset({sha}))) == [
        "10 waiting a media_missing",
        "20 missed a media_missing =missed",
    ]


def test_an_item_without_audio_lets_others_sound() -> None:
    one = item("a", 10, 10)
    sha = next(iter(one.content.clips)).sha256
    assert story(situation(one, item("b", 12, 2), missing=frozenset({sha}))) == [
        "10 waiting a media_missing",
        "12 started b",
        "14 finished b =played",
        "20 missed a media_missing =missed",
    ]


def test_a_new_plan_never_restarts_what_sounds() -> None:
    one = item("a", 10, 10)
    plan = situation(one)
    state, before = advance(State.initial(), plan, at(13))
    again = plan.updated(items=(replace(one, title="new title", expires=at(40)),))
    _, after = advance(state, again, at(13))
    assert after.events == ()
    assert before.sounding is not None
    assert after.sounding is not None
    assert (after.sounding.since, after.sounding.offset) == (before.sounding.since, before.sounding.offset)


def test_a_new_plan_with_other_sound_ends_the_occurrence() -> None:
    one = item("a", 10, 10)
    state, _ = advance(State.initial(), situation(one), at(13))
    other = situation(replace(one, content=item("x", 10, 3).content))
    assert told(advance(state, other, at(60))[1].events) == ["13 withdrawn a content_changed =withdrawn"]


def test_what_a_new_plan_no_longer_holds_fades_out_and_does_not_come_back() -> None:
    one = item("a", 10, 10)
    state, _ = advance(State.initial(), situation(one), at(13))
    state, gone = advance(state, situation(), at(14), before=situation(one))
    assert [(e.kind, e.occurrence_id, e.code, e.outcome) for e in gone.events if e.at == at(14)] == [
        (EventKind.WITHDRAWN, one.occurrence_for(CLUSTER), "not_in_plan", Outcome.WITHDRAWN)
    ]
    assert advance(state, situation(one), at(60))[1].events == ()


def test_a_relay_goes_on_after_a_reboot_when_its_stream_is_back() -> None:
    window = relay("r", 10, 30)
    plan = situation(window, live=(live(1, 10, 40, Priority.RELAY, of=window),))
    state, _ = advance(State.initial(), plan, at(20))
    dark = plan.updated(ready_from=at(22), live=())
    state, boot = advance(state, dark, at(23))
    assert boot.sounding is None
    bright = dark.updated(live=(live(2, 23, 40, Priority.RELAY, of=window),))
    assert told(advance(state, bright, at(60), before=dark)[1].events)[0] == "40 cut r window_end =partial"
    assert told(advance(state, bright, at(60))[1].events) == ["23 resumed r after_restart", "40 finished r =played"]


def test_after_preempt_skip_is_not_undone_by_a_reboot() -> None:
    plan = situation(item("a", 10, 10, after=AfterPreempt.SKIP), item("b", 13, 4, Priority.DRILL))
    assert reboot(plan, off=14, back=15) == ["15 resumed b after_restart", "17 finished b =partial"]


def test_the_state_survives_its_plain_form() -> None:
    plan = situation(item("a", 10, 10), item("b", 13, 4, Priority.DRILL), live=(live(3, 11, 60),))
    for minute in range(0, 70, 3):
        state, _ = advance(State.initial(), plan, at(minute))
        assert State.from_plain(state.to_plain()) == state


@pytest.mark.parametrize(
    "plain", [{}, {"v": 2}, {"v": 1, "at": "yesterday"}, {**State.initial().to_plain(), "played": 3}]
)
def test_an_unreadable_state_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="arbiter state"):
        State.from_plain(plain)
