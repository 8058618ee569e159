"""What the desk refuses, by code."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schedules.compiler import Problem, check_rule
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Clip, Overrun
from schedules.recurrence import Recurrence
from schedules.rules import RecordedContent, RelayContent, Rule
from tests.unit.schedules.test_compiler import HCM, cluster, ref, rule

NOW = datetime(2026, 8, 30, 3, tzinfo=UTC)  # Sunday, 10:00
CLUSTERS = [cluster("a"), cluster("b", "bru", "vi"), cluster("c", "vi", "pako")]


def check(one: Rule, *others: Rule, now: datetime = NOW) -> list[Problem]:
    return list(check_rule(one, others, CLUSTERS, now=now))


def codes(one: Rule, *others: Rule) -> list[str]:
    return [problem.code for problem in check(one, *others)]


def once(local: datetime) -> Recurrence:
    return Recurrence(local, HCM)


def test_a_good_rule_has_no_problem() -> None:
    assert check(rule("r"), rule("other", "06:00")) == []


def test_quiet_hours_with_the_first_instant_and_a_clear_word() -> None:
    problem = check(rule("r", "21:25", "FREQ=WEEKLY;BYDAY=SA", ref("x", seconds=600)))[0]
    assert (problem.code, problem.warning, problem.cluster_id) == ("quiet_hours", False, "a")
    assert problem.at == datetime(2026, 9, 5, 14, 25, tzinfo=UTC)
    assert "21:30" in problem.message
    emergency = rule("e", "21:25", "FREQ=WEEKLY;BYDAY=SA", ref("x", seconds=600), priority=Priority.EMERGENCY_STORED)
    assert codes(emergency) == []


def test_quiet_hours_are_found_in_a_single_language_group() -> None:
    """Only where two languages are spoken does it last into the night."""
    both = rule("r", "21:25", "FREQ=DAILY", ref("x", "vi", 240), ref("y", "bru", 240))
    problem = next(p for p in check(both) if p.code == "quiet_hours")
    assert problem.cluster_id == "b"


@pytest.mark.parametrize("priority", [Priority.PROGRAMME, Priority.RELAY])
def test_overlap_of_equals_is_refused(priority: Priority) -> None:
    more: dict[str, Any] = {"priority": priority}
    if priority is Priority.RELAY:
        more |= {"content": RelayContent("so_1"), "slot": timedelta(minutes=10)}
    one = rule("one", "05:30", "FREQ=DAILY", ref("x", seconds=600), **more)
    two = rule("two", "05:39", "FREQ=WEEKLY;BYDAY=WE", **more)
    problem = check(two, one)[0]
    assert (problem.code, problem.at) == ("overlap", datetime(2026, 9, 1, 22, 39, tzinfo=UTC))
    assert problem.other
    assert [p.code for p in check(one, two)] == ["overlap"]
    assert codes(rule("two", "05:40", "FREQ=WEEKLY;BYDAY=WE", **more), one) == []


def test_no_overlap_without_a_shared_cluster_or_with_another_class_or_with_itself() -> None:
    one = rule("one", "05:30", "FREQ=DAILY", ref("x", seconds=600), targets=["a"])
    assert codes(rule("two", "05:35", targets=["b"]), one) == []
    assert codes(rule("two", "05:35", priority=Priority.PRIORITY_BULLETIN), one) == []
    assert codes(replace(one, title="new title"), one) == []


def test_an_overlap_two_months_ahead_is_found() -> None:
    one = rule("one", "05:30", "FREQ=MONTHLY;BYMONTHDAY=28", ref("x", seconds=600))
    two = rule("two", recurrence=once(datetime(2026, 10, 28, 5, 35)))  # noqa: DTZ001 - local
    assert codes(two, one) == ["overlap"]


def test_one_that_runs_already_overlaps_what_begins_now() -> None:
    began = once(datetime(2026, 8, 30, 9, 58))  # noqa: DTZ001 - local
    running = rule("one", recurrence=began, content=RecordedContent((ref("x", None, 600),)))
    assert codes(rule("two", recurrence=once(datetime(2026, 8, 30, 10, 1))), running) == ["overlap"]  # noqa: DTZ001


def test_a_rule_that_meets_itself() -> None:
    assert "overlap" in codes(rule("r", "05:30", "FREQ=HOURLY;BYHOUR=6,7", ref("x", seconds=4000)))


def test_the_past_and_never() -> None:
    assert codes(rule("r", recurrence=once(datetime(2026, 8, 30, 9)))) == ["in_past"]  # noqa: DTZ001
    assert codes(rule("r", "05:30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")) == ["never"]
    assert codes(rule("r", "05:30", "FREQ=DAILY;UNTIL=20260810")) == ["in_past"]
    moved = ((datetime(2026, 8, 31, tzinfo=UTC), NOW - timedelta(hours=1)),)
    assert codes(rule("r", recurrence=once(datetime(2026, 8, 31, 7)), moved=moved)) == ["in_past"] * 2  # noqa: DTZ001


def test_a_rule_that_comes_only_next_year_is_judged_there() -> None:
    assert codes(rule("r", recurrence=once(datetime(2027, 3, 1, 22)))) == ["quiet_hours"]  # noqa: DTZ001


def test_lengths() -> None:
    assert codes(rule("r", "05:30", "FREQ=DAILY", ref("x", seconds=181 * 60))) == ["too_long"]
    day_long = rule("r", content=RelayContent("so_1"), slot=timedelta(hours=13), priority=Priority.RELAY)
    assert "too_long" in codes(day_long)
    slot = rule("r", slot=timedelta(seconds=30), overrun=Overrun.CUT_WITH_FADE)
    problem = check(slot)[0]
    assert (problem.code, problem.warning) == ("longer_than_slot", True)


def test_targets() -> None:
    assert codes(rule("r", targets=[])) == ["no_target"]
    assert codes(rule("r", targets=["nowhere"])) == ["no_target", "unknown_target"]
    problem = check(rule("r", targets=["a", "nowhere"]))[0]
    assert (problem.code, problem.warning) == ("unknown_target", True)


def test_content() -> None:
    assert "no_content" in codes(rule("r", content=RecordedContent(())))
    assert "no_content" in codes(rule("r", "05:30", "FREQ=DAILY", ref("x", seconds=0)))
    assert codes(rule("r", "05:30", "FREQ=DAILY", replace(ref("x"), approval=None))) == ["not_approved"]
    fallback = RelayContent("so_1", (Clip("f" * 64, Frames(48_000)),))
    relay = rule("r", content=fallback, slot=timedelta(minutes=5), priority=Priority.RELAY)
    assert codes(relay) == ["not_approved"]


def test_languages_that_are_not_covered_are_a_warning() -> None:
    found = [p for p in check(rule("r", "05:30", "FREQ=DAILY", ref("x", "vi"))) if p.code == "language_uncovered"]
    assert {(p.cluster_id, p.warning) for p in found} == {("b", True), ("c", True)}
    assert codes(rule("r", "05:30", "FREQ=DAILY", ref("x", None))) == []


def test_too_often() -> None:
    assert "too_often" in codes(rule("r", "05:30", "FREQ=SECONDLY", ref("x", seconds=1), priority=Priority.FILLER))
