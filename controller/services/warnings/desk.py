"""Warnings at the desk: who may see them, accepting one (two people then send it), declining one.

Rules kept here:

1. A warning is readable by whoever may read the area its source speaks for, or a cluster it reaches.
2. Accepting composes an alert in the name of the person who accepts; a second person confirms it at the alert desk.
   A warning that was only shown may be accepted too, unless it is a test, was altered, or is over: what a machine does
   not do for lack of a signature, people may do with their eyes.
3. One warning becomes one alert: whoever accepts second is told so.
4. Every decision stands in the audit log with its reason.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from controller.services.alerts import AlertKind, Where, Words
from controller.services.context import SYSTEM, Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.orders import Scope
from controller.services.warnings.book import WarningBook
from controller.services.warnings.drafts import Proposal
from controller.services.warnings.model import OPEN, SourceEntry, State, WarningEntry
from controller.services.warnings.outcome import alert_of, draft_of
from controller.services.warnings.ports import Alerts, Composition
from controller.services.warnings.sources import WarningSources

#: Rows that are looked through for one page of what somebody may see.
_LOOKED_THROUGH: Final = 2_000
_CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class WarningFilter:
    """Which warnings a list shows."""

    state: str | None = None
    source_id: str | None = None
    status: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a person changes of a proposal while accepting it; None stays as it was filled in."""

    title: str | None = None
    template: str | None = None
    words: tuple[Words, ...] | None = None
    areas: tuple[str, ...] | None = None
    clusters: tuple[str, ...] | None = None
    zones: tuple[str, ...] | None = None
    again: bool = False


