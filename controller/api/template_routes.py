"""Templates of alerts over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import Field

from controller.api.alert_shapes import TemplateShape, WordsShape
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Page, PageQuery, Schema, paginate
from controller.services.alerts.model import Category, Message, Tone, Words
from controller.services.alerts.seeds import seeds
from controller.services.alerts.template_model import TemplateEntry, TemplateSpec, TemplateVersion
from controller.services.alerts.templates import TemplateBook, TemplateService
from controller.services.context import Permission
from controller.services.directory import Directory
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, NotFoundError


class Activation(Schema):
    """Which version is to be in force."""

    version: int = Field(ge=1, le=1_000_000)


class SeedShape(Schema):
    """Whose the default templates are."""

    area_id: Id


class TemplateView(Schema):
    """A template: its newest wording."""

    id: str
    area_id: str
    state: str = Field(description="draft, active (in force), changed (in force, with a newer draft) or retired")
    version: int
    active_version: int | None
    category: str
    title: str
    tone: str
    cancel_tone: str
    words: tuple[WordsShape, ...]
    cancel_words: tuple[WordsShape, ...]
    times: int
    gap_s: int
    every_s: int | None
    created_by: str
    created_at: datetime
    activated_by: str | None
    activated_at: datetime | None


class SeededView(Schema):
    """The default templates that were made."""

    templates: tuple[TemplateView, ...]


class ReadinessView(Schema):
    """Which clusters lack the sound of one template."""

    template_id: str
    title: str
    clusters: int
    holding: int
    lacking: tuple[str, ...]


class TemplateReadiness(Schema):
    """Every active template."""

    templates: tuple[ReadinessView, ...]


class Holdings(Protocol):
    """Which clusters hold which sounds."""

    def holding(self, message: Message) -> Callable[[str], bool]:
        """For every cluster: whether it holds a message."""
        ...


class TemplateRoutes:
    """Operations on templates."""

    def __init__(
        self, templates: TemplateService, book: TemplateBook, holdings: Holdings, directory: Directory
    ) -> None:
        self._templates = templates
        self._book = book
        self._holdings = holdings
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        missing = (NotFoundError, ForbiddenError)
        change = (*missing, InvalidError, ConflictError, BusyError)
        root, one = "/api/v1/templates", "/api/v1/templates/{template_id}"
        draft, approve, read = Permission.DRAFT, Permission.APPROVE, Permission.READ
        return (
            route("GET", root, "listTemplates", read, self.list_templates, query=PageQuery,
                  returns=Page[TemplateView], summary="Templates of alerts"),
            route("POST", root, "createTemplate", draft, self.create, body=TemplateShape, returns=TemplateView,
                  errors=change, status=201, summary="Write a template; words without a recording are spoken"),
            route("POST", f"{root}/seed", "seedTemplates", draft, self.seed, body=SeedShape, returns=SeededView,
                  errors=change, status=201, summary="Make the default templates in Vietnamese, as drafts"),
            route("GET", f"{root}/readiness", "templateReadiness", read, self.readiness, returns=TemplateReadiness,
                  summary="Which clusters lack the sound of an active template"),
            route("GET", one, "getTemplate", read, self.get, returns=TemplateView, errors=missing,
                  summary="One template"),
            route("PUT", one, "changeTemplate", draft, self.change, body=TemplateShape, returns=TemplateView,
                  errors=change, summary="Write a new version; the active one stays in force until this one is"),
            route("POST", f"{one}/activate", "activateTemplate", approve, self.activate, body=Activation,
                  returns=TemplateView, errors=change, summary="Put an approved version in force"),
            route("DELETE", one, "retireTemplate", approve, self.retire, errors=missing,
                  summary="Take it out of use"),
        )  # fmt: skip

    async def list_templates(self, call: Call[Empty, PageQuery]) -> Page[TemplateView]:
        """Templates."""
        return paginate(self._templates.readable(call.actor), call.query, key=lambda each: each.id, show=_view)

    async def create(self, call: Call[TemplateShape, Empty]) -> TemplateView:
        """Write one."""
        return _view(await self._templates.create(call.actor, _spec(call.body)))

    async def seed(self, call: Call[SeedShape, Empty]) -> SeededView:
        """The default ones; those that are there by title already are left alone."""
        there = {each.latest.spec.title for each in self._book.entries.values() if each.state == "active"}
        made = [
            await self._templates.create(call.actor, spec)
            for spec in seeds(call.body.area_id)
            if spec.title not in there
        ]
        return SeededView(templates=tuple(_view(each) for each in made))

    async def readiness(self, call: Call[Empty, Empty]) -> TemplateReadiness:
        """Who lacks what."""
        found = []
        clusters = [
            each.id
            for each in self._directory.clusters.values()
            if each.active and self._directory.allows(call.actor, Permission.READ, each.area_id)
        ]
        for ready in self._book.in_use():
            holds = self._holdings.holding(ready.message)
            twin = (lambda _: True) if ready.twin is None else self._holdings.holding(ready.twin)
            lacking = tuple(each for each in sorted(clusters) if not (holds(each) and twin(each)))
            found.append(
                ReadinessView(
                    template_id=ready.template_id,
                    title=ready.spec.title,
                    clusters=len(clusters),
                    holding=len(clusters) - len(lacking),
                    lacking=lacking,
                )
            )
        return TemplateReadiness(templates=tuple(found))

    async def get(self, call: Call[Empty, Empty]) -> TemplateView:
        """One."""
        return _view(self._templates.get(call.actor, call.path["template_id"]))

    async def change(self, call: Call[TemplateShape, Empty]) -> TemplateView:
        """A new version."""
        return _view(await self._templates.change(call.actor, call.path["template_id"], _spec(call.body)))

    async def activate(self, call: Call[Activation, Empty]) -> TemplateView:
        """In force."""
        return _view(await self._templates.activate(call.actor, call.path["template_id"], call.body.version))

    async def retire(self, call: Call[Empty, Empty]) -> None:
        """Out of use."""
        await self._templates.retire(call.actor, call.path["template_id"])


def _spec(shape: TemplateShape) -> TemplateSpec:
    return TemplateSpec(
        area_id=shape.area_id,
        category=Category(shape.category),
        title=shape.title,
        words=tuple(each.value() for each in shape.words),
        cancel_words=tuple(each.value() for each in shape.cancel_words),
        tone=Tone(shape.tone),
        cancel_tone=Tone(shape.cancel_tone),
        times=shape.times,
        gap=timedelta(seconds=shape.gap_s),
        every=None if shape.every_s is None else timedelta(seconds=shape.every_s),
    )


def _view(entry: TemplateEntry) -> TemplateView:
    latest, spec = entry.latest, entry.latest.spec
    active = None if entry.ready is None else entry.ready.version
    return TemplateView(
        id=entry.id,
        area_id=entry.area_id,
        state=_state(entry, latest),
        version=latest.version,
        active_version=active,
        category=str(spec.category),
        title=spec.title,
        tone=str(spec.tone),
        cancel_tone=str(spec.cancel_tone),
        words=tuple(_words(each) for each in spec.words),
        cancel_words=tuple(_words(each) for each in spec.cancel_words),
        times=spec.times,
        gap_s=int(spec.gap.total_seconds()),
        every_s=None if spec.every is None else int(spec.every.total_seconds()),
        created_by=latest.created_by,
        created_at=latest.created_at,
        activated_by=latest.activated_by,
        activated_at=latest.activated_at,
    )


def _state(entry: TemplateEntry, latest: TemplateVersion) -> str:
    if entry.state == "retired":
        return "retired"
    if entry.ready is None:
        return "draft"
    return "active" if entry.ready.version == latest.version else "changed"


def _words(words: Words) -> WordsShape:
    return WordsShape(language=words.language, text=words.text, recording=words.recording)
