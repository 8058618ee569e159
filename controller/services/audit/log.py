"""The audit log: reading it in words, and verifying its chain with or without a server.

Rules kept here:

1. Who may read the log of everything reads all of it. Who may read it for some areas reads the rows that speak of
   nothing else (:attr:`…telling.Said.areas`); a row whose place is not known is not among them.
2. A page that is searched for words, or read for some areas, looks at :data:`MOST_LOOKED_AT` rows at most and then says
   where to go on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.alerts.wording import Tongue
from controller.services.audit.names import Names, is_id
from controller.services.audit.sentences import PHRASES, AuditKind
from controller.services.audit.telling import Facts, Said, Teller, folded, found
from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import NotFoundError
from controller.store import Database, tables
from controller.store.audit import HEAD_COUNTER, AuditEntry, AuditVerdict, Walk, verify

MOST_LOOKED_AT: Final = 10_000
_BATCH: Final = 500
_COLUMNS = "seq, at, actor, action, subject, details, prev_hash, hash"
#: The details by which a row names what it is about, best first.
_NAMING: Final = ("title", "name", "identifier")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row for a reader."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    hash: str
    said: Said


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows, newest first. ``next``: give it as ``before`` to go on; None at the end."""

    rows: tuple[AuditRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted; what is None does not matter. ``text``: words that occur in the row's sentence."""

    subject: str | None = None
    action: str | None = None
    user_id: str | None = None
    kind: AuditKind | None = None
    text: str | None = None


class AuditService:
    """Use-cases around the log."""

    def __init__(self, db: Database, directory: Directory, names: Names | None = None) -> None:
        self._db = db
        self._directory = directory
        self._names = names or Names(directory)
        self._teller = Teller(self._names)

    async def rows(
        self,
        actor: Actor,
        *,
        before: int | None,
        limit: int,
        wanted: AuditFilter | None = None,
        tongue: Tongue = Tongue.VI,
    ) -> AuditPage:
        """The newest rows first; ``before`` is the seq to go on below.

        Raises:
            ForbiddenError: no right ``audit_read`` over anything.
        """
        if not actor.may_somewhere(Permission.AUDIT_READ):
            self._directory.require(actor, Permission.AUDIT_READ, None)
        wanted = wanted or AuditFilter()
        words = folded(wanted.text or "").split()
        everything = actor.may_everywhere(Permission.AUDIT_READ)
        batch = limit if everything and not words else _BATCH
        kept: list[AuditRow] = []
        looked_at = 0
        while looked_at < MOST_LOOKED_AT:
            part = await self._part(wanted, before, batch, tongue)
            for row in part:
                before = row.seq
                if found(row.said, words) and (everything or self._within(actor, row.said)):
                    kept.append(row)
                    if len(kept) == limit:
                        return AuditPage(tuple(kept), before if before > 1 else None)
            if len(part) < batch:
                return AuditPage(tuple(kept), None)
            looked_at += len(part)
        return AuditPage(tuple(kept), before)

    async def verify(self, actor: Actor, *, told: Callable[[int, int], None] | None = None) -> AuditVerdict:
        """Walk the whole chain in the running database, a batch at a time: a long log does not hold up the desk.

        ``told``: hears after every batch how many rows were looked at, and how many there were at the beginning.

        Raises:
            ForbiddenError: no right ``audit_read`` over everything.
        """
        self._directory.require(actor, Permission.AUDIT_READ, None)
        walk, query = Walk(), select(tables.Audit).order_by(col(tables.Audit.seq)).limit(_BATCH)
        async with self._db.read() as session:
            head = await _head(session)
            while True:
                if told is not None:
                    told(walk.rows, head or 0)
                after = query if walk.rows == 0 else query.where(col(tables.Audit.seq) > walk.last_seq)
                rows = (await session.exec(after)).all()
                for row in rows:
                    walk.take(_entry(row))
                session.expunge_all()
                if not rows:
                    break
                if len(rows) < _BATCH:  # the end, unless more was written meanwhile
                    head = await _head(session)
                    if head is None or head <= walk.last_seq:
                        break
        return walk.verdict(head)

    def _within(self, actor: Actor, said: Said) -> bool:
        allowed = (self._directory.allows(actor, Permission.AUDIT_READ, area_id) for area_id in said.areas)
        return bool(said.areas) and all(allowed)

    async def _part(self, wanted: AuditFilter, before: int | None, limit: int, tongue: Tongue) -> list[AuditRow]:
        query = select(tables.Audit).order_by(col(tables.Audit.seq).desc()).limit(limit)
        if before is not None:
            query = query.where(col(tables.Audit.seq) < before)
        if wanted.subject is not None:
            query = query.where(col(tables.Audit.subject) == wanted.subject)
        if wanted.action is not None:
            query = query.where(col(tables.Audit.action) == wanted.action)
        if wanted.kind is not None:
            actions = [action for action, phrase in PHRASES.items() if phrase.kind == wanted.kind]
            query = query.where(col(tables.Audit.action).in_(actions))
        if wanted.user_id is not None:
            query = query.where(col(tables.Audit.actor).startswith(f"{wanted.user_id} ", autoescape=True))
        async with self._db.read() as session:
            rows = (await session.exec(query)).all()
            facts = [Facts(row.actor, row.action, row.subject, json.loads(row.details)) for row in rows]
            remembered = await self._remembered(session, facts)
        return [
            AuditRow(
                row.seq,
                row.at,
                row.actor,
                row.action,
                row.subject,
                dict(fact.details),
                row.hash,
                self._teller.say(fact, tongue, remembered),
            )
            for row, fact in zip(rows, facts, strict=True)
        ]

    async def _remembered(self, session: AsyncSession, facts: Iterable[Facts]) -> dict[str, str]:
        """The names that the log gave to what is gone: those of the last row that named it."""
        gone = sorted({each for fact in facts for each in fact.ids() if is_id(each) and not self._names.find(each, {})})
        names: dict[str, str] = {}
        for at in range(0, len(gone), _BATCH):
            query = (
                select(tables.Audit.subject, tables.Audit.details)
                .where(col(tables.Audit.subject).in_(gone[at : at + _BATCH]))
                .order_by(col(tables.Audit.seq))
            )
            for subject, text in await session.exec(query):
                details = json.loads(text)
                said = next((details[key] for key in _NAMING if isinstance(details.get(key), str)), "")
                if said:
                    names[subject] = said
        return names


def verify_file(path: Path, *, expect: tuple[int, str] | None = None) -> AuditVerdict:
    """Walk the chain in a database file, without a server and without writing to it.

    Raises:
        NotFoundError: there is no such database, or it holds no log.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no database at {path}", code="no_database")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.execute("BEGIN")  # one snapshot, also while a controller writes
            head = connection.execute("SELECT value FROM counter WHERE name = ?", (HEAD_COUNTER,)).fetchone()
            return verify(_stored(connection), head=None if head is None else int(head[0]), expect=expect)
    except sqlite3.DatabaseError as error:
        raise NotFoundError(f"{path} cannot be read as a Loa database: {error}", code="no_database") from error


def _stored(connection: sqlite3.Connection) -> Iterator[AuditEntry]:
    for seq, *texts in connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq"):  # noqa: S608 - constant
        # SQLite keeps whatever type a forger put in; anything but text simply hashes to something else.
        yield AuditEntry(seq, *(text if isinstance(text, str) else repr(text) for text in texts))


async def _head(session: AsyncSession) -> int | None:
    counter = tables.Counter
    return (await session.exec(select(counter.value).where(counter.name == HEAD_COUNTER))).one_or_none()


def _entry(row: tables.Audit) -> AuditEntry:
    return AuditEntry(row.seq, row.at, row.actor, row.action, row.subject, row.details, row.prev_hash, row.hash)