class WarningDesk:
    """Use-cases of warnings."""

    def __init__(
        self, *, book: WarningBook, sources: WarningSources, alerts: Alerts, directory: Directory, clock: Clock
    ) -> None:
        self._book = book
        self._sources = sources
        self._alerts = alerts
        self._directory = directory
        self._clock = clock
        self._deciding = asyncio.Lock()  # one decision at a time: two people who accept at once make one alert

    async def listed(
        self, actor: Actor, wanted: WarningFilter, *, before: int | None, limit: int
    ) -> tuple[list[WarningEntry], int | None]:
        """The newest warnings the actor may see, and where to go on (None at the end)."""
        found: list[WarningEntry] = []
        looked = 0
        while looked < _LOOKED_THROUGH:
            rows = await self._book.newest(
                before=before,
                limit=_CHUNK,
                state=wanted.state,
                source_id=wanted.source_id,
                status=wanted.status,
                since=wanted.since,
            )
            for row in rows:
                if self.readable(actor, row):
                    if len(found) == limit:
                        return found, found[-1].seq
                    found.append(row)
                before = row.seq
            looked += len(rows)
            if len(rows) < _CHUNK:
                return found, None
        return found, before

    async def get(self, actor: Actor, warning_id: str) -> WarningEntry:
        """One warning.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = await self._book.get(warning_id)
        if not self.readable(actor, entry):
            raise ForbiddenError("you need the right 'read' over its source's area or a cluster it reaches")
        return entry

    async def raw(self, actor: Actor, warning_id: str) -> bytes:
        """The document as it came.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        return await self._book.document((await self.get(actor, warning_id)).document)

    def readable(self, actor: Actor, entry: WarningEntry) -> bool:
        """Whether the actor may see it."""
        if actor.may_everywhere(Permission.READ):
            return True
        source = self._sources.find(entry.source_id)
        places = {self._directory.clusters[one].area_id for one in entry.clusters if one in self._directory.clusters}
        if source is not None:
            places.add(source.area_id)
        return any(self._directory.allows(actor, Permission.READ, area) for area in places)

    async def accept(self, actor: Actor, warning_id: str, changes: Changes) -> Composition:
        """Compose the alert that a warning asks for, or do what its Cancel asks.

        Raises:
            ConflictError: somebody decided before (``already_decided``), or it is over (``expired``).
            InvalidError: it is a test or altered (``never_sounds``), or nothing is there to be said (``no_words``).
            NotFoundError, ForbiddenError: it is not there, or not theirs to accept.
            ServiceError: whatever the alert desk says of the draft.
        """
        async with self._deciding:
            entry = await self._decidable(actor, warning_id)
            source = self._sources.find(entry.source_id)
            if source is None:
                raise NotFoundError("its source was removed", code="warning_source_not_found")
            self._check_may_sound(entry)
            proposal = Proposal.decode(entry.proposal)
            if proposal.kind == "cancel":
                return await self._accept_cancel(actor, entry, proposal)
            return await self._accept_alert(actor, entry, proposal, source, changes)

    async def _accept_alert(
        self, actor: Actor, entry: WarningEntry, proposal: Proposal, source: SourceEntry, changes: Changes
    ) -> Composition:
        draft = draft_of(proposal, entry, source, now=self._clock.now(), by="cap")
        named = Scope(areas=changes.areas or (), clusters=changes.clusters or (), zones=changes.zones or ())
        if named != Scope():
            draft = replace(draft, where=Where(named))
        if changes.template is not None:
            draft = replace(draft, kind=AlertKind.TEMPLATE, template=changes.template, words=(), cancel_words=())
        elif changes.words is not None:
            draft = replace(draft, kind=AlertKind.TEXT, template=None, words=changes.words)
        draft = replace(draft, title=changes.title or draft.title, again=changes.again)
        if draft.where.scope == Scope():
            raise InvalidError(
                "the warning reaches no cluster of ours; name areas, zones or clusters", code="no_cluster"
            )
        if draft.kind is AlertKind.TEXT and not draft.words:
            raise InvalidError(
                "the warning has no words in a language of these clusters; give a template or words", code="no_words"
            )
        there = alert_of(entry.id, self._alerts.alerts(SYSTEM))
        if there is not None and (there.state.waiting or there.given is not None):
            raise ConflictError(f"it became alert {there.id} already", code="already_decided")
        composed = await self._alerts.compose(actor, draft)
        await self._decide(actor, entry, State.ACCEPTED, composed.alert.id)
        return Composition(composed.alert.id, composed.code)

    async def _accept_cancel(self, actor: Actor, entry: WarningEntry, proposal: Proposal) -> Composition:
        if not proposal.replaces:
            raise InvalidError("no alert of ours came of what it cancels", code="nothing_to_cancel")
        why = f"{entry.sender}: {entry.identifier}"
        standing = [one for one in proposal.replaces if self._alerts.get(SYSTEM, one).state.given]
        for alert_id in standing or proposal.replaces[:1]:  # of one that is over, the desk says what became of it
            await self._alerts.cancel(actor, alert_id, reason=why, idempotency_key=f"{entry.id}:{alert_id}")
        await self._decide(actor, entry, State.ISSUED, proposal.replaces[0])
        return Composition(proposal.replaces[0])

    async def decline(self, actor: Actor, warning_id: str, reason: str) -> WarningEntry:
        """Say no to a warning, with the reason.

        Raises:
            ConflictError: somebody decided before.
            NotFoundError, ForbiddenError: it is not there, or not theirs to decline.
        """
        entry = await self._decidable(actor, warning_id)
        return await self._decide(actor, entry, State.DECLINED, None, reason)

    async def _decidable(self, actor: Actor, warning_id: str) -> WarningEntry:
        entry = await self.get(actor, warning_id)
        self._require_over(actor, entry)
        if entry.state is State.EXPIRED:
            raise ConflictError("the warning is over", code="expired")
        if entry.state not in OPEN:
            by = f" by {entry.decided_by}" if entry.decided_by else ""
            raise ConflictError(f"the warning is {entry.state}{by}", code="already_decided")
        return entry

    def _require_over(self, actor: Actor, entry: WarningEntry) -> None:
        """The right to compose over the source's area, or over every cluster it reaches."""
        source = self._sources.find(entry.source_id)
        verb = Permission.EMERGENCY_COMPOSE
        if source is not None and self._directory.allows(actor, verb, source.area_id):
            return
        areas = {self._directory.clusters[one].area_id for one in entry.clusters if one in self._directory.clusters}
        if not areas:
            self._directory.require(actor, verb, None if source is None else source.area_id)
        for area in sorted(areas):
            self._directory.require(actor, verb, area)

    def _check_may_sound(self, entry: WarningEntry) -> None:
        if entry.status != "Actual":
            raise InvalidError(f"a warning of status {entry.status} never sounds", code="never_sounds")
        if entry.signature == "invalid":
            raise InvalidError("its signature says that it was altered; it never sounds", code="never_sounds")
        if entry.msg_type not in {"Alert", "Update", "Cancel"} or not entry.proposal:
            raise InvalidError("there is nothing in it that could sound", code="never_sounds")
        if entry.expires is not None and entry.expires <= self._clock.now() and entry.msg_type != "Cancel":
            raise ConflictError("the warning is over", code="expired")
        if entry.superseded_by is not None or "superseded" in entry.reasons:
            raise ConflictError("a later message replaced or cancelled it", code="superseded")

    async def _decide(
        self, actor: Actor, entry: WarningEntry, state: State, alert_id: str | None, reason: str = ""
    ) -> WarningEntry:
        changes = {
            "state": state.value,
            "alert_id": alert_id,
            "reason": reason,
            "decided_by": actor.user_id,
            "decided_at": self._clock.now(),
        }
        changed = await self._book.settle(
            actor,
            entry.id,
            changes,
            expected=OPEN,
            audit="warning.decline" if state is State.DECLINED else "warning.accept",
            details={"alert": alert_id, "reason": reason},
        )
        if changed is None:
            raise ConflictError("somebody decided about it a moment ago", code="already_decided")
        return changed
