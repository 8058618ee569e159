"""Recordings over HTTP: upload, listen, decide."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints, ValidationError

from audio.speech import MAX_TEXT
from controller.api.credentials import credential_of
from controller.api.routing import Call, Route, route
from controller.api.schema import (
    PROSE,
    Empty,
    Id,
    Line,
    OptionalLine,
    OptionalReason,
    Page,
    PageQuery,
    Schema,
    paginate,
)
from controller.api.uploads import Received, receiving
from controller.services.catalogue import Catalogue, RecordingEntry
from controller.services.context import Permission
from controller.services.directory import Directory
from controller.services.errors import (
    BusyError,
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from controller.services.recordings import NewRecording, RecordingService
from schedules.instants import SAMPLE_RATE

Language = Annotated[str, StringConstraints(min_length=2, max_length=35)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RecordingUpload(Schema):
    """What is said about a file: as the query of a raw upload, or as fields of a form."""

    area_id: Id = Field("", description="The area it belongs to")
    title: Line = Field("", description="What it is called")
    language: Language | None = Field(None, description="BCP 47; none = for everybody (music, a signal)")
    file_name: OptionalLine = Field("", description="What the file was called")


class ReplacingUpload(Schema):
    """What is said about a file that takes the place of another."""

    file_name: OptionalLine = ""


class SpokenText(Schema):
    """A text to be spoken."""

    area_id: Id
    title: Line
    language: Language = "vi"
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=PROSE)]


class RecordingChange(Schema):
    """What to change; what is not named stays. Another language voids the approval."""

    title: Line | None = None
    language: Language | None = None


class Verdict(Schema):
    """A decision about exactly the bytes that were listened to.

    In a browser's session an approval is refused (409 ``not_heard``) unless the sound was fetched whole, as long ago as
    hearing it takes. Who approves with a token vouches for having heard it; the audit log says ``"heard": false``.
    """

    sha256: Sha256
    decision: Literal["approved", "rejected"]
    reason: OptionalReason = Field("", description="Needed for a rejection")


class ProgressView(Schema):
    """How far the processing is: waiting (behind so many), speaking, decoding (a share of 1)."""

    stage: str
    share: float
    before: int


class DecisionView(Schema):
    """The last decision about the present bytes."""

    approved: bool
    by: str
    by_name: str = Field(description="What people call them; empty = nothing else is known")
    at: datetime
    reason: str


class RecordingView(Schema):
    """A recording."""

    id: str
    area_id: str
    title: str
    language: str | None
    original_name: str
    state: str = Field(description="processing, ready, refused or archived")
    sha256: str | None
    duration_s: float | None
    bytes: int | None
    report: dict[str, Any] = Field(description="What was found out about the file; code and reason when it was refused")
    progress: ProgressView | None
    decision: DecisionView | None
    used_by: tuple[str, ...] = Field(description="Ids of active programmes")
    for_alerts: bool = Field(description="An alert template says it: nothing for a programme to sound by mistake")
    created_by: str
    created_by_name: str
    created_at: datetime


class RecordingQuery(PageQuery):
    """Which recordings."""

    area_id: Id | None = None
    state: Literal["processing", "ready", "refused"] | None = None


class SoundQuery(Schema):
    """Which sound."""

    sha256: Sha256 | None = Field(None, description="Only if it is still this very sound")


class RecordingRoutes:
    """Operations on recordings."""

    def __init__(self, recordings: RecordingService, catalogue: Catalogue, directory: Directory) -> None:
        self._recordings = recordings
        self._catalogue = catalogue
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, draft, approve = Permission.READ, Permission.DRAFT, Permission.APPROVE
        all_of, one = "/api/v1/recordings", "/api/v1/recordings/{recording_id}"
        missing = (NotFoundError, ForbiddenError)
        brought = (*missing, InvalidError, BusyError)
        return (
            route("GET", all_of, "listRecordings", read, self.list_recordings, query=RecordingQuery,
                  summary="Recordings you may know of, newest first", returns=Page[RecordingView]),
            route("POST", all_of, "uploadRecording", draft, self.upload, query=RecordingUpload, status=201,
                  raw_body="application/octet-stream", returns=RecordingView, errors=brought,
                  summary="Bring a file, as a raw body or as a form; it is processed in the background"),
            route("POST", f"{all_of}/speech", "speakRecording", draft, self.speak, body=SpokenText, status=201,
                  returns=RecordingView, errors=brought, summary="Have a text spoken"),
            route("GET", one, "getRecording", read, self.get, summary="One recording, with progress and report",
                  returns=RecordingView, errors=missing),
            route("PATCH", one, "changeRecording", draft, self.change, body=RecordingChange, returns=RecordingView,
                  errors=(*missing, InvalidError), summary="Change title or language"),
            route("PUT", f"{one}/sound", "replaceRecording", draft, self.replace, query=ReplacingUpload,
                  raw_body="application/octet-stream", returns=RecordingView, errors=(*brought, ConflictError),
                  summary="Bring another file for it; its approval is void"),
            route("GET", f"{one}/sound", "hearRecording", read, self.sound, query=SoundQuery,
                  raw_returns="audio/ogg", errors=(*missing, ConflictError), summary="Listen to it (Ogg Opus, ranges)"),
            route("POST", f"{one}/decision", "decideRecording", approve, self.decide, body=Verdict,
                  returns=RecordingView, errors=(*missing, ConflictError, InvalidError),
                  summary="Approve or reject exactly these bytes; a browser's session must have heard them"),
            route("POST", f"{one}/cancel", "cancelRecording", draft, self.cancel, returns=RecordingView,
                  errors=(*missing, ConflictError), summary="End its processing, as if it had not been brought"),
            route("DELETE", one, "archiveRecording", draft, self.archive, errors=(*missing, ConflictError),
                  summary="Take it out of use"),
        )  # fmt: skip

    async def list_recordings(self, call: Call[Empty, RecordingQuery]) -> Page[RecordingView]:
        """Recordings, newest first."""
        query = call.query
        rows = [
            entry
            for entry in self._recordings.readable(call.actor)
            if (query.area_id is None or entry.area_id == query.area_id)
            and (query.state is None or entry.state == query.state)
        ]
        return paginate(rows, query, key=_newest_first, show=self._view)

    async def upload(self, call: Call[Empty, RecordingUpload]) -> RecordingView:
        """Bring a file."""
        async with receiving(call.request) as received:
            entry = await self._recordings.create(call.actor, _new(call.query, received), received.upload)
        return self._view(entry)

    async def speak(self, call: Call[SpokenText, Empty]) -> RecordingView:
        """Have a text spoken."""
        said = call.body
        new = NewRecording(said.area_id, said.title, said.language)
        return self._view(await self._recordings.create_spoken(call.actor, new, said.text))

    async def get(self, call: Call[Empty, Empty]) -> RecordingView:
        """One recording."""
        return self._view(self._recordings.get(call.actor, call.path["recording_id"]))

    async def change(self, call: Call[RecordingChange, Empty]) -> RecordingView:
        """Change title or language."""
        body = call.body
        entry = await self._recordings.change(
            call.actor, call.path["recording_id"], title=body.title, language=body.language
        )
        return self._view(entry)

    async def replace(self, call: Call[Empty, ReplacingUpload]) -> RecordingView:
        """Bring another file."""
        async with receiving(call.request) as received:
            name = call.query.file_name or received.file_name[:200]
            entry = await self._recordings.replace(call.actor, call.path["recording_id"], received.upload, name)
        return self._view(entry)

    async def sound(self, call: Call[Empty, SoundQuery]) -> web.StreamResponse:
        """The file, with ranges."""
        recording, part = call.path["recording_id"], _part(call.request)
        path = await self._recordings.sound(call.actor, recording, call.query.sha256, part=part)
        # Heard from a browser's memory, it would not be known to have been heard.
        return web.FileResponse(path, headers={"Content-Type": "audio/ogg", "Cache-Control": "no-store"})

    async def decide(self, call: Call[Verdict, Empty]) -> RecordingView:
        """Approve or reject."""
        body, shown = call.body, credential_of(call.request)
        entry = await self._recordings.decide(
            call.actor,
            call.path["recording_id"],
            body.sha256,
            approved=body.decision == "approved",
            reason=body.reason,
            must_have_heard=shown is not None and shown.cookie,
        )
        return self._view(entry)

    async def cancel(self, call: Call[Empty, Empty]) -> RecordingView:
        """End its processing."""
        return self._view(await self._recordings.cancel(call.actor, call.path["recording_id"]))

    async def archive(self, call: Call[Empty, Empty]) -> None:
        """Take it out of use."""
        await self._recordings.archive(call.actor, call.path["recording_id"])

    def _view(self, entry: RecordingEntry) -> RecordingView:
        progress = self._recordings.progress(entry.id) if entry.state == "processing" else None
        decision = entry.decision
        return RecordingView(
            id=entry.id,
            area_id=entry.area_id,
            title=entry.title,
            language=entry.language,
            original_name=entry.original_name,
            state=entry.state,
            sha256=entry.sha256,
            duration_s=None if entry.frames is None else round(entry.frames / SAMPLE_RATE, 3),
            bytes=entry.bytes,
            report=dict(entry.report),
            progress=None
            if progress is None
            else ProgressView(stage=progress.stage, share=progress.share, before=progress.before),
            decision=None
            if decision is None
            else DecisionView(
                approved=decision.approved,
                by=decision.by,
                by_name=self._directory.called(decision.by),
                at=decision.at,
                reason=decision.reason,
            ),
            used_by=tuple(use.id for use in self._catalogue.uses_of(entry.id)),
            for_alerts=bool(self._recordings.templates_of(entry.id)),
            created_by=entry.created_by,
            created_by_name=self._name(entry.created_by),
            created_at=entry.created_at,
        )

    def _name(self, user_id: str) -> str:
        user = self._directory.users.get(user_id)
        return user_id if user is None else user.display_name or user.name


def _part(request: web.Request) -> slice:
    """The bytes that a request asks for; none when it does not make sense."""
    try:
        return request.http_range
    except ValueError:
        return slice(0, 0)


def _new(query: RecordingUpload, received: Received) -> NewRecording:
    """What was said about the file: the form's fields complete the query."""
    known = RecordingUpload.model_fields
    said = {name: value for name, value in received.fields.items() if name in known}
    try:
        whole = RecordingUpload.model_validate({**said, **query.model_dump(exclude_unset=True)})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidError(f"{field}: {first['msg']}", fields=[FieldProblem(field, first["msg"])]) from error
    problems = [
        FieldProblem(name, "is missing", "missing") for name in ("area_id", "title") if not getattr(whole, name)
    ]
    if problems:
        raise InvalidError(f"{problems[0].field} is missing", fields=problems)
    return NewRecording(whole.area_id, whole.title, whole.language, whole.file_name or received.file_name[:200])


def _newest_first(entry: RecordingEntry) -> str:
    """A text that sorts the newest first."""
    return f"{10**17 - int(entry.created_at.timestamp() * 1e6):017d}{entry.id}"
