"""What a cluster will sound by its plan, next first."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.context import Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ForbiddenError, NotFoundError
from controller.services.upcoming import Upcoming
from schedules.model import Item, Relay

_MOST: Final = 50


class UpcomingQuery(Schema):
    """How many."""

    limit: int = Field(10, ge=1, le=_MOST)


class PlannedView(Schema):
    """One item of a cluster's plan."""

    rule_id: str
    recurrence: datetime
    title: str
    sound_class: str = Field(alias="class", description="The class's name, such as PROGRAMME")
    kind: Literal["recorded", "relay"]
    start: datetime
    end: datetime

    @classmethod
    def of(cls, item: Item) -> PlannedView:
        """From the domain's value."""
        return cls(
            rule_id=item.rule_id,
            recurrence=item.recurrence,
            title=item.title,
            **{"class": item.priority.name},
            kind="relay" if isinstance(item.content, Relay) else "recorded",
            start=item.start,
            end=item.nominal_end,
        )


class UpcomingView(Schema):
    """Items that sound now or later, by start."""

    items: tuple[PlannedView, ...]


class UpcomingRoutes:
    """Operations on it."""

    def __init__(self, ahead: Upcoming, directory: Directory, clock: Clock) -> None:
        self._ahead = ahead
        self._directory = directory
        self._clock = clock

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/api/v1/clusters/{cluster_id}/upcoming", "listUpcoming", Permission.READ, self.upcoming,
                  query=UpcomingQuery, returns=UpcomingView, errors=(NotFoundError, ForbiddenError),
                  summary="What a cluster will sound by its plan"),
        )  # fmt: skip

    async def upcoming(self, call: Call[Empty, UpcomingQuery]) -> UpcomingView:
        """The next items."""
        cluster = self._directory.cluster(call.path["cluster_id"])
        self._directory.require(call.actor, Permission.READ, cluster.area_id)
        ahead = self._ahead.of(cluster.id, self._clock.now())
        return UpcomingView(items=tuple(map(PlannedView.of, ahead[: call.query.limit])))
