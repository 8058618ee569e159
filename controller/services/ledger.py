"""From the journal of orders into the books: the database follows what was already done.

Rules kept here:

1. Every journalled order ends up as a row with its audit entry under its own actor, once, in the order of its number.
   Where the last run stopped is read from the database itself, so a crash between two commits repeats nothing.
2. A database that is locked is waited for; orders go on meanwhile. What the agents answered waits too, at most
   :data:`MAX_WAITING` answers; then the oldest are dropped (the journal and the play records remain) and counted.
3. One owned task does all of it (:meth:`Ledger.run`).

Not here: giving orders (:mod:`controller.services.dispatch`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import structlog
from sqlalchemy import bindparam, insert, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.context import Clock
from controller.services.dispatch import Courier, order_body
from controller.store import Database, StoreBusyError, tables
from controller.store.actions import AuditAction
from controller.store.journal import CommandJournal, JournalEntry
from schedules.instants import from_unix_us

MAX_WAITING: Final = 200_000
_BATCH: Final = 2_000
_RETRY_S: Final = 1.0
_GATHER_S: Final = 0.5

_log = structlog.get_logger(__name__)


Keep = Callable[[AsyncSession, JournalEntry], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Name:
    """Whoever gave the order, as the journal wrote them down."""

    audit_name: str


@dataclass(frozen=True, slots=True)
class _Answer:
    state: str
    code: str
    detail: str
    at: datetime


class Ledger:
    """Copies orders and what agents answered into the database."""

    def __init__(self, db: Database, journal: CommandJournal, courier: Courier, clock: Clock) -> None:
        self._db = db
        self._journal = journal
        self._courier = courier
        self._clock = clock
        self._drained: int | None = None
        self._answers: OrderedDict[tuple[int, int, str], _Answer] = OrderedDict()
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        #: Told of every journalled entry inside the transaction that writes it down (alerts keep rows of their own).
        self.keepers: list[Keep] = []
        #: Answers that were dropped because the database was away for too long.
        self.dropped = 0
        courier.on_journalled = self._wanted.set
        courier.delivery_listeners.append(self.answer)

    @property
    def behind(self) -> int:
        """Orders that are in the journal and not yet in the database."""
        return 0 if self._drained is None else len(self._journal.entries_after(self._drained))

    def answer(self, number: tuple[int, int], agent_id: str, state: str, code: str, detail: str) -> None:
        """Where an order stands with an agent; the latest state of each pair is written."""
        key = (*number, agent_id)
        self._answers.pop(key, None)
        self._answers[key] = _Answer(state, code, detail[:500], self._clock.now())
        while len(self._answers) > MAX_WAITING:
            self._answers.popitem(last=False)
            self.dropped += 1
        self._wanted.set()

    async def restore(self) -> None:
        """Give the courier back its unexpired orders with what agents answered to them (at start)."""
        for number in self._courier.restore():
            query = select(tables.Delivery).where(*_of_order(*number), col(tables.Delivery.state) != "queued")
            async with self._db.read() as session:
                rows = (await session.exec(query)).all()
            self._courier.recall(number, {row.agent_id: (row.state, row.code) for row in rows if row.state != "sent"})

    def poke(self) -> None:
        """Something was journalled by another than the courier."""
        self._wanted.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.catch_up()
            except StoreBusyError:
                _log.warning("ledger_waits", behind=self.behind, answers=len(self._answers))
                await asyncio.sleep(_RETRY_S)
                continue
            await self._wanted.wait()
            self._wanted.clear()
            await asyncio.sleep(_GATHER_S)  # a district answers within the same moment: one transaction

    async def catch_up(self) -> None:
        """Write everything that waits.

        Raises:
            StoreBusyError: the database is locked; what was not written still waits.
        """
        async with self._turn:
            await self._catch_up()

    async def _catch_up(self) -> None:
        if self._drained is None:
            self._drained = await self._last_drained()
        for entry in self._journal.entries_after(self._drained):
            await self._write(entry)
            self._drained = entry.seq
        self._journal.forget_before(self._drained)
        while self._answers:
            batch = [(key, self._answers[key]) for key in list(self._answers)[:_BATCH]]
            async with self._db.telemetry() as session:
                await _write_answers(session, batch)
            for key, answer in batch:
                if self._answers.get(key) is answer:
                    del self._answers[key]

    async def _last_drained(self) -> int:
        async with self._db.read() as session:
            return (await session.exec(select(func.max(tables.CommandRow.seq)))).one() or 0

    async def _write(self, entry: JournalEntry) -> None:
        body = _body_of(entry)
        expires = body.get("expires")
        details = dict(entry.body.get("details", {}))
        async with self._db.transaction(_Name(entry.actor)) as tx:
            tx.session.add(
                tables.CommandRow(
                    term=entry.term,
                    seq=entry.seq,
                    kind=entry.kind,
                    actor=entry.actor,
                    body=body,
                    journal_hash=entry.hash,
                    issued=entry.at,
                    expires=None if not isinstance(expires, int) else from_unix_us(expires),
                    idempotency_key=entry.body.get("idempotency_key"),
                )
            )
            said = {"term": entry.term, "seq": entry.seq, "at": entry.at.isoformat(), "journal": entry.hash}
            for keep in self.keepers:
                await keep(tx.session, entry)
            tx.audit(_action_of(entry), str(body.get("nonce") or body.get("subject") or entry.seq), details | said)


def _action_of(entry: JournalEntry) -> AuditAction:
    """What the log calls it: decisions such as ``alert.confirm`` have names of their own. The journal keeps text."""
    return cast("AuditAction", entry.kind if "." in entry.kind else f"order.{entry.kind}")


async def _write_answers(session: AsyncSession, batch: list[tuple[tuple[int, int, str], _Answer]]) -> None:
    wanted = {(term, seq) for (term, seq, _), _ in batch}
    known: set[tuple[int, int, str]] = set()
    for term, seq in wanted:
        query = select(tables.Delivery.agent_id).where(*_of_order(term, seq))
        known |= {(term, seq, agent_id) for agent_id in await session.exec(query)}
    agents = set((await session.exec(select(tables.Agent.id))).all())
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for key, answer in batch:
        term, seq, agent_id = key
        values = {"state": answer.state, "code": answer.code, "detail": answer.detail, "at": answer.at}
        if key in known:
            changed.append({f"new_{name}": value for name, value in values.items()}
                           | {"of_term": term, "of_seq": seq, "of_agent": agent_id})  # fmt: skip
        elif agent_id in agents:
            fresh.append({"agent_id": agent_id, "kind": "command", "term": term, "seq": seq, **values})
    connection = await session.connection()
    if fresh:
        await connection.execute(insert(tables.Delivery), fresh)
    if changed:
        await connection.execute(_CHANGE, changed)


def _of_order(term: Any, seq: Any) -> tuple[Any, ...]:
    delivery = tables.Delivery
    return (col(delivery.kind) == "command", col(delivery.term) == term, col(delivery.seq) == seq)


_CHANGE = (
    update(tables.Delivery)
    .where(
        *_of_order(bindparam("of_term"), bindparam("of_seq")), col(tables.Delivery.agent_id) == bindparam("of_agent")
    )
    .values(
        state=bindparam("new_state"), code=bindparam("new_code"), detail=bindparam("new_detail"), at=bindparam("new_at")
    )
)


def _body_of(entry: JournalEntry) -> dict[str, Any]:
    text = entry.body.get("command")
    if isinstance(text, str):
        return order_body(text)
    return {name: value for name, value in entry.body.items() if name != "record"}  # which has a table of its own
