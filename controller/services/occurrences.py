"""Editing the grid by hand: this one, or this and all that follow.

Rules kept here:

1. Only what has not begun is edited, and only to a time that is yet to come.
2. Everything is checked like a programme that is written (:meth:`ProgrammeService.check`); leaving an occurrence out
   disturbs nobody and is not. A preview says the same without writing.
3. An edit names the version its author saw (``changed_since``). Each edit is one transaction, and answers with what
   undoes it: the exception as it was, or :meth:`OccurrenceService.join` with the programme as it was.

Not here: what an exception is (:mod:`controller.services.exceptions`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.services.catalogue import ProgrammeEntry
from controller.services.context import Actor, Clock
from controller.services.errors import ConflictError, InvalidError
from controller.services.exceptions import (
    Exceptional,
    Following,
    exception_of,
    in_two,
    start_of,
    with_exception,
)
from controller.services.programme_model import ProgrammeSpec, RelaySpec
from controller.services.programmes import Finding, ProgrammeService
from schedules.recurrence import resolve, zone_of


@dataclass(frozen=True, slots=True)
class Edited:
    """An occurrence that was edited, and how it was before."""

    entry: ProgrammeEntry
    before: Exceptional
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Divided:
    """A programme that was cut in two. ``before``: what it said as a whole."""

    entry: ProgrammeEntry
    following: ProgrammeEntry
    before: ProgrammeSpec
    findings: tuple[Finding, ...]


class OccurrenceService:
    """Use-cases of single occurrences."""

    def __init__(self, programmes: ProgrammeService, clock: Clock) -> None:
        self._programmes = programmes
        self._clock = clock

    async def change(
        self, actor: Actor, programme_id: str, recurrence: datetime, how: Exceptional, *, version: int
    ) -> Edited:
        """This one: move it, give it another sound, leave it out; or, with nothing said, let it be as its rule has it.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not theirs.
            ConflictError: ``changed_since``, ``programme_over``, ``occurrence_begun``.
            InvalidError: ``in_past``, ``no_own_sound``, and what the check finds.
        """
        async with self._programmes.turn:
            entry = self._programmes.editable(actor, programme_id, version)
            spec, before = self._one(entry, recurrence, how)
            findings = () if how.cancelled else await self._programmes.approve(actor, spec, entry.id)
            stamp = recurrence.astimezone(UTC).isoformat(timespec="seconds")
            changed = await self._programmes.rewrite(
                actor,
                entry.id,
                spec,
                version=version,
                action="programme.change_one",
                details={"recurrence": stamp},
            )
        return Edited(changed, before, findings)

    async def split(
        self, actor: Actor, programme_id: str, recurrence: datetime, said: Following, *, version: int
    ) -> Divided:
        """This and following: the programme ends before it, and another goes on from there.

        Raises:
            NotFoundError, ForbiddenError, ConflictError, InvalidError: as :meth:`change`; ``split_nothing_before``,
                ``split_needs_rule``.
        """
        async with self._programmes.turn:
            entry = self._programmes.editable(actor, programme_id, version)
            kept, following = self._two(entry, recurrence, said)
            findings = await self._programmes.approve(actor, following, None, beside={entry.id: kept})
            changed, made = await self._programmes.divide(actor, entry.id, kept, following, version)
        return Divided(changed, made, entry.spec, findings)

    async def join(
        self, actor: Actor, programme_id: str, spec: ProgrammeSpec, following_id: str, *, version: int
    ) -> ProgrammeEntry:
        """Undo a cut: the programme says ``spec`` again, and the one that followed it is withdrawn.

        Raises:
            NotFoundError, ForbiddenError, ConflictError, InvalidError: as :meth:`change`.
        """
        async with self._programmes.turn:
            entry = self._programmes.editable(actor, programme_id, version)
            other = self._programmes.editable(actor, following_id, None)
            if other.id == entry.id:
                raise ConflictError("a programme does not follow itself", code="same_programme")
            await self._programmes.approve(actor, spec, entry.id, beside={other.id: None})
            return await self._programmes.join(actor, entry.id, spec, other.id, version)

    async def preview_change(
        self, actor: Actor, programme_id: str, recurrence: datetime, how: Exceptional
    ) -> tuple[Finding, ...]:
        """What :meth:`change` would refuse or warn of.

        Raises:
            NotFoundError, ForbiddenError, ConflictError, InvalidError: it is no edit at all.
        """
        entry = self._programmes.editable(actor, programme_id, None)
        spec, _ = self._one(entry, recurrence, how)
        return () if how.cancelled else await self._programmes.judge(actor, spec, entry.id)

    async def preview_split(
        self, actor: Actor, programme_id: str, recurrence: datetime, said: Following
    ) -> tuple[Finding, ...]:
        """What :meth:`split` would refuse or warn of.

        Raises:
            NotFoundError, ForbiddenError, ConflictError, InvalidError: it is no edit at all.
        """
        entry = self._programmes.editable(actor, programme_id, None)
        kept, following = self._two(entry, recurrence, said)
        return await self._programmes.judge(actor, following, None, beside={entry.id: kept})

    def _one(self, entry: ProgrammeEntry, recurrence: datetime, how: Exceptional) -> tuple[ProgrammeSpec, Exceptional]:
        spec = entry.spec
        before = exception_of(spec, recurrence)
        if how.content is not None and isinstance(spec.content, RelaySpec):
            raise InvalidError("one occurrence of a relay cannot have a sound of its own", code="no_own_sound")
        if not before.cancelled:
            self._require_ahead(start_of(spec, recurrence, before), _begun)
        if not how.cancelled:
            self._require_ahead(start_of(spec, recurrence, how), _past)
        return with_exception(spec, recurrence, how), before

    def _two(self, entry: ProgrammeEntry, recurrence: datetime, said: Following) -> tuple[ProgrammeSpec, ProgrammeSpec]:
        spec = entry.spec
        if said.content is not None and isinstance(spec.content, RelaySpec):
            raise InvalidError("a relay has no recordings; change the programme", code="no_own_sound")
        before = exception_of(spec, recurrence)
        self._require_ahead(start_of(spec, recurrence, before), _begun)
        if said.start is not None:
            self._require_ahead(resolve(said.start, zone_of(spec.recurrence.timezone)), _past)
        return in_two(spec, recurrence, said)

    def _require_ahead(self, start: datetime, refusal: Callable[[], ConflictError | InvalidError]) -> None:
        if start <= self._clock.now():
            raise refusal()


def _begun() -> ConflictError:
    return ConflictError("it has begun, or is over; it can only be stopped or withdrawn", code="occurrence_begun")


def _past() -> InvalidError:
    return InvalidError("that time is past", code="in_past")
