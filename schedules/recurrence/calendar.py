"""From a rule's parts to naive local times: which days a rule means, and which times of them.

python-dateutil decides which days of a year the day parts (BYMONTH, BYMONTHDAY, BYYEARDAY, BYWEEKNO, BYDAY) choose. It
is asked one year at a time and at most once for each kind of year, because its own iteration cannot be bounded (a rule
that never yields walks to the year 9999), cannot begin in the middle, and differs from RFC 5545 in what is done here
instead:

1. What a rule leaves out comes from DTSTART, also the weekday of a yearly BYWEEKNO.
2. BYDAY may mix plain and numbered weekdays; numbers mean something in YEARLY and MONTHLY rules only.
3. BYSETPOS chooses from the whole period, also from the first, in which DTSTART may lie late.
4. A time part of a rule whose DTSTART is a date is ignored.
5. DTSTART is the first occurrence only if the rule means it.

Cost: the years up to 9999 at some microseconds each; a rule faster than daily gives up after :data:`BARREN_STEPS` steps
without an occurrence.

Not here: COUNT, UNTIL, zones, exceptions (:mod:`schedules.recurrence.expansion`).
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import isleap
from collections.abc import Iterator
from dataclasses import replace
from datetime import MAXYEAR, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby, product
from math import gcd
from typing import Any, NamedTuple

from dateutil import rrule as du

from schedules.recurrence.parts import Freq, RuleParts

#: Hours, minutes or seconds looked at in vain after which a rule faster than daily has ended (a second of work).
BARREN_STEPS = 500_000

_ONLY_THIS_YEAR = 10_000  # an interval that leads dateutil beyond year 9999 at once
_UNIT_SECONDS = {Freq.HOURLY: 3600, Freq.MINUTELY: 60, Freq.SECONDLY: 1}
_HOUR = 3600
_DAY_SECONDS = 86_400


def occurrences(parts: RuleParts, first: datetime, *, dated: bool, start: date, end: date) -> Iterator[datetime]:
    """Naive local times of the rule, ascending, not before ``first`` (DTSTART).

    Args:
        parts: the rule.
        first: DTSTART, naive local.
        dated: DTSTART is a date.
        start: periods that end before this day may be left out.
        end: no day after it is looked at.
    """
    rule = _completed(parts, first, dated=dated)
    days = _Days(rule, first.date())
    if rule.freq > Freq.DAILY:
        begin = max(start, first.date())
        times = _fast(rule, first, (day for day in days.between(begin, end) if day >= begin))
    else:
        times = _slow(rule, first, days, start, end)
    return (moment for moment in times if moment >= first)


def _completed(parts: RuleParts, first: datetime, *, dated: bool) -> RuleParts:
    """The rule with what it leaves out taken from DTSTART (rules 1, 2 and 4)."""
    rule = parts
    if dated:
        rule = replace(rule, byhour=(), byminute=(), bysecond=())
    if rule.freq > Freq.MONTHLY:
        rule = replace(rule, byday=tuple(sorted({(weekday, 0) for weekday, _ in rule.byday})))
    if not (rule.bymonthday or rule.byyearday or rule.byday):
        if rule.byweekno:
            if rule.freq is Freq.YEARLY:
                rule = replace(rule, byday=((first.weekday(), 0),))
        elif rule.freq is Freq.YEARLY:
            rule = replace(rule, bymonth=rule.bymonth or (first.month,), bymonthday=(first.day,))
        elif rule.freq is Freq.MONTHLY:
            rule = replace(rule, bymonthday=(first.day,))
        elif rule.freq is Freq.WEEKLY:
            rule = replace(rule, byday=((first.weekday(), 0),))
    if rule.freq is Freq.MONTHLY and not rule.bymonth:
        rule = replace(rule, bymonth=tuple(range(1, 13)))  # makes dateutil count weekdays within the month
    return rule


class _YearKind(NamedTuple):
    """What decides which days of a year match: its first weekday, its length, and the year before's length."""

    weekday: int
    leap: bool
    leap_before: bool


class _DayParts(NamedTuple):
    """The parts of a rule that choose days."""

    wkst: int
    bymonth: tuple[int, ...]
    bymonthday: tuple[int, ...]
    byyearday: tuple[int, ...]
    byweekno: tuple[int, ...]
    byday: tuple[tuple[int, int], ...]


