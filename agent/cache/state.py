"""What the agent must still know after a power cut, as typed reads and one kind of write: the :class:`Batch`.

Rules kept here:

1. Documents are kept as the signed envelopes they came in; whoever loads them verifies them again.
2. All that belongs to one decision is one batch, and a batch is one transaction.
3. The journal's name is random per database and its numbers only rise, so ``(journal, seq)`` names a record for
   ever, even after the database was lost and begun anew.
4. The journal holds :data:`JOURNAL_LIMIT` unsent records. Beyond it the oldest go, and the number is kept and
   reported (an agent that plays 30 items a day fills it in almost two years without contact).

Not here: SQL connections (:mod:`agent.cache.database`), threads (:mod:`agent.cache.keeper`).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.cache.database import Database

JOURNAL_LIMIT = 20_000


class Key(StrEnum):
    """Names of the single values the agent remembers."""

    JOURNAL = "journal"
    JOURNAL_LOST = "journal_lost"
    CONTROLLER_URL = "controller_url"
    CLUSTER = "cluster"
    ROOT = "root"
    KEY_SET = "key_set"
    SETTINGS = "settings"
    PLAN = "plan"
    PLAN_NEXT = "plan_next"
    COUNTERS = "counters"
    ARBITER = "arbiter"
    ARMED = "armed"
    WALL = "wall"
    CLOCK = "clock"
    MUTE = "mute"
    QUARANTINE = "quarantine"
    STOCK = "stock"


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """A signed command or stream-open that is still in force: ``kind`` is its payload, until ``until_us`` (UTC)."""

    kind: str
    term: int
    seq: int
    until_us: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that belong together. ``None`` as a value removes the entry."""

    memory: Mapping[Key, bytes | None] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    keep_documents: frozenset[str] | None = None  # when given, all other documents are dropped
    orders: tuple[KeptOrder, ...] = ()
    drop_orders_until_us: int | None = None  # orders that ended before this instant are dropped
    progress: Mapping[str, str | None] = field(default_factory=dict)  # the arbiter's, by occurrence
    plays: Mapping[str, str | None] = field(default_factory=dict)  # begun and not closed by a record yet
    records: tuple[str, ...] = ()  # bodies; their numbers are given by the journal
    acknowledged: int | None = None  # records up to this number were taken by the controller

    def then(self, later: Batch) -> Batch:
        """Both, as one; where they speak of the same thing ``later`` wins."""
        return Batch(
            memory={**self.memory, **later.memory},
            documents={**self.documents, **later.documents},
            keep_documents=later.keep_documents if later.keep_documents is not None else self.keep_documents,
            orders=self.orders + later.orders,
            drop_orders_until_us=_later(self.drop_orders_until_us, later.drop_orders_until_us),
            progress={**self.progress, **later.progress},
            plays={**self.plays, **later.plays},
            records=self.records + later.records,
            acknowledged=_later(self.acknowledged, later.acknowledged),
        )


def _later(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)


