"""The agent's durable memory: one small SQLite file (WAL, synchronous=FULL), or the same in memory for a swarm.

Rules kept here:

1. ``synchronous=FULL``: what was committed survives a power cut. Telemetry is not written here; it stays in RAM.
2. A file that SQLite cannot trust is set aside as ``agent.db.corrupt.TIME``, never overwritten; the agent starts
   with an empty one and says so (:attr:`Database.lost`).
3. The schema has a number; a database of a newer agent is refused, not guessed at.
4. Every method may block for a few milliseconds (a card may need fifty): call them in a worker thread.

Not here: what the rows mean (:mod:`agent.cache.state`, :mod:`agent.cache.journal`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog

from agent.errors import StorageError

log = structlog.get_logger("agent.cache")

SCHEMA = 1

_TABLES = """
CREATE TABLE memory (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE document (sha256 TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE order_kept (kind TEXT NOT NULL, term INTEGER NOT NULL, seq INTEGER NOT NULL, until_us INTEGER NOT NULL,
                         envelope BLOB NOT NULL, PRIMARY KEY (kind, term, seq)) WITHOUT ROWID;
CREATE TABLE progress (occurrence_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE play (occurrence_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
"""

#: How long another process (a backup, a curious technician) may hold the file.
BUSY_TIMEOUT_S = 5.0


class Database:
    """One connection, used by one thread at a time. ``path`` None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        #: Where a damaged file was set aside when this one was opened, or None.
        self.lost: Path | None = None

    def open(self, now: datetime) -> None:
        """Open, check and migrate. ``now`` only names a damaged file that is set aside.

        Raises:
            StorageError: ``storage_failing`` (cannot be opened at all) or ``storage_newer``.
        """
        with self._lock:
            try:
                self._connection = self._try_open()
            except sqlite3.DatabaseError as error:
                if self._path is None or not self._path.exists() or _is_outer_trouble(error):
                    raise StorageError("storage_failing", f"the agent's database cannot be opened: {error}") from error
                self._set_aside(now, error)
                self._connection = self._try_open()

    def close(self) -> None:
        """Close the file; the WAL is folded into it."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is durable when the block ends, or has not happened when it raises.

        Raises:
            StorageError: ``storage_failing``: the disk is full, read-only or failing.
        """
        with self._lock:
            if self._connection is None:
                raise StorageError("storage_failing", "the agent's database is closed")
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
            except sqlite3.Error as error:
                raise StorageError("storage_failing", f"the agent's database cannot be written: {error}") from error

    def _try_open(self) -> sqlite3.Connection:
        target = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(
            target, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None, cached_statements=32
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA cache_size=-512")  # half a megabyte is plenty for these rows
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"quick_check: {verdict}")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            message = f"the data directory was written by a newer agent (schema {version}); install that version"
            raise StorageError("storage_newer", message)
        if version < SCHEMA:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")

    def _set_aside(self, now: datetime, error: Exception) -> None:
        assert self._path is not None  # noqa: S101 - only a file can be set aside
        aside = self._path.with_name(f"{self._path.name}.corrupt.{now:%Y%m%dT%H%M%SZ}")
        log.error("the agent's database is damaged; it is set aside", file=str(aside), error=str(error))
        self._path.replace(aside)
        for suffix in ("-wal", "-shm"):
            rest = self._path.with_name(self._path.name + suffix)
            if rest.exists():
                rest.replace(aside.with_name(aside.name + suffix))
        self.lost = aside


def _is_outer_trouble(error: sqlite3.Error) -> bool:
    """Locked, full, read-only, no permission: the file itself may be fine and must not be set aside."""
    return isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error)
