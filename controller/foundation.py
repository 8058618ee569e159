"""What everything else of the controller stands on: data folder, database, keys, journal, directory.

Opened in order and closed in reverse; the order matters: a lock on the folder first (two controllers on one folder
would both sign), then keys and journal (orders need nothing else), then the database with its migrations.
A folder that has lost its keys, or its database, is not taken for a new one: agents obey only the root they know.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from controller.config import Config
from controller.keys import KeyVault
from controller.keys.sealing import Sealer
from controller.services.context import SECOND_FACTOR_VERBS, Clock, Permission, RunClock
from controller.services.directory import Directory
from controller.services.passwords import Passwords
from controller.services.precedence import Precedence
from controller.store import Database, sqlite_url
from controller.store.errors import StoreDamagedError, StoreError
from controller.store.journal import CommandJournal, read_journal
from controller.store.migrations import migrate


class FoundationError(Exception):
    """The controller cannot start here; the message says why and what to do."""

    code = "cannot_start"


class LostError(FoundationError):
    """The folder was in use before, and something of it is gone."""

    code = "data_lost"


@dataclass(frozen=True, slots=True)
class Foundation:
    """The opened foundation."""

    config: Config
    clock: Clock
    media_clock: RunClock
    vault: KeyVault
    sealer: Sealer
    journal: CommandJournal
    db: Database
    directory: Directory
    passwords: Passwords
    precedence: Precedence = field(default_factory=Precedence)


@asynccontextmanager
async def open_foundation(
    config: Config, clock: Clock, passwords: Passwords | None = None
) -> AsyncIterator[Foundation]:
    """Open everything, or say why not.

    Raises:
        FoundationError: the folder cannot be used, another controller uses it, or something of it is gone.
        VaultError, StoreError: keys or data are damaged.
    """
    lock = _lock_folder(config.data)
    try:
        await asyncio.to_thread(_check_nothing_lost, config)
        vault = KeyVault.open(config.keys_folder, now=clock.now())
        sealer = Sealer.ensure(config.keys_folder)
        journal = CommandJournal.open(config.journal_file, term=vault.term)
        own_passwords = passwords or Passwords()
        try:
            db = await _open_database(config, clock)
            try:
                guarded = SECOND_FACTOR_VERBS if config.second_factor_required else frozenset[Permission]()
                directory = Directory(guarded=guarded, own_passwords=not config.demo_logins)
                async with db.read() as session:
                    await directory.load(session)
                yield Foundation(config, clock, RunClock(clock), vault, sealer, journal, db, directory, own_passwords)
            finally:
                await db.close()
        finally:
            own_passwords.close()
            await journal.close()
    finally:
        os.close(lock)


def _check_nothing_lost(config: Config) -> None:
    """Refuse what would otherwise silently begin anew.

    Raises:
        LostError: keys are gone while there is data, or the database is gone while there are orders.
    """
    own = config.database_file if config.database is None else None
    if not (config.keys_folder.is_dir() and any(config.keys_folder.iterdir())):
        if (own is not None and _has_history(own)) or read_journal(config.journal_file)[0]:
            raise LostError(
                f"the keys are gone from {config.keys_folder}, and agents obey no others: put them back, "
                "or run: loa-controller restore BACKUP --data DIR. If they are lost for good, run: "
                "loa-controller keys make --data DIR, and enrol every agent again"
            )
    elif own is not None and not (own.exists() and own.stat().st_size) and read_journal(config.journal_file)[0]:
        raise LostError(
            f"the database {own} is gone, and orders were given with it: put it back, "
            "or run: loa-controller restore BACKUP --data DIR"
        )


def _has_history(path: Path) -> bool:
    """Whether anything was ever done in this database; what cannot be read is judged later."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            return connection.execute("SELECT 1 FROM audit LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return False


async def _open_database(config: Config, clock: Clock) -> Database:
    url = sqlite_url(str(config.database_file)) if config.database is None else config.database
    if config.database is None:
        await asyncio.to_thread(check_database, config.database_file)
    await migrate(url)
    if config.database is None:
        config.database_file.chmod(0o600)
    return Database(url, now=clock.now)


def check_database(path: Path) -> None:
    """Refuse a damaged SQLite file; a missing one is fine (first start).

    Raises:
        StoreDamagedError: it fails SQLite's own quick check.
        StoreError: it cannot be opened (permissions, locked for good).
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        raise StoreError(f"the database {path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    if verdict is None or verdict[0] != "ok":
        raise _damaged(path, str(verdict and verdict[0]))


def _damaged(path: Path, why: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"the database {path} is damaged ({why}). It was left as it is. Stop here and run: "
        "loa-controller restore BACKUP --data DIR"
    )


def _lock_folder(data: Path) -> int:
    """An exclusive lock on the data folder, held until the descriptor is closed."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FoundationError(f"the data folder {data} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise FoundationError(f"another controller is using {data}; stop it first, or give another --data") from error
    return handle


def folder_in_use(data: Path) -> bool:
    """Whether a controller is running on this folder."""
    try:
        os.close(_lock_folder(data))
    except FoundationError:
        return True
    return False
