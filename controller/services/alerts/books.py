"""Alerts, boards and notices into the database, behind what was already done; and back from it at start.

Rules kept here:

1. An alert's row is written by the ledger in the transaction of its journalled decision (:meth:`AlertBooks.keep`).
2. Boards and notices are telemetry. A board is written :data:`PATIENCE` after something changed: while a thousand
   boxes begin to sound nobody may wait for a database. What cannot be written waits (it is the boards themselves, so
   there is nothing that could overflow).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.alerts.board import Rung
from controller.services.alerts.model import Alert
from controller.services.alerts.notices import NoticeBook, NoticeEntry
from controller.services.alerts.records import ALERTS
from controller.services.alerts.register import MEMORY, alert_of
from controller.services.alerts.watch import BoardRoom
from controller.store import Database, StoreError
from controller.store.alert_tables import AlertRow, AlertRung, Notice
from controller.store.journal import JournalEntry

_log = structlog.get_logger(__name__)
_BATCH: Final = 500
#: How long a board's first change waits for its neighbours before it is written.
PATIENCE: Final = timedelta(seconds=3)


class AlertBooks:
    """Writes down."""

    def __init__(self, db: Database, notices: NoticeBook) -> None:
        self._db = db
        self._notices = notices
        self.rooms: list[BoardRoom] = []

    async def keep(self, session: AsyncSession, entry: JournalEntry) -> None:
        """The row of an alert as a journalled decision left it. Called by the ledger."""
        alert = alert_of(entry)
        if alert is not None:
            await session.merge(_row_of(alert))

    async def rows(self, now: datetime) -> list[dict[str, Any]]:
        """Alerts of the last days, oldest first (at start)."""
        async with self._db.read() as session:
            query = select(AlertRow).where(col(AlertRow.composed_at) > now - MEMORY)
            return [row.body for row in await session.exec(query.order_by(col(AlertRow.composed_at)))]

    async def rungs(self, alert_id: str) -> list[Rung]:
        """How far an alert had come with each box."""
        async with self._db.read() as session:
            rows = await session.exec(select(AlertRung).where(col(AlertRung.alert_id) == alert_id))
            return [
                Rung(
                    row.agent_id,
                    row.cluster_id,
                    row.state,
                    row.code,
                    {state: datetime.fromisoformat(at) for state, at in row.times.items()},
                    row.start_error_us,
                )
                for row in rows
            ]

    async def write(self, now: datetime | None = None) -> None:
        """Write what changed long enough before ``now`` (None: all of it); what fails is written next time."""
        before = None if now is None else now - PATIENCE
        boards = [(board, board.take_dirty(before)) for room in self.rooms for board in room.all()]
        notices = self._notices.take_unwritten()
        try:
            for board, rungs in boards:
                for at in range(0, len(rungs), _BATCH):
                    async with self._db.telemetry() as session:
                        await self._write_rungs(session, board.name, rungs[at : at + _BATCH])
            if notices:
                async with self._db.telemetry() as session:
                    for notice in notices:
                        await session.merge(_notice_row(notice))
        except StoreError as error:
            for board, rungs in boards:
                board.put_back(rungs)
            self._notices.put_back(notices)
            _log.warning("alert_books_wait", reason=str(error))

    async def _write_rungs(self, session: AsyncSession, alert_id: str, rungs: Sequence[Rung]) -> None:
        dialect = postgresql if self._db.url.get_backend_name() == "postgresql" else sqlite
        insert = dialect.insert(AlertRung)
        changing = {name: insert.excluded[name] for name in ("state", "code", "times", "start_error_us")}
        upsert = insert.on_conflict_do_update(index_elements=["alert_id", "agent_id"], set_=changing)
        await (await session.connection()).execute(upsert, [_rung_row(alert_id, rung) for rung in rungs])


def _rung_row(alert_id: str, rung: Rung) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "agent_id": rung.agent_id,
        "cluster_id": rung.cluster_id,
        "state": rung.state,
        "code": rung.code,
        "times": {state: at.isoformat() for state, at in rung.times.items()},
        "start_error_us": rung.start_error_us,
    }


def _row_of(alert: Alert) -> AlertRow:
    return AlertRow(
        id=alert.id,
        state=str(alert.state),
        title=alert.title,
        category=str(alert.category),
        priority=int(alert.priority),
        body=ALERTS.dump(alert),
        composed_by=alert.composed.by.name,
        composed_at=alert.composed.at,
        given_at=None if alert.given is None else alert.given.at,
        ended_at=None if alert.ended is None else alert.ended.at,
    )


def _notice_row(notice: NoticeEntry) -> Notice:
    return Notice(
        id=notice.id,
        user_id=notice.user_id,
        kind=notice.kind,
        subject=notice.subject,
        text=notice.text,
        at=notice.at,
        seen_at=notice.seen_at,
    )
