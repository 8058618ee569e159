"""What agents say they played, kept exactly once.

1. (agent, journal, seq) is unique in the database; a record that comes again changes nothing.
2. A number is acknowledged only when everything of its journal that this controller was given before it is on the disk
   (``synchronous=FULL``). When a write fails, later batches of the same journal are stored but not acknowledged past
   the hole until the agent has sent the missing ones again.
3. Records of many agents are committed together (:mod:`controller.services.batching`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from controller.services.batching import Batcher
from controller.services.context import Clock
from controller.services.keeping import Keeper
from controller.store import Database, tables
from protocol.fields import unsigned64_text
from protocol.telemetry import PlayRecord

#: Batches committed together: at most 64 × 100 records a transaction.
_BATCHES: Final = 64
_WAITING: Final = 2048
_ROW = tables.PlayRecordRow


@dataclass(frozen=True, slots=True)
class _Batch:
    agent_id: str
    cluster_id: str | None
    journal: str
    records: tuple[PlayRecord, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one batch: the number to acknowledge, and the records that were new."""

    up_to: int
    new: tuple[PlayRecord, ...]


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records to look for; None = any. Times are of the planned (else real) start's arrival here."""

    agent_ids: frozenset[str] | None = None
    cluster_ids: frozenset[str] | None = None
    occurrence_id: str | None = None
    rule_id: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    before_id: int | None = None
    limit: int = 100


class PlayRecordBook:
    """Stores play records and finds them again."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._holes: dict[tuple[str, str], int] = {}
        self._writer: Batcher[_Batch, Stored] = Batcher(
            self._commit, name="play-records", limit=_WAITING, batch=_BATCHES
        )

    def open(self, keeper: Keeper) -> None:
        """Begin to write."""
        self._writer.open(keeper)

    def close(self) -> None:
        """Take no more; what waits is refused, and its agents send it again."""
        self._writer.close()

    async def store(self, agent_id: str, cluster_id: str | None, journal: str, records: Sequence[PlayRecord]) -> Stored:
        """Keep records for good.

        Raises:
            BusyError, StoreBusyError: not now; nothing is acknowledged and the agent sends them again.
        """
        if not records:
            return Stored(0, ())
        key = agent_id, journal
        first, last = records[0].seq, max(record.seq for record in records)
        try:
            stored = await self._writer.submit(_Batch(agent_id, cluster_id, journal, tuple(records)))
        except Exception:
            self._holes[key] = min(first, self._holes.get(key, first))
            raise
        hole = self._holes.get(key)
        if hole is None:
            return stored
        if first <= hole <= last + 1:
            del self._holes[key]
            return stored
        return Stored(max(0, hole - 1), stored.new) if first > hole else stored

    def forget(self, agent_id: str) -> None:
        """The agent's connection is gone: it will begin again at its oldest unacknowledged record."""
        for key in [key for key in self._holes if key[0] == agent_id]:
            del self._holes[key]

    async def find(self, wanted: RecordFilter) -> list[tables.PlayRecordRow]:
        """Records, newest first."""
        query = select(_ROW).order_by(col(_ROW.id).desc()).limit(wanted.limit)
        if wanted.agent_ids is not None:
            query = query.where(col(_ROW.agent_id).in_(wanted.agent_ids))
        if wanted.cluster_ids is not None:
            query = query.where(col(_ROW.cluster_id).in_(wanted.cluster_ids))
        for column, value in (
            (_ROW.occurrence_id, wanted.occurrence_id),
            (_ROW.rule_id, wanted.rule_id),
            (_ROW.outcome, wanted.outcome),
        ):
            if value is not None:
                query = query.where(col(column) == value)
        if wanted.since is not None:
            query = query.where(col(_ROW.received_at) >= wanted.since)
        if wanted.before_id is not None:
            query = query.where(col(_ROW.id) < wanted.before_id)
        async with self._db.read() as session:
            return list(await session.exec(query))

    async def _commit(self, batches: Sequence[_Batch]) -> list[Stored]:
        now = self._clock.now()
        rows = [_row(batch, record, now) for batch in batches for record in batch.records]
        dialect = postgresql if self._db.url.get_backend_name() == "postgresql" else sqlite
        statement = (
            dialect.insert(_ROW)
            .on_conflict_do_nothing(index_elements=["agent_id", "journal", "seq"])
            .returning(col(_ROW.agent_id), col(_ROW.journal), col(_ROW.seq))
        )
        async with self._db.telemetry() as session:
            connection = await session.connection()
            new = {tuple(row) for row in (await connection.execute(statement, rows)).all()}
        results = []
        for batch in batches:
            fresh = [one for one in batch.records if (batch.agent_id, batch.journal, one.seq) in new]
            new -= {(batch.agent_id, batch.journal, one.seq) for one in fresh}  # a batch that came twice is new once
            results.append(Stored(max(one.seq for one in batch.records), tuple(fresh)))
        return results


def _row(batch: _Batch, record: PlayRecord, now: datetime) -> dict[str, Any]:
    return {
        "agent_id": batch.agent_id,
        "journal": batch.journal,
        "seq": record.seq,
        "cluster_id": batch.cluster_id,
        "occurrence_id": record.occurrence_id,
        "rule_id": record.rule_id,
        "recurrence": record.recurrence,
        "title": record.title,
        "priority": record.priority,
        "outcome": record.outcome.value,
        "planned_start": record.planned_start,
        "started": record.started,
        "ended": record.ended,
        "start_error_us": record.start_error_us,
        "frames": record.frames,
        "silence_frames": record.silence_frames,
        "code": record.code or "",
        "stream": None if record.stream is None else unsigned64_text(record.stream),
        "received_at": now,
    }
