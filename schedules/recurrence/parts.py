"""The text of an RRULE, read strictly.

Rules kept here: every part at most once, every number in RFC 5545's range, no part that is not understood. Tolerated,
because calendars in the field write it: a leading ``RRULE:``, lower case, a trailing semicolon, parts in any order.

Not here: what the parts mean (:mod:`schedules.recurrence.calendar`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from functools import lru_cache

from schedules.recurrence.errors import RecurrenceError
from schedules.recurrence.local_time import parse_time


class Freq(IntEnum):
    """Frequencies, from slow to fast."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


_WEEKDAYS = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_DAY_FORM = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER_FORM = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_MAX_TEXT = 4096  # no honest rule is longer; keeps hostile text cheap
_MAX_WEEK = 53


@dataclass(frozen=True, slots=True)
class RuleParts:
    """An RRULE's parts; an empty tuple is an absent part. ``byday`` holds (weekday from Monday = 0, n or 0)."""

    freq: Freq
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None
    wkst: int = 0
    bymonth: tuple[int, ...] = ()
    bymonthday: tuple[int, ...] = ()
    byyearday: tuple[int, ...] = ()
    byweekno: tuple[int, ...] = ()
    byday: tuple[tuple[int, int], ...] = ()
    byhour: tuple[int, ...] = ()
    byminute: tuple[int, ...] = ()
    bysecond: tuple[int, ...] = ()
    bysetpos: tuple[int, ...] = ()


def _number(name: str, text: str, low: int, high: int) -> int:
    if _NUMBER_FORM.fullmatch(text) is None:
        raise RecurrenceError("rule_value", f"{name} needs a whole number, not {text!r}")
    value = int(text)
    if not low <= value <= high:
        raise RecurrenceError("rule_value", f"{name}={value} is not between {low} and {high}")
    return value


def _numbers(low: int, high: int) -> Callable[[str, str], tuple[int, ...]]:
    """Reads a list; a range that reaches below zero counts from the end, and then zero means nothing."""

    def read(name: str, text: str) -> tuple[int, ...]:
        values = {_number(name, part, low, high) for part in text.split(",")}
        if low < 0 and 0 in values:
            raise RecurrenceError("rule_value", f"{name} counts from 1, or from −1 backwards; 0 is neither")
        return tuple(sorted(values))

    return read


def _seconds(name: str, text: str) -> tuple[int, ...]:
    """Second 60 is a leap second, which our clocks do not show: RFC 5545 says to take it as 59."""
    return tuple(sorted({min(value, 59) for value in _numbers(0, 60)(name, text)}))


def _days(name: str, text: str) -> tuple[tuple[int, int], ...]:
    days = set()
    for part in text.split(","):
        match = _DAY_FORM.fullmatch(part)
        if match is None:
            raise RecurrenceError("rule_value", f"{name}: {part!r} is not a weekday such as MO, 1FR or -1SU")
        nth = int(match[1] or 0)
        if match[1] is not None and not 1 <= abs(nth) <= _MAX_WEEK:
            raise RecurrenceError("rule_value", f"{name}: {part!r} counts weekdays from 1 to {_MAX_WEEK}")
        days.add((_WEEKDAYS[match[2]], nth))
    return tuple(sorted(days))


def _freq(name: str, text: str) -> Freq:
    try:
        return Freq[text]
    except KeyError:
        raise RecurrenceError("rule_value", f"{name}={text} is not one of {', '.join(Freq.__members__)}") from None


def _weekday(name: str, text: str) -> int:
    if text not in _WEEKDAYS:
        raise RecurrenceError("rule_value", f"{name}={text} is not one of {', '.join(_WEEKDAYS)}")
    return _WEEKDAYS[text]


def _positive(name: str, text: str) -> int:
    return _number(name, text, 1, 999_999_999)


_READERS: dict[str, Callable[[str, str], object]] = {
    "FREQ": _freq,
    "INTERVAL": _positive,
    "COUNT": _positive,
    "UNTIL": lambda _name, text: parse_time(text),
    "WKST": _weekday,
    "BYMONTH": _numbers(1, 12),
    "BYMONTHDAY": _numbers(-31, 31),
    "BYYEARDAY": _numbers(-366, 366),
    "BYWEEKNO": _numbers(-53, 53),
    "BYDAY": _days,
    "BYHOUR": _numbers(0, 23),
    "BYMINUTE": _numbers(0, 59),
    "BYSECOND": _seconds,
    "BYSETPOS": _numbers(-366, 366),
}


@lru_cache(maxsize=4096)
def parse_rrule(text: str) -> RuleParts:
    """Read an RRULE.

    Raises:
        RecurrenceError: ``rule_syntax``, ``rule_unsupported``, ``rule_value``, or what UNTIL's time has wrong.
    """
    if len(text) > _MAX_TEXT:
        raise RecurrenceError("rule_syntax", f"the rule is longer than {_MAX_TEXT} characters")
    body = text.strip().upper().removeprefix("RRULE:").removesuffix(";")
    values: dict[str, object] = {}
    for pair in body.split(";"):
        name, equals, value = pair.strip().partition("=")
        if not equals or not value:
            raise RecurrenceError("rule_syntax", f"{pair!r} is not of the form NAME=VALUE")
        reader = _READERS.get(name)
        if reader is None:
            raise RecurrenceError("rule_unsupported", f"{name} is not a part of an RFC 5545 rule")
        if name in values:
            raise RecurrenceError("rule_syntax", f"{name} is given twice")
        values[name] = reader(name, value)
    if "FREQ" not in values:
        raise RecurrenceError("rule_syntax", "FREQ is missing")
    if "COUNT" in values and "UNTIL" in values:
        raise RecurrenceError("rule_syntax", "COUNT and UNTIL exclude each other")
    return RuleParts(**{name.lower(): value for name, value in values.items()})  # type: ignore[arg-type]
