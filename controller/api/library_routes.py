"""What the library shows beside a recording: its waveform, where it is used; and voices to try out."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from controller.api.recording_routes import Language
from controller.api.routing import Call, Route, route
from controller.api.schema import PROSE, Empty, Schema
from controller.services.context import Permission
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.recordings import RecordingService
from controller.services.voice_trial import MAX_TRIED, VoiceTrial
from controller.services.waveforms import Waveforms


class WaveformView(Schema):
    """What a recording looks like."""

    sha256: str
    duration_s: float
    peaks: tuple[float, ...] = Field(description="Highest level of each of equal parts, 0 to 1 of full scale")


class UseView(Schema):
    """Something that would miss the recording."""

    kind: Literal["programme", "template"]
    id: str | None = Field(description="Of the programme; null where there is none to open")
    title: str


class UsesView(Schema):
    """Where a recording is used."""

    uses: tuple[UseView, ...]


class VoicesView(Schema):
    """What the controller can speak."""

    languages: tuple[str, ...] = Field(description="ISO 639 codes")
    longest_trial: int = Field(description="Letters of a text that is tried out")


class TrialText(Schema):
    """A text to try out."""

    language: Language = "vi"
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TRIED, pattern=PROSE)]


class LibraryRoutes:
    """Operations on what stands beside recordings."""

    def __init__(self, recordings: RecordingService, waveforms: Waveforms, voices: VoiceTrial) -> None:
        self._recordings = recordings
        self._waveforms = waveforms
        self._voices = voices

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, draft = Permission.READ, Permission.DRAFT
        one = "/api/v1/recordings/{recording_id}"
        missing = (NotFoundError, ForbiddenError)
        return (
            route("GET", f"{one}/waveform", "getWaveform", read, self.waveform, returns=WaveformView,
                  errors=(*missing, ConflictError), summary="What it looks like"),
            route("GET", f"{one}/uses", "getRecordingUses", read, self.uses, returns=UsesView, errors=missing,
                  summary="What uses it"),
            route("POST", f"{one}/restore", "restoreRecording", draft, self.restore,
                  errors=(*missing, ConflictError), summary="Bring it back out of the archive"),
            route("GET", "/api/v1/voices", "getVoices", draft, self.languages, returns=VoicesView,
                  summary="What the controller can speak"),
            route("POST", "/api/v1/voices/trial", "tryVoice", draft, self.trial, body=TrialText,
                  raw_returns="audio/wav", errors=(InvalidError, BusyError),
                  summary="Hear a short text before it becomes a recording"),
        )  # fmt: skip

    async def waveform(self, call: Call[Empty, Empty]) -> WaveformView:
        """What it looks like."""
        entry = self._recordings.get(call.actor, call.path["recording_id"])
        path = await self._recordings.sound(call.actor, entry.id, entry.sha256)
        sha256, frames = entry.sha256 or "", entry.frames or 0
        peaks = await self._waveforms.of(sha256, path)
        return WaveformView(sha256=sha256, duration_s=round(frames / 48_000, 3), peaks=peaks)

    async def uses(self, call: Call[Empty, Empty]) -> UsesView:
        """What uses it."""
        uses = self._recordings.uses(call.actor, call.path["recording_id"])
        return UsesView(uses=tuple(UseView(kind=use.kind, id=use.id, title=use.title) for use in uses))

    async def restore(self, call: Call[Empty, Empty]) -> None:
        """Bring it back."""
        await self._recordings.restore(call.actor, call.path["recording_id"])

    async def languages(self, _call: Call[Empty, Empty]) -> VoicesView:
        """What can be spoken."""
        return VoicesView(languages=self._voices.languages, longest_trial=MAX_TRIED)

    async def trial(self, call: Call[TrialText, Empty]) -> web.Response:
        """Hear a text."""
        sound = await self._voices.speak(call.body.text, call.body.language)
        return web.Response(body=sound, content_type="audio/wav", headers={"Cache-Control": "no-store"})
