"""Areas over HTTP. The pattern of every ``*_routes`` module: shapes, then a class with one table of routes."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Line, Page, PageQuery, Patch, Schema, paginate
from controller.services.areas import AreaPolicy, AreaService
from controller.services.context import Permission
from controller.services.directory import AreaEntry, Directory
from controller.services.errors import ConflictError, ForbiddenError, NotFoundError
from schedules.model import MAX_ITEM, MAX_RELAY, QuietHours

ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="local time, HH:MM")]
_ITEM_S = int(MAX_ITEM.total_seconds())
_RELAY_S = int(MAX_RELAY.total_seconds())


class QuietShape(Schema):
    """Local times between which only emergencies may sound; may cross midnight."""

    begin: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _differ(self) -> QuietShape:
        if self.begin == self.end:
            raise ValueError("quiet hours must begin and end at different times")
        return self

    def value(self) -> QuietHours:
        """As the domain knows it."""
        return QuietHours(time.fromisoformat(self.begin), time.fromisoformat(self.end))

    @classmethod
    def of(cls, quiet: QuietHours) -> QuietShape:
        """From the domain's value."""
        return cls(begin=quiet.begin.strftime("%H:%M"), end=quiet.end.strftime("%H:%M"))


Quiet = QuietShape | Literal["none"]


class AreaChange(Patch):
    """What to change; what is not named stays, null means "as the parent"."""

    name: Line = Field("", description="Unique among the areas beside it")
    kind: Line = Field("", description="Free: tỉnh, huyện, xã, thôn …")
    parent_id: Id | None = None
    timezone: str | None = Field(None, max_length=64, description="IANA name; null = as the parent")
    quiet_hours: Quiet | None = Field(None, description="null = as the parent, 'none' = no quiet hours")
    max_item_s: int | None = Field(None, ge=1, le=_ITEM_S)
    max_relay_s: int | None = Field(None, ge=1, le=_RELAY_S)

    def changes(self) -> dict[str, Any]:
        """Only what was named, as the service knows it."""
        said: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "quiet_hours" in said:
            quiet = said.pop("quiet_hours")
            said["quiet"] = quiet.value() if isinstance(quiet, QuietShape) else quiet
        for field, name in (("max_item", "max_item_s"), ("max_relay", "max_relay_s")):
            if name in said:
                seconds = said.pop(name)
                said[field] = None if seconds is None else timedelta(seconds=seconds)
        return said


class NewArea(AreaChange):
    """An area to add."""

    name: Line
    kind: Line


class AreaView(Schema):
    """An area, with what it says itself and what holds there."""

    id: str
    parent_id: str | None
    name: str
    kind: str
    timezone: str | None
    quiet_hours: Quiet | None
    max_item_s: int | None
    max_relay_s: int | None
    effective_timezone: str
    effective_quiet_hours: QuietShape | None
    clusters: int = Field(description="Clusters in it and below it")


class AreaRoutes:
    """Operations on areas."""

    def __init__(self, areas: AreaService, directory: Directory) -> None:
        self._areas = areas
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, edit = Permission.READ, Permission.POLICY_EDIT
        one = "/api/v1/areas/{area_id}"
        missing = (NotFoundError, ForbiddenError)
        return (
            route("GET", "/api/v1/areas", "listAreas", read, self.list_areas, summary="Areas you may read",
                  query=PageQuery, returns=Page[AreaView]),
            route("POST", "/api/v1/areas", "createArea", edit, self.create, summary="Add an area", body=NewArea,
                  returns=AreaView, status=201, errors=(*missing, ConflictError)),
            route("GET", one, "getArea", read, self.get, summary="One area", returns=AreaView, errors=missing),
            route("PATCH", one, "changeArea", edit, self.change, summary="Change an area", body=AreaChange,
                  returns=AreaView, errors=(*missing, ConflictError)),
            route("DELETE", one, "deleteArea", edit, self.delete, summary="Delete an empty area",
                  errors=(*missing, ConflictError)),
        )  # fmt: skip

    async def list_areas(self, call: Call[Empty, PageQuery]) -> Page[AreaView]:
        """Areas the actor may read, by name."""
        rows = self._areas.readable(call.actor)
        return paginate(rows, call.query, key=lambda area: f"{area.name}\0{area.id}", show=self._view)

    async def create(self, call: Call[NewArea, Empty]) -> AreaView:
        """Add an area."""
        said = call.body.changes()
        name, kind, parent = said.pop("name"), said.pop("kind"), said.pop("parent_id", None)
        area = await self._areas.create(call.actor, name=name, kind=kind, parent_id=parent, policy=AreaPolicy(**said))
        return self._view(area)

    async def get(self, call: Call[Empty, Empty]) -> AreaView:
        """One area."""
        return self._view(self._areas.get(call.actor, call.path["area_id"]))

    async def change(self, call: Call[AreaChange, Empty]) -> AreaView:
        """Change what was named."""
        return self._view(await self._areas.change(call.actor, call.path["area_id"], call.body.changes()))

    async def delete(self, call: Call[Empty, Empty]) -> None:
        """Delete an empty area."""
        await self._areas.delete(call.actor, call.path["area_id"])

    def _view(self, area: AreaEntry) -> AreaView:
        quiet = self._directory.quiet_of(area.id)
        return AreaView(
            id=area.id,
            parent_id=area.parent_id,
            name=area.name,
            kind=area.kind,
            timezone=area.timezone,
            quiet_hours=QuietShape.of(area.quiet) if isinstance(area.quiet, QuietHours) else _none_or(area.quiet),
            max_item_s=None if area.max_item is None else int(area.max_item.total_seconds()),
            max_relay_s=None if area.max_relay is None else int(area.max_relay.total_seconds()),
            effective_timezone=self._directory.timezone_of(area.id),
            effective_quiet_hours=None if quiet is None else QuietShape.of(quiet),
            clusters=len(self._directory.clusters_in(area.id)),
        )


def _none_or(quiet: str | None) -> Literal["none"] | None:
    return "none" if quiet == "none" else None
