"""Where RFC 5545 has corners: what a rule leaves out, zones, bounds, exceptions; and how a bad rule is refused."""

import time as clock
from datetime import UTC, date, datetime
from typing import Any

import pytest
from dateutil import rrule as du
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.recurrence import Freq, Recurrence, RecurrenceError, expand, parse_rrule, parse_time

HCM = "Asia/Ho_Chi_Minh"
NEW_YORK = "America/New_York"


def found(rule: str | None, start: str, tz: str = "UTC", limit: int | None = 8, **more: Any) -> list[str]:
    recurrence = Recurrence(
        parse_time(start),
        tz,
        rule,
        tuple(map(parse_time, more.pop("exdates", ()))),
        tuple(map(parse_time, more.pop("rdates", ()))),
    )
    return [occurrence.isoformat() for occurrence in expand(recurrence, limit=limit, **more)]


def days(rule: str, start: str, limit: int = 8) -> list[str]:
    return [text[:10] for text in found(rule, start, limit=limit)]


# -- what a rule leaves out ---------------------------------------------------------------------------------------


def test_dtstart_is_an_occurrence_only_if_the_rule_means_it() -> None:
    assert days("FREQ=WEEKLY;BYDAY=WE,FR;COUNT=2", "2019-01-01T10:00") == ["2019-01-02", "2019-01-04"]


def test_a_yearly_week_number_keeps_the_weekday_of_dtstart() -> None:
    assert days("FREQ=YEARLY;BYWEEKNO=1,2;COUNT=4", "2013-01-01T00:00") == [
        "2013-01-01",
        "2013-01-08",
        "2013-12-31",
        "2014-01-07",
    ]


def test_plain_and_numbered_weekdays_mix() -> None:
    assert days("FREQ=MONTHLY;BYDAY=FR,1TU;COUNT=6", "2026-01-01T05:00") == [
        "2026-01-02",
        "2026-01-06",
        "2026-01-09",
        "2026-01-16",
        "2026-01-23",
        "2026-01-30",
    ]


def test_positions_are_counted_from_the_beginning_of_the_first_week() -> None:
    assert days("FREQ=WEEKLY;BYDAY=MO,TU,SU,SA,TH;BYSETPOS=3,2;COUNT=4", "2024-01-02T12:00") == [
        "2024-01-02",
        "2024-01-04",
        "2024-01-09",
        "2024-01-11",
    ]


def test_positions_in_a_first_week_that_began_the_year_before() -> None:
    # 2026-01-01 is a Thursday; the week began on Monday, 2025-12-29.
    assert days("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=3;COUNT=2", "2026-01-01T05:00") == ["2026-01-02", "2026-01-09"]


def test_time_parts_of_a_date_are_ignored() -> None:
    assert found("FREQ=DAILY;BYHOUR=5;BYMINUTE=1,2;INTERVAL=2;COUNT=2", "2024-10-18") == [
        "2024-10-18T00:00:00+00:00",
        "2024-10-20T00:00:00+00:00",
    ]


def test_29_february() -> None:
    assert days("FREQ=YEARLY;COUNT=3", "2024-02-29T05:00") == ["2024-02-29", "2028-02-29", "2032-02-29"]
    assert days("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", "2024-01-31T05:00") == ["2024-01-31", "2024-02-29", "2024-03-31"]


def test_2100_is_no_leap_year() -> None:
    assert days("FREQ=YEARLY;COUNT=2", "2096-02-29T05:00") == ["2096-02-29", "2104-02-29"]


# -- the clock ----------------------------------------------------------------------------------------------------


def test_24_00_is_the_next_days_midnight() -> None:
    assert parse_time("2026-12-31T24:00") == datetime(2027, 1, 1)  # noqa: DTZ001 - local
    assert found("FREQ=DAILY;COUNT=1", "20260228T240000", HCM) == ["2026-03-01T00:00:00+07:00"]


def test_a_rule_crosses_midnight() -> None:
    assert found("FREQ=MINUTELY;INTERVAL=20;COUNT=3", "2026-08-30T23:50", HCM) == [
        "2026-08-30T23:50:00+07:00",
        "2026-08-31T00:10:00+07:00",
        "2026-08-31T00:30:00+07:00",
    ]


