"""Programmes: the lines of the grid. What the desk may plan, and what it refuses.

Rules kept here:

1. A programme is checked against everything that is planned before it is written: quiet hours, overlaps with its own
   class, starts in the past, lengths, languages, approvals. What is wrong is refused with a stable code. Only on
   request may it wait for an approval; plans have it when that is given, never before.
2. Rights: ``schedule`` over the programme's own area and over every place it sounds at.
3. Withdrawing a whole programme or one occurrence is for good; what was played stays in the reports.
4. The preview asks the same arbiter that the agents play by.

Not here: rules of time (:mod:`schedules`), documents for agents (:mod:`controller.services.planning`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from controller.services.catalogue import Catalogue, ProgrammeEntry
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from controller.services.exceptions import without
from controller.services.programme_model import PLANNABLE, ProgrammeSpec, RelaySpec, columns_of
from controller.services.rulebook import NOT_APPROVED, Gap, Rulebook
from controller.store import Database, Transaction, tables
from controller.store.actions import AuditAction
from controller.store.ids import new_id
from schedules.arbiter import Situation, Span, timeline
from schedules.compiler import Forecast, Problem, check_rule, compile_plan, forecast, kinds_of
from schedules.model import Item
from schedules.recurrence import RecurrenceError, expand, resolve, zone_of
from schedules.rules import Rule

#: The furthest ahead a preview looks.
MAX_PREVIEW: Final = timedelta(days=31)
#: Clusters one preview shows.
MAX_PREVIEWED: Final = 200
#: A preview of a rule that is not written yet needs an id.
DRAFT_ID: Final = "draft"

#: What is found out about a programme before it is written.
Finding = Gap | Problem
#: Every other programme is as it is.
NOBODY: Final[Mapping[str, ProgrammeSpec | None]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Checked:
    """A programme that may be planned, and what its author should know."""

    rule: Rule
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What one cluster would sound, by the arbiter."""

    cluster_id: str
    rule_id: str
    spans: tuple[Span, ...]
    items: tuple[Item, ...]  # of the rule in question