class StateStore:
    """Reads and batches over one :class:`~agent.cache.database.Database`. Blocking; see there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.journal = ""

    def open(self) -> None:
        """Give the journal its name at the first start, and read it."""
        with self._database.transaction() as connection:
            found = _get(connection, Key.JOURNAL)
            if found is None:
                found = secrets.token_hex(16).encode()
                _put(connection, Key.JOURNAL, found)
            self.journal = found.decode()

    def read(self) -> dict[Key, bytes]:
        """Every single value that is remembered."""
        known = set(Key)
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT key, value FROM memory").fetchall()
        return {Key(key): bytes(value) for key, value in rows if key in known}

    def documents(self) -> dict[str, bytes]:
        """The day documents, by SHA-256."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT sha256, body FROM document").fetchall()
        return {sha256: bytes(body) for sha256, body in rows}

    def orders(self) -> list[KeptOrder]:
        """The signed orders in force, oldest first."""
        query = "SELECT kind, term, seq, until_us, envelope FROM order_kept ORDER BY term, seq"
        with self._database.transaction() as connection:
            rows = connection.execute(query).fetchall()
        return [KeptOrder(kind, term, seq, until_us, bytes(body)) for kind, term, seq, until_us, body in rows]

    def progress(self) -> dict[str, str]:
        """What the arbiter remembers of each occurrence."""
        with self._database.transaction() as connection:
            return dict(connection.execute("SELECT occurrence_id, body FROM progress").fetchall())

    def plays(self) -> dict[str, str]:
        """What had begun and was not closed by a record, by occurrence."""
        with self._database.transaction() as connection:
            return dict(connection.execute("SELECT occurrence_id, body FROM play").fetchall())

    def pending(self, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Unacknowledged records with a number above ``after``, oldest first."""
        query = "SELECT seq, body FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._database.transaction() as connection:
            return connection.execute(query, (after, limit)).fetchall()

    def backlog(self) -> tuple[int, int]:
        """How many records wait for the controller, and how many were lost to the limit."""
        with self._database.transaction() as connection:
            waiting = connection.execute("SELECT count(*) FROM journal").fetchone()[0]
            lost = _get(connection, Key.JOURNAL_LOST)
        return waiting, int(lost or b"0")

    def apply(self, batch: Batch) -> None:
        """Make ``batch`` durable, whole or not at all.

        Raises:
            StorageError: ``storage_failing``.
        """
        with self._database.transaction() as connection:
            _apply_memory(connection, batch)
            _apply_orders(connection, batch)
            _apply_journal(connection, batch)


def _get(connection: sqlite3.Connection, key: Key) -> bytes | None:
    row = connection.execute("SELECT value FROM memory WHERE key = ?", (key.value,)).fetchone()
    return None if row is None else bytes(row[0])


def _put(connection: sqlite3.Connection, key: Key, value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO memory (key, value) VALUES (?, ?)", (key.value, value))


def _apply_memory(connection: sqlite3.Connection, batch: Batch) -> None:
    for key, value in batch.memory.items():
        if value is None:
            connection.execute("DELETE FROM memory WHERE key = ?", (key.value,))
        else:
            _put(connection, key, value)
    documents: Iterable[tuple[str, bytes]] = batch.documents.items()
    connection.executemany("INSERT OR REPLACE INTO document (sha256, body) VALUES (?, ?)", documents)
    if batch.keep_documents is not None:
        have = {row[0] for row in connection.execute("SELECT sha256 FROM document")}
        connection.executemany(
            "DELETE FROM document WHERE sha256 = ?", [(name,) for name in have - batch.keep_documents]
        )


def _apply_orders(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO order_kept (kind, term, seq, until_us, envelope) VALUES (?, ?, ?, ?, ?)",
        [(order.kind, order.term, order.seq, order.until_us, order.envelope) for order in batch.orders],
    )
    if batch.drop_orders_until_us is not None:
        connection.execute("DELETE FROM order_kept WHERE until_us <= ?", (batch.drop_orders_until_us,))


def _apply_journal(connection: sqlite3.Connection, batch: Batch) -> None:
    for occurrence, body in batch.progress.items():
        if body is None:
            connection.execute("DELETE FROM progress WHERE occurrence_id = ?", (occurrence,))
        else:
            connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (occurrence, body))
    for occurrence, body in batch.plays.items():
        if body is None:
            connection.execute("DELETE FROM play WHERE occurrence_id = ?", (occurrence,))
        else:
            connection.execute("INSERT OR REPLACE INTO play VALUES (?, ?)", (occurrence, body))
    if batch.acknowledged is not None:
        connection.execute("DELETE FROM journal WHERE seq <= ?", (batch.acknowledged,))
    if not batch.records:
        return
    connection.executemany("INSERT INTO journal (body) VALUES (?)", [(body,) for body in batch.records])
    over = connection.execute("SELECT count(*) FROM journal").fetchone()[0] - JOURNAL_LIMIT
    if over > 0:
        connection.execute("DELETE FROM journal WHERE seq IN (SELECT seq FROM journal ORDER BY seq LIMIT ?)", (over,))
        lost = int(_get(connection, Key.JOURNAL_LOST) or b"0") + over
        _put(connection, Key.JOURNAL_LOST, str(lost).encode())