def test_times_in_a_gap_move_forward() -> None:
    assert found("FREQ=DAILY;COUNT=3", "2024-03-09T02:30", NEW_YORK) == [
        "2024-03-09T02:30:00-05:00",
        "2024-03-10T03:30:00-04:00",
        "2024-03-11T02:30:00-04:00",
    ]


def test_order_and_distinctness_across_a_gap() -> None:
    assert found("FREQ=MINUTELY;INTERVAL=30;COUNT=7", "2024-03-10T01:00", NEW_YORK, limit=None) == [
        "2024-03-10T01:00:00-05:00",
        "2024-03-10T01:30:00-05:00",
        "2024-03-10T03:00:00-04:00",
        "2024-03-10T03:30:00-04:00",
        "2024-03-10T04:00:00-04:00",
    ]


def test_in_a_fold_the_first_is_taken() -> None:
    assert found("FREQ=DAILY;COUNT=2", "2024-11-02T01:30", NEW_YORK)[1] == "2024-11-03T01:30:00-04:00"


def test_a_day_that_a_zone_skipped() -> None:
    """Samoa had no 30 December 2011: the occurrence moves on to the next day, which has its own already."""
    assert found("FREQ=DAILY;COUNT=4", "2011-12-28T10:00", "Pacific/Apia", limit=None) == [
        "2011-12-28T10:00:00-10:00",
        "2011-12-29T10:00:00-10:00",
        "2011-12-31T10:00:00+14:00",
    ]


# -- ends, exceptions, additions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "count"),
    [
        ("20260103", 3),  # a date: its whole day
        ("20260103T220000", 2),  # local: before 23:00
        ("20260103T230000", 3),  # local, inclusive
        ("20260103T160000Z", 3),  # 23:00 in Việt Nam, inclusive
        ("20260103T155959Z", 2),
        ("20251231", 0),
    ],
)
def test_until(until: str, count: int) -> None:
    assert len(found(f"FREQ=DAILY;UNTIL={until}", "2026-01-01T23:00", HCM)) == count


def test_count_counts_before_exceptions() -> None:
    assert found("FREQ=DAILY;COUNT=3", "2026-01-01T05:00", exdates=["2026-01-02T05:00"]) == [
        "2026-01-01T05:00:00+00:00",
        "2026-01-03T05:00:00+00:00",
    ]


@pytest.mark.parametrize("exdate", ["2026-01-02T05:00", "20260102T050000", "2026-01-01T22:00:00Z", "2026-01-02"])
def test_an_exception_is_a_local_time_an_instant_or_a_whole_day(exdate: str) -> None:
    assert len(found("FREQ=DAILY;COUNT=3", "2026-01-01T05:00", HCM, exdates=[exdate])) == 2


def test_extra_dates_are_merged_once_and_may_be_excepted() -> None:
    rdates = ["2026-01-01T17:00", "2026-01-02T05:00", "2025-12-31T05:00", "2026-01-03T09:00"]
    assert found("FREQ=DAILY;COUNT=2", "2026-01-01T05:00", rdates=rdates, exdates=["2026-01-03"]) == [
        "2025-12-31T05:00:00+00:00",
        "2026-01-01T05:00:00+00:00",
        "2026-01-01T17:00:00+00:00",
        "2026-01-02T05:00:00+00:00",
    ]


def test_without_a_rule_it_happens_once() -> None:
    assert found(None, "2026-01-01T05:00", HCM, rdates=["2026-01-05T05:00"]) == [
        "2026-01-01T05:00:00+07:00",
        "2026-01-05T05:00:00+07:00",
    ]


