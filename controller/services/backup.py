"""Backup while running: one tar file with everything a new machine needs.

Rules kept here:

1. The database is copied by SQLite's VACUUM INTO: one consistent snapshot, however busy the controller is. Then the
   journal of orders (up to its last whole line), then recordings; a recording's file never changes once it is named.
2. Keys travel only encrypted (scrypt, AES-256-GCM) under a passphrase, or not at all.
3. Whoever wants it no more ends it (:class:`Course`): nothing of it stays.
4. The file appears under its name when it is whole and on the disk; ``manifest.json``, its first member, names every
   other member with its SHA-256.

Not here: putting it back (:mod:`controller.services.restore`); PostgreSQL (use ``pg_dump``; keys and media still come
from here with ``--no-database``).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import sqlite3
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from controller.services.errors import ConflictError, InvalidError, NotFoundError
from controller.store.files import fsync_directory, write_file

FORMAT = 1
MIN_PASSPHRASE = 12
DATABASE, JOURNAL, KEYS, MANIFEST, STAMP = "loa.db", "orders.journal", "keys.enc", "manifest.json", "last-backup"
#: Folders whose files hold secrets; they travel in ``keys.enc`` only.
SECRET_FOLDERS = ("keys", "tls")
MEDIA = "media"
_SCRYPT_N = 1 << 15
#: Bytes read at a time.
_PIECE = 1 << 20
#: Steps of SQLite's machine between two questions whether to go on: some milliseconds.
_ASK_EVERY = 10_000
#: Binds the encryption to its purpose.
KEYS_LABEL = b"loa-backup-keys-1"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was saved."""

    file: Path
    bytes: int
    recordings: int
    with_keys: bool


class BackupEndedError(Exception):
    """Somebody ended it before it was whole."""


class Course:
    """How far a backup is, and whether it is to end: shared by the thread that makes it and those who ask."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._done = 0
        self._all = 0

    @property
    def share(self) -> float | None:
        """0 to 1; None while it is not known how much there is."""
        return None if self._all == 0 else min(self._done / self._all, 1.0)

    def end(self) -> None:
        """Nobody wants it any more. It ends within a piece of a file."""
        self._ended.set()

    def begun(self, members: Mapping[str, Path]) -> None:
        """Every byte is read twice: for its hash, and into the file."""
        self._all = 2 * sum(path.stat().st_size for path in members.values())

    def went(self, count: int = 0) -> None:
        """So many bytes more.

        Raises:
            BackupEndedError: it is to end.
        """
        if self._ended.is_set():
            raise BackupEndedError
        self._done += count

    def ended(self) -> bool:
        """Whether it is to end; also asked by SQLite while it copies."""
        return self._ended.is_set()


def back_up(
    data: Path,
    target: Path,
    *,
    passphrase: str | None,
    now: datetime,
    database: bool = True,
    course: Course | None = None,
) -> BackupReport:
    """Copy a data folder, running or not, into one file.

    Args:
        data: the controller's data folder.
        target: the file to make; it must not exist.
        passphrase: encrypts the keys; None leaves them out.
        now: the instant written into it.
        database: False leaves the SQLite file out (PostgreSQL).
        course: tells how far it is, and ends it.

    Raises:
        NotFoundError: the folder holds no controller.
        ConflictError: the target exists.
        InvalidError: the passphrase is too short.
        OSError: the disk refuses.
        BackupEndedError: ``course`` ended it.
    """
    course = course or Course()
    if database and not (data / DATABASE).is_file():
        raise NotFoundError(f"there is no controller's data in {data}", code="no_data")
    if target.exists():
        raise ConflictError(f"{target} exists; choose another name", code="file_exists")
    if passphrase is not None and len(passphrase) < MIN_PASSPHRASE:
        raise InvalidError(f"the passphrase must have at least {MIN_PASSPHRASE} characters", code="weak_passphrase")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".loa-backup-") as work:
            members = _collect(data, Path(work), passphrase, course, database=database)
            course.begun(members)
            recordings = sum(name.startswith(f"{MEDIA}/") for name in members)
            manifest = {
                "format": FORMAT,
                "created": now.isoformat(),
                "with_keys": passphrase is not None,
                "files": {name: _digest(path, course) for name, path in members.items()},
            }
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                _write_tar(file, json.dumps(manifest).encode(), members, course)
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(target)
        fsync_directory(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    write_file(data / STAMP, json.dumps({"at": now.isoformat(), "file": str(target)}).encode())
    return BackupReport(target, target.stat().st_size, recordings, passphrase is not None)


def _collect(data: Path, work: Path, passphrase: str | None, course: Course, *, database: bool) -> dict[str, Path]:
    members: dict[str, Path] = {}
    if database:
        members[DATABASE] = work / DATABASE
        with closing(sqlite3.connect(data / DATABASE, timeout=30)) as source:
            source.set_progress_handler(course.ended, _ASK_EVERY)
            # VACUUM INTO is one read transaction: consistent, and the copy is compact and has no -wal beside it.
            try:
                source.execute("VACUUM INTO ?", (str(members[DATABASE]),))
            except sqlite3.OperationalError:
                course.went()  # it was interrupted for us
                raise
    journal = data / JOURNAL
    if journal.exists():
        whole = journal.read_bytes()
        members[JOURNAL] = work / JOURNAL
        members[JOURNAL].write_bytes(whole[: whole.rfind(b"\n") + 1])
    if passphrase is not None:
        members[KEYS] = work / KEYS
        members[KEYS].write_bytes(_encrypt_folders(data, passphrase))
    media = data / MEDIA
    if media.is_dir():
        for path in sorted(media.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(media).parts):
                members[f"{MEDIA}/{path.relative_to(media).as_posix()}"] = path
    return members


def _write_tar(file: IO[bytes], manifest: bytes, members: Mapping[str, Path], course: Course) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        head = tarfile.TarInfo(MANIFEST)
        head.size, head.mode = len(manifest), 0o600
        tar.addfile(head, io.BytesIO(manifest))
        for name, path in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o600
            with path.open("rb") as content:
                tar.addfile(info, _Counted(content, course))


class _Counted:
    """A file whose reading moves the course on."""

    def __init__(self, file: IO[bytes], course: Course) -> None:
        self._file = file
        self._course = course

    def read(self, size: int = -1, /) -> bytes:
        """A piece."""
        data = self._file.read(size)
        self._course.went(len(data))
        return data


def _digest(path: Path, course: Course) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PIECE):
            digest.update(part)
            course.went(len(part))
    return digest.hexdigest()


def _encrypt_folders(data: Path, passphrase: str) -> bytes:
    plain = {
        f"{folder}/{path.name}": path.read_bytes().hex()
        for folder in SECRET_FOLDERS
        if (data / folder).is_dir()
        for path in sorted((data / folder).iterdir())
        if path.is_file() and not path.name.startswith(".")
    }
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = AESGCM(backup_key(passphrase, salt)).encrypt(nonce, json.dumps(plain).encode(), KEYS_LABEL)
    return salt + nonce + sealed


def backup_key(passphrase: str, salt: bytes) -> bytes:
    """The AES key that a passphrase means (scrypt, 32 MiB)."""
    return Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=8, p=1).derive(passphrase.encode())
