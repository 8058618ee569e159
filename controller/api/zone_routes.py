"""Zones over HTTP: named groups of clusters that may be chosen together."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Line, Page, PageQuery, Patch, Schema, paginate
from controller.services.context import Permission
from controller.services.directory import Directory, ZoneEntry
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.zones import MAX_MEMBERS, ZoneService

Members = Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_MEMBERS)]


class ZoneChange(Patch):
    """What to change; what is not named stays."""

    name: Line = Field("", description="Unique among the zones of its area")
    area_id: Id = Field("", description="The area whose people keep it; its clusters lie there or below")
    clusters: Members = ()

    def changes(self) -> dict[str, Any]:
        """Only what was named, as the service knows it."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class NewZone(Schema):
    """A zone to add."""

    name: Line = Field(description="Unique among the zones of its area")
    area_id: Id = Field(description="The area whose people keep it; its clusters lie there or below")
    clusters: Members


class ZoneView(Schema):
    """A zone with its clusters of now."""

    id: str
    area_id: str
    name: str
    clusters: tuple[str, ...]


class ZoneRoutes:
    """Operations on zones."""

    def __init__(self, zones: ZoneService, directory: Directory) -> None:
        self._zones = zones
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        edit = Permission.POLICY_EDIT
        root, one = "/api/v1/zones", "/api/v1/zones/{zone_id}"
        wrong = (InvalidError, NotFoundError, ForbiddenError, ConflictError)
        return (
            route("GET", root, "listZones", Permission.READ, self.list_zones, summary="Zones of areas you may read",
                  query=PageQuery, returns=Page[ZoneView]),
            route("POST", root, "createZone", edit, self.create, summary="Add a zone", body=NewZone,
                  returns=ZoneView, status=201, errors=wrong),
            route("PATCH", one, "changeZone", edit, self.change, summary="Change a zone", body=ZoneChange,
                  returns=ZoneView, errors=wrong),
            route("DELETE", one, "deleteZone", edit, self.delete, summary="Delete a zone; its clusters stay",
                  errors=(NotFoundError, ForbiddenError)),
        )  # fmt: skip

    async def list_zones(self, call: Call[Empty, PageQuery]) -> Page[ZoneView]:
        """Zones of areas the actor may read, by name."""
        rows = self._zones.readable(call.actor)
        return paginate(rows, call.query, key=lambda zone: f"{zone.name}\0{zone.id}", show=self._view)

    async def create(self, call: Call[NewZone, Empty]) -> ZoneView:
        """Add a zone."""
        said = call.body
        zone = await self._zones.create(call.actor, name=said.name, area_id=said.area_id, clusters=said.clusters)
        return self._view(zone)

    async def change(self, call: Call[ZoneChange, Empty]) -> ZoneView:
        """Change what was named."""
        return self._view(await self._zones.change(call.actor, call.path["zone_id"], call.body.changes()))

    async def delete(self, call: Call[Empty, Empty]) -> None:
        """Delete a zone."""
        await self._zones.delete(call.actor, call.path["zone_id"])

    def _view(self, zone: ZoneEntry) -> ZoneView:
        return ZoneView(id=zone.id, area_id=zone.area_id, name=zone.name, clusters=self._directory.members(zone))
