"""Single occurrences: one that is moved never sounds twice, one with a sound of its own sounds that alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.arbiter import EventKind, Situation, State, advance
from schedules.compiler import check_rule, compile_plan, forecast, kinds_of
from schedules.model import Recorded
from schedules.rules import RecordedContent, RelayContent, Rule
from tests.unit.schedules.test_compiler import FIRST, cluster, items, ref, rule
from tests.unit.schedules.test_forecast import BEGIN

PLACE = cluster("a")
DAILY = rule("daily", "12:00", "FREQ=DAILY", ref("usual", None, 600), targets=("a",))


def planned(one: Rule) -> Situation:
    found = tuple(items(compile_plan([one], [PLACE], first_day=FIRST, days=4)))
    return Situation(PLACE, found, ready_from=BEGIN - timedelta(days=1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.integers(-300, 300), st.integers(-900, 900), st.booleans())
def test_a_moved_occurrence_never_restarts(number: int, minutes: int, moment: int, back: bool) -> None:
    """Whenever the edit comes (before, while it sounds, after), and even when it is taken back."""
    before = planned(DAILY)
    chosen = before.items[number]
    moved = replace(DAILY, moved=((chosen.recurrence, chosen.start + timedelta(minutes=minutes)),))
    after = planned(moved)
    assert {item.recurrence for item in after.items} == {item.recurrence for item in before.items}
    edit = chosen.start + timedelta(seconds=moment)
    state, first = advance(State.initial(), before, edit)
    state, second = advance(state, after, edit + timedelta(seconds=5), before=before)
    events = [*first.events, *second.events]
    if back:
        state, third = advance(state, before, edit + timedelta(seconds=60), before=after)
        events += third.events
    _, last = advance(state, before if back else after, BEGIN + timedelta(days=5))
    started = Counter(event.occurrence_id for event in (*events, *last.events) if event.kind is EventKind.STARTED)
    assert set(started.values()) == {1}


def test_one_occurrence_has_a_sound_of_its_own() -> None:
    before = planned(DAILY)
    own = RecordedContent((ref("own", None, 60),))
    changed = planned(replace(DAILY, replaced=((before.items[1].recurrence, own),)))
    sounds = [item.content.clips[0].sha256[:5] for item in changed.items]
    assert sounds == ["usual", "own00", "usual", "usual"]
    assert changed.items[0] == before.items[0]
    content = changed.items[1].content
    assert isinstance(content, Recorded)
    assert content.duration == timedelta(seconds=60)


def test_one_without_recordings_does_not_sound_and_is_shown_so() -> None:
    chosen = planned(DAILY).items[1].recurrence
    hole = replace(DAILY, replaced=((chosen, RecordedContent(())),))
    assert chosen not in {item.recurrence for item in planned(hole).items}
    found, _ = forecast(hole, kinds_of([PLACE]), BEGIN, BEGIN + timedelta(days=4))
    assert {each.recurrence for each in found if each.lacking} == {chosen}


def test_a_language_that_only_one_occurrence_speaks() -> None:
    spoken = rule("spoken", "12:00", "FREQ=DAILY", ref("vi", "vi"), targets=("a",))
    bru = cluster("a", "bru")
    chosen = planned(DAILY).items[1].recurrence
    own = replace(spoken, replaced=((chosen, RecordedContent((ref("bru", "bru"),))),))
    plan = compile_plan([own], [bru], first_day=FIRST, days=4)
    assert [item.recurrence for item in items(plan)] == [chosen]
    assert [problem.code for problem in plan.problems] == ["language_uncovered"]


def test_a_long_sound_of_one_occurrence_is_checked_like_all() -> None:
    chosen = planned(DAILY).items[1].recurrence
    long = replace(DAILY, replaced=((chosen, RecordedContent((ref("long", None, 10 * 3600),))),))
    assert {"too_long", "quiet_hours"} <= {problem.code for problem in check_rule(long, [], [PLACE], now=BEGIN)}


def test_a_relay_has_none() -> None:
    with pytest.raises(ValueError, match="relay"):
        replace(DAILY, content=RelayContent("so"), slot=timedelta(hours=1), replaced=((BEGIN, RecordedContent(())),))