class ProgrammeService:
    """Use-cases of the grid."""

    def __init__(
        self, *, db: Database, directory: Directory, catalogue: Catalogue, rulebook: Rulebook, clock: Clock
    ) -> None:
        self._db = db
        self._directory = directory
        self._catalogue = catalogue
        self._rulebook = rulebook
        self._clock = clock
        self.turn = asyncio.Lock()  # two that overlap each other must not both pass the check

    def readable(self, actor: Actor) -> list[ProgrammeEntry]:
        """The programmes the actor may know of."""
        return [
            entry
            for entry in self._catalogue.programmes.values()
            if self._directory.allows(actor, Permission.READ, entry.spec.area_id)
        ]

    def get(self, actor: Actor, programme_id: str) -> ProgrammeEntry:
        """One programme.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = self._catalogue.programme(programme_id)
        self._directory.require(actor, Permission.READ, entry.spec.area_id)
        return entry

    async def check(
        self, actor: Actor, spec: ProgrammeSpec, *, programme_id: str | None = None, pending: bool = False
    ) -> Checked:
        """Everything that would stop the programme, found out before it is written.

        ``pending``: it may wait for the approval of its recordings; it is a hole in the grid until then.

        Raises:
            InvalidError: with a field entry for each problem; its code is that of the first.
            NotFoundError, ForbiddenError: a place does not exist, or the right to schedule there is missing.
        """
        rule, found = await self._judge(actor, spec, programme_id, {}, pending=pending)
        stopping = [(each.code, each.message) for each in found if isinstance(each, Gap) or not each.warning]
        if stopping or rule is None:
            raise _refusal(stopping)
        return Checked(rule, tuple(each for each in found if isinstance(each, Problem)))

    async def judge(
        self,
        actor: Actor,
        spec: ProgrammeSpec,
        programme_id: str | None,
        *,
        beside: Mapping[str, ProgrammeSpec | None] = NOBODY,
        pending: bool = False,
    ) -> tuple[Finding, ...]:
        """What stands against a programme, and what its author should know. ``beside``: others as they will be then.

        ``pending``: see :meth:`check`.

        Raises:
            InvalidError: it is no programme at all.
            NotFoundError, ForbiddenError: a place does not exist, or the right to schedule there is missing.
        """
        return (await self._judge(actor, spec, programme_id, beside, pending=pending))[1]

    async def approve(
        self,
        actor: Actor,
        spec: ProgrammeSpec,
        programme_id: str | None,
        *,
        beside: Mapping[str, ProgrammeSpec | None] = NOBODY,
    ) -> tuple[Finding, ...]:
        """The warnings of :meth:`judge`.

        Raises:
            InvalidError: with a field entry for each problem that is more than a warning.
            NotFoundError, ForbiddenError: see :meth:`judge`.
        """
        found = await self.judge(actor, spec, programme_id, beside=beside)
        stopping = [(each.code, each.message) for each in found if isinstance(each, Gap) or not each.warning]
        if stopping:
            raise _refusal(stopping)
        return found

    async def _judge(
        self,
        actor: Actor,
        spec: ProgrammeSpec,
        programme_id: str | None,
        beside: Mapping[str, ProgrammeSpec | None],
        *,
        pending: bool,
    ) -> tuple[Rule | None, tuple[Finding, ...]]:
        self._require_places(actor, spec)
        if spec.priority not in PLANNABLE:
            names = ", ".join(f"{each.name.lower()} ({each:d})" for each in sorted(PLANNABLE))
            raise InvalidError(f"a programme is one of {names}", code="priority_not_allowed")
        if isinstance(spec.content, RelaySpec) and spec.slot is None:
            raise InvalidError("a relay needs a slot: how long it is carried", code="slot_missing")
        rule, gaps = self._rulebook.rule(programme_id or DRAFT_ID, spec, pending=pending)
        if gaps or rule is None:
            return None, gaps
        others = self._others(programme_id, beside)
        settings = [self._directory.effective_settings(each) for each in sorted(rule.targets)]
        now = self._clock.now()
        try:
            found = await asyncio.to_thread(check_rule, rule, others, settings, now=now)
            return rule, tuple(_waits(each) for each in found) if pending else found
        except RecurrenceError as error:
            raise _refusal([(error.code, str(error))]) from error

    def _others(self, programme_id: str | None, beside: Mapping[str, ProgrammeSpec | None]) -> tuple[Rule, ...]:
        """The rules of all other programmes, those in ``beside`` as they are to be (None: gone)."""
        active = [entry for entry in self._catalogue.active_programmes() if entry.id != programme_id]
        others, _ = self._rulebook.rules(entry for entry in active if entry.id not in beside)
        made = (self._rulebook.rule(each, spec)[0] for each, spec in beside.items() if spec is not None)
        return (*others, *(rule for rule in made if rule is not None))

    async def create(
        self, actor: Actor, spec: ProgrammeSpec, *, pending: bool = False
    ) -> tuple[ProgrammeEntry, Checked]:
        """Put a programme on the grid. ``pending``: see :meth:`check`.

        Raises:
            InvalidError, NotFoundError, ForbiddenError: see :meth:`check`.
        """
        async with self.turn:
            return await self._create(actor, spec, pending=pending)

    async def _create(self, actor: Actor, spec: ProgrammeSpec, *, pending: bool) -> tuple[ProgrammeEntry, Checked]:
        checked = await self.check(actor, spec, pending=pending)
        async with self._db.transaction(actor) as tx:
            row = self._new_row(actor, spec)
            tx.session.add(row)
            tx.audit("programme.create", row.id, columns_of(spec))
            return self._publish(tx, row), checked

    async def change(
        self,
        actor: Actor,
        programme_id: str,
        spec: ProgrammeSpec,
        *,
        version: int | None = None,
        pending: bool = False,
    ) -> tuple[ProgrammeEntry, Checked]:
        """Replace what is said about a programme. ``version``: what the author saw, if they care.

        ``pending``: see :meth:`check`.

        Raises:
            ConflictError: ``changed_since`` (another version by now), or ``programme_over``.
            InvalidError, NotFoundError, ForbiddenError: see :meth:`check`.
        """
        self.editable(actor, programme_id, None)
        async with self.turn:
            return await self._change(actor, programme_id, spec, version, pending=pending)

    async def _change(
        self, actor: Actor, programme_id: str, spec: ProgrammeSpec, version: int | None, *, pending: bool
    ) -> tuple[ProgrammeEntry, Checked]:
        checked = await self.check(actor, spec, programme_id=programme_id, pending=pending)
        return await self.rewrite(actor, programme_id, spec, version=version, action="programme.change"), checked

    # --- for those who edit occurrences; they hold ``turn`` and have asked ``approve`` ------------------------------

    def editable(self, actor: Actor, programme_id: str, version: int | None) -> ProgrammeEntry:
        """A programme the actor may change. ``version``: the one they saw.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not theirs.
            ConflictError: ``changed_since``, ``programme_over``.
        """
        entry = self._catalogue.programme(programme_id)
        self._directory.require(actor, Permission.SCHEDULE, entry.spec.area_id)
        self._require_places(actor, entry.spec)
        if not entry.active:
            raise ConflictError(f"the programme is {entry.state}; make a new one", code="programme_over")
        if version is not None and entry.version != version:
            raise _changed_since()
        return entry

    async def rewrite(
        self,
        actor: Actor,
        programme_id: str,
        spec: ProgrammeSpec,
        *,
        version: int | None,
        action: AuditAction,
        details: Mapping[str, Any] | None = None,
    ) -> ProgrammeEntry:
        """Write what a programme says from now on.

        Raises:
            ConflictError: ``changed_since``.
        """
        async with self._db.transaction(actor) as tx:
            row = await self._row(tx, programme_id, version)
            return self._update(tx, row, columns_of(spec), action, details)

    async def divide(
        self, actor: Actor, programme_id: str, kept: ProgrammeSpec, following: ProgrammeSpec, version: int
    ) -> tuple[ProgrammeEntry, ProgrammeEntry]:
        """End a programme and begin the one that follows it, both or neither.

        Raises:
            ConflictError: ``changed_since``.
        """
        async with self._db.transaction(actor) as tx:
            row = await self._row(tx, programme_id, version)
            made = self._new_row(actor, following)
            tx.session.add(made)
            tx.audit("programme.create", made.id, {**columns_of(following), "split_from": programme_id})
            changed = self._update(tx, row, columns_of(kept), "programme.split", {"following": made.id})
            return changed, self._publish(tx, made)

    async def join(
        self, actor: Actor, programme_id: str, spec: ProgrammeSpec, following_id: str, version: int
    ) -> ProgrammeEntry:
        """Give a programme back what follows it, and withdraw that, both or neither.

        Raises:
            ConflictError: ``changed_since``.
        """
        async with self._db.transaction(actor) as tx:
            row = await self._row(tx, programme_id, version)
            other = await tx.session.get_one(tables.Programme, following_id)
            self._update(tx, other, {"state": "withdrawn"}, "programme.withdraw", {"joined_to": programme_id})
            return self._update(tx, row, columns_of(spec), "programme.join", {"following": following_id})

    async def _row(self, tx: Transaction, programme_id: str, version: int | None) -> tables.Programme:
        row = await tx.session.get_one(tables.Programme, programme_id)
        if version is not None and row.version != version:
            raise _changed_since()
        return row

    def _new_row(self, actor: Actor, spec: ProgrammeSpec) -> tables.Programme:
        return tables.Programme(
            id=new_id("pr"), created_by=actor.user_id, created_at=self._clock.now(), **columns_of(spec)
        )

    async def withdraw(self, actor: Actor, programme_id: str, recurrence: datetime | None = None) -> frozenset[str]:
        """Take a programme (or the occurrence with this RECURRENCE-ID) out of all plans; returns its clusters.

        Doing it twice is not an error.

        Raises:
            NotFoundError: no such programme, or ``occurrence_not_found``.
            ForbiddenError: no right to schedule or to stop there.
        """
        entry = self._catalogue.programme(programme_id)
        right = (
            Permission.SCHEDULE
            if self._directory.allows(actor, Permission.SCHEDULE, entry.spec.area_id)
            else Permission.STOP
        )
        self._directory.require(actor, right, entry.spec.area_id)
        if recurrence is not None:
            self._require_occurrence(entry, recurrence)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Programme, programme_id)
            if recurrence is None:
                self._update(tx, row, {"state": "withdrawn"}, "programme.withdraw")
            else:
                stamp = recurrence.astimezone(UTC).isoformat(timespec="seconds")
                left = columns_of(without(ProgrammeEntry.of(row).spec, recurrence))
                said = {"exdates": sorted({*row.exdates, stamp}), "moved": left["moved"], "replaced": left["replaced"]}
                self._update(tx, row, said, "programme.withdraw_one", {"recurrence": stamp})
        return self._rulebook.clusters(entry.spec.targets)

    async def outlook(
        self,
        actor: Actor,
        spec: ProgrammeSpec,
        begin: datetime,
        end: datetime,
        *,
        programme_id: str | None = None,
        pending: bool = False,
    ) -> tuple[tuple[Finding, ...], tuple[Forecast, ...]]:
        """What stands against a programme that is being written, and its occurrences between two instants.

        Quicker than :meth:`preview`, for asking with every keystroke: it does not look at what else sounds then.

        Raises:
            InvalidError: ``bad_span``, or it is no programme at all.
            NotFoundError, ForbiddenError: see :meth:`check`.
        """
        if not timedelta(0) < end - begin <= MAX_PREVIEW:
            raise InvalidError(f"an outlook covers up to {MAX_PREVIEW.days} days", code="bad_span")
        rule, findings = await self._judge(actor, spec, programme_id, NOBODY, pending=pending)
        if rule is None:
            return findings, ()
        kinds = kinds_of(self._directory.effective_settings(each) for each in sorted(rule.targets))
        occurrences, _ = await asyncio.to_thread(forecast, rule, kinds, begin, end)
        return findings, occurrences

    async def preview(
        self, actor: Actor, spec: ProgrammeSpec, start: datetime, end: datetime, *, programme_id: str | None = None
    ) -> tuple[tuple[Preview, ...], tuple[Problem, ...]]:
        """What each cluster would sound between two instants if the programme were on the grid.

        Raises:
            InvalidError: ``bad_span``, or what keeps the programme from being a rule at all.
            NotFoundError, ForbiddenError: see :meth:`check`.
        """
        self._require_places(actor, spec)
        if not timedelta(0) < end - start <= MAX_PREVIEW:
            raise InvalidError(f"a preview covers up to {MAX_PREVIEW.days} days", code="bad_span")
        rule, gaps = self._rulebook.rule(programme_id or DRAFT_ID, spec)
        if rule is None:
            raise _refusal([(gap.code, gap.message) for gap in gaps])
        others, _ = self._rulebook.rules(
            entry for entry in self._catalogue.active_programmes() if entry.id != programme_id
        )
        settings = tuple(self._directory.effective_settings(each) for each in sorted(rule.targets)[:MAX_PREVIEWED])
        previews, problems = await asyncio.to_thread(_preview, rule, others, settings, (start, end))
        named = tuple(Problem(gap.code, gap.message, rule.id) for gap in gaps)
        return previews, (*named, *problems)

    def _require_places(self, actor: Actor, spec: ProgrammeSpec) -> None:
        self._directory.area(spec.area_id)
        self._directory.require(actor, Permission.SCHEDULE, spec.area_id)
        for area_id in spec.targets.areas:
            self._directory.area(area_id)
            self._directory.require(actor, Permission.SCHEDULE, area_id)
        for cluster_id in spec.targets.clusters:
            self._directory.require_cluster(actor, Permission.SCHEDULE, cluster_id)
        for zone_id in spec.targets.zones:  # its keepers may add any cluster of its area later
            self._directory.require(actor, Permission.SCHEDULE, self._directory.zone(zone_id).area_id)

    def _require_occurrence(self, entry: ProgrammeEntry, recurrence: datetime) -> None:
        moment = recurrence.astimezone(UTC)
        found = expand(
            entry.spec.recurrence, after=moment - timedelta(seconds=1), before=moment + timedelta(seconds=1), limit=10
        )
        already = {
            each.astimezone(UTC)
            for each in entry.spec.recurrence.exdates
            if isinstance(each, datetime) and each.tzinfo is not None
        }
        zone = zone_of(entry.spec.recurrence.timezone)
        already |= {resolve(old, zone) for old, _ in entry.spec.moved}
        if moment not in {each.astimezone(UTC) for each in found} | already:
            raise NotFoundError(
                f"the programme has no occurrence at {recurrence.isoformat()}; see its preview",
                code="occurrence_not_found",
            )

    def _update(
        self,
        tx: Transaction,
        row: tables.Programme,
        said: Mapping[str, Any],
        action: AuditAction,
        more: Mapping[str, Any] | None = None,
    ) -> ProgrammeEntry:
        before = {name: getattr(row, name) for name in said}
        row.sqlmodel_update({**said, "version": row.version + 1})
        tx.session.add(row)
        changed = {name: [before[name], said[name]] for name in said if before[name] != said[name]}
        tx.audit(action, row.id, {"changed": changed, **(more or {})})
        return self._publish(tx, row)

    def _publish(self, tx: Transaction, row: tables.Programme) -> ProgrammeEntry:
        entry = ProgrammeEntry.of(row)
        publish: Callable[[], None] = lambda: self._catalogue.put_programme(entry)  # noqa: E731 - one line
        tx.on_commit(publish)
        return entry


def _preview(
    rule: Rule, others: tuple[Rule, ...], settings: tuple[Any, ...], span: tuple[datetime, datetime]
) -> tuple[tuple[Preview, ...], tuple[Problem, ...]]:
    """Runs in a thread."""
    start, end = span
    first = start.date() - timedelta(days=1)
    compiled = compile_plan((*others, rule), settings, first_day=first, days=(end.date() - first).days + 2)
    previews = []
    for cluster in settings:
        items = tuple(item for day in compiled.days.get(cluster.cluster_id, ()) for item in day.items)
        situation = Situation(cluster, items, ready_from=start - timedelta(days=1))
        spans = timeline(situation, start, end)
        own = tuple(item for item in items if item.rule_id == rule.id and start <= item.start < end)
        previews.append(Preview(cluster.cluster_id, rule.id, spans, own))
    problems = tuple(each for each in compiled.problems if each.rule_id == rule.id)
    return tuple(previews), problems


def _changed_since() -> ConflictError:
    return ConflictError("somebody changed the programme meanwhile; look again", code="changed_since")


def _waits(problem: Problem) -> Problem:
    """That it is not approved yet is worth knowing, and no hindrance, for a programme that may wait for it."""
    return replace(problem, warning=True) if problem.code == NOT_APPROVED else problem


def _refusal(found: list[tuple[str, str]]) -> InvalidError:
    """One refusal that names everything; its code is the first problem's."""
    if not found:
        found = [("no_content", "the programme has nothing to sound")]
    fields = [FieldProblem(_FIELD_OF.get(code, ""), message, code) for code, message in found[:50]]
    return InvalidError(found[0][1], code=found[0][0], fields=fields)


_FIELD_OF: Final = {
    "unknown_recording": "content.recordings",
    "not_approved": "content.recordings",
    "recording_not_ready": "content.recordings",
    "recording_refused": "content.recordings",
    "no_content": "content.recordings",
    "unknown_source": "content.source",
    "no_target": "targets",
    "quiet_hours": "dtstart",
    "overlap": "dtstart",
    "in_past": "dtstart",
    "too_long": "slot_s",
}
