"""Local times: read from text, and placed on the time line of a zone.

Rules kept here:

1. A local time that a zone skips (a gap) moves forward by the length of the gap; one that happens twice (a fold) is
   the first of the two. That is RFC 5545, section 3.3.5.
2. ``24:00`` is the next day's ``00:00``.

Not here: rules (:mod:`schedules.recurrence.parts`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schedules.recurrence.errors import RecurrenceError

_FORM = re.compile(
    r"""(?P<year>\d{4})(?P<dash>-?)(?P<month>\d{2})(?P=dash)(?P<day>\d{2})
        (?:[T ](?P<hour>\d{2})(?P<colon>:?)(?P<minute>\d{2})(?:(?P=colon)(?P<second>\d{2}))?
           (?P<offset>Z|[+-]\d{2}:?\d{2})?)?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """The IANA zone called ``name``.

    Raises:
        RecurrenceError: ``unknown_timezone``.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RecurrenceError(
            "unknown_timezone", f"{name!r} is not a time zone; write it like Asia/Ho_Chi_Minh"
        ) from error


def parse_time(text: str) -> date | datetime:
    """Read ``2026-08-30``, ``2026-08-30T05:00[:00]`` or the short form ``20260830T050000``; ``Z`` or an offset is kept.

    Returns:
        A date; a naive datetime; or an aware one when the text has ``Z`` or an offset.

    Raises:
        RecurrenceError: ``time_syntax`` or ``time_out_of_range``.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise RecurrenceError("time_syntax", f"{text!r} is not a time; write it like 2026-08-30T05:00:00 or 2026-08-30")
    try:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
        if match["hour"] is None:
            return day
        return _with_time(day, match)
    except (ValueError, OverflowError) as error:
        raise RecurrenceError("time_out_of_range", f"{text!r} does not exist: {error}") from error


def _with_time(day: date, match: re.Match[str]) -> datetime:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if (hour, minute, second) == (24, 0, 0):
        local = datetime.combine(day, time()) + timedelta(days=1)
    else:
        local = datetime.combine(day, time(hour, minute, min(second, 59) if second == 60 else second))  # noqa: PLR2004 - a leap second
    offset = match["offset"]
    if offset is None:
        return local
    if offset.upper() == "Z":
        return local.replace(tzinfo=UTC)
    digits = offset[1:].replace(":", "")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return local.replace(tzinfo=timezone(-shift if offset[0] == "-" else shift))


def resolve(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive local time: forward out of a gap, the first of a fold."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def is_skipped(local: datetime, instant: datetime, zone: ZoneInfo) -> bool:
    """Whether ``local``, resolved to ``instant``, lies in a gap of the zone."""
    return instant.astimezone(zone).replace(tzinfo=None) != local
