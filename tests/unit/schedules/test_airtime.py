"""Quiet hours on a zone's time line."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.airtime import cap_of, may_sound, next_quiet_begin, next_quiet_change, overlaps_quiet, quiet_at
from schedules.ladder import Priority
from schedules.model import QuietHours
from tests.unit.schedules.scenario import SETTINGS, item, relay

NIGHT = replace(SETTINGS, quiet_hours=QuietHours(time(21, 30), time(4, 45)))
NOON = replace(SETTINGS, quiet_hours=QuietHours(time(11, 30), time(13)))
NEVER = replace(SETTINGS, quiet_hours=None)


def local(hour: int, minute: int = 0, day: int = 30) -> datetime:
    """A time of day in Việt Nam (seven hours ahead)."""
    return datetime(2026, 8, day, hour, minute, tzinfo=UTC) - timedelta(hours=7)


@pytest.mark.parametrize(
    ("start", "end", "touched"),
    [
        (local(21, 0), local(21, 30), False),
        (local(21, 0), local(21, 30) + timedelta(microseconds=1), True),
        (local(4, 45), local(5), False),
        (local(4, 44), local(5), True),
        (local(0), local(1), True),
        (local(5), local(21), False),
        (local(5), local(5, day=31), True),
        (local(12), local(12), False),
        (local(12), local(12, day=31) + timedelta(days=40), True),
    ],
)
def test_overlap(start: datetime, end: datetime, *, touched: bool) -> None:
    assert overlaps_quiet(NIGHT, start, end) is touched
    assert not overlaps_quiet(NEVER, start, end)


def test_quiet_hours_within_one_day() -> None:
    assert [quiet_at(NOON, local(hour, 30)) for hour in (10, 11, 12, 13)] == [False, True, True, False]


def test_the_next_change() -> None:
    assert next_quiet_change(NIGHT, local(12)) == local(21, 30)
    assert next_quiet_change(NIGHT, local(21, 30)) == local(4, 45, day=31)
    assert next_quiet_begin(NIGHT, local(21, 30)) == local(21, 30, day=31)
    assert next_quiet_change(NEVER, local(12)) is None
    assert next_quiet_begin(NEVER, local(12)) is None


@pytest.mark.parametrize("day", [datetime(2024, 3, 10, tzinfo=UTC), datetime(2024, 11, 3, tzinfo=UTC)])
def test_a_clock_change_opens_no_hole(day: datetime) -> None:
    """The night of a clock change in New York is quiet from its begin to its end, without a break."""
    there = replace(NIGHT, timezone="America/New_York")
    begin = next_quiet_begin(there, day - timedelta(hours=12))
    assert begin is not None
    end = next_quiet_change(there, begin)
    assert end is not None
    assert end - begin in (timedelta(hours=6, minutes=15), timedelta(hours=8, minutes=15))
    assert all(quiet_at(there, begin + (end - begin) * part / 20) for part in range(20))
    assert not quiet_at(there, end)


def test_quiet_hours_that_a_gap_swallows_are_none() -> None:
    there = replace(NIGHT, timezone="America/New_York", quiet_hours=QuietHours(time(2, 10), time(2, 40)))
    gap = datetime(2024, 3, 10, 6, tzinfo=UTC)
    assert overlaps_quiet(there, gap, gap + timedelta(hours=6))  # moved forward, as every time in a gap
    assert next_quiet_change(there, gap) == datetime(2024, 3, 10, 7, 10, tzinfo=UTC)


@given(st.integers(0, 1440 * 3), st.integers(1, 1440))
def test_overlap_is_what_the_minutes_say(start: int, length: int) -> None:
    begin = local(0) + timedelta(minutes=start)
    minutes = (quiet_at(NIGHT, begin + timedelta(minutes=minute)) for minute in range(length))
    assert overlaps_quiet(NIGHT, begin, begin + timedelta(minutes=length)) == any(minutes)


def test_only_emergencies_may_and_the_caps_depend_on_the_kind() -> None:
    allowed = {p for p in Priority if may_sound(NIGHT, p, local(22), local(23))}
    assert allowed == {p for p in Priority if p >= 80}
    assert cap_of(NIGHT, item("a", 0, 5)) == timedelta(minutes=180)
    assert cap_of(NIGHT, relay("r", 0, 5)) == timedelta(minutes=720)