def test_a_window_does_not_change_the_count() -> None:
    after = datetime(2026, 1, 3, tzinfo=UTC)
    assert found("FREQ=DAILY;COUNT=4", "2026-01-01T05:00", after=after) == [
        "2026-01-03T05:00:00+00:00",
        "2026-01-04T05:00:00+00:00",
    ]


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("", "rule_syntax"),
        ("DAILY", "rule_syntax"),
        ("FREQ=", "rule_syntax"),
        ("COUNT=3", "rule_syntax"),
        ("FREQ=DAILY;FREQ=DAILY", "rule_syntax"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20260101", "rule_syntax"),
        ("FREQ=DAILY;;COUNT=3", "rule_syntax"),
        ("FREQ=DAILY;" + "BYHOUR=1," * 2000, "rule_syntax"),
        ("FREQ=SOMETIMES", "rule_value"),
        ("FREQ=DAILY;COUNT=0", "rule_value"),
        ("FREQ=DAILY;COUNT=-3", "rule_value"),
        ("FREQ=DAILY;INTERVAL=0", "rule_value"),
        ("FREQ=DAILY;INTERVAL=1.5", "rule_value"),
        ("FREQ=DAILY;INTERVAL=٣", "rule_value"),
        ("FREQ=DAILY;BYMONTH=13", "rule_value"),
        ("FREQ=DAILY;BYMONTHDAY=0", "rule_value"),
        ("FREQ=DAILY;BYMONTHDAY=32", "rule_value"),
        ("FREQ=DAILY;BYHOUR=24", "rule_value"),
        ("FREQ=DAILY;BYHOUR=", "rule_syntax"),
        ("FREQ=DAILY;BYHOUR=5,", "rule_value"),
        ("FREQ=DAILY;BYMINUTE=60", "rule_value"),
        ("FREQ=DAILY;BYSECOND=61", "rule_value"),
        ("FREQ=YEARLY;BYWEEKNO=54", "rule_value"),
        ("FREQ=YEARLY;BYYEARDAY=367", "rule_value"),
        ("FREQ=MONTHLY;BYDAY=0MO", "rule_value"),
        ("FREQ=MONTHLY;BYDAY=54MO", "rule_value"),
        ("FREQ=MONTHLY;BYDAY=XX", "rule_value"),
        ("FREQ=DAILY;BYSETPOS=0", "rule_value"),
        ("FREQ=DAILY;WKST=1", "rule_value"),
        ("FREQ=YEARLY;RSCALE=GREGORIAN", "rule_unsupported"),
        ("FREQ=YEARLY;BYEASTER=0", "rule_unsupported"),
        ("FREQ=DAILY;UNTIL=tomorrow", "time_syntax"),
        ("FREQ=DAILY;UNTIL=20260230", "time_out_of_range"),
    ],
)
def test_a_bad_rule_is_refused_with_a_code(rule: str, code: str) -> None:
    with pytest.raises(RecurrenceError) as refused:
        parse_rrule(rule)
    assert refused.value.code == code
    assert str(refused.value)


def test_what_calendars_in_the_field_write_is_read() -> None:
    parts = parse_rrule(" rrule:byday=+1mo,-1su,MO;freq=monthly;BYSECOND=60,59; ".strip())
    assert (parts.freq, parts.byday, parts.bysecond) == (Freq.MONTHLY, ((0, 0), (0, 1), (6, -1)), (59,))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "time_syntax"),
        ("5 o'clock", "time_syntax"),
        ("2026-13-01", "time_out_of_range"),
        ("2026-02-29", "time_out_of_range"),
        ("2026-01-01T25:00", "time_out_of_range"),
        ("2026-01-01T24:01", "time_out_of_range"),
        ("9999-12-31T24:00", "time_out_of_range"),
        ("2026-0101", "time_syntax"),
        ("٢٠٢٦-01-01", "time_syntax"),
    ],
)
def test_a_bad_time_is_refused_with_a_code(text: str, code: str) -> None:
    with pytest.raises(RecurrenceError) as refused:
        parse_time(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-08-30", date(2026, 8, 30)),
        ("20260830", date(2026, 8, 30)),
        ("2026-08-30T05:00", datetime(2026, 8, 30, 5)),  # noqa: DTZ001 - local
        ("2026-08-30 05:00:07", datetime(2026, 8, 30, 5, 0, 7)),  # noqa: DTZ001 - local
        ("20260830T050007Z", datetime(2026, 8, 30, 5, 0, 7, tzinfo=UTC)),
        ("2026-08-30T05:00:00+07:00", datetime(2026, 8, 29, 22, tzinfo=UTC)),
        ("2026-08-30T05:00:60", datetime(2026, 8, 30, 5, 0, 59)),  # noqa: DTZ001 - local, a leap second
    ],
)
def test_times_are_read_as_people_and_calendars_write_them(text: str, expected: date) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize("zone", ["", "Asia/Saigon2", "../../etc/passwd", "/etc/localtime", "Asia", "UTC\x00"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(RecurrenceError) as refused:
        Recurrence(date(2026, 1, 1), zone)
    assert refused.value.code == "unknown_timezone"


def test_the_first_time_must_be_local_and_in_our_calendar() -> None:
    with pytest.raises(RecurrenceError) as refused:
        Recurrence(datetime(2026, 1, 1, tzinfo=UTC), HCM)
    assert refused.value.code == "time_not_local"
    with pytest.raises(RecurrenceError) as refused:
        Recurrence(date(1582, 1, 1), HCM)
    assert refused.value.code == "time_out_of_range"


# -- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYSETPOS=300",
        "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=WEEKLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=1",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYSETPOS=2",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=2;BYSECOND=1",
        "FREQ=SECONDLY;INTERVAL=7;BYDAY=MO;BYHOUR=0;BYMINUTE=0;BYSECOND=1",
        "FREQ=YEARLY;INTERVAL=999999999;BYMONTH=1",
    ],
)
def test_a_rule_that_never_comes_ends(rule: str) -> None:
    begun = clock.monotonic()
    assert found(rule, "2024-10-15T00:00", limit=1) == []
    assert clock.monotonic() - begun < 15  # alone it takes under a second


