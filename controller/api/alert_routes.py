"""Alerts over HTTP: look, compose, confirm, watch, extend, cancel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from pydantic import Field

from controller.api.alert_shapes import (
    AlertShape,
    AlertView,
    Boards,
    BoardView,
    Code,
    ReviewView,
    alert_view,
    board_view,
    review_view,
    row_view,
)
from controller.api.languages import tongue_of
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Instant, OptionalReason, Page, PageQuery, Schema, paginate
from controller.services.alerts.board import Board, unaware
from controller.services.alerts.call_sheet import SHEET_POLICY, as_html, as_text, make_sheet
from controller.services.alerts.desk import AlertDesk
from controller.services.alerts.model import Alert
from controller.services.context import Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyError,
)
from controller.services.media_store import MediaStore

#: An event stream says something at least this often, in seconds, and gathers changes for so long.
_BEAT_S: Final = 15.0
_GATHER_S: Final = 0.2
#: An event stream ends after this; the browser comes again by itself and goes on where it was.
_STREAM_S: Final = 600.0
#: Event streams at a time.
_STREAMS: Final = 64


class ConfirmShape(Schema):
    """The second person's yes."""

    code: Code = Field(description="What the composer was shown")


class OverrideShape(Schema):
    """The composer's yes alone."""

    reason: OptionalReason = Field(min_length=3, description="Why nobody else can confirm it")


class ExtendShape(Schema):
    """How much longer."""

    until: Instant = Field(description="Within the next 24 hours")


class CancelShape(Schema):
    """Why it ends."""

    all_clear: bool = Field(default=False, description="Send the all-clear template instead of the cancel message")
    reason: OptionalReason = ""


class Since(Schema):
    """From where."""

    since: int = Field(0, ge=0, description="Only what changed after this revision")


class SheetQuery(Schema):
    """How it is printed."""

    plain: bool = Field(default=False, description="Plain text instead of HTML")


class KeyQuery(Schema):
    """A key that was used."""

    key: str = Field(min_length=1, max_length=200)


class RecordedView(Schema):
    """What became of a request with an idempotency key of yours."""

    recorded: bool = Field(description="false: nothing was recorded under this key, and nothing sounded by it")
    step: str | None = Field(None, description="compose, confirm, override, extend, cancel or clear")
    alert_id: str | None = None
    state: str | None = None


