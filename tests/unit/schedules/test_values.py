"""Instants, the ladder, and the values of a plan."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.instants import duration_of, frames_of, from_unix_us, require_utc, to_unix_us
from schedules.ladder import AmongEquals, Priority, among_equals
from schedules.model import (
    Amplifier,
    ClusterSettings,
    LateKind,
    LatePolicy,
    Overrun,
    QuietHours,
    occurrence_id,
)
from schedules.rules import RecordedContent, RelayContent, Rule
from tests.unit.schedules.scenario import at, item, relay
from tests.unit.schedules.test_compiler import ref, rule


def test_wall_time_is_aware_and_utc() -> None:
    assert require_utc(datetime(2026, 1, 1, tzinfo=UTC)).year == 2026
    for wrong in (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=7)))):  # noqa: DTZ001
        with pytest.raises(ValueError, match="UTC"):
            require_utc(wrong)


@given(st.integers(0, 10**12))
def test_a_sound_never_lasts_less_than_its_samples(frames: int) -> None:
    assert frames <= frames_of(duration_of(frames)) <= frames + 1


@given(st.integers(-(10**15), 10**16))
def test_unix_time_and_back(us: int) -> None:
    assert to_unix_us(from_unix_us(us)) == us


def test_the_ladder() -> None:
    assert [int(p) for p in sorted(Priority, reverse=True)] == [100, 90, 80, 70, 60, 50, 40, 30, 20, 10]
    assert {p for p in Priority if p.crosses_quiet_hours} == {p for p in Priority if p >= 80}
    newest = [p for p in Priority if among_equals(p) is AmongEquals.NEWEST_WINS]
    assert newest == [Priority.EMERGENCY_LIVE]


def test_an_occurrence_keeps_its_name_and_no_two_share_one() -> None:
    # A golden value: it is on the disks of agents and in their records.
    name = occurrence_id("pr_a", datetime(2026, 8, 30, tzinfo=UTC), "cl_a")
    assert name == "ab0274dee06ae11a1fae5720410d566e163dbf478fd90fcf0257adeef5d16cef"
    assert name == item("pr_a", 0, 1).occurrence_for("cl_a")
    others = {
        occurrence_id(*parts) for parts in (("pr_a", at(0), "cl_b"), ("pr_b", at(0), "cl_a"), ("pr_a", at(1), "cl_a"))
    }
    assert len(others | {name}) == 4


def test_the_nominal_end() -> None:
    assert item("a", 10, 5).nominal_end == at(15)
    assert item("a", 10, 5, slot=3, overrun=Overrun.CUT_WITH_FADE).nominal_end == at(13)
    assert item("a", 10, 5, slot=3).nominal_end == at(15)
    assert relay("r", 10, 30).nominal_end == at(40)


def test_values_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="within"):
        LatePolicy(LateKind.JOIN, timedelta(1))
    with pytest.raises(ValueError, match="within"):
        LatePolicy(LateKind.PLAY_FULL)
    with pytest.raises(ValueError, match="different"):
        QuietHours(time(5), time(5))
    with pytest.raises(ValueError, match="pin"):
        Amplifier("gpio")
    with pytest.raises(ValueError, match="sorted"):
        ClusterSettings("a", "UTC", gains=((Priority.RELAY, 1.0), (Priority.FILLER, 1.0)))
    with pytest.raises(ValueError, match="repeat"):
        RecordedContent((ref("x"),), repeat=11)
    with pytest.raises(ValueError, match="gap"):
        RecordedContent((ref("x"),), gap=timedelta(hours=3))
    good = rule("r")
    with pytest.raises(ValueError, match="slot"):
        Rule("r", "r", Priority.RELAY, good.recurrence, RelayContent("so_1"), good.targets)