def test_the_end_of_time_is_an_end() -> None:
    assert found("FREQ=YEARLY", "9997-06-01T00:00", HCM) == ["9997-06-01T00:00:00+07:00", "9998-06-01T00:00:00+07:00"]


RULES = st.sampled_from(
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;BYDAY=MO,WE,SU;INTERVAL=2;WKST=SU",
        "FREQ=WEEKLY;BYDAY=MO,TU,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;BYDAY=2TU,-1SA",
        "FREQ=MONTHLY;BYMONTHDAY=31,-2;INTERVAL=5",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
        "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=MO,SU",
        "FREQ=YEARLY;BYYEARDAY=1,-1,200",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYDAY=20MO,-3FR",
        "FREQ=HOURLY;INTERVAL=7",
        "FREQ=HOURLY;INTERVAL=5;BYDAY=SA;BYMINUTE=0,30",
        "FREQ=MINUTELY;INTERVAL=250",
        "FREQ=MINUTELY;INTERVAL=7;BYHOUR=5,17;BYMONTH=1,7",
        "FREQ=SECONDLY;INTERVAL=4001",
        "FREQ=DAILY;COUNT=400;INTERVAL=2",
        "FREQ=DAILY;UNTIL=20251101T000000Z",
    ]
)
STARTS = st.datetimes(datetime(2023, 1, 1), datetime(2025, 12, 31)).map(lambda d: d.replace(microsecond=0))  # noqa: DTZ001
ZONES = st.sampled_from([HCM, "UTC", NEW_YORK, "Australia/Lord_Howe", "America/Sao_Paulo"])


@settings(max_examples=60, deadline=None)
@given(RULES, STARTS, ZONES, st.datetimes(datetime(2024, 1, 1), datetime(2026, 6, 1)), st.integers(0, 200))  # noqa: DTZ001
def test_a_window_is_a_part_of_the_whole(rule: str, start: datetime, zone: str, after: datetime, length: int) -> None:
    recurrence = Recurrence(start, zone, rule)
    begin = after.replace(tzinfo=UTC)
    end = datetime.fromtimestamp(begin.timestamp() + length * 86_400, UTC)
    whole = [each.astimezone(UTC) for each in expand(recurrence, before=end)]
    part = [each.astimezone(UTC) for each in expand(recurrence, after=begin, before=end)]
    assert part == [each for each in whole if each >= begin]
    assert whole == sorted(set(whole))


@settings(max_examples=60, deadline=None)
@given(RULES, STARTS)
def test_where_dateutil_is_right_we_agree(rule: str, start: datetime) -> None:
    if "BYSETPOS" in rule and "WEEKLY" in rule:
        return  # it begins the first week at DTSTART
    ours = [each.replace(tzinfo=None) for each in expand(Recurrence(start, "UTC", rule), limit=40)]
    theirs = du.rrulestr(rule, dtstart=start.replace(tzinfo=UTC) if "Z" in rule else start)
    assert ours == [each.replace(tzinfo=None) for each, _ in zip(theirs, range(40), strict=False)]
