"""Uploads becoming recordings, one after the other, in the background.

Rules kept here:

1. What was acknowledged is finished or refused, also across restarts: a recording that is ``processing`` when the
   controller starts is taken up again, or refused as ``interrupted`` when its upload is gone.
2. At most :data:`WAITING` uploads wait; more are refused at the door with ``busy``.
3. A database that is busy when the work is done is waited for; the work is not thrown away.
4. One file's fault is that recording's verdict and nobody else's.
5. What is cancelled ends: its process is killed, and nothing of it stays on the disk.

Not here: decoding (:mod:`audio.ingest`), speaking (:mod:`audio.speech`), the rules of recordings
(:mod:`controller.services.recordings`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from audio.errors import AudioError
from audio.ingest import Ingested, RefusedError
from audio.speech import SpeechEngine
from controller.services.endings import unless_ended
from controller.services.errors import BusyError
from controller.services.media_store import MediaStore
from controller.store.errors import StoreBusyError

#: Uploads that may wait to be decoded.
WAITING: Final = 200
#: Uploads decoded at a time: one leaves half of a small machine to what is on air.
WORKERS: Final = 1
_RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Ingests(Protocol):
    """Makes a programme file of any sound file."""

    async def ingest(
        self, source: Path, destination_dir: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Ingested:
        """See :meth:`audio.ingest.Ingestor.ingest`."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One recording to make, of the upload ``name``. ``spoken``: the upload is text in this language."""

    recording_id: str
    name: str
    spoken: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no recording."""

    code: str
    reason: str
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: ``waiting`` (with how many before it), ``speaking`` or ``decoding`` (with a share of 1)."""

    stage: str
    share: float = 0.0
    before: int = 0


Finish = Callable[[Job, Ingested | Refusal], Awaitable[None]]


class Intake:
    """The queue of uploads and the task that works it off. ``finish`` writes the verdict into the database."""

    def __init__(
        self,
        store: MediaStore,
        ingestor: Ingests,
        speech: SpeechEngine | None,
        finish: Finish,
        *,
        keep_originals: bool = False,
    ) -> None:
        self._store = store
        self._ingestor = ingestor
        self._speech = speech
        self._finish = finish
        self._keep_originals = keep_originals
        self._waiting: dict[str, Job] = {}
        self._arrived = asyncio.Event()
        self._making: dict[str, tuple[Job, asyncio.Task[Ingested | Refusal]]] = {}
        self._progress: dict[str, Progress] = {}

    def require_place(self) -> None:
        """Refuse when too much waits already.

        Raises:
            BusyError: ``too_many_uploads``.
        """
        if len(self._waiting) >= WAITING:
            raise BusyError("too many uploads are waiting to be processed; try again later", code="too_many_uploads")

    def put(self, job: Job) -> None:
        """Queue a job; a newer upload for the same recording takes the place of one that still waits."""
        self._waiting[job.recording_id] = job
        self._arrived.set()

    async def cancel(self, recording_id: str) -> None:
        """End what is being done for a recording. When this returns it has ended."""
        job = self._waiting.pop(recording_id, None)
        if job is None and recording_id in self._making:
            job, making = self._making[recording_id]
            making.cancel()
            await asyncio.wait([making])
        if job is not None:
            await self._drop(job)

    def progress(self, recording_id: str) -> Progress | None:
        """How far a recording is; None when nothing is being done for it."""
        if recording_id in self._waiting:
            return Progress("waiting", before=list(self._waiting).index(recording_id))
        return self._progress.get(recording_id)

    async def run(self) -> None:
        """Work off the queue until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"intake-{number}")

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            recording_id = next(iter(self._waiting))
            job = self._waiting.pop(recording_id)
            making = asyncio.create_task(self._make(job), name=f"intake of {recording_id}")
            self._making[recording_id] = job, making
            try:
                verdict = await unless_ended(making)
            finally:
                del self._making[recording_id]
                self._progress.pop(recording_id, None)
            if verdict is not None:
                await self._settle(job, verdict)

    async def _make(self, job: Job) -> Ingested | Refusal:
        source = self._store.upload_path(job.name)
        try:
            if not await asyncio.to_thread(source.is_file):
                return Refusal("interrupted", "the upload was lost when the controller was restarted; upload it again")
            if job.spoken is not None:
                source = await self._speak(job, source, job.spoken)
            self._tell(job, "decoding", 0.0)
            made = await self._ingestor.ingest(
                source, self._store.uploads / "made", on_progress=lambda share: self._tell(job, "decoding", share)
            )
            await self._store.adopt(made.path, made.sha256)
        except RefusedError as error:
            return Refusal(error.code, error.report.reason, error.report.as_dict())
        except AudioError as error:
            return Refusal(error.code, str(error))
        except OSError as error:
            _log.exception("intake_failed", recording=job.recording_id)
            return Refusal("not_stored", f"the controller's disk refused it: {error.strerror or error}")
        return made

    async def _speak(self, job: Job, source: Path, language: str) -> Path:
        if self._speech is None:
            raise AudioError("no speech engine is installed; upload a recording instead", code="speech_unavailable")
        self._tell(job, "speaking", 0.0)
        spoken = source.with_suffix(".wav")
        text = await asyncio.to_thread(source.read_text, encoding="utf-8")
        await self._speech.speak(text, spoken, language=language)
        return spoken

    async def _settle(self, job: Job, verdict: Ingested | Refusal) -> None:
        while True:
            try:
                await self._finish(job, verdict)
                break
            except (StoreBusyError, BusyError):  # rule 3
                await asyncio.sleep(_RETRY_S)
        await self._drop(job, keep=self._keep_originals and isinstance(verdict, Ingested))

    async def _drop(self, job: Job, *, keep: bool = False) -> None:
        await self._store.drop_upload(job.name, keep_as=job.recording_id if keep else None)
        if job.spoken is not None:
            await self._store.drop_upload(Path(job.name).with_suffix(".wav").name)

    def _tell(self, job: Job, stage: str, share: float) -> None:
        self._progress[job.recording_id] = Progress(stage, min(max(share, 0.0), 1.0))
