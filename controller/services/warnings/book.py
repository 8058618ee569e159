"""The book of warnings: what came, as rows. Everything that reads or writes them, and nothing that judges them.

Rules kept here:

1. One alert of one source is one row, however often and at whatever moment it comes: sender, identifier and the instant
   it was sent are its identity (CAP 1.2, 3.2.1), and a constraint of the database holds it.
2. The bytes are kept as they came, once, however many alerts they hold.
3. What machines report is written without an audit row; what is decided about it is audited by whoever decides.
4. The book is bounded: :data:`KEPT` of age, :data:`KEPT_ROWS` a source, oldest first; what waits for people is not
   removed. At most :data:`PENDING` wait to be judged; then whoever brings more is told to come again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func
from sqlmodel import col, delete, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.cap import Reading, reading_json
from controller.services.errors import BusyError, NotFoundError
from controller.services.warnings.model import SourceKind, State, WarningEntry
from controller.services.warnings.notice import Identity, Notice, notice_of
from controller.services.warnings.policy import expires_at
from controller.store import Database
from controller.store.actions import AuditAction
from controller.store.engine import Signatory
from controller.store.ids import new_id
from controller.store.warning_tables import WarningDocument, WarningReference, WarningRow

#: How long and how many a source's warnings are kept.
KEPT: Final = timedelta(days=180)
KEPT_ROWS: Final = 5_000
#: Warnings that may wait to be judged.
PENDING: Final = 1_000
#: Letters of a headline or an event that a list shows.
_SHOWN: Final = 300
#: References of one message that are followed.
_REFERENCES: Final = 50
_PRUNED: Final = 500
#: The verdict of a signature that proves who sent it.
PROVEN: Final = "valid"
#: Figures of an area that are kept beside the bytes, and letters of each.
_FIGURES: Final = 20
_FIGURE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one alert of a document when it came."""

    code: str  # received | duplicate | duplicate_differs, or why it was refused
    id: str | None = None
    sender: str = ""
    identifier: str = ""
    detail: str = ""

    @property
    def taken(self) -> bool:
        """Whether it is in the book."""
        return self.id is not None


@dataclass(frozen=True, slots=True)
class _Arrival:
    """How a document came."""

    source_id: str
    via: SourceKind
    data: bytes
    document: str  # SHA-256 of the data
    at: datetime


