"""Warnings and their sources over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import PAGE_DEFAULT, PAGE_MAX, Empty, Id, Page, PageQuery, Schema, paginate
from controller.api.warning_shapes import (
    Acceptance,
    AcceptedView,
    NewPushToken,
    NewWarningSource,
    PushTokenMade,
    Refusal,
    WarningLine,
    WarningPage,
    WarningSourceChange,
    WarningSourceView,
    WarningView,
    line_of,
    view_of,
)
from controller.services.alerts import Words
from controller.services.context import Actor, Permission
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.warnings import (
    Changes,
    GeocodeRow,
    SourceEntry,
    SourceHealth,
    SourceKind,
    SourceSpec,
    WarningDesk,
    WarningEntry,
    WarningFilter,
    WarningSources,
)
from controller.services.warnings.polling import PollState

States = Literal["received", "shown", "proposed", "accepted", "declined", "issued", "cancelled", "expired"]
_FAR = 2**53
_XML = "application/cap+xml"


class WarningQuery(Schema):
    """Which warnings; newest first."""

    limit: int = Field(PAGE_DEFAULT, ge=1, le=PAGE_MAX)
    before: int | None = Field(None, ge=1, le=_FAR, description="'next' of the page before")
    state: States | None = None
    source_id: Id | None = None
    status: Literal["Actual", "Exercise", "System", "Test", "Draft"] | None = None
    since: datetime | None = Field(None, description="Received then or later, with offset")


class WarningRoutes:
    """Operations on warnings and sources."""

    def __init__(
        self,
        desk: WarningDesk,
        sources: WarningSources,
        *,
        polls: Callable[[], Mapping[str, PollState]],
        health: Callable[[], Mapping[str, SourceHealth]],
    ) -> None:
        self._desk = desk
        self._sources = sources
        self._polls = polls
        self._health = health

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, compose, policy = Permission.READ, Permission.EMERGENCY_COMPOSE, Permission.POLICY_EDIT
        all_of, one = "/api/v1/warnings", "/api/v1/warnings/{warning_id}"
        sources, source = "/api/v1/warning-sources", "/api/v1/warning-sources/{source_id}"
        missing = (NotFoundError, ForbiddenError)
        wrong = (*missing, InvalidError, ConflictError)
        return (
            route("GET", all_of, "listWarnings", read, self.list_warnings, query=WarningQuery, returns=WarningPage,
                  errors=(InvalidError,), summary="Warnings that came, newest first"),
            route("GET", one, "getWarning", read, self.get, returns=WarningView, errors=missing, summary="One warning"),
            route("GET", f"{one}/document", "getWarningDocument", read, self.document, raw_returns=_XML,
                  errors=missing, summary="The document as it came"),
            route("POST", f"{one}/accept", "acceptWarning", compose, self.accept, body=Acceptance,
                  returns=AcceptedView, errors=wrong, idempotent=True,
                  summary="Compose the alert it asks for; a second person confirms it"),
            route("POST", f"{one}/decline", "declineWarning", compose, self.decline, body=Refusal,
                  returns=WarningView, errors=wrong, summary="Say no to it, with the reason"),
            route("GET", sources, "listWarningSources", read, self.list_sources, query=PageQuery,
                  returns=Page[WarningSourceView], errors=(InvalidError,), summary="Who may warn us"),
            route("POST", sources, "createWarningSource", policy, self.create_source, body=NewWarningSource, status=201,
                  returns=WarningSourceView, errors=wrong, summary="Add a source"),
            route("GET", source, "getWarningSource", read, self.get_source, returns=WarningSourceView, errors=missing,
                  summary="One source: policy, feed, faults"),
            route("PATCH", source, "changeWarningSource", policy, self.change_source, body=WarningSourceChange,
                  returns=WarningSourceView, errors=wrong, summary="Change a source, its policy above all"),
            route("DELETE", source, "removeWarningSource", policy, self.remove_source, errors=missing,
                  summary="Take it out of use; what it sent is kept"),
            route("POST", f"{source}/tokens", "createPushToken", policy, self.make_token, body=NewPushToken, status=201,
                  returns=PushTokenMade, errors=wrong, summary="A token to push with, shown once"),
            route("DELETE", f"{source}/tokens/{{token_id}}", "revokePushToken", policy, self.revoke_token,
                  errors=missing, summary="Make a push token worthless"),
        )  # fmt: skip

    # --- warnings ---

    async def list_warnings(self, call: Call[Empty, WarningQuery]) -> WarningPage:
        """Warnings, newest first."""
        said = call.query
        if said.since is not None and said.since.tzinfo is None:
            raise InvalidError("since needs an offset, for example 2026-11-20T16:00:00+07:00")
        wanted = WarningFilter(said.state, said.source_id, said.status, said.since)
        rows, more = await self._desk.listed(call.actor, wanted, before=said.before, limit=said.limit)
        return WarningPage(items=tuple(WarningLine(**line_of(row, self._name(row))) for row in rows), next=more)

    async def get(self, call: Call[Empty, Empty]) -> WarningView:
        """One warning."""
        return self._view(await self._desk.get(call.actor, call.path["warning_id"]))

    async def document(self, call: Call[Empty, Empty]) -> web.Response:
        """The document as it came: to be saved, never shown as a page."""
        body = await self._desk.raw(call.actor, call.path["warning_id"])
        name = f'attachment; filename="{call.path["warning_id"]}.xml"'
        return web.Response(body=body, headers={"Content-Type": _XML, "Content-Disposition": name})

    async def accept(self, call: Call[Acceptance, Empty]) -> AcceptedView:
        """Compose the alert it asks for."""
        said, warning_id = call.body, call.path["warning_id"]
        words = None if said.words is None else tuple(Words(one.language, one.text) for one in said.words)
        changes = Changes(said.title, said.template, words, said.areas, said.clusters, said.zones, again=said.again)
        made = await self._desk.accept(call.actor, warning_id, changes)
        after = await self._desk.get(call.actor, warning_id)
        return AcceptedView(alert_id=made.alert_id, code=made.code, warning=self._view(after))

    async def decline(self, call: Call[Refusal, Empty]) -> WarningView:
        """Say no to it."""
        return self._view(await self._desk.decline(call.actor, call.path["warning_id"], call.body.reason))

    # --- sources ---

    async def list_sources(self, call: Call[Empty, PageQuery]) -> Page[WarningSourceView]:
        """Sources by name."""
        actor = call.actor
        return paginate(
            self._sources.readable(actor),
            call.query,
            key=lambda entry: f"{entry.name}\0{entry.id}",
            show=lambda entry: self._source_view(actor, entry),
        )

    async def create_source(self, call: Call[NewWarningSource, Empty]) -> WarningSourceView:
        """Add a source."""
        said = _spec_fields({name: getattr(call.body, name) for name in NewWarningSource.model_fields})
        return self._source_view(call.actor, await self._sources.create(call.actor, SourceSpec(**said)))

    async def get_source(self, call: Call[Empty, Empty]) -> WarningSourceView:
        """One source."""
        return self._source_view(call.actor, self._sources.get(call.actor, call.path["source_id"]))

    async def change_source(self, call: Call[WarningSourceChange, Empty]) -> WarningSourceView:
        """Change a source."""
        source_id, body = call.path["source_id"], call.body
        said = {name: getattr(body, name) for name in body.model_fields_set - {"restore"}}
        changes = _spec_fields({name: value for name, value in said.items() if value is not None})
        entry = await self._sources.change(call.actor, source_id, changes) if changes or not body.restore else None
        if body.restore:
            entry = await self._sources.restore(call.actor, source_id)
        return self._source_view(call.actor, entry or self._sources.get(call.actor, source_id))

    async def remove_source(self, call: Call[Empty, Empty]) -> None:
        """Take it out of use."""
        await self._sources.remove(call.actor, call.path["source_id"])

    async def make_token(self, call: Call[NewPushToken, Empty]) -> PushTokenMade:
        """A token to push with."""
        token, made = await self._sources.make_token(call.actor, call.path["source_id"], call.body.label)
        return PushTokenMade(token=token, id=made.id, label=made.label)

    async def revoke_token(self, call: Call[Empty, Empty]) -> None:
        """Make a push token worthless."""
        await self._sources.revoke_token(call.actor, call.path["source_id"], call.path["token_id"])

    def _view(self, entry: WarningEntry) -> WarningView:
        return view_of(entry, self._name(entry))

    def _name(self, entry: WarningEntry) -> str | None:
        source = self._sources.find(entry.source_id)
        return None if source is None else source.name

    def _source_view(self, actor: Actor, entry: SourceEntry) -> WarningSourceView:
        return WarningSourceView.of(
            entry,
            url=self._sources.shown_url(actor, entry),
            tokens=self._sources.tokens(entry.id),
            poll=self._polls().get(entry.id),
            health=self._health().get(entry.id),
        )


def _spec_fields(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the API says of a source, as the service takes it."""
    fields = dict(said)
    if "kind" in fields:
        fields["kind"] = SourceKind(fields["kind"])
    if "geocodes" in fields:
        fields["geocodes"] = tuple(GeocodeRow(one.name, one.value, one.areas) for one in fields["geocodes"])
    return fields
