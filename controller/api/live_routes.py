"""Live sound over HTTP: sessions, their microphone, and the recordings of what went on air."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from aiohttp import web
from pydantic import Field

from controller.api.microphone import MAX_FRAME, PROTOCOL, MicrophoneLine
from controller.api.order_routes import ScopeShape
from controller.api.problems import RequestError
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, OptionalLine, Page, PageQuery, Schema, paginate
from controller.api.websockets import upgraded
from controller.services.context import Permission
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.live import HARD_STOP, LONGEST, InputKind, LiveDesk, LiveRequest, LiveSession
from controller.services.tapes import Tapes
from controller.store.live_tables import AirTape

_STOP_MIN = int(HARD_STOP.total_seconds()) // 60
_LONGEST_MIN = int(LONGEST.total_seconds()) // 60


class LiveShape(ScopeShape):
    """What is to go on air live. A microphone, a line and a file send their sound to ``…/microphone``."""

    title: OptionalLine = ""
    input: Literal["microphone", "line", "file", "url", "source"] = "microphone"
    url: str = Field("", max_length=2048, description="With input 'url': fetched by the controller")
    source_id: Id | None = Field(None, description="With input 'source'")
    chime_before: bool = True
    chime_after: bool = True
    minutes: int = Field(_STOP_MIN, ge=1, le=_LONGEST_MIN, description="Hard stop after it went on air")

    def request(self) -> LiveRequest:
        """As the services know it."""
        kind = InputKind(self.input)
        address = self.url if kind is InputKind.URL else (self.source_id or "")
        if not kind.spoken and not address:
            raise InvalidError(f"input '{kind}' needs {'url' if kind is InputKind.URL else 'source_id'}")
        return LiveRequest(
            scope=self.value(),
            title=self.title,
            input=kind,
            address=address,
            chime_before=self.chime_before,
            chime_after=self.chime_after,
            duration=timedelta(minutes=self.minutes),
        )


class Extension(Schema):
    """How much longer."""

    minutes: int = Field(_STOP_MIN, ge=1, le=_LONGEST_MIN)


class LiveSessionView(Schema):
    """A live session."""

    id: str
    title: str
    state: str = Field(description="waiting, chime, on_air, absent, closing or ended")
    priority: int
    input: str
    speaker: str
    clusters: tuple[str, ...]
    agents: int
    left_out: int = Field(description="Agents whose line is too slow for live sound")
    unreached: tuple[str, ...] = Field(description="Clusters where for that reason nothing sounds")
    opened: datetime
    on_air: datetime | None
    ends: datetime | None = Field(description="The hard stop")
    ended: datetime | None
    code: str = Field(description="Why it ended, or what is wrong with its address meanwhile")
    peak_db: float | None
    rms_db: float | None
    silent_s: float
    lead_ms: int
    tape_id: str | None = Field(description="The recording")
    alert_id: str | None


class TapeView(Schema):
    """A recording of what went on air."""

    id: str
    kind: str = Field(description="live or relay")
    title: str
    priority: int
    subject: str = Field(description="The session, or the programme")
    recurrence: datetime | None
    source_id: str | None
    actor: str
    clusters: tuple[str, ...]
    state: str = Field(description="recording, whole or cut_off")
    started_at: datetime
    ended_at: datetime | None
    length_s: float
    bytes: int


class LiveRoutes:
    """Operations on live sound."""

    def __init__(self, desk: LiveDesk, tapes: Tapes) -> None:
        self._desk = desk
        self._tapes = tapes

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        missing = (NotFoundError, ForbiddenError)
        root, tapes = "/api/v1/live", "/api/v1/tapes"
        return (
            route("POST", root, "startLive", Permission.GO_LIVE, self.start, body=LiveShape, returns=LiveSessionView,
                  errors=(*missing, InvalidError, ConflictError, BusyError), status=201,
                  summary="Open a live session; a spoken one waits for its microphone"),
            route("GET", root, "listLive", Permission.READ, self.list_sessions, query=PageQuery,
                  returns=Page[LiveSessionView], summary="Live sessions, newest first; ended ones for a while"),
            route("GET", f"{root}/{{session_id}}", "getLive", Permission.READ, self.get, returns=LiveSessionView,
                  errors=missing, summary="One live session"),
            route("POST", f"{root}/{{session_id}}/extend", "extendLive", Permission.GO_LIVE, self.extend,
                  body=Extension, returns=LiveSessionView, errors=(*missing, InvalidError, BusyError),
                  summary="Let it last longer than its hard stop"),
            route("POST", f"{root}/{{session_id}}/stop", "stopLive", Permission.READ, self.stop,
                  returns=LiveSessionView, errors=missing, summary="End it, with its closing chime"),
            route("GET", f"{root}/{{session_id}}/microphone", "openMicrophone", Permission.READ, self.microphone,
                  errors=(*missing, ConflictError), websocket=True,
                  summary="WebSocket loa.microphone.1: speak (Opus packets or 16-bit samples)"),
            route("GET", tapes, "listTapes", Permission.LISTEN, self.list_tapes, query=PageQuery,
                  returns=Page[TapeView], summary="Recordings of what went on air live, newest first"),
            route("GET", f"{tapes}/{{tape_id}}", "getTape", Permission.LISTEN, self.get_tape, returns=TapeView,
                  errors=missing, summary="One recording"),
            route("GET", f"{tapes}/{{tape_id}}/sound", "downloadTape", Permission.LISTEN, self.download,
                  raw_returns="audio/ogg", errors=missing, summary="Its sound, Ogg Opus"),
        )  # fmt: skip

    async def start(self, call: Call[LiveShape, Empty]) -> LiveSessionView:
        """Open a session."""
        return self._view(await self._desk.start(call.actor, call.body.request()))

    async def list_sessions(self, call: Call[Empty, PageQuery]) -> Page[LiveSessionView]:
        """Sessions, newest first."""
        rows: Sequence[tuple[int, LiveSession]] = list(enumerate(self._desk.sessions(call.actor)))
        return paginate(rows, call.query, key=lambda row: f"{row[0]:06d}", show=lambda row: self._view(row[1]))

    async def get(self, call: Call[Empty, Empty]) -> LiveSessionView:
        """One session."""
        return self._view(self._desk.get(call.actor, call.path["session_id"]))

    async def extend(self, call: Call[Extension, Empty]) -> LiveSessionView:
        """Let it last longer."""
        by = timedelta(minutes=call.body.minutes)
        return self._view(await self._desk.extend(call.actor, call.path["session_id"], by))

    async def stop(self, call: Call[Empty, Empty]) -> LiveSessionView:
        """End it."""
        return self._view(self._desk.stop(call.actor, call.path["session_id"]))

    async def microphone(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """Speak."""
        session = self._desk.microphone(call.actor, call.path["session_id"])
        socket = await upgraded(call.request, PROTOCOL, max_bytes=MAX_FRAME)

        async def extend() -> None:
            await self._desk.extend(call.actor, session.billing.id)

        def still() -> None:
            if session.billing.alert_id is None:  # an emergency's voice is ended by people, not by a token's age
                self._desk.microphone(call.again() or call.actor, session.billing.id)

        line = MicrophoneLine(socket, session)
        await line.serve(stop=lambda: session.stop("ended_by_speaker"), extend=extend, still=still)
        return socket

    async def list_tapes(self, call: Call[Empty, PageQuery]) -> Page[TapeView]:
        """Recordings, newest first."""
        return paginate(await self._tapes.listed(call.actor), call.query, key=_newest_first, show=_tape)

    async def get_tape(self, call: Call[Empty, Empty]) -> TapeView:
        """One recording."""
        row, _ = await self._tapes.get(call.actor, call.path["tape_id"])
        return _tape(row)

    async def download(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """Its sound."""
        row, path = await self._tapes.get(call.actor, call.path["tape_id"])
        if not path.is_file():
            raise RequestError(404, "file_missing", "the recording's file is gone")
        headers = {"Content-Type": "audio/ogg", "Content-Disposition": f'attachment; filename="{row.id}.opus"'}
        return web.FileResponse(path, headers=headers)

    def _view(self, session: LiveSession) -> LiveSessionView:
        view = session.view()
        told = LiveSessionView.model_fields.keys() - {"clusters", "unreached"}
        return LiveSessionView(
            **{name: getattr(view, name) for name in told},
            clusters=tuple(sorted(view.clusters)),
            unreached=tuple(sorted(self._desk.unreached(session))),
        )


def _newest_first(row: AirTape) -> str:
    """A text that sorts the newest first, and stays where it is while newer ones come."""
    return f"{10**17 - int(row.started_at.timestamp() * 1e6):017d}{row.id}"


def _tape(row: AirTape) -> TapeView:
    return TapeView(
        **{name: getattr(row, name) for name in TapeView.model_fields if name not in {"clusters", "length_s"}},
        clusters=tuple(row.clusters),
        length_s=round(row.frames / 48_000, 2),
    )
