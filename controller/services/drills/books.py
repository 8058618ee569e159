"""Drills in memory, as facts come in, and behind that in the database.

Rules kept here:

1. A drill's row is on the disk before its first order is sent: nothing sounds that this system does not know of.
2. Facts come at once and in memory; what changed is written every second; what cannot be written waits.
3. The last :data:`KEPT` drills are in memory; the database keeps them all.

Not here: who may order one (:mod:`controller.services.drills.desk`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlmodel import col, select

from controller.services.context import Actor, Clock
from controller.services.dispatch import Courier
from controller.services.drills.model import Drill, DrillKind, Result
from controller.services.errors import NotFoundError
from controller.store import Database, StoreError
from controller.store.actions import AuditAction
from controller.store.drill_tables import DrillResultRow, DrillRow
from protocol.messages import Progress, ProgressStage

KEPT: Final = 60
_BATCH: Final = 500

_log = structlog.get_logger(__name__)

_BEGUN: Final[Mapping[DrillKind, AuditAction]] = {
    DrillKind.DRILL: "drill.drill",
    DrillKind.TEST: "drill.test",
    DrillKind.SILENT: "drill.silent",
}


class DrillBook:
    """Every drill that is remembered."""

    def __init__(self, db: Database, courier: Courier, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._drills: dict[str, Drill] = {}
        self._numbers: dict[tuple[int, int], Drill] = {}
        self._dirty: set[tuple[str, str]] = set()
        #: Told of every drill that began, was ended, or whose results changed. They must be quick and must not raise.
        self.listeners: list[Callable[[Drill], None]] = []
        courier.delivery_listeners.append(self._delivered)

    async def load(self) -> None:
        """Remember the last ones (at start).

        Raises:
            StoreError: the database cannot be read.
        """
        async with self._db.read() as session:
            rows = (await session.exec(select(DrillRow).order_by(col(DrillRow.start).desc()).limit(KEPT))).all()
            for row in reversed(rows):
                drill = _drill_of(row)
                known = await session.exec(select(DrillResultRow).where(col(DrillResultRow.drill_id) == row.id))
                drill.results = {each.agent_id: _result_of(each) for each in known}
                self._remember(drill)

    def all(self) -> tuple[Drill, ...]:
        """Newest first."""
        return tuple(sorted(self._drills.values(), key=lambda drill: drill.start, reverse=True))

    def find(self, drill_id: str) -> Drill | None:
        """One drill, if it is remembered."""
        return self._drills.get(drill_id)

    def get(self, drill_id: str) -> Drill:
        """One drill.

        Raises:
            NotFoundError: there is none, or it is too long ago.
        """
        drill = self._drills.get(drill_id)
        if drill is None:
            raise NotFoundError(f"there is no drill {drill_id!r}", code="drill_not_found")
        return drill

    async def begin(self, actor: Actor, drill: Drill) -> None:
        """Write a drill down before it is ordered.

        Raises:
            StoreBusyError: the database is locked; nothing was ordered.
        """
        async with self._db.transaction(actor) as tx:
            tx.session.add(_row_of(drill))
            tx.audit(_BEGUN[drill.kind], drill.id, {"title": drill.title, "clusters": len(drill.clusters)})
        self._remember(drill)
        self._tell(drill)

    async def ordered(self, drill: Drill, numbers: Iterable[tuple[int, int]]) -> None:
        """Its orders were given under these numbers.

        Raises:
            StoreBusyError: the database is locked; the drill goes on, a restart would not know its answers.
        """
        drill.numbers |= set(numbers)
        self._numbers.update(dict.fromkeys(drill.numbers, drill))
        async with self._db.telemetry() as session:
            row = await session.get_one(DrillRow, drill.id)
            row.sqlmodel_update({"numbers": [list(each) for each in sorted(drill.numbers)]})
            session.add(row)

    async def cancelled(self, actor: Actor, drill: Drill) -> None:
        """Somebody ended it.

        Raises:
            StoreBusyError: the database is locked.
        """
        drill.cancelled_at = self._clock.now()
        self._tell(drill)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(DrillRow, drill.id)
            row.sqlmodel_update({"cancelled_at": drill.cancelled_at})
            tx.session.add(row)
            tx.audit("drill.cancel", drill.id, {"title": drill.title})

    # --- facts -------------------------------------------------------------------------------------------------

    def progress(self, agent_id: str, said: Progress) -> None:
        """A box told what it does."""
        drill = self._numbers.get((said.term, said.seq))
        result = None if drill is None else drill.results.get(agent_id)
        if drill is None or result is None:
            return
        result.received_at = result.received_at or said.at
        result.verified_at = result.verified_at or said.at
        match said.stage:
            case ProgressStage.STARTED:
                result.started_at, result.start_error_us = said.at, said.start_error_us
            case ProgressStage.FINISHED:
                if result.started_at is not None or not said.code:  # else it gave way before its first word
                    result.finished_at = said.at
                result.code = said.code or ""
            case ProgressStage.TESTED:
                result.tested_at = said.at
                result.code = said.code or ""
                result.checks = {check.name: (check.ok, check.detail) for check in said.checks}
            case ProgressStage.REFUSED | ProgressStage.MUTED:
                result.code = result.code or said.code or said.stage.value
        self._dirty.add((drill.id, agent_id))
        self._tell(drill)

    def delivered(self, drill: Drill, agent_id: str, state: str, code: str) -> None:
        """What the courier says of one order at one box."""
        result = drill.results.get(agent_id)
        if result is None or state == "queued":
            return
        now = self._clock.now()
        result.received_at = result.received_at or (now if state != "retired" else None)
        if state == "accepted":
            result.verified_at = result.verified_at or now
        elif state == "refused":
            result.code = code or "refused"
        self._dirty.add((drill.id, agent_id))
        self._tell(drill)

    def _delivered(self, number: tuple[int, int], agent_id: str, state: str, code: str, _detail: str) -> None:
        drill = self._numbers.get(number)
        if drill is not None:
            self.delivered(drill, agent_id, state, code)

    # --- the database -------------------------------------------------------------------------------------------

    async def write(self) -> None:
        """Write what changed; what fails is written next time."""
        dirty, self._dirty = self._dirty, set()
        todo = sorted(dirty)
        try:
            while todo:
                part, todo = todo[:_BATCH], todo[_BATCH:]
                await self._write(part)
                dirty -= set(part)
        except StoreError as error:
            self._dirty |= dirty
            _log.warning("drill_results_wait", reason=str(error))

    async def _write(self, part: list[tuple[str, str]]) -> None:
        async with self._db.telemetry() as session:
            for drill_id, agent_id in part:
                drill = self._drills.get(drill_id)
                if drill is None:
                    continue
                result, table = drill.results[agent_id], DrillResultRow
                query = select(table).where(col(table.drill_id) == drill_id, col(table.agent_id) == agent_id)
                row = (await session.exec(query)).one_or_none()
                row = row or table(drill_id=drill_id, agent_id=agent_id, cluster_id=result.cluster_id)
                row.sqlmodel_update(
                    {
                        "received_at": _utc(result.received_at),
                        "verified_at": _utc(result.verified_at),
                        "started_at": _utc(result.started_at),
                        "finished_at": _utc(result.finished_at),
                        "tested_at": _utc(result.tested_at),
                        "start_error_us": result.start_error_us,
                        "code": result.code,
                        "checks": {name: list(check) for name, check in result.checks.items()},
                    }
                )
                session.add(row)

    def _tell(self, drill: Drill) -> None:
        for listener in self.listeners:
            listener(drill)

    def _remember(self, drill: Drill) -> None:
        self._drills[drill.id] = drill
        self._numbers.update(dict.fromkeys(drill.numbers, drill))
        for agent_id in drill.results:
            self._dirty.add((drill.id, agent_id))
        while len(self._drills) > KEPT:
            oldest = min(self._drills.values(), key=lambda each: each.start)
            del self._drills[oldest.id]
            self._numbers = {number: each for number, each in self._numbers.items() if each is not oldest}


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


def _row_of(drill: Drill) -> DrillRow:
    return DrillRow(
        id=drill.id,
        kind=drill.kind.value,
        title=drill.title,
        clusters=sorted(drill.clusters),
        words=dict(drill.words),
        started_by=drill.started_by,
        start=drill.start,
        expires=drill.expires,
    )


def _drill_of(row: DrillRow) -> Drill:
    return Drill(
        id=row.id,
        kind=DrillKind(row.kind),
        title=row.title,
        clusters=frozenset(row.clusters),
        words=row.words,
        started_by=row.started_by,
        start=row.start,
        expires=row.expires,
        numbers={(term, seq) for term, seq in row.numbers},
        cancelled_at=row.cancelled_at,
    )


def _result_of(row: DrillResultRow) -> Result:
    return Result(
        agent_id=row.agent_id,
        cluster_id=row.cluster_id,
        received_at=row.received_at,
        verified_at=row.verified_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        tested_at=row.tested_at,
        start_error_us=row.start_error_us,
        code=row.code,
        checks={name: (bool(ok), str(detail)) for name, (ok, detail) in row.checks.items()},
    )
