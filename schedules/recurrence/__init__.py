"""RFC 5545 recurrence in a named time zone, with python-dateutil inside.

``Recurrence(dtstart, zone, rrule, exdates, rdates)`` and :func:`expand`; :func:`parse_time` reads times as people and
calendars write them. Where dateutil and RFC 5545 differ, the RFC is kept (:mod:`schedules.recurrence.calendar` lists
where). RFC 7529 (RSCALE, SKIP) is refused, not ignored.
"""

from schedules.recurrence.errors import RecurrenceError
from schedules.recurrence.expansion import Recurrence, expand
from schedules.recurrence.local_time import parse_time, resolve, zone_of
from schedules.recurrence.parts import Freq, RuleParts, parse_rrule
from schedules.recurrence.splitting import split

__all__ = [
    "Freq",
    "Recurrence",
    "RecurrenceError",
    "RuleParts",
    "expand",
    "parse_rrule",
    "parse_time",
    "resolve",
    "split",
    "zone_of",
]
