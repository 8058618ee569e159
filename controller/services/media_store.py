"""Files of sound on the controller's disk: uploads on their way in, and the clips that agents fetch by hash.

Rules kept here:

1. A clip lives at ``media/ab/abcdef…`` under the SHA-256 of its bytes; what is there never changes.
2. It gets there in four steps (written elsewhere, fsync, rename, fsync of the folder): it is whole, or not there.
3. Nothing is written unless :attr:`MediaStore.reserve` bytes stay free afterwards: the database, the audit log and the
   command journal must go on when somebody uploads a film.
4. Uploads are bounded in size while they arrive, whatever they announced; what was not finished is removed at start.
5. Every access to the disk happens in a thread.

Not here: what the sounds are (:mod:`controller.services.recordings`).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from controller.services.errors import BusyError, InvalidError
from controller.services.precedence import Precedence

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: Bytes gathered before a thread is asked to write them.
_BLOCK: Final = 1024 * 1024
#: Free space is looked at again after so many bytes of one upload.
_LOOK_AGAIN: Final = 16 * _BLOCK

#: What must stay free: the reserve of fault D1 (64 MiB) and room for the books of a busy day.
DEFAULT_RESERVE: Final = 256 * 1024 * 1024
#: The largest upload: three hours of 48 kHz stereo WAV, twice.
DEFAULT_UPLOAD_MAX: Final = 4 * 1024 * 1024 * 1024


class DiskFullError(BusyError):
    """There is not enough room on the controller's disk (HTTP 507)."""

    code = "disk_full"


class UploadTooLargeError(InvalidError):
    """The upload is larger than allowed (HTTP 413)."""

    code = "upload_too_large"


class MediaStore:
    """The folders ``media``, ``uploads`` and ``originals`` below the data directory."""

    def __init__(
        self,
        data: Path,
        *,
        reserve: int = DEFAULT_RESERVE,
        upload_max: int = DEFAULT_UPLOAD_MAX,
        precedence: Precedence | None = None,
    ) -> None:
        """``precedence``: uploads hold still while an order is on its way; None: they need not."""
        self.media = data / "media"
        self.uploads = data / "uploads"
        self.originals = data / "originals"
        self.reserve = reserve
        self.upload_max = upload_max
        self._precedence = precedence or Precedence()

    def open(self) -> None:
        """Make the folders. Blocking; called once at start."""
        for folder in (self.media, self.uploads, self.originals):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)

    def media_path(self, sha256: str) -> Path | None:
        """Where the clip of this hash is (or would be); None when it is no hash. Does not touch the disk."""
        if _SHA256.fullmatch(sha256) is None:
            return None
        return self.media / sha256[:2] / sha256

    def upload_path(self, name: str) -> Path:
        """Where the upload called ``name`` (an id of ours, never a user's text) is kept until it is processed."""
        return self.uploads / name

    async def has(self, sha256: str) -> bool:
        """Whether the clip is there."""
        path = self.media_path(sha256)
        return path is not None and await asyncio.to_thread(path.is_file)

    async def require_room(self, size: int) -> None:
        """Make sure that ``size`` more bytes fit.

        Raises:
            DiskFullError: they do not.
        """
        free = (await asyncio.to_thread(shutil.disk_usage, self.uploads)).free
        if free - size < self.reserve:
            need = (size + self.reserve - free) // (1024 * 1024) + 1
            raise DiskFullError(f"the controller's disk is nearly full; free {need} MiB or more, then try again")

    async def receive(self, name: str, body: AsyncIterator[bytes], announced: int | None) -> int:
        """Write an upload to :meth:`upload_path` as it arrives; returns its size in bytes.

        Raises:
            UploadTooLargeError: it is larger than :attr:`upload_max`.
            DiskFullError: there is no room for it.
            InvalidError: ``empty_upload``.
        """
        self._require_size(announced or 0)
        await self.require_room(announced or 0)
        path = self.upload_path(name)
        file = await asyncio.to_thread(path.open, "wb")
        try:
            size = await self._write_all(file, body)
            await self._precedence.turn()  # the disk, too: the journal's line goes first
        except BaseException:
            await asyncio.to_thread(_discard, file, path)
            raise
        await asyncio.to_thread(_finish, file)
        if size == 0:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise InvalidError("the upload has no bytes", code="empty_upload")
        return size

    async def adopt(self, made: Path, sha256: str) -> Path:
        """Move a finished file into the store under its hash."""
        target = self.media_path(sha256)
        if target is None:
            raise ValueError("not a SHA-256")
        await asyncio.to_thread(_place, made, target)
        return target

    async def drop_upload(self, name: str, *, keep_as: str | None = None) -> None:
        """Remove a processed upload, or keep it among the originals under ``keep_as``."""
        path = self.upload_path(name)
        if keep_as is None:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        elif await asyncio.to_thread(path.is_file):
            await asyncio.to_thread(_place, path, self.originals / keep_as)

    async def sweep(self, keep: frozenset[str]) -> None:
        """Remove uploads that nothing speaks of any more (at start)."""
        await asyncio.to_thread(_sweep, self.uploads, keep)

    def _require_size(self, size: int) -> None:
        if size > self.upload_max:
            raise UploadTooLargeError(f"an upload may have {self.upload_max // (1024 * 1024)} MiB")

    async def _write_all(self, file: BinaryIO, body: AsyncIterator[bytes]) -> int:
        size, looked, block = 0, 0, bytearray()
        async for part in body:
            block += part
            size += len(part)
            self._require_size(size)
            if len(block) >= _BLOCK:
                await asyncio.to_thread(file.write, bytes(block))
                block.clear()
            await self._precedence.turn()
            if size - looked >= _LOOK_AGAIN:
                looked = size
                await self.require_room(0)
        if block:
            await asyncio.to_thread(file.write, bytes(block))
        return size


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _discard(file: BinaryIO, path: Path) -> None:
    file.close()
    path.unlink(missing_ok=True)


def _place(made: Path, target: Path) -> None:
    """Rule 2. ``made`` is on the same file system."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(target)
    for folder in (target.parent, target.parent.parent):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(folder: Path, keep: frozenset[str]) -> None:
    for path in folder.iterdir():
        if path.name not in keep:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
