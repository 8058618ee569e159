"""The parent of the workers: takes files in, one process each, and puts what comes out into place.

Rules kept here:

1. At most ``limits.workers`` files are decoded at once; the others wait in order. The workers are nicer than the
   controller, so an upload of fifty files starves nobody.
2. A worker that says nothing for ``stall_s``, or takes longer than ``timeout_s``, is killed with all its session;
   so is one whose caller was cancelled. Its death is a verdict on its file, never an error of the others.
3. A programme appears under its final name whole and on the disk, or not at all (temporary, fsync, rename, fsync of
   the folder). An equal programme that is already there is left as it is.

Not here: what a file is (:mod:`audio.ingest.analysis`), who may upload (controller).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audio.children import end
from audio.errors import IngestError
from audio.ingest.report import Ingested, IngestLimits, MediaReport, RefusedError
from audio.targets import TARGET_LUFS
from schedules.instants import Frames

#: Told how far a file is: 0 to 1, twice (listening, then writing), or more often when the loudness needs it.
ProgressListener = Callable[[float], None]

_LINE_BYTES = 65_536
_STDERR_BYTES = 4_096
_TIMEOUT_REASON = "it takes too long to decode: save it as plain MP3 or WAV"
_CRASH_REASON = "it brings the decoder down: save it again with another program as MP3 or WAV"


class Ingestor:
    """Makes programmes of files, and says what files are.

    Args:
        limits: what one file may cost.
        work_dir: where unfinished programmes lie; best on the file system of the destinations. None: the system's.
    """

    def __init__(self, limits: IngestLimits | None = None, work_dir: Path | None = None) -> None:
        self._limits = limits or IngestLimits()
        self._work_dir = work_dir
        self._places = asyncio.Semaphore(self._limits.workers)

    async def ingest(
        self,
        source: Path,
        destination_dir: Path,
        *,
        target_lufs: float = TARGET_LUFS,
        on_progress: ProgressListener | None = None,
    ) -> Ingested:
        """Write ``source`` as a programme into ``destination_dir``, named ``<sha256>.opus``.

        Raises:
            RefusedError: the file cannot become a programme; its report says why (codes: :mod:`audio.ingest.report`).
            IngestError: the programme cannot be stored (``not_stored``).
        """
        try:
            part = await asyncio.to_thread(self._new_part)
        except OSError as error:
            raise IngestError(f"no place for new programmes: {error.strerror}", code="not_stored") from error
        try:
            answer = await self._listen(source, part, target_lufs, on_progress)
            report = MediaReport.from_dict(answer["report"])
            if not report.ok:
                raise RefusedError(report)
            path = destination_dir / f"{answer['sha256']}.opus"
            try:
                size = await asyncio.to_thread(_settle, part, path)
            except OSError as error:
                raise IngestError(f"the programme cannot be stored: {error.strerror}", code="not_stored") from error
            return Ingested(answer["sha256"], path, Frames(answer["frames"]), size, report)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()

    async def check(self, path: Path | str, *, on_progress: ProgressListener | None = None) -> MediaReport:
        """Say what ``path`` is and how it would sound. Writes nothing, raises nothing about the file."""
        answer = await self._listen(path, None, TARGET_LUFS, on_progress)
        return MediaReport.from_dict(answer["report"])

    async def _listen(
        self, source: Path | str, output: Path | None, target_lufs: float, on_progress: ProgressListener | None
    ) -> dict[str, Any]:
        named = os.fspath(source)
        refusal = await asyncio.to_thread(_refuse_early, named, self._limits.max_bytes)
        if refusal is not None:
            return {"report": refusal.as_dict()}
        job = {
            "file": named,
            "source": _absolute(named),
            "output": None if output is None else _absolute(output),
            "target_lufs": target_lufs,
            "limits": self._limits.as_dict(),
            "parent": os.getpid(),
        }
        async with self._places:
            return await self._work(job, on_progress)

    async def _work(self, job: dict[str, Any], on_progress: ProgressListener | None) -> dict[str, Any]:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "audio.ingest.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
            start_new_session=True,
            cwd="/",
            env={"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        )
        answer: dict[str, Any] | None = None
        late = False
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                answer = await self._converse(worker, job, on_progress)
                await worker.wait()
        except TimeoutError:
            late = True
        finally:
            await end(worker)
        if answer is not None:
            return answer
        late = late or worker.returncode == -signal.SIGXCPU
        code, reason = ("timeout", _TIMEOUT_REASON) if late else ("crashed", _CRASH_REASON)
        return {"report": MediaReport.refused(job["file"], code, reason).as_dict()}

    async def _converse(
        self, worker: asyncio.subprocess.Process, job: dict[str, Any], on_progress: ProgressListener | None
    ) -> dict[str, Any] | None:
        """Give the job and listen until the report, or until the worker falls silent (None) or stalls (raises)."""
        assert worker.stdin is not None  # noqa: S101 - asked for as a pipe
        assert worker.stdout is not None  # noqa: S101 - asked for as a pipe
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.stdin.write(json.dumps(job).encode() + b"\n")
            await worker.stdin.drain()
        while True:
            try:
                async with asyncio.timeout(self._limits.stall_s):
                    line = await worker.stdout.readline()
            except ValueError:  # a line without an end: no worker of ours is speaking any more
                return None
            if not line.endswith(b"\n"):
                return None
            said: dict[str, Any] = json.loads(line)
            if "report" in said:
                return said
            if on_progress is not None:
                on_progress(float(said["progress"]))

    def _new_part(self) -> Path:
        if self._work_dir is not None:
            self._work_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="ingest-", suffix=".part", dir=self._work_dir)
        os.close(handle)
        return Path(name)


def _refuse_early(named: str, max_bytes: int) -> MediaReport | None:  # noqa: PLR0911 - one line a verdict
    """What can be said about a file without opening it."""
    try:
        found = Path(named).stat()
    except FileNotFoundError:
        return MediaReport.refused(named, "not_found", "there is no such file: check its name")
    except (OSError, ValueError) as error:
        return MediaReport.refused(named, "unreadable", f"the file cannot be reached: {error}")
    if not stat.S_ISREG(found.st_mode):
        return MediaReport.refused(named, "not_a_file", "this is not a file: name a sound or video file")
    if not os.access(named, os.R_OK):
        return MediaReport.refused(named, "not_permitted", "the file may not be read: change its permissions")
    if found.st_size == 0:
        return MediaReport.refused(named, "empty", "the file is empty: copy or upload it again")
    if found.st_size > max_bytes:
        reason = f"the file is larger than {max_bytes // 1024**2} MiB: cut it, or save it as MP3"
        return MediaReport.refused(named, "too_large", reason)
    return None


def _absolute(path: Path | str) -> str:
    return str(Path(path).absolute())


def _settle(part: Path, path: Path) -> int:
    """Move ``part`` (already on the disk) to ``path`` and make its name durable. Returns its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = part.stat().st_size
    if not (path.exists() and path.stat().st_size == size):
        part.chmod(0o644)
        try:
            part.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(part, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


def _copy(part: Path, path: Path) -> None:
    """As a rename, between two file systems."""
    handle, name = tempfile.mkstemp(prefix=".ingest-", dir=path.parent)
    near = Path(name)
    try:
        with part.open("rb") as source, open(handle, "wb") as target:  # noqa: PTH123 - a descriptor
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        near.chmod(0o644)
        near.replace(path)
    except BaseException:
        near.unlink(missing_ok=True)
        raise
