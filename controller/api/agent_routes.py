"""Boxes over HTTP: letting them in, seeing how they are, putting them out."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Instant, Page, PageQuery, Schema, paginate
from controller.services.context import Permission
from controller.services.enrolment import TOKEN_LIFE, TOKEN_LIFE_MAX, TOKENS_MAX, EnrolmentService, Pending
from controller.services.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from controller.services.fleet_views import ROWS_MAX, BoxView, FaultView, FleetViews
from controller.services.play_records import RecordFilter
from controller.store import tables

_LIFE_S = int(TOKEN_LIFE.total_seconds())
_LIFE_MAX_S = int(TOKEN_LIFE_MAX.total_seconds())
#: Seconds since 1970 that no fault will reach (the year 2286).
_FAR_S = 1e10
_LINK = r"^(https?|wss?)://[^\s]{1,280}$"
Code = Annotated[str, StringConstraints(min_length=8, max_length=16, pattern=r"^[0-9 -]+$")]


class AgentFault(Schema):
    """Something wrong with a box."""

    code: str
    detail: str
    since: datetime
    flapping: bool = Field(description="It came and went so often that it is held as one")


class AgentView(Schema):
    """One enrolled box."""

    id: str
    cluster_id: str | None
    cluster: str | None = Field(description="Name of its cluster")
    state: str = Field(description="approved or revoked")
    online: bool
    since: datetime | None = Field(None, description="When its connection began")
    last_seen: datetime | None = None
    software: str = ""
    sounding: str | None = Field(None, description="Title of what it sounds")
    clips: str | None = Field(None, description="Sounds it has, of those its plan needs")
    clock: str | None = None
    output: str | None = None
    timing: str | None = Field(None, description="exact, ok, degraded or unknown: whether its output tells the time")
    clock_sigma_ms: float | None = Field(None, description="Uncertainty of its mapping to the controller's time")
    sound_error_ms: float | None = Field(
        None, description="How far its sound was from its place, by its own measure: p95 of the last minute of sound"
    )
    refusals: int = Field(0, description="Things it refused as forged, replayed or foreign since the start")
    faults: tuple[AgentFault, ...] = ()
    status: dict[str, Any] | None = Field(None, description="Its last status, whole; only when one box is asked for")


class PendingView(Schema):
    """A box that waits for a person. The digits are not shown: they are to be read off the box."""

    agent_id: str
    software: str
    address: str
    since: datetime


class Approve(Schema):
    """Let one box in."""

    cluster_id: Id
    code: Code = Field(description="The eight digits the box itself shows")


class Move(Schema):
    """Let a box serve another cluster."""

    cluster_id: Id


class Provision(Schema):
    """Make a provisioning file: one one-time token for each cluster named."""

    clusters: tuple[Id, ...] = Field(min_length=1, max_length=TOKENS_MAX)
    controller: str | None = Field(None, pattern=_LINK, description="Where agents find us; null = by mDNS")
    life_s: int = Field(_LIFE_S, ge=60, le=_LIFE_MAX_S)


class ProvisioningView(Schema):
    """What to put on the card, as ``loa-agent`` reads it. Shown once."""

    provisioning: dict[str, Any]
    expires: datetime


class FleetQuery(Schema):
    """Which part of the fleet."""

    area_id: Id | None = None


class AreaFigures(Schema):
    """One area's clusters in numbers; played and missed since the controller's start."""

    area_id: str
    name: str
    clusters: int
    agents: int
    online: int
    cached: int = Field(description="Boxes that have their plan and every sound of it")
    playing: int
    played: int
    missed: int
    faults: int


class FleetView(Schema):
    """The fleet now."""

    areas: tuple[AreaFigures, ...]
    total: AreaFigures


class FaultLine(AgentFault):
    """A raised fault and where it is."""

    agent_id: str
    cluster_id: str
    cluster: str
    contact_name: str
    contact_phone: str


class RecordQuery(Schema):
    """Which play records; newest first."""

    cluster_id: Id | None = None
    agent_id: Id | None = None
    occurrence_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    rule_id: Id | None = None
    outcome: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,20}$")] | None = None
    since: Instant | None = Field(None, description="Received at or after; with a time zone")
    before: int | None = Field(None, ge=1, le=2**53, description="'next' of the answer before")
    limit: int = Field(100, ge=1, le=ROWS_MAX)


class RecordView(Schema):
    """What one box says it played."""

    id: int
    agent_id: str
    cluster_id: str | None
    occurrence_id: str
    rule_id: str | None
    recurrence: datetime | None
    title: str
    priority: int
    outcome: str
    planned_start: datetime | None
    started: datetime | None
    ended: datetime | None
    start_error_us: int | None
    frames: int
    silence_frames: int
    code: str
    stream: str | None
    received_at: datetime


class RecordsView(Schema):
    """Some play records."""

    items: tuple[RecordView, ...]
    next: int | None = Field(None, description="Give it as 'before' to go on; null at the end")


class EventQuery(Schema):
    """Which security events; newest first."""

    agent_id: Id | None = Field(None, description="Of one box: also for who looks after boxes there")
    before: int | None = Field(None, ge=1, le=2**53)
    limit: int = Field(100, ge=1, le=ROWS_MAX)


class EventView(Schema):
    """Something an agent refused that honest parties do not send."""

    id: int
    agent_id: str | None
    code: str
    detail: str
    at: datetime


class EventsView(Schema):
    """Some security events."""

    items: tuple[EventView, ...]
    next: int | None = None


class AgentRoutes:
    """Operations on boxes."""

    def __init__(self, enrolment: EnrolmentService, views: FleetViews, agents_url: str | None = None) -> None:
        """Prepare; ``agents_url`` is where agents find us from outside, for provisioning files that name no other."""
        self._enrolment = enrolment
        self._agents_url = agents_url
        self._views = views

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, enrol = Permission.READ, Permission.ENROL
        one = "/api/v1/agents/{agent_id}"
        missing = (NotFoundError, ForbiddenError)
        return (
            route("GET", "/api/v1/agents", "listAgents", read, self.list_agents, summary="Boxes you may read",
                  query=PageQuery, returns=Page[AgentView]),
            route("GET", "/api/v1/pending-agents", "listPendingAgents", enrol, self.list_pending,
                  summary="Boxes that wait for approval", query=PageQuery, returns=Page[PendingView],
                  errors=(ForbiddenError,)),
            route("POST", "/api/v1/provisioning", "provisionAgents", enrol, self.provision,
                  summary="Make a provisioning file", body=Provision, returns=ProvisioningView, status=201,
                  errors=(*missing, InvalidError, BusyError)),
            route("GET", one, "getAgent", read, self.get, summary="One box", returns=AgentView, errors=missing),
            route("POST", f"{one}/approve", "approveAgent", enrol, self.approve, summary="Let a waiting box in",
                  body=Approve, returns=AgentView, errors=(*missing, InvalidError, BusyError)),
            route("POST", f"{one}/move", "moveAgent", enrol, self.move, summary="Let a box serve another cluster",
                  body=Move, returns=AgentView, errors=(*missing, ConflictError, BusyError)),
            route("POST", f"{one}/revoke", "revokeAgent", Permission.AGENT_CONTROL, self.revoke,
                  summary="Never speak to a box again", returns=AgentView, errors=(*missing, BusyError)),
            route("GET", "/api/v1/fleet", "getFleet", read, self.fleet, summary="The fleet in numbers, by area",
                  query=FleetQuery, returns=FleetView, errors=missing),
            route("GET", "/api/v1/faults", "listFaults", read, self.faults, summary="What is wrong, newest first",
                  query=PageQuery, returns=Page[FaultLine]),
            route("GET", "/api/v1/play-records", "listPlayRecords", read, self.records,
                  summary="What boxes say they played", query=RecordQuery, returns=RecordsView,
                  errors=(*missing, InvalidError)),
            route("GET", "/api/v1/security-events", "listSecurityEvents",
                  (Permission.AUDIT_READ, Permission.AGENT_CONTROL), self.events, query=EventQuery, returns=EventsView,
                  summary="What boxes refused as forged, replayed or foreign",
                  errors=(*missing, InvalidError)),
        )  # fmt: skip

    async def list_agents(self, call: Call[Empty, PageQuery]) -> Page[AgentView]:
        """Boxes the actor may read, by cluster."""
        rows = self._views.boxes(call.actor)
        return paginate(
            rows, call.query, key=lambda row: f"{row.cluster.name if row.cluster else ''}\0{row.entry.id}", show=_agent
        )

    async def list_pending(self, call: Call[Empty, PageQuery]) -> Page[PendingView]:
        """Boxes that wait, oldest first."""
        rows = self._enrolment.pending(call.actor)
        return paginate(
            rows, call.query, key=lambda row: f"{row.since.isoformat()}\0{row.peer.agent_id}", show=_pending
        )

    async def provision(self, call: Call[Provision, Empty]) -> ProvisioningView:
        """Make one-time tokens."""
        asked = call.body
        made, expires = await self._enrolment.provision(
            call.actor,
            asked.clusters,
            controller=asked.controller or self._agents_url,
            life=timedelta(seconds=asked.life_s),
        )
        return ProvisioningView(provisioning=json.loads(made.to_bytes()), expires=expires)

    async def get(self, call: Call[Empty, Empty]) -> AgentView:
        """One box, with its last status."""
        return self._whole(call, call.path["agent_id"])

    async def approve(self, call: Call[Approve, Empty]) -> AgentView:
        """Let one box in."""
        entry = await self._enrolment.approve(call.actor, call.path["agent_id"], call.body.cluster_id, call.body.code)
        return AgentView(id=entry.id, cluster_id=entry.cluster_id, cluster=None, state=entry.state, online=False)

    async def move(self, call: Call[Move, Empty]) -> AgentView:
        """Let a box serve another cluster."""
        await self._enrolment.move(call.actor, call.path["agent_id"], call.body.cluster_id)
        return self._whole(call, call.path["agent_id"])

    async def revoke(self, call: Call[Empty, Empty]) -> AgentView:
        """Never speak to a box again."""
        entry = await self._enrolment.revoke(call.actor, call.path["agent_id"])
        return AgentView(id=entry.id, cluster_id=entry.cluster_id, cluster=None, state=entry.state, online=False)

    async def fleet(self, call: Call[Empty, FleetQuery]) -> FleetView:
        """The fleet in numbers."""
        areas = tuple(AreaFigures.model_validate(one) for one in self._views.summaries(call.actor, call.query.area_id))
        names = [name for name in AreaFigures.model_fields if name not in {"area_id", "name"}]
        total = {name: sum(getattr(one, name) for one in areas) for name in names}
        return FleetView(areas=areas, total=AreaFigures(area_id=call.query.area_id or "", name="", **total))

    async def faults(self, call: Call[Empty, PageQuery]) -> Page[FaultLine]:
        """What is wrong."""
        rows = self._views.faults(call.actor)
        return paginate(
            rows,
            call.query,
            key=_newest_first,
            show=lambda row: FaultLine(
                code=row.fault.code,
                detail=row.fault.detail,
                since=row.fault.since,
                flapping=row.fault.flapping,
                agent_id=row.agent_id,
                cluster_id=row.cluster.id,
                cluster=row.cluster.name,
                contact_name=row.cluster.contact_name,
                contact_phone=row.cluster.contact_phone,
            ),
        )

    async def records(self, call: Call[Empty, RecordQuery]) -> RecordsView:
        """What boxes say they played."""
        asked = call.query
        wanted = RecordFilter(
            occurrence_id=asked.occurrence_id,
            rule_id=asked.rule_id,
            outcome=asked.outcome,
            since=asked.since,
            before_id=asked.before,
            limit=asked.limit,
        )
        rows = await self._views.records(call.actor, wanted, cluster_id=asked.cluster_id, agent_id=asked.agent_id)
        more = len(rows) == asked.limit
        return RecordsView(
            items=tuple(RecordView.model_validate(row) for row in rows), next=rows[-1].id if more and rows else None
        )

    async def events(self, call: Call[Empty, EventQuery]) -> EventsView:
        """What boxes refused."""
        asked = call.query
        rows = await self._views.security_events(
            call.actor, limit=asked.limit, before_id=asked.before, agent_id=asked.agent_id
        )
        more = len(rows) == call.query.limit
        return EventsView(
            items=tuple(EventView.model_validate(row) for row in rows), next=rows[-1].id if more and rows else None
        )

    def _whole(self, call: Call[Any, Empty], agent_id: str) -> AgentView:
        row = self._views.box(call.actor, agent_id)
        status = row.box.status if row.box is not None else None
        view = _agent(row)
        return view if status is None else view.model_copy(update={"status": status.model_dump(mode="json")})


def _agent(row: BoxView) -> AgentView:
    box, status = row.box, row.box.status if row.box is not None else None
    sync = status.sync if status is not None else None
    sounding = status.sounding.title if status is not None and status.sounding is not None and row.online else None
    return AgentView(
        id=row.entry.id,
        cluster_id=row.entry.cluster_id,
        cluster=row.cluster.name if row.cluster else None,
        state=row.entry.state,
        online=row.online,
        since=box.since if box else None,
        last_seen=box.last_seen if box else None,
        software=box.software if box else "",
        sounding=sounding,
        clips=f"{status.plan.clips_cached}/{status.plan.clips_needed}" if status else None,
        clock=status.health.clock.value if status else None,
        output=status.health.output.value if status else None,
        timing=sync.timing.value if sync else None,
        clock_sigma_ms=_ms(sync.sigma_us) if sync else None,
        sound_error_ms=_ms(sync.error_p95_us) if sync else None,
        refusals=box.refusals.total() if box else 0,
        faults=tuple(AgentFault.model_validate(fault) for fault in row.faults),
    )


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def _newest_first(row: FaultView) -> str:
    """A key that rises with age: pages go up by their key, people want the newest first."""
    return f"{_FAR_S - row.fault.since.timestamp():020.6f}\0{row.agent_id}\0{row.fault.code}"


def _pending(row: Pending) -> PendingView:
    return PendingView(agent_id=row.peer.agent_id, software=row.peer.software, address=row.address, since=row.since)


#: Kept beside the shapes so that a new column of the table is not forgotten here.
assert set(RecordView.model_fields) <= set(tables.PlayRecordRow.model_fields)  # noqa: S101 - a check of this module