def _kind_of(year: int) -> _YearKind:
    return _YearKind(date(year, 1, 1).weekday(), isleap(year), isleap(year - 1))


@lru_cache(maxsize=32)
def _year_of(kind: _YearKind) -> int:
    """A year of this kind: all kinds come within the calendar's cycle of 400 years."""
    return next(year for year in range(1600, 2000) if _kind_of(year) == kind)


@lru_cache(maxsize=4096)
def _ask_dateutil(parts: _DayParts, kind: _YearKind) -> tuple[int, ...]:
    """Offsets of the chosen days from 1 January. Numbered and plain weekdays are asked apart: dateutil ANDs them."""
    common: dict[str, Any] = {
        "dtstart": datetime(_year_of(kind), 1, 1),  # noqa: DTZ001 - local times are naive until they meet their zone
        "interval": _ONLY_THIS_YEAR,
        "wkst": parts.wkst,
        "bymonth": parts.bymonth or None,
        "bymonthday": parts.bymonthday or None,
        "byyearday": parts.byyearday or None,
        "byweekno": parts.byweekno or None,
    }
    plain = [weekday for weekday, nth in parts.byday if not nth]
    numbered = [du.weekday(weekday, nth) for weekday, nth in parts.byday if nth]
    asked: list[list[Any]] = [plain, numbered] if plain or numbered else [list(range(7))]
    days: set[int] = set()
    for weekdays in filter(None, asked):
        days.update(moment.timetuple().tm_yday - 1 for moment in du.rrule(du.YEARLY, byweekday=weekdays, **common))
    return tuple(sorted(days))


class _Days:
    """The days a rule's day parts choose, in the periods its interval reaches."""

    def __init__(self, rule: RuleParts, first: date) -> None:
        self._rule = rule
        self._first = first
        self._parts = _DayParts(rule.wkst, rule.bymonth, rule.bymonthday, rule.byyearday, rule.byweekno, rule.byday)
        self._week = first - timedelta(days=(first.weekday() - rule.wkst) % 7)

    def between(self, start: date, end: date) -> Iterator[date]:
        """Chosen days from ``start`` to ``end``; with BYSETPOS from the year of ``start`` (it needs whole periods)."""
        step = self._rule.interval if self._rule.freq is Freq.YEARLY else 1
        begin = self._first.year + max(0, start.year - self._first.year) // step * step
        for year in range(begin, min(end.year, MAXYEAR) + 1, step):
            new_year = date(year, 1, 1).toordinal()
            offsets = _ask_dateutil(self._parts, _kind_of(year))
            skipped = 0 if self._rule.bysetpos else bisect_left(offsets, start.toordinal() - new_year)
            for offset in offsets[skipped:]:
                day = date.fromordinal(new_year + offset)
                if day > end:
                    return
                if self.period(day) is not None:
                    yield day

    def period(self, day: date) -> int | None:
        """The number of the day's period from DTSTART's; None when the interval skips it."""
        match self._rule.freq:
            case Freq.YEARLY:
                number = day.year - self._first.year
            case Freq.MONTHLY:
                number = (day.year - self._first.year) * 12 + day.month - self._first.month
            case Freq.WEEKLY:
                number = (day - self._week).days // 7
            case Freq.DAILY:
                number = (day - self._first).days
            case _:
                return 0
        return None if number < 0 or number % self._rule.interval else number


