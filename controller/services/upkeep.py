"""Keeping the house in order, from the desk: what the doctor finds, when keys end, and backups to take elsewhere.

Rules kept here:

1. All of it takes the right ``policy_edit`` over everything: a backup holds what everybody said and did.
2. Examining reads the whole disk: it happens in a thread, and what was found is good for :data:`FRESH`.
3. One backup is made at a time, into the controller's own folder; the newest :data:`KEPT` stay. They are no backup
   until they are downloaded to another machine: the keys travel in them only under a passphrase.
4. A backup that is cancelled, or that the controller's end meets, leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from controller.config import Config
from controller.keys import KeyVault
from controller.services.backup import MIN_PASSPHRASE, STAMP, BackupEndedError, Course, back_up
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.doctor import Finding, examine
from controller.services.errors import ConflictError, InvalidError, NotFoundError
from controller.store import Database
from protocol.keys import OnlineKey

FRESH: Final = timedelta(seconds=60)
KEPT: Final = 3
FOLDER: Final = "backups"
_NAME: Final = re.compile(r"loa-\d{8}-\d{6}\.tar")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that documents are signed with."""

    root_fingerprint: str
    root_sealed: bool
    term: int
    version: int
    expires: datetime
    online: tuple[OnlineKey, ...]


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A backup that lies here."""

    name: str
    size: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Backups:
    """What there is, and what is being made. ``fault``: why the last one failed."""

    files: tuple[BackupFile, ...]
    running_since: datetime | None
    share: float | None  # of 1, of what is being made; None while that is not known
    fault: str
    last: datetime | None  # also of one made by the command


class Upkeep:
    """Use-cases of the administrator."""

    def __init__(self, config: Config, db: Database, directory: Directory, vault: KeyVault, clock: Clock) -> None:
        self._config = config
        self._db = db
        self._directory = directory
        self._vault = vault
        self._clock = clock
        self.started_at = clock.now()
        self._found: tuple[datetime, tuple[Finding, ...]] | None = None
        self._examining = asyncio.Lock()
        self._job: asyncio.Task[None] | None = None
        self._course = Course()
        self._running_since: datetime | None = None
        self._fault = ""

    async def close(self) -> None:
        """End a backup that is being made, and wait for that."""
        self._course.end()
        if self._job is not None:
            await asyncio.wait([self._job])

    async def findings(self, actor: Actor) -> tuple[Finding, ...]:
        """What the doctor says.

        Raises:
            ForbiddenError: no right over everything.
        """
        self._require(actor)
        async with self._examining:
            now = self._clock.now()
            if self._found is None or now - self._found[0] > FRESH:
                self._found = now, tuple(await asyncio.to_thread(examine, self._config, now=now))
            return self._found[1]

    def keys(self, actor: Actor) -> Keys:
        """What is signed with, and until when.

        Raises:
            ForbiddenError: no right over everything.
        """
        self._require(actor)
        vault = self._vault
        own = vault.key_set
        return Keys(vault.root_fingerprint, vault.sealed, vault.term, own.version, own.expires, tuple(own.keys))

    async def backups(self, actor: Actor) -> Backups:
        """What there is.

        Raises:
            ForbiddenError: no right over everything.
        """
        self._require(actor)
        files = await asyncio.to_thread(self._files)
        last = await asyncio.to_thread(self._stamp)
        share = None if self._running_since is None else self._course.share
        return Backups(files, self._running_since, share, self._fault, last)

    async def begin_backup(self, actor: Actor, passphrase: str | None) -> None:
        """Make a backup beside the work; :meth:`backups` tells how it goes.

        Raises:
            ForbiddenError: no right over everything.
            ConflictError: one is being made.
            InvalidError: the passphrase is too short.
        """
        self._require(actor)
        if self._running_since is not None:
            raise ConflictError("a backup is being made already", code="backup_running")
        if passphrase is not None and len(passphrase) < MIN_PASSPHRASE:
            raise InvalidError(f"the passphrase must have at least {MIN_PASSPHRASE} characters", code="weak_passphrase")
        now = self._running_since = self._clock.now()
        self._fault = ""
        try:
            async with self._db.transaction(actor) as tx:
                tx.audit("backup.make", "backup", {"with_keys": passphrase is not None})
        except BaseException:
            self._running_since = None
            raise
        self._course = Course()
        self._job = asyncio.get_running_loop().create_task(self._make(now, passphrase), name="backup")

    async def cancel_backup(self, actor: Actor) -> None:
        """End the backup that is being made. When this returns nothing of it is left.

        Raises:
            ForbiddenError: no right over everything.
            ConflictError: ``no_backup_running``.
        """
        self._require(actor)
        if self._running_since is None or self._job is None:
            raise ConflictError("no backup is being made", code="no_backup_running")
        async with self._db.transaction(actor) as tx:
            tx.audit("backup.cancel", "backup", {})
        await self.close()

    async def file(self, actor: Actor, name: str) -> Path:
        """Where a backup lies, for somebody who takes it away.

        Raises:
            ForbiddenError: no right over everything.
            NotFoundError: there is none of this name.
        """
        self._require(actor)
        path = self._folder / name
        if _NAME.fullmatch(name) is None or not await asyncio.to_thread(path.is_file):
            raise NotFoundError("there is no such backup; only the newest are kept")
        async with self._db.transaction(actor) as tx:
            tx.audit("backup.download", "backup", {"name": name})
        return path

    @property
    def _folder(self) -> Path:
        return self._config.data / FOLDER

    def _require(self, actor: Actor) -> None:
        self._directory.require_everywhere(actor, Permission.POLICY_EDIT)

    async def _make(self, now: datetime, passphrase: str | None) -> None:
        try:
            await asyncio.to_thread(self._write, now, passphrase, self._course)
        except BackupEndedError:
            _log.info("the backup was ended")
        except Exception as error:  # noqa: BLE001 - told to the person who asked, whatever it is
            self._fault = str(error) or type(error).__name__
            _log.exception("the backup failed")
        finally:
            self._running_since = None
            self._found = None

    def _write(self, now: datetime, passphrase: str | None, course: Course) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        target = self._folder / f"loa-{now:%Y%m%d-%H%M%S}.tar"
        own = self._config.database is None
        back_up(self._config.data, target, passphrase=passphrase, now=now, database=own, course=course)
        for old in self._files()[KEPT:]:
            (self._folder / old.name).unlink()

    def _files(self) -> tuple[BackupFile, ...]:
        if not self._folder.is_dir():
            return ()
        found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        stats = [(path.name, path.stat()) for path in sorted(found, key=lambda path: path.name, reverse=True)]
        tz = self._clock.now().tzinfo
        return tuple(BackupFile(name, stat.st_size, datetime.fromtimestamp(stat.st_mtime, tz)) for name, stat in stats)

    def _stamp(self) -> datetime | None:
        try:
            return datetime.fromisoformat(json.loads((self._config.data / STAMP).read_text())["at"])
        except FileNotFoundError:
            return None
