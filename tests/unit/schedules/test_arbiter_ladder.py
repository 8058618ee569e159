"""Rule 1 and 3 of the run: who is heard, and how one makes way for another."""

import pytest

from schedules.arbiter import Sounding, Span, State, advance, timeline
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Overrun
from tests.unit.schedules.scenario import DAY, amplifier, at, decide, item, live, relay, situation, story

BULLETIN = Priority.PRIORITY_BULLETIN


def spans(found: tuple[Span, ...]) -> list[tuple[str, float, float, float]]:
    """What sounds: name, minutes, and the minute of its sound at which it begins."""
    return [
        (
            span.sounding.item.rule_id if span.sounding.item else str(span.sounding.stream_id),
            (span.begin - DAY).total_seconds() / 60,
            (span.end - DAY).total_seconds() / 60,
            span.sounding.offset / 48_000 / 60,
        )
        for span in found
    ]


def heard(*items: object, until: float = 120, **changes: object) -> list[tuple[str, float, float, float]]:
    of = situation(*items, **changes)  # type: ignore[arg-type]
    return spans(timeline(of, DAY, at(until)))


def test_an_item_starts_at_its_start_and_ends_at_its_end() -> None:
    plan = situation(item("a", 10, 5))
    assert story(plan) == ["10 started a", "15 finished a =played"]
    before = decide(plan, 9)
    assert before.sounding is None
    assert before.until == at(10)
    assert before.upcoming is not None
    assert before.upcoming.since == at(10)
    on_air = decide(plan, 12)
    assert on_air.sounding is not None
    assert (on_air.sounding.since, on_air.sounding.offset, on_air.sounding.ends) == (at(10), 0, at(15))
    assert not on_air.sounding.fade
    assert on_air.until == at(15)
    assert decide(plan, 15).until is None


def test_a_higher_class_silences_and_the_lower_resumes_at_its_sample() -> None:
    assert heard(item("a", 10, 10), item("b", 13, 2, BULLETIN)) == [
        ("a", 10, 13, 0),
        ("b", 13, 15, 0),
        ("a", 15, 22, 3),
    ]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (AfterPreempt.RESUME, [("a", 15, 22, 3)]),
        (AfterPreempt.RESTART, [("a", 15, 25, 0)]),
        (AfterPreempt.JOIN, [("a", 15, 20, 5)]),
        (AfterPreempt.SKIP, []),
    ],
)
def test_after_preempt(after: AfterPreempt, expected: list[tuple[str, float, float, float]]) -> None:
    assert heard(item("a", 10, 10, after=after), item("b", 13, 2, BULLETIN))[2:] == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (AfterPreempt.RESUME, [("a", 15, 25, 0)]),
        (AfterPreempt.RESTART, [("a", 15, 25, 0)]),
        (AfterPreempt.JOIN, [("a", 15, 20, 5)]),
        (AfterPreempt.SKIP, []),
    ],
)
def test_after_preempt_decides_too_when_the_higher_class_was_there_first(
    after: AfterPreempt, expected: list[tuple[str, float, float, float]]
) -> None:
    assert heard(item("b", 9, 6, BULLETIN), item("a", 10, 10, after=after))[1:] == expected


def test_a_skipped_item_says_so_once() -> None:
    plan = situation(item("a", 10, 10, after=AfterPreempt.SKIP), item("b", 13, 2, BULLETIN))
    assert story(plan) == [
        "10 started a",
        "13 skipped a after_preempt =partial",
        "13 started b",
        "15 finished b =played",
    ]


def test_an_equal_waits_and_plays_from_its_beginning() -> None:
    assert heard(item("a", 10, 10), item("b", 15, 5, after=AfterPreempt.SKIP)) == [("a", 10, 20, 0), ("b", 20, 25, 0)]


def test_equals_that_wait_come_first_due_first() -> None:
    assert [name for name, *_ in heard(item("a", 10, 10), item("c", 16, 2), item("b", 15, 2), item("d", 15.5, 2))] == [
        "a",
        "b",
        "d",
        "c",
    ]


def test_who_waits_too_long_expires() -> None:
    plan = situation(item("a", 10, 30), item("b", 15, 5, delay=10))
    assert story(plan) == ["10 started a", "30 missed b expired =missed", "40 finished a =played"]