class AlertRoutes:
    """Operations on alerts."""

    def __init__(self, desk: AlertDesk, sounds: MediaStore, directory: Directory, clock: Clock) -> None:
        self._desk = desk
        self._sounds = sounds
        self._directory = directory
        self._clock = clock
        self._streams = 0

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        missing = (NotFoundError, ForbiddenError)
        step = (*missing, InvalidError, ConflictError, TooManyError, BusyError)
        root, one = "/api/v1/alerts", "/api/v1/alerts/{alert_id}"
        compose, confirm, read = Permission.EMERGENCY_COMPOSE, Permission.EMERGENCY_CONFIRM, Permission.READ
        return (
            route("POST", f"{root}/review", "reviewAlert", compose, self.review, body=AlertShape, returns=ReviewView,
                  errors=(*missing, InvalidError, ConflictError), summary="What an alert would do; changes nothing"),
            route("GET", f"{root}/recorded", "alertRecorded", read, self.recorded, query=KeyQuery,
                  returns=RecordedView, summary="Whether a request with your idempotency key was recorded"),
            route("POST", root, "composeAlert", compose, self.compose, body=AlertShape, returns=AlertView,
                  errors=step, status=201, idempotent=True, summary="Compose an alert; another person confirms it"),
            route("GET", root, "listAlerts", read, self.list_alerts, query=PageQuery, returns=Page[AlertView],
                  summary="Alerts of the last days, newest first"),
            route("GET", one, "getAlert", read, self.get, returns=AlertView, errors=missing, summary="One alert"),
            route("GET", f"{one}/review", "reviewOfAlert", read, self.review_of, returns=ReviewView, errors=missing,
                  summary="What the second person looks at"),
            route("GET", f"{one}/sounds/{{sha256}}", "alertSound", read, self.sound, raw_returns="audio/ogg",
                  errors=missing, summary="Listen to one of its sounds before it is confirmed (Ogg Opus, ranges)"),
            route("POST", f"{one}/confirm", "confirmAlert", confirm, self.confirm, body=ConfirmShape,
                  returns=AlertView, errors=step, idempotent=True, summary="Confirm as the second person: it sounds"),
            route("POST", f"{one}/override", "overrideAlert", compose, self.override, body=OverrideShape,
                  returns=AlertView, errors=step, idempotent=True, summary="Go on alone, with a reason: it sounds"),
            route("POST", f"{one}/extend", "extendAlert", confirm, self.extend, body=ExtendShape, returns=AlertView,
                  errors=step, idempotent=True, summary="Let it go on longer"),
            route("POST", f"{one}/cancel", "cancelAlert", read, self.cancel, body=CancelShape, returns=AlertView,
                  errors=step, idempotent=True, summary="Silence it, and tell people that it is over"),
            route("GET", f"{one}/board", "alertBoard", read, self.board, query=Since, returns=BoardView,
                  errors=(*missing, ConflictError), summary="How far it came at every cluster"),
            route("GET", f"{one}/call-sheet", "alertCallSheet", read, self.call_sheet, query=SheetQuery,
                  raw_returns=("text/html", "text/plain"), errors=(*missing, ConflictError),
                  summary="Whom to telephone: clusters that do not sound"),
            route("GET", f"{one}/events", "alertEvents", read, self.events, query=Since,
                  raw_returns="text/event-stream", errors=(*missing, ConflictError, BusyError),
                  summary="The board as it changes; goes on after Last-Event-ID"),
        )  # fmt: skip

    async def review(self, call: Call[AlertShape, Empty]) -> ReviewView:
        """What it would do."""
        return review_view(self._desk.review(call.actor, call.body.draft()), tongue_of(call.request))

    async def review_of(self, call: Call[Empty, Empty]) -> ReviewView:
        """What the second person sees."""
        return review_view(self._desk.review_of(self._alert(call)), tongue_of(call.request))

    async def recorded(self, call: Call[Empty, KeyQuery]) -> RecordedView:
        """Whether a request was recorded."""
        used = self._desk.recorded(call.actor, call.query.key)
        if used is None:
            return RecordedView(recorded=False)
        alert = self._desk.register.alerts.get(used.alert_id)
        return RecordedView(
            recorded=True, step=used.step, alert_id=used.alert_id, state=None if alert is None else str(alert.state)
        )

    async def compose(self, call: Call[AlertShape, Empty]) -> AlertView:
        """Compose."""
        made = await self._desk.compose(call.actor, call.body.draft(), idempotency_key=_key(call.request))
        return self._view(made.alert, made.code or None)

    async def list_alerts(self, call: Call[Empty, PageQuery]) -> Page[AlertView]:
        """Alerts, newest first."""
        rows = list(enumerate(self._desk.alerts(call.actor)))
        return paginate(rows, call.query, key=lambda row: f"{row[0]:06d}", show=lambda row: self._view(row[1]))

    async def get(self, call: Call[Empty, Empty]) -> AlertView:
        """One alert."""
        alert = self._alert(call)
        return self._view(alert, self._desk.code_of(call.actor, alert))

    async def sound(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """One of its sounds: the very bytes that go on air."""
        alert, sha256 = self._alert(call), call.path["sha256"]
        known = {
            clip.sha256 for message in (alert.message, alert.twin) if message is not None for clip in message.clips
        }
        path = self._sounds.media_path(sha256) if sha256 in known else None
        if path is None or not await self._sounds.has(sha256):
            raise NotFoundError("this alert has no such sound", code="media_missing")
        return web.FileResponse(path, headers={"Content-Type": "audio/ogg"})

    async def confirm(self, call: Call[ConfirmShape, Empty]) -> AlertView:
        """The second person's yes."""
        key = _key(call.request)
        return self._view(
            await self._desk.confirm(call.actor, call.path["alert_id"], call.body.code, idempotency_key=key)
        )

    async def override(self, call: Call[OverrideShape, Empty]) -> AlertView:
        """The composer's yes alone."""
        key = _key(call.request)
        return self._view(
            await self._desk.override(call.actor, call.path["alert_id"], call.body.reason, idempotency_key=key)
        )

    async def extend(self, call: Call[ExtendShape, Empty]) -> AlertView:
        """Longer."""
        until, key = call.body.until.astimezone(UTC), _key(call.request)
        return self._view(await self._desk.extend(call.actor, call.path["alert_id"], until, idempotency_key=key))

    async def cancel(self, call: Call[CancelShape, Empty]) -> AlertView:
        """Over."""
        return self._view(
            await self._desk.cancel(
                call.actor,
                call.path["alert_id"],
                all_clear=call.body.all_clear,
                reason=call.body.reason,
                idempotency_key=_key(call.request),
            )
        )

    async def board(self, call: Call[Empty, Since]) -> BoardView:
        """The board."""
        alert = self._alert(call)
        board, end = self._board(alert), self._desk.farewell(alert)
        return board_view(alert, board, self._directory, self._clock.now(), end=end, since=call.query.since)

    async def call_sheet(self, call: Call[Empty, SheetQuery]) -> web.Response:
        """Whom to telephone."""
        alert = self._alert(call)
        now = self._clock.now()
        board, end = self._board(alert), self._desk.farewell(alert)
        if end is None:
            silent = board.red(now)
        else:
            waiting = unaware(board, end)
            silent = [row for row in end.rows() if row.cluster_id in waiting]
        sheet = make_sheet(alert, silent, self._directory, now)
        if call.query.plain:
            return web.Response(text=as_text(sheet), content_type="text/plain", charset="utf-8")
        policy = {"Content-Security-Policy": SHEET_POLICY}
        return web.Response(text=as_html(sheet), content_type="text/html", charset="utf-8", headers=policy)

    async def events(self, call: Call[Empty, Since]) -> web.StreamResponse:
        """The board as it changes."""
        alert = self._alert(call)
        board = self._board(alert)
        if self._streams >= _STREAMS:
            raise BusyError("too many are watching; ask for the board instead", code="too_many_streams")
        said = call.request.headers.get("Last-Event-ID", "")
        since = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else call.query.since  # noqa: PLR2004
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(call.request)
        self._streams += 1
        try:
            await self._pour(response, alert.id, board, since)
        except (ConnectionResetError, asyncio.CancelledError):
            pass  # whoever watched is gone
        finally:
            self._streams -= 1
        return response

    async def _pour(self, response: web.StreamResponse, alert_id: str, board: Board, since: int) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + _STREAM_S
        while loop.time() < ends:
            revision = board.revision
            if revision > since or since == 0:
                rows = ",".join(row_view(row, self._directory).model_dump_json() for row in board.rows(since))
                alert = self._desk.register.get(alert_id)
                state = alert.phase(started=board.sounded(), now=self._clock.now())
                data = f'{{"state":"{state}","revision":{revision},"rows":[{rows}]}}'
                await response.write(f"id: {revision}\nevent: rows\ndata: {data}\n\n".encode())
                since = revision
            if board.closed:
                await response.write(b"event: over\ndata: {}\n\n")
                return
            if not await self._desk.boards.changed(board, since, _BEAT_S):
                await response.write(b": still here\n\n")
            await asyncio.sleep(_GATHER_S)

    def _alert(self, call: Call[Empty, Empty] | Call[Empty, Since] | Call[Empty, SheetQuery]) -> Alert:
        return self._desk.get(call.actor, call.path["alert_id"])

    def _board(self, alert: Alert) -> Board:
        board = self._desk.board(alert.id)
        if board is None:
            raise ConflictError("it was not given (or too long ago): there is no board", code="no_board")
        return board

    def _view(self, alert: Alert, code: str | None = None) -> AlertView:
        boards = Boards(self._desk.board(alert.id), self._desk.farewell(alert))
        return alert_view(alert, boards, self._directory, code, self._now())

    def _now(self) -> datetime:
        return self._clock.now()


def _key(request: web.Request) -> str | None:
    return request.headers.get("Idempotency-Key")
