"""Recordings: brought in, listened to, approved. What goes on air is exactly what was approved.

Rules kept here:

1. A recording belongs to an area; rights over the area are rights over it.
2. A decision names the SHA-256 it is about. It is taken only if that is what the recording is now, so nobody approves
   something that was replaced while they listened.
3. Replacing the sound makes it another sound: the old approval says nothing about it, and plans leave it out until it
   is approved again.
4. A recording that a programme uses is not archived.
5. What is being processed may be cancelled: then it is as if nobody had brought it. What was to be replaced is there
   again, with what was decided about it; what nothing uses leaves the library.
6. Who approves at the console has heard it (:mod:`controller.services.hearing`); who approves by a program vouches for
   that, and the audit log tells the two apart.

Not here: how files become sound (:mod:`controller.services.intake`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sqlmodel import col, select

from audio.ingest import Ingested
from audio.speech import MAX_TEXT, SpeechEngine
from controller.services.catalogue import Catalogue, Decision, RecordingEntry
from controller.services.context import SYSTEM, Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from controller.services.hearing import Hearings
from controller.services.intake import Ingests, Intake, Job, Progress, Refusal
from controller.services.media_store import MediaStore
from controller.store import Database, Transaction, tables
from controller.store.ids import new_id
from schedules.instants import SAMPLE_RATE

_TEXT_SUFFIX: Final = ".txt"
_NOTHING: Final = slice(0, 0)
#: What belongs to the sound of a recording, and where it lies in the report while another sound is made.
_SOUND: Final = {"state", "sha256", "frames", "bytes", "report", "original_name"}
_BEFORE: Final = "before"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrives. ``announced``: its size in bytes if the sender told."""

    body: AsyncIterator[bytes]
    announced: int | None = None


@dataclass(frozen=True, slots=True)
class NewRecording:
    """What is said about a recording when it is brought."""

    area_id: str
    title: str
    language: str | None = None
    original_name: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """Something that uses a recording. ``id``: of the programme."""

    kind: Literal["programme", "template"]
    id: str | None
    title: str


