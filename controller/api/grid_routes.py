"""The grid of programmes, and today, over HTTP."""

from __future__ import annotations

from datetime import UTC

from pydantic import Field

from controller.api.grid_shapes import GridItemView, ScheduleView, TodayView
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Instant, Schema
from controller.services.context import Permission
from controller.services.directory import Directory
from controller.services.errors import ForbiddenError, InvalidError, NotFoundError
from controller.services.grid import MAX_ITEMS, MAX_SPAN, GridService
from controller.services.today import MAX_HOURS, TodayService


class ScheduleQuery(Schema):
    """Which window of the grid."""

    since: Instant
    until: Instant = Field(description=f"At most {MAX_SPAN.days} days later")
    area_id: Id | None = Field(None, description="Only what sounds in this area or below it")


class TodayQuery(Schema):
    """How far back and ahead."""

    area_id: Id | None = Field(None, description="Only this area and what is below it")
    hours: int = Field(24, ge=1, le=MAX_HOURS)


class GridRoutes:
    """Operations on the grid."""

    def __init__(self, grid: GridService, today: TodayService, directory: Directory) -> None:
        self._grid = grid
        self._today = today
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        errors = (NotFoundError, ForbiddenError, InvalidError)
        return (
            route("GET", "/api/v1/schedule", "getSchedule", Permission.READ, self.schedule, query=ScheduleQuery,
                  returns=ScheduleView, errors=errors,
                  summary=f"What sounds when, by the rules the plans are compiled by; {MAX_ITEMS} occurrences at most"),
            route("GET", "/api/v1/today", "getToday", Permission.READ, self.today, query=TodayQuery,
                  returns=TodayView, errors=errors, summary="What sounded, what sounds, what will, what went wrong"),
        )  # fmt: skip

    async def schedule(self, call: Call[Empty, ScheduleQuery]) -> ScheduleView:
        """The grid of a window."""
        asked = call.query
        since, until = asked.since.astimezone(UTC), asked.until.astimezone(UTC)
        grid = await self._grid.between(call.actor, since, until, asked.area_id)
        return ScheduleView(items=tuple(map(GridItemView.of, grid.items)), cut=grid.cut)

    async def today(self, call: Call[Empty, TodayQuery]) -> TodayView:
        """Today."""
        today = await self._today.look(call.actor, call.query.area_id, call.query.hours)
        return TodayView.of(today, self._name)

    def _name(self, cluster_id: str) -> str:
        known = self._directory.clusters.get(cluster_id)
        return cluster_id if known is None else known.name
