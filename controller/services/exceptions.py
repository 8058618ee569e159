"""Single occurrences of a programme that are otherwise than its rule says, and cutting a programme in two. Pure.

Rules kept here:

1. An occurrence is named by its RECURRENCE-ID, which never changes: what boxes have played of it stays played.
2. An exception is said whole: where it starts, what it sounds, whether it is left out. Saying what was undoes it.
3. Kept as local times of the programme's zone, as people say them: EXDATE for what is left out, ``moved`` and
   ``replaced`` for the rest. An instant in EXDATE is a withdrawal, which boxes were told, and is for good.

Not here: rights, conflicts, who did it (:mod:`controller.services.occurrences`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from controller.services.errors import ConflictError, InvalidError, NotFoundError
from controller.services.programme_model import ProgrammeSpec, RecordedSpec
from schedules.recurrence import RecurrenceError, expand, resolve, split, zone_of

_SECOND: Final = timedelta(seconds=1)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Exceptional:
    """How one occurrence is: ``start`` (local) and ``content`` None are as the programme says."""

    start: datetime | None = None
    content: RecordedSpec | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Following:
    """What changes from an occurrence on; None stays. ``start`` (local) is that of the first of them."""

    start: datetime | None = None
    title: str | None = None
    content: RecordedSpec | None = None
    slot: timedelta | None = None


def local_of(spec: ProgrammeSpec, recurrence: datetime) -> datetime:
    """The local time that names an occurrence.

    Raises:
        InvalidError: ``ambiguous_time``: the clocks are put back then, and two instants have that name.
    """
    zone = zone_of(spec.recurrence.timezone)
    local = recurrence.astimezone(zone).replace(tzinfo=None)
    if resolve(local, zone) != recurrence.astimezone(UTC):
        raise InvalidError("the clocks are put back then: withdraw it, or change the programme", code="ambiguous_time")
    return local


def exception_of(spec: ProgrammeSpec, recurrence: datetime) -> Exceptional:
    """How an occurrence is now.

    Raises:
        NotFoundError: ``occurrence_not_found``.
        InvalidError: ``ambiguous_time``.
    """
    local, at = local_of(spec, recurrence), recurrence.astimezone(UTC)
    moved, replaced = dict(spec.moved), dict(spec.replaced)
    cancelled = local in spec.recurrence.exdates
    bare = replace(spec.recurrence, exdates=tuple(each for each in spec.recurrence.exdates if each != local))
    found = (each.astimezone(UTC) for each in expand(bare, after=at, before=at + _SECOND))
    if local not in moved and at not in set(found):
        raise NotFoundError(
            f"the programme has no occurrence at {recurrence.isoformat()}; see the schedule",
            code="occurrence_not_found",
        )
    return Exceptional(moved.get(local), replaced.get(local), cancelled)


def own_sound(spec: ProgrammeSpec, recurrence: datetime) -> RecordedSpec | None:
    """What an occurrence sounds instead of what its programme has; None where it sounds that."""
    if not spec.replaced:
        return None
    zone, at = zone_of(spec.recurrence.timezone), recurrence.astimezone(UTC)
    return next((content for local, content in spec.replaced if resolve(local, zone) == at), None)


def start_of(spec: ProgrammeSpec, recurrence: datetime, how: Exceptional) -> datetime:
    """The instant an occurrence starts at, being so."""
    return recurrence if how.start is None else resolve(how.start, zone_of(spec.recurrence.timezone))


def with_exception(spec: ProgrammeSpec, recurrence: datetime, how: Exceptional) -> ProgrammeSpec:
    """The programme with one occurrence being so."""
    local = local_of(spec, recurrence)
    exdates = tuple(each for each in spec.recurrence.exdates if each != local)
    if how.cancelled:
        exdates = (*exdates, local)
        how = Exceptional(cancelled=True)  # a moved occurrence would sound all the same
    moved = _put(spec.moved, local, None if how.start == local else how.start)
    when = replace(spec.recurrence, exdates=exdates)
    return replace(spec, recurrence=when, moved=moved, replaced=_put(spec.replaced, local, how.content))


def without(spec: ProgrammeSpec, recurrence: datetime) -> ProgrammeSpec:
    """The programme with nothing said about where one occurrence is moved to, or what it sounds instead."""
    zone = zone_of(spec.recurrence.timezone)
    at = recurrence.astimezone(UTC)
    return replace(
        spec,
        moved=tuple(each for each in spec.moved if resolve(each[0], zone) != at),
        replaced=tuple(each for each in spec.replaced if resolve(each[0], zone) != at),
    )


def in_two(spec: ProgrammeSpec, recurrence: datetime, said: Following) -> tuple[ProgrammeSpec, ProgrammeSpec]:
    """The programme up to an occurrence, and what it is from there on.

    Raises:
        ConflictError: ``split_nothing_before``; NotFoundError: ``occurrence_not_found``.
        InvalidError: ``split_needs_rule``, ``ambiguous_time``.
    """
    local = local_of(spec, recurrence)
    try:
        before, after = split(spec.recurrence, recurrence, said.start)
    except RecurrenceError as error:
        if error.code == "split_not_there":
            raise NotFoundError(str(error), code="occurrence_not_found") from error
        if error.code == "split_nothing_before":
            raise ConflictError(str(error), code=error.code) from error
        raise InvalidError(str(error), code=error.code) from error
    span = timedelta(0) if said.start is None else said.start - local
    moved = tuple((old + span, new) for old, new in spec.moved if old >= local)
    if said.start is not None:
        moved = tuple(each for each in moved if each[0] != said.start)  # it is said where the first one starts
    following = replace(
        spec,
        recurrence=after,
        moved=moved,
        replaced=tuple((old + span, new) for old, new in spec.replaced if old >= local),
        title=spec.title if said.title is None else said.title,
        content=spec.content if said.content is None else said.content,
        slot=spec.slot if said.slot is None else said.slot,
    )
    kept = replace(
        spec,
        recurrence=before,
        moved=tuple(each for each in spec.moved if each[0] < local),
        replaced=tuple(each for each in spec.replaced if each[0] < local),
    )
    return kept, following


def _put(pairs: tuple[tuple[datetime, _T], ...], key: datetime, value: _T | None) -> tuple[tuple[datetime, _T], ...]:
    kept = [each for each in pairs if each[0] != key]
    return tuple(sorted(kept if value is None else [*kept, (key, value)], key=lambda each: each[0]))