def test_one_that_gets_the_air_too_late_is_cut_at_its_expiry() -> None:
    plan = situation(item("a", 10, 12), item("b", 15, 5, delay=5))
    assert story(plan)[-2:] == ["22 started b", "25 cut b expired =partial"]
    ends = decide(plan, 23).sounding
    assert ends is not None
    assert (ends.ends, ends.fade) == (at(25), True)


def test_of_live_emergency_voices_the_newest_sounds_and_the_older_comes_back() -> None:
    voices = (live(1, 10, 30, Priority.EMERGENCY_LIVE), live(2, 15, 20, Priority.EMERGENCY_LIVE))
    assert [(name, begin, end) for name, begin, end, _ in heard(live=voices)] == [
        ("1", 10, 15),
        ("2", 15, 20),
        ("1", 20, 30),
    ]


def test_of_other_live_sources_the_first_goes_on() -> None:
    sources = (live(1, 10, 20), live(2, 15, 25))
    assert [(name, begin, end) for name, begin, end, _ in heard(live=sources)] == [("1", 10, 20), ("2", 20, 25)]


def test_preemption_nests() -> None:
    plan = (
        relay("r", 0, 60),
        item("a", 10, 20, delay=30),
        item("b", 15, 10, BULLETIN),
        item("e", 18, 1, Priority.DRILL),
    )
    source = (live(7, 0, 60, Priority.RELAY, of=plan[0]),)
    assert [(name, begin, end) for name, begin, end, _ in heard(*plan, live=source)] == [
        ("r", 0, 10),
        ("a", 10, 15),
        ("b", 15, 18),
        ("e", 18, 19),
        ("b", 19, 26),
        ("a", 26, 41),
        ("r", 41, 60),
    ]


def test_overrun_cuts_at_the_slot_or_lets_finish() -> None:
    cut = item("a", 10, 10, overrun=Overrun.CUT_WITH_FADE, slot=8)
    assert story(situation(cut)) == ["10 started a", "18 cut a slot_end =partial"]
    assert story(situation(item("a", 10, 10, slot=8))) == ["10 started a", "20 finished a =played"]


def test_the_caps_of_the_agent_hold_whatever_the_plan_says() -> None:
    assert story(situation(item("a", 10, 200))) == ["10 started a", "190 cut a too_long =partial"]


def test_no_sound_is_refused() -> None:
    assert story(situation(item("a", 10, 0))) == ["10 refused a empty =refused"]


def test_upcoming_tells_what_comes_back_too() -> None:
    plan = situation(item("a", 10, 10), item("b", 13, 2, BULLETIN))
    upcoming = decide(plan, 14).upcoming
    assert upcoming is not None
    assert upcoming.item is not None
    assert (upcoming.item.rule_id, upcoming.since, upcoming.offset) == ("a", at(15), 3 * 60 * 48_000)


def test_upcoming_is_the_next_occurrence_also_behind_a_refused_one() -> None:
    night = item("night", 14 * 60 + 31, 5)  # 21:31
    plan = situation(night, item("a", 24 * 60, 5))
    upcoming = decide(plan, 5).upcoming
    assert upcoming is not None
    assert upcoming.since == at(24 * 60)


def test_the_amplifier_leads_and_trails_the_sound() -> None:
    plan = situation(item("a", 10, 5))
    settings = plan.settings
    plan = plan.updated(settings=type(settings)(settings.cluster_id, settings.timezone, amplifier=amplifier(1, 2)))
    on = [minute for minute in (8, 9, 10, 12, 15, 16, 17, 18) if decide(plan, minute).amplifier]
    assert on == [9, 10, 12, 15, 16]
    assert decide(plan, 5).until == at(9)
    assert decide(plan, 15).until == at(17)


def test_the_timeline_is_what_the_agent_does() -> None:
    plan = situation(item("a", 10, 10), item("b", 13, 2, BULLETIN), item("c", 16, 3))
    state, decision = advance(State.initial(), plan, DAY)
    seen: list[Sounding] = []
    while decision.until is not None:
        state, decision = advance(state, plan, decision.until)
        if decision.sounding is not None and decision.sounding not in seen:
            seen.append(decision.sounding)
    assert [span.sounding for span in timeline(plan, DAY, at(120))] == seen


def test_a_timeline_may_begin_in_the_middle() -> None:
    assert spans(timeline(situation(item("a", 10, 10)), at(12), at(15))) == [("a", 12, 15, 0)]
