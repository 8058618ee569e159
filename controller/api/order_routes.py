"""Orders over HTTP: STOP, silence that lasts, withdraw, play now, and how they fare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from controller.api.hold_shapes import HoldList, HoldShape, HoldView
from controller.api.programme_shapes import Chime, Ids
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Instant, OptionalLine, Page, PageQuery, Schema, paginate
from controller.services.context import Permission
from controller.services.dispatch import Dispatched
from controller.services.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyError,
)
from controller.services.hold_desk import HoldDesk
from controller.services.orders import DEFAULT_WITHIN, MAX_WITHIN, OrderDesk, PlayRequest, Scope
from protocol.limits import MAX_HOLD
from schedules.ladder import Priority
from schedules.rules import DEFAULT_GAP, MAX_GAP, MAX_REPEAT, MIN_GAP

RuleId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_DEFAULT_GAP_S: Final = int(DEFAULT_GAP.total_seconds())


class ScopeShape(Schema):
    """Where: everywhere, or areas (with everything below them), zones and clusters."""

    everywhere: bool = False
    areas: Ids = ()
    clusters: Ids = ()
    zones: Ids = ()

    def value(self) -> Scope:
        """As the services know it.

        Raises:
            InvalidError: everywhere and something besides.
        """
        if self.everywhere and (self.areas or self.clusters or self.zones):
            raise InvalidError("'everywhere' stands alone; leave out areas, zones and clusters", code="contradiction")
        return Scope(self.everywhere, self.areas, self.clusters, self.zones)


class StopShape(ScopeShape):
    """Where, and whether the boxes stay mute."""

    hold_s: int | None = Field(
        None,
        ge=1,
        le=int(MAX_HOLD.total_seconds()),
        description="Mute for so long, emergencies included; takes the right to confirm emergencies",
    )


class PlayShape(ScopeShape):
    """What to play now."""

    recordings: tuple[Id, ...] = Field(min_length=1, max_length=20)
    priority: Literal["PRIORITY_BULLETIN", "COMMUNE_LIVE", "PROGRAMME"] = "COMMUNE_LIVE"
    title: OptionalLine = Field("", description="Empty = the recordings' titles")
    repeat: int = Field(1, ge=1, le=MAX_REPEAT)
    gap_s: int = Field(_DEFAULT_GAP_S, ge=int(MIN_GAP.total_seconds()), le=int(MAX_GAP.total_seconds()))
    chime_before: Chime | None = "opening"
    chime_after: Chime | None = None
    within_s: int = Field(
        int(DEFAULT_WITHIN.total_seconds()),
        ge=1,
        le=int(MAX_WITHIN.total_seconds()),
        description="How long it waits for clusters that are away",
    )
    again: bool = Field(default=False, description="The same once more within 3 minutes is meant")

    def request(self) -> PlayRequest:
        """As the services know it."""
        return PlayRequest(
            recordings=self.recordings,
            scope=self.value(),
            priority=Priority[self.priority],
            title=self.title,
            repeat=self.repeat,
            gap=timedelta(seconds=self.gap_s),
            chime_before=self.chime_before,
            chime_after=self.chime_after,
            within=timedelta(seconds=self.within_s),
            again=self.again,
        )


class Withdrawal(Schema):
    """What to take off the air and out of the plans."""

    rule_id: RuleId = Field(description="A programme's id, or the rule_id of a play-now order")
    recurrence: Instant | None = Field(None, description="Only this occurrence; null = all of it")


class CommandView(Schema):
    """One numbered command of an order."""

    term: int
    seq: int


class OrderView(Schema):
    """An order, and where it stands with the agents."""

    name: str
    kind: str
    issued: datetime
    expires: datetime
    agents: int
    queued: int = Field(description="Away: they get it when they connect, until it expires")
    sent: int = Field(description="Sent, not answered yet")
    accepted: int
    refused: int
    durable: bool = Field(description="false: acted on, but the controller's disk refused to keep it")
    commands: tuple[CommandView, ...]


class PlayedView(Schema):
    """A play-now order."""

    rule_id: str = Field(description="Withdraw it by this")
    start: datetime
    length_s: float
    uncovered: tuple[str, ...] = Field(description="Clusters that speak none of the recordings' languages")
    orders: tuple[OrderView, ...]


class PlayReviewView(Schema):
    """What a play-now order would do."""

    clusters: tuple[str, ...] = Field(description="Clusters that would sound it, online or not")
    uncovered: tuple[str, ...] = Field(description="Clusters that speak none of the recordings' languages")
    length_s: float


class WithdrawnView(Schema):
    """A withdrawal; ``order`` is null when no cluster was concerned."""

    order: OrderView | None


class OrderRoutes:
    """Operations on orders."""

    def __init__(self, desk: OrderDesk, holds: HoldDesk) -> None:
        self._desk = desk
        self._holds = holds

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        missing = (NotFoundError, ForbiddenError)
        root, cluster = "/api/v1/orders", "/api/v1/clusters/{cluster_id}"
        crew = (Permission.AGENT_CONTROL, Permission.EMERGENCY_CONFIRM)
        return (
            route("POST", f"{root}/stop", "stop", Permission.STOP, self.stop, body=StopShape, returns=OrderView,
                  errors=(*missing, InvalidError, BusyError), idempotent=True,
                  summary="Silence everything there, at once"),
            route("POST", f"{root}/release", "release", Permission.EMERGENCY_CONFIRM, self.release, body=ScopeShape,
                  returns=OrderView, errors=(*missing, InvalidError, BusyError), idempotent=True,
                  summary="End the mute of a stop with hold_s"),
            route("POST", f"{cluster}/hold", "holdCluster", crew, self.hold_one, body=HoldShape, returns=OrderView,
                  errors=(*missing, InvalidError, ConflictError, BusyError), idempotent=True,
                  summary="Keep one cluster mute for some time, emergencies included"),
            route("POST", f"{cluster}/release", "releaseCluster", crew, self.release_one, returns=OrderView,
                  errors=(*missing, ConflictError, BusyError), idempotent=True,
                  summary="Let one cluster sound again"),
            route("GET", "/api/v1/holds", "listHolds", Permission.READ, self.list_holds, returns=HoldList,
                  summary="What is kept mute by order now, by whom and until when"),
            route("POST", f"{root}/play", "playNow", Permission.PLAY_NOW, self.play, body=PlayShape,
                  returns=PlayedView, errors=(*missing, InvalidError, ConflictError, TooManyError, BusyError),
                  idempotent=True, summary="Play approved recordings now"),
            route("POST", f"{root}/play/review", "reviewPlay", Permission.PLAY_NOW, self.review, body=PlayShape,
                  returns=PlayReviewView, errors=(*missing, InvalidError),
                  summary="What playing it now would do; changes nothing"),
            route("POST", f"{root}/withdraw", "withdraw", Permission.READ, self.withdraw, body=Withdrawal,
                  returns=WithdrawnView, errors=(*missing, InvalidError, BusyError), idempotent=True,
                  summary="Take a programme, one occurrence or a play-now order off the air and out of the plans"),
            route("GET", root, "listOrders", Permission.READ, self.list_orders, query=PageQuery,
                  returns=Page[OrderView], summary="Orders of the last day, newest first"),
            route("GET", f"{root}/{{name}}", "getOrder", Permission.READ, self.get, returns=OrderView,
                  errors=missing, summary="One order, and where it stands"),
        )  # fmt: skip

    async def stop(self, call: Call[StopShape, Empty]) -> OrderView:
        """Silence everything there."""
        hold = None if call.body.hold_s is None else timedelta(seconds=call.body.hold_s)
        return _view(await self._desk.stop(call.actor, call.body.value(), hold=hold, idempotency_key=_key(call)))

    async def release(self, call: Call[ScopeShape, Empty]) -> OrderView:
        """Let the boxes sound again."""
        return _view(await self._desk.release(call.actor, call.body.value(), idempotency_key=_key(call)))

    async def hold_one(self, call: Call[HoldShape, Empty]) -> OrderView:
        """Keep one cluster mute."""
        length, cluster_id = timedelta(seconds=call.body.hold_s), call.path["cluster_id"]
        return _view(await self._holds.hold(call.actor, cluster_id, length, idempotency_key=_key(call)))

    async def release_one(self, call: Call[Empty, Empty]) -> OrderView:
        """Let one cluster sound again."""
        cluster_id = call.path["cluster_id"]
        return _view(await self._holds.release(call.actor, cluster_id, idempotency_key=_key(call)))

    async def list_holds(self, call: Call[Empty, Empty]) -> HoldList:
        """What is kept mute by order."""
        return HoldList(items=HoldView.many(self._holds.held(call.actor)))

    async def play(self, call: Call[PlayShape, Empty]) -> PlayedView:
        """Play approved recordings now."""
        played = await self._desk.play(call.actor, call.body.request(), idempotency_key=_key(call))
        return PlayedView(
            rule_id=played.rule_id,
            start=played.start,
            length_s=round(played.length.total_seconds(), 3),
            uncovered=played.uncovered,
            orders=tuple(_view(each) for each in played.orders),
        )

    async def review(self, call: Call[PlayShape, Empty]) -> PlayReviewView:
        """What playing it now would do."""
        review = self._desk.review(call.actor, call.body.request())
        length_s = round(review.length.total_seconds(), 3)
        return PlayReviewView(clusters=review.clusters, uncovered=review.uncovered, length_s=length_s)

    async def withdraw(self, call: Call[Withdrawal, Empty]) -> WithdrawnView:
        """Take it off the air."""
        body = call.body
        recurrence = None if body.recurrence is None else body.recurrence.astimezone(UTC)
        order = await self._desk.withdraw(call.actor, body.rule_id, recurrence, idempotency_key=_key(call))
        return WithdrawnView(order=None if order is None else _view(order))

    async def list_orders(self, call: Call[Empty, PageQuery]) -> Page[OrderView]:
        """Orders, newest first."""
        rows = list(enumerate(self._desk.recent(call.actor)))
        return paginate(rows, call.query, key=lambda row: f"{row[0]:06d}", show=lambda row: _view(row[1]))

    async def get(self, call: Call[Empty, Empty]) -> OrderView:
        """One order."""
        return _view(self._desk.order(call.actor, call.path["name"]))


def _key(call: Call[Any, Empty]) -> str | None:
    return call.request.headers.get("Idempotency-Key")


def _view(order: Dispatched) -> OrderView:
    counts = [part.counts() for part in order.parts]
    return OrderView(
        name=order.name,
        kind=order.kind,
        issued=order.issued,
        expires=order.expires,
        agents=order.agents,
        queued=sum(each["queued"] for each in counts),
        sent=sum(each["sent"] for each in counts),
        accepted=sum(each["accepted"] for each in counts),
        refused=sum(each["refused"] for each in counts),
        durable=order.durable,
        commands=tuple(CommandView(term=part.command.term, seq=part.command.seq) for part in order.parts),
    )