def _slow(rule: RuleParts, first: datetime, days: _Days, start: date, end: date) -> Iterator[datetime]:
    """Yearly to daily: each period is its days times the times of a day."""
    hours, minutes = rule.byhour or (first.hour,), rule.byminute or (first.minute,)
    seconds = rule.bysecond or (first.second,)
    times = [time(*clock) for clock in product(hours, minutes, seconds)]
    begin = max(start, first.date())
    if not rule.bysetpos:
        for day in days.between(begin, end):
            yield from (datetime.combine(day, clock) for clock in times)
        return
    margin = timedelta(days=366 if rule.freq is Freq.YEARLY else 31)
    chosen = days.between(begin - margin if begin.year > first.year else first.date(), end)
    for _, group in groupby(_whole_periods(rule, first.date(), chosen, end), days.period):
        members = list(group)
        for index in _positions(rule.bysetpos, len(members) * len(times)):
            yield datetime.combine(members[index // len(times)], times[index % len(times)])


def _whole_periods(rule: RuleParts, first: date, chosen: Iterator[date], end: date) -> Iterator[date]:
    """Nothing is cut off: days.between begins on a new year, and a first week may begin before DTSTART's year."""
    if rule.freq is Freq.WEEKLY:
        year_start = date(first.year, 1, 1)
        week = first - timedelta(days=(first.weekday() - rule.wkst) % 7)
        if week < year_start:
            early = _Days(rule, week)
            yield from (day for day in early.between(week, min(end, year_start - timedelta(days=1))) if day >= week)
    yield from chosen


def _positions(bysetpos: tuple[int, ...], size: int) -> list[int]:
    """Indices into a set of ``size`` that BYSETPOS chooses, ascending, each once."""
    found = {pos - 1 if pos > 0 else size + pos for pos in bysetpos}
    return sorted(index for index in found if 0 <= index < size)


def _fast(rule: RuleParts, first: datetime, chosen: Iterator[date]) -> Iterator[datetime]:
    """Hourly to secondly: on each chosen day the units the interval reaches, each a period of its own."""
    if not _reaches_any_time(rule, first) or next(_within_unit(rule, first, first), None) is None:
        return
    barren = 0
    for day in chosen:
        for candidates in _by_hour(rule, first, day):
            barren += 1 + len(candidates)
            for moment in _allowed(rule, day, candidates):
                for found in _within_unit(rule, first, moment):
                    barren = 0
                    yield found
        barren += 1
        if barren > BARREN_STEPS:
            return


def _origin(rule: RuleParts, first: datetime) -> int:
    """The second of DTSTART's day at which its own hour, minute or second begins."""
    second = first.hour * 3600 + first.minute * 60 + first.second
    return second - second % _UNIT_SECONDS[rule.freq]


def _reaches_any_time(rule: RuleParts, first: datetime) -> bool:
    """Whether the interval can ever meet the time parts: steps repeat modulo a day (every two hours is never odd)."""
    unit = _UNIT_SECONDS[rule.freq]
    stride = gcd(unit * rule.interval, _DAY_SECONDS)
    hours = rule.byhour or range(24)
    minutes = (rule.byminute or range(60)) if unit < _HOUR else (0,)
    seconds = (rule.bysecond or range(60)) if unit == 1 else (0,)
    origin = _origin(rule, first)
    return any((h * 3600 + m * 60 + s - origin) % stride == 0 for h, m, s in product(hours, minutes, seconds))


def _by_hour(rule: RuleParts, first: datetime, day: date) -> Iterator[range]:
    """Seconds of ``day`` at which units begin that the interval reaches, for each hour the rule allows."""
    step = _UNIT_SECONDS[rule.freq] * rule.interval
    ahead = _origin(rule, first) - (day - first.date()).days * _DAY_SECONDS  # seconds from midnight to the first unit
    to_next = ahead if ahead >= 0 else ahead % step
    if to_next >= _DAY_SECONDS:
        return
    for hour in rule.byhour or range(24):
        begin = hour * 3600
        if to_next >= begin + _HOUR:
            continue
        yield range(to_next if to_next >= begin else begin + (to_next - begin) % step, begin + _HOUR, step)


def _allowed(rule: RuleParts, day: date, candidates: range) -> Iterator[datetime]:
    """Those of the candidates that BYMINUTE and BYSECOND allow, as far as they limit this frequency."""
    unit = _UNIT_SECONDS[rule.freq]
    midnight = datetime.combine(day, time())
    for second in candidates:
        if rule.byminute and unit < _HOUR and second // 60 % 60 not in rule.byminute:
            continue
        if rule.bysecond and unit == 1 and second % 60 not in rule.bysecond:
            continue
        yield midnight + timedelta(seconds=second)


def _within_unit(rule: RuleParts, first: datetime, moment: datetime) -> Iterator[datetime]:
    """The occurrences inside one hour, minute or second."""
    if rule.freq is Freq.HOURLY:
        minutes, seconds = rule.byminute or (first.minute,), rule.bysecond or (first.second,)
        members = [moment.replace(minute=minute, second=second) for minute, second in product(minutes, seconds)]
    elif rule.freq is Freq.MINUTELY:
        members = [moment.replace(second=second) for second in rule.bysecond or (first.second,)]
    else:
        members = [moment]
    if rule.bysetpos:
        members = [members[index] for index in _positions(rule.bysetpos, len(members))]
    yield from members
