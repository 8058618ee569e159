"""A recurrence in two: nothing is lost, nothing comes twice, and what moves moves together."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schedules.recurrence import Recurrence, RecurrenceError, expand, split

FIRST = datetime(2026, 8, 3, 5, 0)  # noqa: DTZ001 - local; a Monday
ZONES = ["Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York"]
RULES = [
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3;COUNT=40",
    "FREQ=WEEKLY;BYDAY=MO,WE,SU",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,FR;WKST=SU",
    "FREQ=MONTHLY;BYMONTHDAY=-1;UNTIL=20270601T000000Z",
    "FREQ=MONTHLY;BYDAY=2TU",
    "FREQ=YEARLY;COUNT=9",
    "FREQ=DAILY;BYHOUR=5,17;BYMINUTE=0;BYSECOND=0",
    "RRULE:FREQ=HOURLY;INTERVAL=7;",
]


def starts(recurrence: Recurrence, limit: int = 120) -> list[datetime]:
    return [each.astimezone(UTC) for each in islice(expand(recurrence), limit)]


days = st.integers(0, 80).map(lambda count: FIRST.date() + timedelta(days=count))
times = st.integers(0, 80 * 24).map(lambda count: FIRST + timedelta(hours=count))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(RULES),
    st.sampled_from(ZONES),
    st.lists(st.one_of(days, times, times.map(lambda at: at.replace(tzinfo=UTC))), max_size=4),
    st.lists(st.one_of(days, times), max_size=3),
    st.integers(0, 30),
)
def test_both_together_are_the_whole(
    rule: str, zone: str, exdates: list[date | datetime], rdates: list[date | datetime], number: int
) -> None:
    whole = Recurrence(FIRST, zone, rule, tuple(exdates), tuple(rdates))
    bare = starts(Recurrence(FIRST, zone, rule), 40)
    at = bare[number % len(bare)]
    expected = starts(whole)
    assume(expected[0] < at)
    before, after = split(whole, at)
    assert starts(before, 1000) == [each for each in expected if each < at]
    following = starts(after)
    assert following[: len([each for each in expected if each >= at])] == [each for each in expected if each >= at]
    assert not set(starts(before, 1000)) & set(following)


def test_what_follows_moves_together() -> None:
    whole = Recurrence(FIRST, ZONES[0], "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=6", (datetime(2026, 8, 17, 5, 0),))  # noqa: DTZ001
    at = datetime(2026, 8, 9, 22, 0, tzinfo=UTC)  # Monday, 10 August, in Vietnam
    before, after = split(whole, at, datetime(2026, 8, 11, 6, 30))  # noqa: DTZ001
    assert (len(starts(before)), after.rrule) == (2, "FREQ=WEEKLY;BYDAY=TU,TH;COUNT=4")
    local = [each.astimezone(UTC) + timedelta(hours=7) for each in starts(after)]
    assert [f"{each:%d %H:%M}" for each in local] == ["11 06:30", "13 06:30", "20 06:30"]  # 18 August stays left out


@pytest.mark.parametrize(
    ("rule", "start", "code"),
    [
        ("FREQ=MONTHLY;BYMONTHDAY=10", datetime(2026, 9, 11, 5, 0), "split_needs_rule"),  # noqa: DTZ001
        ("FREQ=DAILY;BYHOUR=5", datetime(2026, 9, 10, 6, 0), "split_needs_rule"),  # noqa: DTZ001
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", datetime(2026, 9, 11, 5, 0), "split_needs_rule"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_moved_without_guessing_is_refused(rule: str, start: datetime, code: str) -> None:
    whole = Recurrence(FIRST, ZONES[0], rule)
    at = next(each for each in starts(whole) if each > datetime(2026, 9, 1, tzinfo=UTC))
    with pytest.raises(RecurrenceError) as caught:
        split(whole, at, start)
    assert caught.value.code == code


def test_only_between_occurrences_of_the_rule() -> None:
    whole = Recurrence(FIRST, ZONES[0], "FREQ=DAILY")
    first = starts(whole, 1)[0]
    for at, code in ((first, "split_nothing_before"), (first + timedelta(minutes=1), "split_not_there")):
        with pytest.raises(RecurrenceError) as caught:
            split(whole, at)
        assert caught.value.code == code


def test_without_a_rule_there_is_nothing_to_cut_but_extra_dates() -> None:
    whole = Recurrence(FIRST, ZONES[0], None, (), (FIRST + timedelta(days=1),))
    with pytest.raises(RecurrenceError, match="first"):
        split(whole, starts(whole, 1)[0])
