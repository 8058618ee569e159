"""The true state of clusters over HTTP: all of them in one answer."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal

from aiohttp import web
from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Schema
from controller.services.cluster_states import ClusterStates, StateKind
from controller.services.context import Clock, Permission
from controller.services.errors import ForbiddenError, NotFoundError
from controller.services.reasons import ReasonKind


class StatesQuery(Schema):
    """Which clusters."""

    area_id: Id | None = Field(None, description="Only in this area and below it")


class SoundingView(Schema):
    """What sounds there now, and why."""

    title: str
    priority: int
    sound_class: str = Field(alias="class", description="The class's name, such as PROGRAMME")
    since: datetime
    kind: ReasonKind = Field(description="What is behind it; unknown: not remembered here")
    id: str | None = Field(description="Of the programme, play-now rule, alert, drill or live session")
    recurrence: datetime | None = Field(description="The occurrence's RECURRENCE-ID, of a programme")


class CutOffView(Schema):
    """What a cluster's plan has for now, and a STOP ended there."""

    title: str
    until: datetime = Field(description="When it would have ended")


class MutedView(Schema):
    """Who made it mute, and until when."""

    by: Literal["technician", "order"]
    until: datetime


class ClusterStateView(Schema):
    """One cluster, as its boxes reported it. Null: not known."""

    cluster_id: str
    state: StateKind = Field(
        description="playing, idle, faulty and muted stand on a report of the last 30 s; unknown: there is none"
    )
    since: datetime | None = Field(description="Since when it plays or is mute; when it was last heard of otherwise")
    sounding: SoundingView | None
    cut_off: CutOffView | None = Field(description="Of an idle or faulty cluster: why it is silent now")
    faults: tuple[str, ...] = Field(description="Codes of the raised faults of all its boxes")
    last_seen: datetime | None
    boxes: int = Field(description="Approved boxes")
    online: int = Field(description="Of these, connected and heard of lately")
    muted: MutedView | None
    clock: Literal["untrusted", "trusted", "ready"] | None
    sync_error_us: int | None = Field(description="95th percentile of the last minute of sound")
    output: Literal["ok", "degraded", "failed"] | None
    content: Literal["complete", "incomplete"] | None = Field(
        description="Whether plan and every sound it needs are on the box"
    )
    disk_free_mb: int | None
    temperature_c: float | None
    gains_db: dict[str, float] = Field(description="By class, as set at the desk; absent = 0 dB")


class ClusterStatesView(Schema):
    """Every cluster one may read."""

    at: datetime
    states: tuple[ClusterStateView, ...]


class StateRoutes:
    """Operations on states."""

    def __init__(self, states: ClusterStates, clock: Clock) -> None:
        self._states = states
        self._clock = clock

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/api/v1/clusters/states", "listClusterStates", Permission.READ, self.list_states,
                  query=StatesQuery, returns=ClusterStatesView, errors=(NotFoundError, ForbiddenError),
                  summary="What every cluster you may read does now, as its boxes reported it"),
        )  # fmt: skip

    async def list_states(self, call: Call[Empty, StatesQuery]) -> web.StreamResponse:
        """All of them. Written as they are: two thousand shapes would take longer to build than to send."""
        found = self._states.readable(call.actor, call.query.area_id)
        at = self._clock.now().isoformat().replace("+00:00", "Z")
        answer = {"at": at, "states": [state.as_dict() for state in found]}
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return web.Response(body=text.encode(), content_type="application/json")
