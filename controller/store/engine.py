"""The database: short transactions, one writer at a time, every change audited in the transaction that makes it.

Rules kept here:

1. :meth:`Database.transaction` is the only way to change what people decided. It commits the change and its audit rows
   together or not at all, and refuses to commit a change that was not audited.
2. :meth:`Database.telemetry` writes what machines report (play records, last seen); it has no audit rows.
3. :meth:`Database.read` never writes (SQLite: ``query_only``) and never waits for the writer.
4. Every wait ends: for the in-process writer lock, and for another process that holds the file, after
   ``busy_timeout``; both raise :class:`StoreBusyError`.
5. :meth:`Database.close` closes every connection: it lets nobody in any more and waits for who is inside. A pool
   forgets a connection that comes back after it was disposed of, and what was begun with it would be lost.
6. ``synchronous=FULL``: what was acknowledged survives a power cut (NORMAL loses the last second or two of commits).

Not here: what is stored (:mod:`controller.store.tables`), schema changes (:mod:`controller.store.migrations`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.store.actions import AuditAction
from controller.store.audit import GENESIS, HEAD_COUNTER, chain
from controller.store.errors import StoreBusyError, StoreClosedError, StoreFullError, UnauditedChangeError
from controller.store.tables import Audit, Counter

#: How long a change waits for its turn before the user is told to try again.
BUSY_TIMEOUT = timedelta(seconds=5)
#: Readers at a time; more wait for a connection, at most ``BUSY_TIMEOUT``.
READERS = 4
_AUDIT_LOCK_KEY = 0x4C4F41  # "LOA": PostgreSQL advisory lock around the chain's head
_CHANGED = "loa_changed"
_LOOKS = frozenset({"SELECT", "PRAGMA", "BEGIN", "WITH", "SAVEPOINT", "RELEASE"})
_FULL = "database or disk is full"
_LOCKED = ("database is locked", "database table is locked", "database is busy", "lock timeout", "locknotavailable")

_log = structlog.get_logger(__name__)


class Signatory(Protocol):
    """Whoever a change is attributed to."""

    @property
    def audit_name(self) -> str:
        """How the audit log names them; stays understandable when the account is gone."""
        ...


class Transaction:
    """One change in the making. ``session`` for the rows, :meth:`audit` for what the log will say."""

    def __init__(self, session: AsyncSession, actor: Signatory) -> None:
        self.session = session
        self.actor = actor
        self.entries: list[tuple[AuditAction, str, Mapping[str, object]]] = []
        self.after_commit: list[Callable[[], None]] = []

    def audit(self, action: AuditAction, subject: str, details: Mapping[str, object] | None = None) -> None:
        """Say what this change is: ``area.create``, the id, and what else a reader will want to know in ten years.

        ``details`` must be plain JSON values; never a secret.
        """
        self.entries.append((action, subject, details or {}))

    def on_commit(self, action: Callable[[], None]) -> None:
        """Run ``action`` in the event loop right after the commit (never when it fails). It must not raise."""
        self.after_commit.append(action)

    async def next_value(self, counter: str) -> int:
        """Raise a named counter by one and return it. It never falls, and holes are allowed."""
        row = await self.session.get(Counter, counter)
        if row is None:
            row = Counter(name=counter, value=0)
        row.value += 1
        self.session.add(row)
        return row.value


class Database:
    """An open database. Make it with :func:`sqlite_url` or any SQLAlchemy async URL; :meth:`close` it in the end."""

    def __init__(self, url: URL | str, *, now: Callable[[], datetime], busy_timeout: timedelta = BUSY_TIMEOUT) -> None:
        self.url = make_url(url)
        self._now = now
        self._busy_timeout = busy_timeout
        self._writing = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self._sqlite = self.url.get_backend_name() == "sqlite"
        self._writer = self._engine(writes=True)
        self._reader = self._engine(writes=False) if self._sqlite else self._writer

    @asynccontextmanager
    async def transaction(self, actor: Signatory) -> AsyncIterator[Transaction]:
        """Change what people decided. Committed, with its audit rows, when the block ends without an exception.

        Raises:
            StoreBusyError: the writer's turn, or the file, could not be had in time.
            StoreClosedError: after :meth:`close`.
            UnauditedChangeError: rows were changed and nothing was audited.
        """
        async with self._write_session() as session:
            tx = Transaction(session, actor)
            yield tx
            await session.flush()
            if not tx.entries and (await session.connection()).info.get(_CHANGED):
                raise UnauditedChangeError("a change without an audit row was not committed")
            await self._append_audit(tx)
            await session.commit()
        for action in tx.after_commit:
            action()

    @asynccontextmanager
    async def telemetry(self) -> AsyncIterator[AsyncSession]:
        """Write what machines report. Committed when the block ends without an exception.

        Raises:
            StoreBusyError: the writer's turn, or the file, could not be had in time.
            StoreClosedError: after :meth:`close`.
        """
        async with self._write_session() as session:
            yield session
            await session.commit()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Look, in one consistent snapshot, without waiting for the writer.

        Raises:
            StoreBusyError: the file could not be read in time.
            StoreClosedError: after :meth:`close`.
        """
        with self._visit(), _busy_as_error():
            async with AsyncSession(self._reader, expire_on_commit=False) as session:
                yield session

    async def close(self) -> None:
        """Let nobody in any more, wait (bounded) until everybody is out, let go of every connection."""
        self._closed = True
        try:
            async with asyncio.timeout(2 * self._busy_timeout.total_seconds()):
                await self._empty.wait()
        except TimeoutError:
            _log.error("the database is closed while somebody is in it", sessions=self._inside)
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    @contextmanager
    def _visit(self) -> Iterator[None]:
        if self._closed:
            raise StoreClosedError("the database is closed")
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if self._inside == 0:
                self._empty.set()

    @asynccontextmanager
    async def _write_session(self) -> AsyncIterator[AsyncSession]:
        with self._visit():
            try:
                async with asyncio.timeout(self._busy_timeout.total_seconds()):
                    await self._writing.acquire()
            except TimeoutError as error:
                raise StoreBusyError("another change is being written; try again in a moment") from error
            try:
                with _busy_as_error():
                    async with AsyncSession(self._writer, expire_on_commit=False) as session:
                        connection = await session.connection()  # BEGIN IMMEDIATE: nothing fails half-way for the lock
                        connection.info.pop(_CHANGED, None)
                        yield session
            finally:
                self._writing.release()

    async def _append_audit(self, tx: Transaction) -> None:
        if not tx.entries:
            return
        session = tx.session
        if not self._sqlite:
            connection = await session.connection()
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _AUDIT_LOCK_KEY})
        head = (await session.exec(select(Audit).order_by(col(Audit.seq).desc()).limit(1))).first()
        seq, digest = (head.seq, head.hash) if head else (0, GENESIS)
        counter = await session.get(Counter, HEAD_COUNTER) or Counter(name=HEAD_COUNTER, value=0)
        # A head beyond the last row means that rows were cut off: go on after the hole, so that it stays visible.
        seq = max(seq, counter.value)
        at = self._now()
        for action, subject, details in tx.entries:
            entry = chain(
                seq, digest, at=at, actor=tx.actor.audit_name, action=action, subject=subject, details=details
            )
            session.add(
                Audit(
                    seq=entry.seq,
                    at=entry.at,
                    actor=entry.actor,
                    action=entry.action,
                    subject=entry.subject,
                    details=entry.details,
                    prev_hash=entry.prev_hash,
                    hash=entry.hash,
                )
            )
            seq, digest = entry.seq, entry.hash
        counter.value = seq
        session.add(counter)

    def _engine(self, *, writes: bool) -> AsyncEngine:
        seconds = self._busy_timeout.total_seconds()
        if not self._sqlite:
            server = create_async_engine(self.url, pool_pre_ping=True, pool_timeout=seconds)
            event.listen(server.sync_engine, "before_cursor_execute", _note_change)
            return server
        engine = create_async_engine(
            self.url,
            pool_size=1 if writes else READERS,
            max_overflow=0,
            pool_timeout=seconds,
            # isolation_level None: sqlite3 begins nothing by itself, the "begin" event below does.
            connect_args={"isolation_level": None, "timeout": seconds},
        )
        event.listen(engine.sync_engine, "connect", _pragmas(writes=writes, busy_ms=int(seconds * 1000)))
        event.listen(engine.sync_engine, "before_cursor_execute", _note_change)
        event.listen(engine.sync_engine, "begin", _begin("BEGIN IMMEDIATE" if writes else "BEGIN"))
        return engine


