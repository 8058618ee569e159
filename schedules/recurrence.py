"""RFC 5545 recurrence in a named zone (being built: the signatures are final)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime


class RecurrenceError(ValueError):
    """A recurrence that cannot be: ``code`` says why, in stable snake_case."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When something happens: a first local time in a zone, and how it repeats."""

    dtstart: datetime
    timezone: str
    rrule: str | None = None
    exdates: tuple[date, ...] = ()
    rdates: tuple[date, ...] = ()


def expand(
    recurrence: Recurrence, *, after: datetime | None = None, before: datetime | None = None, limit: int | None = None
) -> Iterator[datetime]:
    """Occurrences as aware datetimes in the zone, ascending."""
    raise NotImplementedError
