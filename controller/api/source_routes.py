"""Sources of relays over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Line, Page, PageQuery, Schema, paginate
from controller.feeds.addresses import MAX_URL
from controller.services.carrier import CarrierState
from controller.services.catalogue import SourceEntry
from controller.services.context import Actor, Permission
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.sources import SourceService

Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL)]


class NewSource(Schema):
    """A station to add."""

    area_id: Id
    title: Line
    url: Address = Field(description="http or https: Icecast, SHOUTcast, .m3u or .pls")


class SourceChange(Schema):
    """What to change; what is not named stays."""

    title: Line | None = None
    url: Address | None = None


class SourceStateView(Schema):
    """How a station that is being carried is."""

    state: str = Field(description="connecting, sounding or lost")
    since: datetime
    code: str
    detail: str
    station: str | None
    title: str | None
    losses: int


class SourceView(Schema):
    """A station."""

    id: str
    area_id: str
    title: str
    url: str
    state: str
    live: SourceStateView | None = Field(description="null when it is not being carried now")
    created_by: str
    created_at: datetime


class SourceRoutes:
    """Operations on sources. ``state_of`` tells how a station is now."""

    def __init__(self, sources: SourceService, state_of: Callable[[str], CarrierState | None]) -> None:
        self._sources = sources
        self._state_of = state_of

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, draft = Permission.READ, Permission.DRAFT
        one = "/api/v1/sources/{source_id}"
        missing = (NotFoundError, ForbiddenError)
        return (
            route("GET", "/api/v1/sources", "listSources", read, self.list_sources, query=PageQuery,
                  returns=Page[SourceView], summary="Stations you may know of"),
            route("POST", "/api/v1/sources", "createSource", draft, self.create, body=NewSource, status=201,
                  returns=SourceView, errors=(*missing, InvalidError), summary="Add a station"),
            route("GET", one, "getSource", read, self.get, returns=SourceView, errors=missing, summary="One station"),
            route("PATCH", one, "changeSource", draft, self.change, body=SourceChange, returns=SourceView,
                  errors=(*missing, InvalidError), summary="Change title or address"),
            route("DELETE", one, "archiveSource", draft, self.archive, errors=(*missing, ConflictError),
                  summary="Take it out of use"),
        )  # fmt: skip

    async def list_sources(self, call: Call[Empty, PageQuery]) -> Page[SourceView]:
        """Stations by title."""
        actor = call.actor
        return paginate(
            self._sources.readable(actor),
            call.query,
            key=lambda entry: f"{entry.title}\0{entry.id}",
            show=lambda entry: self._view(actor, entry),
        )

    async def create(self, call: Call[NewSource, Empty]) -> SourceView:
        """Add a station."""
        body = call.body
        entry = await self._sources.create(call.actor, area_id=body.area_id, title=body.title, url=body.url)
        return self._view(call.actor, entry)

    async def get(self, call: Call[Empty, Empty]) -> SourceView:
        """One station."""
        return self._view(call.actor, self._sources.get(call.actor, call.path["source_id"]))

    async def change(self, call: Call[SourceChange, Empty]) -> SourceView:
        """Change title or address."""
        body = call.body
        entry = await self._sources.change(call.actor, call.path["source_id"], title=body.title, url=body.url)
        return self._view(call.actor, entry)

    async def archive(self, call: Call[Empty, Empty]) -> None:
        """Take it out of use."""
        await self._sources.archive(call.actor, call.path["source_id"])

    def _view(self, actor: Actor, entry: SourceEntry) -> SourceView:
        live = self._state_of(entry.id)
        return SourceView(
            id=entry.id,
            area_id=entry.area_id,
            title=entry.title,
            url=self._sources.shown_url(actor, entry),
            state=entry.state,
            live=None if live is None else SourceStateView.model_validate(live),
            created_by=entry.created_by,
            created_at=entry.created_at,
        )