def _pragmas(*, writes: bool, busy_ms: int) -> Callable[[Any, ConnectionPoolEntry], None]:
    def configure(connection: Any, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={busy_ms}",
            "foreign_keys=ON",
            "journal_mode=WAL" if writes else "query_only=ON",
            "synchronous=FULL",
            "trusted_schema=OFF",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return configure


def _note_change(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
    """Remember that this connection's transaction changed something, however it was written."""
    if statement.split(maxsplit=1)[0].upper() not in _LOOKS:
        connection.info[_CHANGED] = True


def _begin(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


class _busy_as_error:  # noqa: N801 - reads as a statement
    """Turns a driver's "locked" into :class:`StoreBusyError`, "full" into its kind; everything else passes."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, StoreBusyError):
            return
        if isinstance(error, DBAPIError) and _FULL in str(error.orig).lower():
            raise StoreFullError("the disk is full: nothing was written; free some space") from error
        locked = isinstance(error, DBAPIError) and any(word in str(error.orig).lower() for word in _LOCKED)
        if locked or isinstance(error, PoolTimeoutError):
            raise StoreBusyError("the database is busy; try again in a moment") from error


def sqlite_url(path: str) -> URL:
    """The URL of a SQLite file."""
    return URL.create("sqlite+aiosqlite", database=path)


__all__ = ["BUSY_TIMEOUT", "Database", "Signatory", "Transaction", "sqlite_url"]
