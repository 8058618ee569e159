"""Programmes over HTTP: the grid, its checks and its preview."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import Field

from controller.api.programme_shapes import ProblemView, ProgrammeShape, ProgrammeView, view_of
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Instant, Page, PageQuery, Schema, paginate
from controller.services.catalogue import ProgrammeEntry
from controller.services.context import Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.planning import Planner
from controller.services.programme_model import ProgrammeSpec
from controller.services.programmes import Finding, Preview, ProgrammeService
from schedules.compiler import Problem
from schedules.recurrence import expand

#: Occurrences that one outlook shows.
MAX_OUTLOOK: Final = 200


class NewProgramme(ProgrammeShape):
    """What a programme is to be."""

    await_approval: bool = Field(
        default=False, description="It may wait for the approval of its recordings, silent until then"
    )


class ProgrammeUpdate(NewProgramme):
    """What a programme is to be from now on. ``version``: the one its author saw; null = whatever it is."""

    version: int | None = Field(None, ge=1)


class ProgrammeQuery(PageQuery):
    """Which programmes."""

    area_id: Id | None = None
    state: Literal["active", "withdrawn", "ended"] | None = None


class PreviewRequest(Schema):
    """A programme that is (or is to be) on the grid, and the span to look at."""

    programme: ProgrammeShape
    programme_id: Id | None = Field(None, description="When it is a change of this one")
    begin: Instant
    end: Instant


class OutlookRequest(PreviewRequest):
    """A programme that is being written, and the span to look at."""

    await_approval: bool = Field(default=False, description="As for making it")


class OutlookLine(Schema):
    """One occurrence it would have, in numbers of clusters."""

    start: datetime
    end: datetime
    sounds: int
    quiet: int = Field(description="That leave it out, since it would touch their quiet hours")
    lacking: int = Field(description="Without a recording in their language")


class OutlookView(Schema):
    """What stands against a programme, and what it would sound."""

    ok: bool = Field(description="It would be taken; problems are warnings then")
    problems: tuple[ProblemView, ...]
    occurrences: tuple[OutlookLine, ...]


class SpanView(Schema):
    """A stretch in which one thing sounds without a break."""

    begin: datetime
    end: datetime
    rule_id: str | None
    title: str
    priority: int
    this: bool = Field(description="Whether it is the programme in question")


class OccurrenceView(Schema):
    """One occurrence of the programme."""

    recurrence: datetime
    start: datetime
    end: datetime


class ClusterPreview(Schema):
    """What one cluster would sound."""

    cluster_id: str
    occurrences: tuple[OccurrenceView, ...]
    spans: tuple[SpanView, ...]


class PreviewView(Schema):
    """What would sound, by the same arbiter that the agents play by."""

    clusters: tuple[ClusterPreview, ...]
    problems: tuple[ProblemView, ...]


class ProgrammeRoutes:
    """Operations on programmes."""

    def __init__(self, programmes: ProgrammeService, planner: Planner, directory: Directory, clock: Clock) -> None:
        self._programmes = programmes
        self._planner = planner
        self._directory = directory
        self._clock = clock

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, schedule = Permission.READ, Permission.SCHEDULE
        all_of, one = "/api/v1/programmes", "/api/v1/programmes/{programme_id}"
        missing = (NotFoundError, ForbiddenError)
        return (
            route("GET", all_of, "listProgrammes", read, self.list_programmes, query=ProgrammeQuery,
                  returns=Page[ProgrammeView], summary="Programmes you may know of"),
            route("POST", all_of, "createProgramme", schedule, self.create, body=NewProgramme, status=201,
                  returns=ProgrammeView, errors=(*missing, InvalidError), summary="Put a programme on the grid"),
            route("POST", f"{all_of}/preview", "previewProgramme", schedule, self.preview, body=PreviewRequest,
                  returns=PreviewView, errors=(*missing, InvalidError),
                  summary="What each cluster would sound with it"),
            route("POST", f"{all_of}/outlook", "outlookProgramme", schedule, self.outlook, body=OutlookRequest,
                  returns=OutlookView, errors=(*missing, InvalidError),
                  summary="While it is written: what stands against it, and when it would sound"),
            route("GET", one, "getProgramme", read, self.get, returns=ProgrammeView, errors=missing,
                  summary="One programme"),
            route("PUT", one, "changeProgramme", schedule, self.change, body=ProgrammeUpdate, returns=ProgrammeView,
                  errors=(*missing, InvalidError, ConflictError), summary="Say it anew"),
        )  # fmt: skip

    async def list_programmes(self, call: Call[Empty, ProgrammeQuery]) -> Page[ProgrammeView]:
        """Programmes by title."""
        query = call.query
        rows = [
            entry
            for entry in self._programmes.readable(call.actor)
            if (query.area_id is None or entry.spec.area_id == query.area_id)
            and (query.state is None or entry.state == query.state)
        ]
        return paginate(rows, query, key=lambda entry: f"{entry.spec.title}\0{entry.id}", show=self.view)

    async def create(self, call: Call[NewProgramme, Empty]) -> ProgrammeView:
        """Put it on the grid; warnings come back with it."""
        body = call.body
        entry, checked = await self._programmes.create(call.actor, self.spec(body), pending=body.await_approval)
        return self.view(entry, checked.warnings)

    async def get(self, call: Call[Empty, Empty]) -> ProgrammeView:
        """One programme."""
        return self.view(self._programmes.get(call.actor, call.path["programme_id"]))

    async def change(self, call: Call[ProgrammeUpdate, Empty]) -> ProgrammeView:
        """Say it anew."""
        body = call.body
        entry, checked = await self._programmes.change(
            call.actor,
            call.path["programme_id"],
            self.spec(body),
            version=body.version,
            pending=body.await_approval,
        )
        return self.view(entry, checked.warnings)

    async def preview(self, call: Call[PreviewRequest, Empty]) -> PreviewView:
        """What would sound."""
        body = call.body
        previews, problems = await self._programmes.preview(
            call.actor,
            self.spec(body.programme),
            body.begin.astimezone(UTC),
            body.end.astimezone(UTC),
            programme_id=body.programme_id,
        )
        return PreviewView(
            clusters=tuple(_cluster(each) for each in previews),
            problems=tuple(ProblemView.of(each) for each in problems),
        )

    async def outlook(self, call: Call[OutlookRequest, Empty]) -> OutlookView:
        """While it is written."""
        body = call.body
        found, occurrences = await self._programmes.outlook(
            call.actor,
            self.spec(body.programme),
            body.begin.astimezone(UTC),
            body.end.astimezone(UTC),
            programme_id=body.programme_id,
            pending=body.await_approval,
        )
        return OutlookView(
            ok=harmless(found),
            problems=tuple(map(ProblemView.of, found)),
            occurrences=tuple(
                OutlookLine(
                    start=each.start,
                    end=each.end,
                    sounds=len(each.sounds),
                    quiet=len(each.quiet),
                    lacking=len(each.lacking),
                )
                for each in occurrences[:MAX_OUTLOOK]
            ),
        )

    def spec(self, shape: ProgrammeShape) -> ProgrammeSpec:
        """What is said, as the services know it.

        Raises:
            NotFoundError: there is no such area.
            InvalidError: a time, the zone or the rule cannot be read.
        """
        self._directory.area(shape.area_id)
        return shape.spec(self._directory.timezone_of(shape.area_id))

    def view(self, entry: ProgrammeEntry, warnings: Sequence[Finding] | None = None) -> ProgrammeView:
        """A programme as it stands, with these problems, or those of the plan in force."""
        if warnings is not None:
            problems = tuple(ProblemView.of(each) for each in warnings)
        else:
            planned = (each for each in self._planner.problems if each.rule_id == entry.id)
            gaps = (ProblemView.of(each) for each in self._planner.gaps_of(entry.id))
            problems = (*gaps, *(ProblemView.of(each) for each in planned))
        upcoming = expand(entry.spec.recurrence, after=self._clock.now(), limit=1) if entry.active else iter(())
        following = next(upcoming, None)
        return view_of(entry, None if following is None else following.astimezone(UTC), problems)


def harmless(found: Sequence[Finding]) -> bool:
    """Whether there are warnings at most."""
    return all(isinstance(each, Problem) and each.warning for each in found)


def _cluster(preview: Preview) -> ClusterPreview:
    return ClusterPreview(
        cluster_id=preview.cluster_id,
        occurrences=tuple(
            OccurrenceView(recurrence=item.recurrence, start=item.start, end=item.nominal_end) for item in preview.items
        ),
        spans=tuple(
            SpanView(
                begin=span.begin,
                end=span.end,
                rule_id=None if span.sounding.item is None else span.sounding.item.rule_id,
                title="" if span.sounding.item is None else span.sounding.item.title,
                priority=int(span.sounding.priority),
                this=span.sounding.item is not None and span.sounding.item.rule_id == preview.rule_id,
            )
            for span in preview.spans
        ),
    )
