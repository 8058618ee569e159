"""The occurrences of a rule in a window, moved ones at their new place.

Rules kept here: an occurrence is named by the instant its recurrence gives (RECURRENCE-ID), wherever it was moved to.
At most :data:`MAX_A_DAY` for each day of the window are taken.

Not here: what they sound (:mod:`schedules.compiler.layout`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from schedules.recurrence import expand
from schedules.rules import Rule

#: More than one every ten minutes is no programme grid; it keeps a plan within its megabyte.
MAX_A_DAY = 144


@dataclass(frozen=True, slots=True)
class Occurrence:
    """When it should be by its rule, and when it is. UTC."""

    recurrence: datetime
    start: datetime


def occurrences(rule: Rule, begin: datetime, end: datetime) -> tuple[tuple[Occurrence, ...], bool]:
    """Occurrences that start in ``[begin, end)``, ascending by start, and whether there were too many to take all."""
    limit = MAX_A_DAY * max(1, -(-(end - begin) // timedelta(days=1)))
    found = sorted(islice(_starting(rule, begin, end), limit + 1), key=lambda each: (each.start, each.recurrence))
    return tuple(found[:limit]), len(found) > limit


def _starting(rule: Rule, begin: datetime, end: datetime) -> Iterator[Occurrence]:
    moved = dict(rule.moved)
    for recurrence, start in moved.items():
        if begin <= start < end:
            yield Occurrence(recurrence, start)
    for local in expand(rule.recurrence, after=begin, before=end):
        instant = local.astimezone(UTC)
        if instant not in moved:
            yield Occurrence(instant, instant)


def next_occurrence(rule: Rule, after: datetime | None) -> Occurrence | None:
    """The first that starts at or after ``after`` (of all, without it); None when there is none."""
    moved = dict(rule.moved)
    places = [Occurrence(name, start) for name, start in moved.items() if after is None or start >= after]
    for local in expand(rule.recurrence, after=after):
        instant = local.astimezone(UTC)
        if instant not in moved:
            places.append(Occurrence(instant, instant))
            break
    return min(places, key=lambda each: each.start, default=None)
