"""A recurrence in two: what comes before one of its occurrences, and what comes from it on, maybe at another time.

Rules kept here:

1. Without another time, both together give exactly what the whole gave (a property test holds it).
2. Another time moves everything that follows by the same span, exceptions included. What the rule itself names (days of
   the week) moves with it; what cannot be moved without guessing (days of the month, named hours) is refused.
3. COUNT is shared out; UNTIL stays with what follows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from schedules.recurrence.errors import RecurrenceError
from schedules.recurrence.expansion import Recurrence, expand
from schedules.recurrence.local_time import resolve, zone_of
from schedules.recurrence.parts import Freq, RuleParts

_SECOND: Final = timedelta(seconds=1)
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def split(whole: Recurrence, at: datetime, start: datetime | None = None) -> tuple[Recurrence, Recurrence]:
    """Cut a recurrence before one of its rule's occurrences.

    Args:
        whole: the recurrence.
        at: the occurrence's own instant, aware.
        start: naive local time at which what follows begins instead.

    Raises:
        RecurrenceError: ``split_nothing_before`` (it is the first), ``split_not_there`` (the rule does not give it),
            ``split_needs_rule`` (its rule names days or times that cannot simply be moved).
    """
    zone = zone_of(whole.timezone)
    at = at.astimezone(UTC)
    bare = Recurrence(whole.dtstart, whole.timezone, whole.rrule)
    if at not in {each.astimezone(UTC) for each in expand(bare, after=at, before=at + _SECOND)}:
        raise RecurrenceError("split_not_there", "the rule gives no occurrence at that time; choose another")
    if next(iter(expand(whole, before=at, limit=1)), None) is None:
        raise RecurrenceError("split_nothing_before", "it is the first occurrence: change the whole programme")
    local = at.astimezone(zone).replace(tzinfo=None)
    begin = local if start is None else start
    span, days = begin - local, (begin.date() - local.date()).days

    def instant(moment: datetime | date) -> datetime:
        if not isinstance(moment, datetime):
            moment = datetime.combine(moment, datetime.min.time())
        return moment.astimezone(UTC) if moment.tzinfo is not None else resolve(moment, zone)

    def is_later(moment: datetime | date) -> bool:
        return moment >= local.date() if not isinstance(moment, datetime) else instant(moment) >= at

    def added(moments: tuple[datetime | date, ...]) -> tuple[datetime | date, ...]:
        return tuple(_shifted(each, span, days) for each in moments if instant(each) >= at)

    def later(moments: tuple[datetime | date, ...]) -> tuple[datetime | date, ...]:
        return tuple(_shifted(each, span, days) for each in moments if is_later(each))

    def earlier(moments: tuple[datetime | date, ...]) -> tuple[datetime | date, ...]:
        return tuple(each for each in moments if not is_later(each) or each == local.date())

    before = replace(
        whole,
        rrule=None if whole.rrule is None else _ended(whole.rrule, at),
        exdates=earlier(whole.exdates),
        rdates=tuple(each for each in whole.rdates if instant(each) < at),
    )
    after = replace(
        whole,
        dtstart=begin,
        rrule=None if whole.rrule is None else _going_on(whole, bare, at, (span, days)),
        exdates=later(whole.exdates),
        rdates=added(whole.rdates),
    )
    return before, after


def _shifted(moment: datetime | date, span: timedelta, days: int) -> datetime | date:
    return moment + (span if isinstance(moment, datetime) else timedelta(days=days))


def _ended(rrule: str, at: datetime) -> str:
    last = (at - _SECOND).strftime("%Y%m%dT%H%M%SZ")
    return ";".join((*_without(rrule, "COUNT", "UNTIL"), f"UNTIL={last}"))


def _going_on(whole: Recurrence, bare: Recurrence, at: datetime, shift: tuple[timedelta, int]) -> str:
    parts = whole.parts
    assert parts is not None and whole.rrule is not None  # noqa: S101, PT018 - there is a rule
    _require_movable(parts, *shift)
    kept = _without(whole.rrule, "COUNT", "BYDAY") if parts.byday else _without(whole.rrule, "COUNT")
    if parts.byday:
        kept.append("BYDAY=" + ",".join(_day(weekday, nth, shift[1]) for weekday, nth in parts.byday))
    if parts.count is not None:
        kept.append(f"COUNT={parts.count - sum(1 for _ in expand(bare, before=at))}")
    return ";".join(kept)


def _require_movable(parts: RuleParts, span: timedelta, days: int) -> None:
    timed = parts.byhour or parts.byminute or parts.bysecond
    dated = parts.bymonth or parts.bymonthday or parts.byyearday or parts.byweekno or parts.bysetpos
    weekly = parts.freq is Freq.WEEKLY and (parts.interval == 1 or len(parts.byday) <= 1)
    if (span and timed) or (days and (dated or (parts.byday and not weekly))):
        raise RecurrenceError(
            "split_needs_rule", "its rule names days or times that cannot simply be moved: say the rule anew"
        )


def _day(weekday: int, nth: int, days: int) -> str:
    return f"{nth or ''}{_WEEKDAYS[(weekday + days) % 7]}"


def _without(rrule: str, *names: str) -> list[str]:
    body = rrule.strip().upper().removeprefix("RRULE:").removesuffix(";")
    return [pair.strip() for pair in body.split(";") if pair.strip().partition("=")[0] not in names]
