"""Occurrences on the time line: COUNT, UNTIL, exceptions, extra dates, and the zone's gaps and folds.

Rules kept here:

1. Expansion begins at DTSTART, not at the asker's present. COUNT counts what the rule means, before exceptions.
2. UNTIL without ``Z`` is local; a date means its whole day; with ``Z`` it is an instant. It bounds the rule, not RDATE.
3. EXDATE removes what RRULE and RDATE give; a date removes its whole day.
4. Output ascends strictly by instant, also across a gap (where 02:30 and 03:30 can be one instant).

Not here: days and times of a rule (:mod:`schedules.recurrence.calendar`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from schedules.recurrence.calendar import occurrences
from schedules.recurrence.errors import RecurrenceError
from schedules.recurrence.local_time import is_skipped, resolve, zone_of
from schedules.recurrence.parts import RuleParts, parse_rrule

_FIRST_YEAR = 1583  # the calendar we count in
_MARGIN = timedelta(days=2)  # more than any zone's offset or gap


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When something happens: a first local time in a zone, how it repeats, what is left out, what is added.

    ``dtstart`` is naive local time, or a date. ``exdates`` and ``rdates`` are dates, naive local times, or aware
    instants.

    Raises:
        RecurrenceError: it cannot be.
    """

    dtstart: datetime | date
    timezone: str
    rrule: str | None = None
    exdates: tuple[datetime | date, ...] = ()
    rdates: tuple[datetime | date, ...] = ()
    parts: RuleParts | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        zone_of(self.timezone)
        object.__setattr__(self, "parts", None if self.rrule is None else parse_rrule(self.rrule))
        if isinstance(self.dtstart, datetime) and self.dtstart.tzinfo is not None:
            raise RecurrenceError("time_not_local", "the first time must be local, without Z or offset")
        for moment in (self.dtstart, *self.exdates, *self.rdates):
            if not _FIRST_YEAR <= moment.year < MAXYEAR:
                raise RecurrenceError("time_out_of_range", f"{moment} is not between {_FIRST_YEAR} and {MAXYEAR - 1}")

    @property
    def dated(self) -> bool:
        """Whether it begins on a date, without a time."""
        return not isinstance(self.dtstart, datetime)

    @property
    def first(self) -> datetime:
        """DTSTART as naive local time, to the second."""
        return _midnight_or(self.dtstart).replace(microsecond=0)


def _midnight_or(moment: datetime | date) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time())


def expand(
    recurrence: Recurrence, *, after: datetime | None = None, before: datetime | None = None, limit: int | None = None
) -> Iterator[datetime]:
    """Occurrences, ascending, as aware datetimes in the recurrence's zone.

    Two of them must be compared or subtracted in UTC (Python compares aware times of one zone by their clock faces).

    Args:
        recurrence: what to expand.
        after: aware; only occurrences at or after it.
        before: aware; only occurrences before it.
        limit: at most so many.
    """
    zone = zone_of(recurrence.timezone)
    ruled = _ruled(recurrence, zone, after, before)
    extra = sorted({_instant(moment, zone) for moment in recurrence.rdates})
    found = _kept(recurrence, zone, _distinct(heapq.merge(ruled, extra)))
    chosen = _window(found, after, before)
    return (instant.astimezone(zone) for instant in islice(chosen, limit))


def _window(found: Iterator[datetime], after: datetime | None, before: datetime | None) -> Iterator[datetime]:
    for instant in found:
        if before is not None and instant >= before:
            return
        if after is None or instant >= after:
            yield instant


def _instant(moment: datetime | date, zone: ZoneInfo) -> datetime:
    local = _midnight_or(moment)
    return local.astimezone(UTC) if local.tzinfo is not None else resolve(local, zone)


def _ruled(
    recurrence: Recurrence, zone: ZoneInfo, after: datetime | None, before: datetime | None
) -> Iterator[datetime]:
    """What the rule gives, as UTC instants in order."""
    parts = recurrence.parts
    if parts is None:
        yield resolve(recurrence.first, zone)
        return
    start = recurrence.first.date()
    if after is not None and parts.count is None:  # a counted rule must be counted from its beginning
        start = max(start, (after.astimezone(zone) - _MARGIN).date())
    end = date(MAXYEAR - 1, 12, 31)
    if before is not None:
        end = min(end, _day_after(before, zone))
    if parts.until is not None:
        end = min(end, _day_after(parts.until, zone))
    local = occurrences(parts, recurrence.first, dated=recurrence.dated, start=start, end=end)
    yield from _in_zone(islice(local, parts.count), zone, parts.until)


def _day_after(moment: datetime | date, zone: ZoneInfo) -> date:
    """A day surely not before ``moment`` in the zone."""
    limit = date(MAXYEAR - 1, 12, 31)
    if isinstance(moment, datetime) and moment.tzinfo is not None and moment.year < MAXYEAR:
        moment = moment.astimezone(zone)
    day = moment.date() if isinstance(moment, datetime) else moment
    return limit if day.year >= MAXYEAR - 1 else day + _MARGIN


def _in_zone(local: Iterator[datetime], zone: ZoneInfo, until: datetime | date | None) -> Iterator[datetime]:
    """Place local times in the zone. Those in a gap are held back until the times after the gap are known."""
    held: list[datetime] = []
    for moment in local:
        instant = resolve(moment, zone)
        if until is not None and _is_past(moment, instant, until):
            break
        if is_skipped(moment, instant, zone):
            held.append(instant)
            continue
        while held and held[0] <= instant:
            yield held.pop(0)
        yield instant
    yield from held


def _is_past(moment: datetime, instant: datetime, until: datetime | date) -> bool:
    if not isinstance(until, datetime):
        return moment.date() > until
    return instant > until if until.tzinfo is not None else moment > until


def _distinct(instants: Iterator[datetime]) -> Iterator[datetime]:
    last = None
    for instant in instants:
        if instant != last:
            yield instant
        last = instant


def _kept(recurrence: Recurrence, zone: ZoneInfo, instants: Iterator[datetime]) -> Iterator[datetime]:
    """Without the exceptions."""
    removed = {_instant(moment, zone) for moment in recurrence.exdates if isinstance(moment, datetime)}
    days = {moment for moment in recurrence.exdates if not isinstance(moment, datetime)}
    for instant in instants:
        if instant not in removed and not (days and instant.astimezone(zone).date() in days):
            yield instant
