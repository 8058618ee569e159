"""Stored sounds, named by the SHA-256 of their bytes, on the agent's own disk.

Rules kept here:

1. A file appears under its name only whole and verified: written to a temporary name, hashed, fsync, rename,
   fsync of the folder. A power cut leaves the old state or the new one.
2. Bytes are trusted again only after they were hashed again: :meth:`MediaStore.prove` reads the file ahead of
   its start. A proof is good for :data:`PROOF_LIFE_US` and for exactly that inode, size and time stamps.
3. An altered file is removed at once, so that it is fetched again and can never sound.
4. The store keeps to a budget: what no plan needs goes first, least recently used first. What a plan needs is
   never evicted; when it does not fit, the download is refused (``disk_full``) and reported.

Blocking: every method that touches the disk is meant for a worker thread; none is called in the event loop but
:meth:`path`, :meth:`has` and :meth:`proven`, which answer from memory or by one ``stat``.

Not here: the network (:mod:`agent.link.fetch`).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.clocks import Clock
from agent.errors import MediaError

log = structlog.get_logger("agent.cache")

#: How long a re-hash is believed. An item is proven some seconds before its start; resuming it proves it again.
PROOF_LIFE_US = 60_000_000

#: Kept free on the disk whatever the budget says, so that the database can always grow.
RESERVE_BYTES = 64 * 1024 * 1024

_NAME = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Proof:
    at_us: int
    stamp: tuple[int, int, int]
    path: Path  # kept, because an order asks for it when every fraction of a millisecond counts


class MediaStore:
    """One folder of sounds. Safe to use from several threads; one process owns a folder."""

    def __init__(self, folder: Path, clock: Clock, *, budget_bytes: int) -> None:
        self._folder = folder
        self._clock = clock
        self._budget = budget_bytes
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}
        self._used_us: dict[str, int] = {}
        self._proofs: dict[str, _Proof] = {}
        self._reserved: dict[str, int] = {}

    def open(self) -> None:
        """Make the folder, list what is there, remove what a crash left half-written.

        Partial downloads stay: they are continued by Range and verified as a whole.
        """
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            for entry in sorted(self._folder.iterdir()):
                if _NAME.fullmatch(entry.name):
                    stat = entry.stat()
                    self._sizes[entry.name] = stat.st_size
                    # The file's own time stamp orders what an earlier run used.
                    self._used_us[entry.name] = stat.st_mtime_ns // 1000 - 2**62
                elif entry.is_file() and not entry.name.endswith(".part"):
                    log.warning("removed a file that does not belong here", file=entry.name)
                    entry.unlink()

    # -- asking -------------------------------------------------------------------------------------------

    def path(self, sha256: str) -> Path:
        """Where the sound lies or would lie."""
        if not _NAME.fullmatch(sha256):
            raise MediaError("media_missing", f"not the name of a sound: {sha256[:80]!r}")
        return self._folder / sha256

    def part_path(self, sha256: str) -> Path:
        """Where its unfinished download lies."""
        path = self.path(sha256)
        return path.with_name(path.name + ".part")

    def has(self, sha256: str) -> bool:
        """It is here, as far as is known without hashing it again."""
        return sha256 in self._sizes

    def missing(self, needed: Iterable[str]) -> frozenset[str]:
        """Those of ``needed`` that are not here."""
        return frozenset(sha256 for sha256 in needed if sha256 not in self._sizes)

    @property
    def used_bytes(self) -> int:
        """Bytes of whole sounds."""
        with self._lock:
            return sum(self._sizes.values())

    @property
    def count(self) -> int:
        """Number of whole sounds."""
        return len(self._sizes)

    def proven(self, sha256: str) -> bool:
        """It was hashed within :data:`PROOF_LIFE_US` and has not been touched since. One ``stat``, no reading."""
        proof = self._proofs.get(sha256)
        if proof is None or self._clock.mono_us() - proof.at_us > PROOF_LIFE_US:
            return False
        try:
            return _stamp(proof.path) == proof.stamp
        except OSError:
            return False

    # -- changing -----------------------------------------------------------------------------------------

    def prove(self, sha256: str) -> bool:
        """Hash the file again. Removes it and answers False when its bytes are not what its name says."""
        if self.proven(sha256):
            return True
        path = self.path(sha256)
        try:
            stamp = _stamp(path)
            digest = _digest(path)
        except FileNotFoundError:
            self._forget(sha256)
            return False
        except OSError as error:
            # A worn card answers EIO: the sound is lost to us, the agent is not.
            log.error("a stored sound cannot be read", sha256=sha256, error=str(error))  # noqa: TRY400 - expected
            self._forget(sha256)
            return False
        if digest != sha256 or stamp != _stamp(path):
            log.error("a stored sound was altered; it is removed and fetched again", sha256=sha256)
            path.unlink(missing_ok=True)
            self._forget(sha256)
            return False
        with self._lock:
            now = self._clock.mono_us()
            self._proofs[sha256] = _Proof(now, stamp, path)
            self._used_us[sha256] = now
        return True

    def make_room(self, sha256: str, size: int, needed: frozenset[str]) -> None:
        """Evict what no plan needs until ``size`` more bytes fit, and reserve them for ``sha256``.

        Raises:
            MediaError: ``disk_full``: they do not fit even then.
        """
        with self._lock:
            self._reserved.pop(sha256, None)
            for victim in sorted(self._sizes.keys() - needed, key=lambda name: self._used_us.get(name, 0)):
                if self._fits(size):
                    break
                log.info("evicted a sound that no plan needs", sha256=victim, bytes=self._sizes[victim])
                self.path(victim).unlink(missing_ok=True)
                self._forget(victim)
            if not self._fits(size):
                raise MediaError("disk_full", f"no room for a sound of {size} bytes")
            self._reserved[sha256] = size

    def finish(self, sha256: str) -> None:
        """Turn the finished ``.part`` file into the sound, if its bytes are what the name says.

        Raises:
            MediaError: ``media_altered``: they are not; the part is removed.
        """
        part = self.part_path(sha256)
        try:
            if _digest(part) != sha256:
                part.unlink(missing_ok=True)
                raise MediaError("media_altered", f"the download of {sha256} has other bytes than its name says")
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            final = self.path(sha256)
            part.replace(final)
            _sync_folder(self._folder)
        finally:
            self.release(sha256)
        with self._lock:
            now = self._clock.mono_us()
            stamp = _stamp(final)
            self._sizes[sha256] = stamp[1]
            self._used_us[sha256] = now
            self._proofs[sha256] = _Proof(now, stamp, final)

    def release(self, sha256: str) -> None:
        """Give back the bytes :meth:`make_room` reserved for a download that ended."""
        with self._lock:
            self._reserved.pop(sha256, None)

    def _fits(self, size: int) -> bool:
        planned = sum(self._sizes.values()) + sum(self._reserved.values()) + size
        if planned > self._budget:
            return False
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        return free - sum(self._reserved.values()) - size >= min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 10)

    def _forget(self, sha256: str) -> None:
        with self._lock:
            for table in (self._sizes, self._used_us, self._proofs):
                table.pop(sha256, None)


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns ^ stat.st_ctime_ns


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