class WarningBook:
    """Rows of warnings."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.pending = 0  # rows that wait to be judged
        #: Told of every warning that came or changed, once it is written: its id, its source, the clusters it reaches.
        #: They must be quick and must not raise.
        self.listeners: list[Callable[[str, str, Collection[str]], None]] = []

    async def load(self) -> None:
        """Count what waits (at start)."""
        async with self._db.read() as session:
            query = select(func.count()).select_from(WarningRow).where(col(WarningRow.state) == State.RECEIVED)
            self.pending = (await session.exec(query)).one()

    # --- coming in ---

    async def keep(
        self, source_id: str, via: SourceKind, data: bytes, readings: Sequence[Reading], *, now: datetime
    ) -> list[Kept]:
        """Write a document and its alerts down; one result for each reading, in order.

        Raises:
            BusyError: ``warnings_busy``: too many wait to be judged.
            StoreBusyError: the database is locked.
        """
        if self.pending + len(readings) > PENDING:
            raise BusyError("too many warnings wait to be judged; try again in a minute", code="warnings_busy")
        arrival = _Arrival(source_id, via, data, hashlib.sha256(data).hexdigest(), now)
        fresh = 0
        async with self._db.telemetry() as session:
            results: list[Kept] = []
            for part, reading in enumerate(readings):
                kept = await _keep_one(session, arrival, part, reading)
                fresh += kept.code == "received"
                results.append(kept)
        self.pending += fresh
        for kept in results:
            if kept.code == "received" and kept.id is not None:
                self._tell(kept.id, source_id, ())
        return results

    # --- reading ---

    async def get(self, warning_id: str) -> WarningEntry:
        """One warning.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read() as session:
            row = (await session.exec(select(WarningRow).where(col(WarningRow.id) == warning_id))).first()
        if row is None:
            raise NotFoundError(f"there is no warning {warning_id!r}", code="warning_not_found")
        return WarningEntry.of(row)

    async def document(self, sha256: str) -> bytes:
        """The bytes as they came.

        Raises:
            NotFoundError: they are not kept any more.
        """
        async with self._db.read() as session:
            row = await session.get(WarningDocument, sha256)
        if row is None:
            raise NotFoundError("the document is not kept any more", code="document_not_found")
        return row.body

    async def waiting(self, limit: int = 50) -> list[WarningEntry]:
        """Warnings to be judged, oldest first."""
        query = select(WarningRow).where(col(WarningRow.state) == State.RECEIVED)
        return await self._some(query.order_by(col(WarningRow.seq)).limit(limit))

    async def newest(
        self,
        *,
        before: int | None,
        limit: int,
        state: str | None = None,
        source_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
    ) -> list[WarningEntry]:
        """The newest first; ``before``: the ``seq`` to go on below."""
        query = select(WarningRow).order_by(col(WarningRow.seq).desc()).limit(limit)
        for given, column in (
            (state, WarningRow.state), (source_id, WarningRow.source_id), (status, WarningRow.status),
        ):  # fmt: skip
            if given is not None:
                query = query.where(col(column) == given)
        if before is not None:
            query = query.where(col(WarningRow.seq) < before)
        if since is not None:
            query = query.where(col(WarningRow.received_at) >= since)
        return await self._some(query)

    async def named(self, source_id: str, identities: Iterable[Identity]) -> list[WarningEntry]:
        """The rows of a source with one of these identities."""
        wanted = list(identities)[:_REFERENCES]
        if not wanted:
            return []
        names = tuple_(col(WarningRow.sender), col(WarningRow.identifier), col(WarningRow.sent))
        return await self._some(select(WarningRow).where(col(WarningRow.source_id) == source_id, names.in_(wanted)))

    async def referring(self, source_id: str, identity: Identity) -> list[WarningEntry]:
        """The rows of a source that refer to this identity, whether it was there before them or not."""
        sender, identifier, sent = identity
        query = (
            select(WarningRow)
            .join(WarningReference, col(WarningReference.warning) == col(WarningRow.id))
            .where(
                col(WarningReference.source_id) == source_id,
                col(WarningReference.identifier) == identifier,
                col(WarningReference.sender) == sender,
                col(WarningReference.sent) == sent,
            )
        )
        return await self._some(query)

    async def twins(self, notice: Notice, source_id: str) -> list[WarningEntry]:
        """The same message with the same words, as other sources passed it on."""
        sender, identifier, sent = notice.identity
        return await self._some(
            select(WarningRow).where(
                col(WarningRow.identifier) == identifier,
                col(WarningRow.sender) == sender,
                col(WarningRow.sent) == sent,
                col(WarningRow.content) == notice.content,
                col(WarningRow.source_id) != source_id,
            )
        )

    async def unproven(self, notice: Notice, source_id: str) -> list[WarningEntry]:
        """What came from the source under this identity without proving its sender."""
        named = await self.named(source_id, [notice.identity])
        return [one for one in named if one.signature != PROVEN]

    async def in_state(self, state: State, limit: int = 500) -> list[WarningEntry]:
        """Warnings in a state, oldest first."""
        return await self._some(
            select(WarningRow).where(col(WarningRow.state) == state).order_by(col(WarningRow.seq)).limit(limit)
        )

    async def automatic_since(self, source_id: str, since: datetime) -> int:
        """How many alerts a source sent by itself since then."""
        query = (
            select(func.count())
            .select_from(WarningRow)
            .where(
                col(WarningRow.source_id) == source_id, col(WarningRow.rule) != "", col(WarningRow.decided_at) >= since
            )
        )
        async with self._db.read() as session:
            return (await session.exec(query)).one()

    # --- changing ---

    async def settle(
        self,
        actor: Signatory,
        warning_id: str,
        changes: dict[str, Any],
        *,
        expected: Iterable[State],
        audit: AuditAction | None = None,
        details: dict[str, Any] | None = None,
    ) -> WarningEntry | None:
        """Change a row that is still in one of these states; None = it is not, and nothing was changed.

        ``audit``: the action the log keeps; None for what machines report.
        """
        wanted = tuple(expected)

        async def apply(session: AsyncSession) -> WarningEntry | None:
            row = (await session.exec(select(WarningRow).where(col(WarningRow.id) == warning_id))).first()
            if row is None or row.state not in wanted:
                return None
            was = row.state
            row.sqlmodel_update(changes)
            session.add(row)
            if was == State.RECEIVED and row.state != State.RECEIVED:
                self.pending = max(0, self.pending - 1)
            return WarningEntry.of(row)

        if audit is None:
            async with self._db.telemetry() as session:
                changed = await apply(session)
        else:
            async with self._db.transaction(actor) as tx:
                changed = await apply(tx.session)
                if changed is not None:
                    said = {"sender": changed.sender, "identifier": changed.identifier, **(details or {})}
                    tx.audit(audit, warning_id, said)
        if changed is not None:
            self._tell(changed.id, changed.source_id, changed.clusters)
        return changed

    async def expire(self, now: datetime) -> int:
        """Mark what ended before anybody acted; returns how many."""
        open_states = (State.RECEIVED, State.SHOWN, State.PROPOSED)
        async with self._db.telemetry() as session:
            query = select(WarningRow).where(col(WarningRow.state).in_(open_states), col(WarningRow.expires) <= now)
            found = (await session.exec(query.limit(_PRUNED))).all()
            for row in found:
                self.pending -= row.state == State.RECEIVED
                row.state = State.EXPIRED
                session.add(row)
        self.pending = max(0, self.pending)
        for row in found:
            self._tell(row.id, row.source_id, row.clusters)
        return len(found)

    async def prune(self, source_ids: Iterable[str], now: datetime) -> int:
        """Remove what is old or too much; returns how many rows went."""
        removed = 0
        async with self._db.telemetry() as session:
            kept = (State.RECEIVED, State.PROPOSED, State.ACCEPTED)
            old = col(WarningRow.received_at) < now - KEPT
            removed += await _remove(session, old & col(WarningRow.state).not_in(kept))
            for source_id in source_ids:
                mine = col(WarningRow.source_id) == source_id
                newest = select(WarningRow.seq).where(mine).order_by(col(WarningRow.seq).desc())
                edge = (await session.exec(newest.offset(KEPT_ROWS).limit(1))).first()
                if edge is not None:
                    surplus = mine & (col(WarningRow.seq) <= edge) & col(WarningRow.state).not_in(kept)
                    removed += await _remove(session, surplus)
            if removed:
                used = select(WarningRow.document)
                await session.exec(delete(WarningDocument).where(col(WarningDocument.sha256).not_in(used)))
        return removed

    def _tell(self, warning_id: str, source_id: str, clusters: Collection[str]) -> None:
        for listener in self.listeners:
            listener(warning_id, source_id, clusters)

    async def _some(self, query: Any) -> list[WarningEntry]:
        async with self._db.read() as session:
            return [WarningEntry.of(row) for row in (await session.exec(query)).all()]


