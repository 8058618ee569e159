"""Points in time as CAP writes them: ``2026-10-17T16:32:00+07:00``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

_STRICT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
_LENIENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d{0,20})?)?\s?(?:(Z)|([+-])(\d\d):?(\d\d))?"
)
#: No zone on Earth is further from UTC.
_MAX_OFFSET: Final = timedelta(hours=14)


class Moment(NamedTuple):
    """A time that was read. ``fault`` is a stable code, or None when it is exactly as CAP asks."""

    at: datetime
    fault: str | None


def read_moment(text: str) -> Moment | None:
    """The instant ``text`` names, in UTC; None when it names none.

    A time without a zone is taken as UTC and flagged ``time_without_zone``; another spelling that leaves no doubt
    (``Z``, fractions of a second, a blank for the T) is flagged ``time_format``.
    """
    found = _LENIENT.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3, 4, 5, 6))
    micro = int((found.group(7) or "0")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(found.group(10) or 0), minutes=int(found.group(11) or 0))
    if offset > _MAX_OFFSET:
        return None
    midnight = (hour, minute, second, micro) == (24, 0, 0, 0)  # XML Schema: the end of that day
    try:
        zone = timezone(-offset if found.group(9) == "-" else offset)
        at = datetime(year, month, day, 0 if midnight else hour, minute, second, micro, zone).astimezone(UTC)
        at += timedelta(days=midnight)
    except (ValueError, OverflowError):
        return None
    if not (found.group(8) or found.group(9)):
        return Moment(at, "time_without_zone")
    return Moment(at, None if _STRICT.fullmatch(text) else "time_format")


def write_moment(at: datetime) -> str:
    """``at`` as CAP writes it, whole seconds. UTC is written ``-00:00``, as CAP 1.2 asks.

    Raises:
        ValueError: ``at`` has no zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time in an alert needs a zone")
    text = at.replace(microsecond=0).isoformat()
    return text if at.utcoffset() else text[:-6] + "-00:00"
