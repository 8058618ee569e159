"""How the boxes of a cluster fared, hour by hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.context import Clock, Permission
from controller.services.errors import ForbiddenError, NotFoundError
from controller.services.health_history import KEPT, HealthHistory

_MOST_HOURS = int(KEPT.total_seconds()) // 3600


class HealthQuery(Schema):
    """How far back."""

    hours: int = Field(72, ge=1, le=_MOST_HOURS)


class HealthHourView(Schema):
    """One hour of one box: the worst it told. Null: it told nothing of that."""

    agent_id: str
    hour: datetime
    heard: int = Field(description="Minutes of the hour in which the box reported")
    temperature_c: float | None = Field(description="Highest")
    disk_free_mb: int | None = Field(description="Least")
    sync_error_us: int | None = Field(description="Largest 95th percentile of how far sound was from its place")
    rtt_us: int | None = Field(description="Longest way to the controller and back")
    under_voltage: bool
    faults: int = Field(description="Most faults at once")


class HealthHistoryView(Schema):
    """Hours, oldest first. An hour in which a box was not heard at all is left out."""

    since: datetime
    until: datetime
    hours: tuple[HealthHourView, ...]


class HealthRoutes:
    """Operations on it."""

    def __init__(self, history: HealthHistory, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/api/v1/clusters/{cluster_id}/health", "getClusterHealth", Permission.READ, self.hours,
                  query=HealthQuery, returns=HealthHistoryView, errors=(NotFoundError, ForbiddenError),
                  summary="How the boxes of a cluster fared, hour by hour"),
        )  # fmt: skip

    async def hours(self, call: Call[Empty, HealthQuery]) -> HealthHistoryView:
        """The hours asked for."""
        now = self._clock.now()
        since = now - timedelta(hours=call.query.hours)
        found = await self._history.of_cluster(call.actor, call.path["cluster_id"], since)
        return HealthHistoryView(
            since=since, until=now, hours=tuple(HealthHourView.model_validate(hour) for hour in found)
        )
