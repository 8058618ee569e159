"""The audit log: reading it, and verifying its chain with or without a server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import NotFoundError
from controller.store import Database, tables
from controller.store.audit import HEAD_COUNTER, AuditEntry, AuditVerdict, verify

_COLUMNS = "seq, at, actor, action, subject, details, prev_hash, hash"


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


class AuditService:
    """Use-cases around the log."""

    def __init__(self, db: Database, directory: Directory) -> None:
        self._db = db
        self._directory = directory

    async def rows(
        self,
        actor: Actor,
        *,
        before: int | None,
        limit: int,
        subject: str | None = None,
        action: str | None = None,
        user_id: str | None = None,
    ) -> Sequence[AuditRow]:
        """The newest rows first; ``before`` is the seq to go on below.

        Raises:
            ForbiddenError: no right ``audit_read`` over everything (a row may speak of any place).
        """
        self._directory.require(actor, Permission.AUDIT_READ, None)
        query = select(tables.Audit).order_by(col(tables.Audit.seq).desc()).limit(limit)
        if before is not None:
            query = query.where(col(tables.Audit.seq) < before)
        if subject is not None:
            query = query.where(col(tables.Audit.subject) == subject)
        if action is not None:
            query = query.where(col(tables.Audit.action) == action)
        if user_id is not None:
            query = query.where(col(tables.Audit.actor).startswith(f"{user_id} ", autoescape=True))
        async with self._db.read() as session:
            found = (await session.exec(query)).all()
        return [
            AuditRow(row.seq, row.at, row.actor, row.action, row.subject, json.loads(row.details), row.hash)
            for row in found
        ]

    async def verify(self, actor: Actor) -> AuditVerdict:
        """Walk the whole chain in the running database.

        Raises:
            ForbiddenError: no right ``audit_read`` over everything.
        """
        self._directory.require(actor, Permission.AUDIT_READ, None)
        async with self._db.read() as session:
            head = await session.get(tables.Counter, HEAD_COUNTER)
            rows = (await session.exec(select(tables.Audit).order_by(col(tables.Audit.seq)))).all()
        return verify((_entry(row) for row in rows), head=None if head is None else head.value)


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


def _entry(row: tables.Audit) -> AuditEntry:
    return AuditEntry(row.seq, row.at, row.actor, row.action, row.subject, row.details, row.prev_hash, row.hash)