async def _keep_one(session: AsyncSession, arrival: _Arrival, part: int, reading: Reading) -> Kept:
    if not reading.ok or reading.alert is None:
        return Kept(reading.code, detail=reading.reason)
    notice = notice_of(
        reading.alert, signature=str(reading.signature), quarantine=reading.quarantine, flags=reading.flags
    )
    sender, identifier, sent = notice.identity
    query = select(WarningRow).where(
        col(WarningRow.source_id) == arrival.source_id,
        col(WarningRow.sender) == sender,
        col(WarningRow.identifier) == identifier,
        col(WarningRow.sent) == sent,
    )
    if notice.signature == PROVEN:
        query = query.where(col(WarningRow.proven))
    there = (await session.exec(query.order_by(col(WarningRow.proven).desc()))).first()
    if there is not None:
        code = "duplicate" if there.content == notice.content else "duplicate_differs"
        return Kept(code, there.id, sender, identifier)
    if await session.get(WarningDocument, arrival.document) is None:
        session.add(WarningDocument(sha256=arrival.document, body=arrival.data, received_at=arrival.at))
        await session.flush()
    row = _row(arrival, part, reading, notice)
    session.add(row)
    await session.flush()
    for other in notice.references[:_REFERENCES]:
        session.add(
            WarningReference(
                warning=row.id, source_id=arrival.source_id, sender=other[0], identifier=other[1], sent=other[2]
            )
        )
    return Kept("received", row.id, sender, identifier)


def _row(arrival: _Arrival, part: int, reading: Reading, notice: Notice) -> WarningRow:
    sender, identifier, sent = notice.identity
    lead = notice.lead
    return WarningRow(
        id=new_id("wa"),
        source_id=arrival.source_id,
        document=arrival.document,
        part=part,
        via=arrival.via.value,
        sender=sender,
        identifier=identifier,
        sent=sent,
        sent_at=notice.sent,
        content=notice.content,
        status=notice.status,
        msg_type=notice.msg_type,
        scope=notice.scope,
        event="" if lead is None else lead.event[:_SHOWN],
        headline="" if lead is None else lead.headline[:_SHOWN],
        severity="" if lead is None else lead.severity,
        urgency="" if lead is None else lead.urgency,
        certainty="" if lead is None else lead.certainty,
        languages=list(dict.fromkeys(info.language for info in notice.infos)),
        expires=expires_at(notice),
        signature=notice.signature,
        proven=notice.signature == PROVEN,
        quarantine=notice.quarantine,
        flags=list(notice.flags),
        references=[list(one) for one in notice.references[:_REFERENCES]],
        reading=_short(reading_json(reading)),
        state=State.RECEIVED.value,
        received_at=arrival.at,
    )


def _short(reading: dict[str, Any]) -> dict[str, Any]:
    """A reading without the long figures: a polygon may have a megabyte, and the bytes are kept anyway."""
    for info in reading.get("infos", ()):
        for area in info.get("areas", ()):
            for name in ("polygons", "circles"):
                texts = area.get(name) or []
                area[name] = [
                    text[:_FIGURE_MAX] + ("…" if len(text) > _FIGURE_MAX else "") for text in texts[:_FIGURES]
                ]
    return reading


async def _remove(session: AsyncSession, which: Any) -> int:
    """Remove at most :data:`_PRUNED` rows, with their references."""
    found = (await session.exec(select(WarningRow.id).where(which).limit(_PRUNED))).all()
    if found:
        await session.exec(delete(WarningReference).where(col(WarningReference.warning).in_(found)))
        await session.exec(delete(WarningRow).where(col(WarningRow.id).in_(found)))
    return len(found)


__all__ = ["KEPT", "KEPT_ROWS", "PENDING", "PROVEN", "Kept", "WarningBook"]