class RecordingService:
    """Use-cases of recordings. :attr:`intake` has the task that must run."""

    def __init__(
        self,
        *,
        db: Database,
        directory: Directory,
        catalogue: Catalogue,
        store: MediaStore,
        ingestor: Ingests,
        speech: SpeechEngine | None,
        clock: Clock,
        keep_originals: bool = False,
    ) -> None:
        self._db = db
        self._directory = directory
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._speech = speech
        self._hearings = Hearings()
        #: Who else uses recordings: each tells the titles of what would miss one.
        self.used_by: list[Callable[[str], tuple[str, ...]]] = []
        self.intake = Intake(store, ingestor, speech, self._finish, keep_originals=keep_originals)

    async def resume(self) -> None:
        """Take up again what was being processed, and clear away the rest (at start, before the intake runs)."""
        jobs = {
            entry.id: _job_of(entry) for entry in self._catalogue.recordings.values() if entry.state == "processing"
        }
        await self._store.sweep(frozenset(job.name for job in jobs.values()))
        for job in jobs.values():
            self.intake.put(job)

    def readable(self, actor: Actor) -> list[RecordingEntry]:
        """The recordings the actor may know of, archived ones left out."""
        return [
            entry
            for entry in self._catalogue.recordings.values()
            if entry.state != "archived" and self._directory.allows(actor, Permission.READ, entry.area_id)
        ]

    def get(self, actor: Actor, recording_id: str) -> RecordingEntry:
        """One recording.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.READ, entry.area_id)
        return entry

    def progress(self, recording_id: str) -> Progress | None:
        """How far its processing is."""
        return self.intake.progress(recording_id)

    def uses(self, actor: Actor, recording_id: str) -> tuple[Use, ...]:
        """What would miss the recording: programmes the actor may know of, and templates of alerts.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        self.get(actor, recording_id)
        programmes = (
            Use("programme", entry.id, entry.spec.title)
            for entry in self._catalogue.uses_of(recording_id)
            if self._directory.allows(actor, Permission.READ, entry.spec.area_id)
        )
        return (*programmes, *(Use("template", None, title) for title in self.templates_of(recording_id)))

    def templates_of(self, recording_id: str) -> tuple[str, ...]:
        """Titles of the alert templates that would miss it."""
        return tuple(title for ask in self.used_by for title in ask(recording_id))

    async def sound(
        self, actor: Actor, recording_id: str, sha256: str | None = None, *, part: slice = _NOTHING
    ) -> Path:
        """The file to listen to; with ``sha256`` only if it is still that very sound. ``part``: the bytes asked for.

        Raises:
            ConflictError: ``recording_not_ready``, or ``changed_since``.
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = self.get(actor, recording_id)
        path = self._store.media_path(entry.sha256 or "")
        if path is None:
            raise ConflictError("there is nothing to hear yet", code="recording_not_ready")
        if sha256 not in {None, entry.sha256}:
            raise ConflictError("the recording was replaced meanwhile; load it again", code="changed_since")
        if not await self._store.has(entry.sha256 or ""):
            raise NotFoundError("the file is missing on the controller's disk; upload it again", code="media_missing")
        now = self._clock.mono_us()
        self._hearings.fetched(actor.user_id, entry.sha256 or "", part, entry.bytes or 0, now)
        return path

    async def create(self, actor: Actor, new: NewRecording, upload: Upload) -> RecordingEntry:
        """Bring a file. It is acknowledged once it is on the disk, and processed after that.

        Raises:
            InvalidError: ``upload_too_large``, ``empty_upload``, ``bad_language``.
            BusyError: ``disk_full`` or ``too_many_uploads``.
            NotFoundError, ForbiddenError: no such area, or no right to draft there.
        """
        self._check_place(actor, new)
        self.intake.require_place()
        recording_id = new_id("rc")
        await self._store.receive(recording_id, upload.body, upload.announced)
        return await self._begin(actor, recording_id, new, spoken=False)

    async def create_spoken(self, actor: Actor, new: NewRecording, text: str) -> RecordingEntry:
        """Have a text spoken by the speech engine.

        Raises:
            InvalidError: ``no_text``, ``text_too_long``, ``bad_language``, ``no_voice``.
            BusyError, NotFoundError, ForbiddenError: as :meth:`create`.
        """
        self._check_place(actor, new)
        if not text.strip():
            raise InvalidError("there is no text to speak", code="no_text", fields=[FieldProblem("text", "is empty")])
        if len(text) > MAX_TEXT:
            raise InvalidError(f"a text may have {MAX_TEXT} letters", code="text_too_long")
        self._require_voice(new.language)
        self.intake.require_place()
        recording_id = new_id("rc")
        await self._store.receive(recording_id + _TEXT_SUFFIX, _once(text.encode()), None)
        return await self._begin(actor, recording_id, new, spoken=True)

    async def replace(self, actor: Actor, recording_id: str, upload: Upload, original_name: str) -> RecordingEntry:
        """Bring another file for a recording. Its approval is void from now on.

        Raises:
            ConflictError: it is being processed, or archived.
            InvalidError, BusyError, NotFoundError, ForbiddenError: as :meth:`create`.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        if entry.state not in {"ready", "refused"}:
            raise ConflictError(f"a recording that is {entry.state} cannot be replaced", code="recording_busy")
        self.intake.require_place()
        await self._store.receive(recording_id, upload.body, upload.announced)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Recording, recording_id)
            before = row.model_dump(include=_SOUND)
            nothing = {"state": "processing", "sha256": None, "frames": None, "bytes": None}
            row.sqlmodel_update({**nothing, "report": {_BEFORE: before}, "original_name": original_name})
            tx.session.add(row)
            tx.audit("recording.replace", recording_id, {"before": before["sha256"], "original_name": original_name})
            replaced = self._publish(tx, row, None)
            tx.on_commit(lambda: self.intake.put(Job(recording_id, recording_id)))
        return replaced

    async def cancel(self, actor: Actor, recording_id: str) -> RecordingEntry:
        """End the processing (rule 5). When this returns its process has ended, and its upload is gone.

        Raises:
            ConflictError: ``not_processing``: it is done.
            NotFoundError, ForbiddenError: it is not there, or not theirs to change.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Recording, recording_id)
            if row.state != "processing":
                raise ConflictError("there is nothing to cancel: it is processed already", code="not_processing")
            decision = None
            if _BEFORE in row.report:
                row.sqlmodel_update(row.report[_BEFORE])
                decision = await _last_decision(tx, row)
            else:
                used = self._catalogue.uses_of(recording_id) or self.templates_of(recording_id)
                row.state = "refused" if used else "archived"
                row.report = {"ok": False, "code": "cancelled", "reason": "somebody cancelled it"}
            tx.session.add(row)
            tx.audit("recording.cancel", recording_id, {"title": row.title})
            await self.intake.cancel(recording_id)
            return self._publish(tx, row, decision)

    async def change(
        self, actor: Actor, recording_id: str, *, title: str | None = None, language: str | None = None
    ) -> RecordingEntry:
        """Change the title. The language decides who hears it, so changing it voids the approval.

        Raises:
            InvalidError: ``bad_language``.
            NotFoundError, ForbiddenError: it is not there, or not theirs to change.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        _check_language(language)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Recording, recording_id)
            said = {"title": title or row.title, "language": language or row.language}
            before = {"title": row.title, "language": row.language}
            row.sqlmodel_update(said)
            tx.session.add(row)
            tx.audit("recording.change", recording_id, {"before": before, "after": said})
            decision = entry.decision
            if said["language"] != before["language"] and decision is not None and row.sha256 is not None:
                decision = self._decide(tx, row, actor, approved=False, reason="language changed")
            return self._publish(tx, row, decision)

    async def decide(
        self,
        actor: Actor,
        recording_id: str,
        sha256: str,
        *,
        approved: bool,
        reason: str = "",
        must_have_heard: bool = False,
    ) -> RecordingEntry:
        """Approve or reject exactly the bytes ``sha256``. ``must_have_heard``: an approval is held to rule 5.

        Raises:
            ConflictError: ``recording_not_ready``, ``changed_since`` when the recording is another sound by now, or
                ``not_heard``.
            InvalidError: a rejection without a reason (``no_reason``).
            NotFoundError, ForbiddenError: it is not there, or no right to approve in its area.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.APPROVE, entry.area_id)
        if not approved and not reason.strip():
            raise InvalidError("say why it is rejected", code="no_reason", fields=[FieldProblem("reason", "is empty")])
        if entry.state != "ready":
            raise ConflictError(f"a recording that is {entry.state} cannot be decided on", code="recording_not_ready")
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Recording, recording_id)
            if row.sha256 != sha256 or row.state != "ready":
                raise ConflictError("the recording was replaced since you listened; listen again", code="changed_since")
            if approved and must_have_heard:
                self._require_heard(actor, row)
            heard = must_have_heard if approved else None
            decision = self._decide(tx, row, actor, approved=approved, reason=reason, heard=heard)
            return self._publish(tx, row, decision)

    async def archive(self, actor: Actor, recording_id: str) -> None:
        """Take a recording out of use. The file and its history stay.

        Raises:
            ConflictError: ``recording_in_use`` by a programme, or it is being processed.
            NotFoundError, ForbiddenError: it is not there, or not theirs to change.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        uses = self._catalogue.uses_of(recording_id)
        if uses:
            names = ", ".join(f"{use.spec.title!r} ({use.id})" for use in uses[:5])
            raise ConflictError(f"programmes use it: {names}; withdraw them first", code="recording_in_use")
        if titles := self.templates_of(recording_id):
            raise ConflictError(f"it is used by {', '.join(titles[:5])}", code="recording_in_use")
        if entry.state == "processing":
            raise ConflictError("it is being processed; wait a moment", code="recording_busy")
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Recording, recording_id)
            row.state = "archived"
            tx.session.add(row)
            tx.audit("recording.archive", recording_id, {"title": row.title, "sha256": row.sha256})
            self._publish(tx, row, entry.decision)

    async def restore(self, actor: Actor, recording_id: str) -> RecordingEntry:
        """Bring a recording back out of the archive, as it was.

        Raises:
            ConflictError: ``not_archived``.
            NotFoundError, ForbiddenError: it is not there, or not theirs to change.
        """
        entry = self._catalogue.recording(recording_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        if entry.state != "archived":
            raise ConflictError("it is not in the archive", code="not_archived")
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Recording, recording_id)
            row.state = "refused" if row.sha256 is None else "ready"
            tx.session.add(row)
            tx.audit("recording.restore", recording_id, {"title": row.title, "sha256": row.sha256})
            return self._publish(tx, row, entry.decision)

    def _check_place(self, actor: Actor, new: NewRecording) -> None:
        self._directory.area(new.area_id)
        self._directory.require(actor, Permission.DRAFT, new.area_id)
        _check_language(new.language)

    def _require_voice(self, language: str | None) -> None:
        known = () if self._speech is None else self._speech.languages
        if (language or "vi").split("-")[0] not in known:
            raise InvalidError(
                f"nothing here speaks {language!r}; it speaks {', '.join(known) or 'nothing'}; upload a recording",
                code="no_voice",
                fields=[FieldProblem("language", "no voice for it", "no_voice")],
            )

    async def _begin(self, actor: Actor, recording_id: str, new: NewRecording, *, spoken: bool) -> RecordingEntry:
        row = tables.Recording(
            id=recording_id,
            area_id=new.area_id,
            title=new.title,
            language=new.language,
            original_name=new.original_name,
            report={"spoken": (new.language or "vi").split("-")[0]} if spoken else {},
            created_by=actor.user_id,
            created_at=self._clock.now(),
        )
        job = _job_of(RecordingEntry.of(row, None))
        try:
            async with self._db.transaction(actor) as tx:
                tx.session.add(row)
                said = {"title": new.title, "area": new.area_id, "language": new.language}
                tx.audit("recording.create", recording_id, {**said, "spoken": spoken})
                entry = self._publish(tx, row, None)
                tx.on_commit(lambda: self.intake.put(job))
        except BaseException:
            await self._store.drop_upload(job.name)
            raise
        return entry

    async def _finish(self, job: Job, verdict: Ingested | Refusal) -> None:
        async with self._db.transaction(SYSTEM) as tx:
            row = await tx.session.get(tables.Recording, job.recording_id)
            if row is None or row.state != "processing":
                return  # archived or replaced while it was being processed
            if isinstance(verdict, Refusal):
                said = verdict.report or {"ok": False, "code": verdict.code, "reason": verdict.reason}
                # The report knows the upload by where it lies; who sent it knows it by its name.
                row.sqlmodel_update({"state": "refused", "report": {**said, "file": row.original_name}})
                tx.audit("recording.refused", row.id, {"code": verdict.code})
            else:
                report = verdict.report.as_dict() | {"file": row.original_name}
                row.sqlmodel_update(
                    {"state": "ready", "sha256": verdict.sha256, "frames": int(verdict.frames),
                     "bytes": verdict.bytes, "report": report}
                )  # fmt: skip
                tx.audit("recording.ready", row.id, {"sha256": verdict.sha256, "frames": int(verdict.frames)})
            tx.session.add(row)
            self._publish(tx, row, None)

    def _require_heard(self, actor: Actor, row: tables.Recording) -> None:
        length_s = (row.frames or 0) / SAMPLE_RATE
        now = self._clock.mono_us()
        if not self._hearings.heard(actor.user_id, row.sha256 or "", row.bytes or 0, length_s, now):
            raise ConflictError("listen to it from beginning to end first, then approve it", code="not_heard")

    def _decide(
        self,
        tx: Transaction,
        row: tables.Recording,
        actor: Actor,
        *,
        approved: bool,
        reason: str,
        heard: bool | None = None,
    ) -> Decision:
        decision = tables.Approval(
            recording_id=row.id,
            sha256=row.sha256 or "",
            by=actor.name,
            at=self._clock.now(),
            decision="approved" if approved else "rejected",
            reason=reason.strip(),
        )
        tx.session.add(decision)
        own = row.created_by == actor.user_id
        said = {"sha256": decision.sha256, "reason": decision.reason, "own": own}
        if heard is not None:
            said["heard"] = heard
        tx.audit("recording.approve" if approved else "recording.reject", row.id, said)
        return Decision.of(decision)

    def _publish(self, tx: Transaction, row: tables.Recording, decision: Decision | None) -> RecordingEntry:
        entry = RecordingEntry.of(row, decision)
        publish: Callable[[], None] = lambda: self._catalogue.put_recording(entry)  # noqa: E731 - one line
        tx.on_commit(publish)
        return entry


def _job_of(entry: RecordingEntry) -> Job:
    spoken = entry.report.get("spoken")
    if isinstance(spoken, str):
        return Job(entry.id, entry.id + _TEXT_SUFFIX, spoken)
    return Job(entry.id, entry.id)


async def _last_decision(tx: Transaction, row: tables.Recording) -> Decision | None:
    approval = tables.Approval
    about = select(approval).where(col(approval.recording_id) == row.id, col(approval.sha256) == row.sha256)
    found = (await tx.session.exec(about.order_by(col(approval.id).desc()).limit(1))).first()
    return None if found is None else Decision.of(found)


def _check_language(language: str | None) -> None:
    """A language is a short tag; the clusters name theirs the same way."""
    if language is None:
        return
    parts = language.split("-")
    if not all(part.isascii() and part.isalnum() for part in parts) or len(language) > 35 or len(parts[0]) < 2:  # noqa: PLR2004 - BCP 47
        problem = FieldProblem("language", "a tag such as vi, bru or en")
        raise InvalidError(f"{language!r} is not a language tag", code="bad_language", fields=[problem])


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
