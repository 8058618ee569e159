"""Edits of the grid over HTTP: this one, this and following, and what an edit would meet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from controller.api.programme_routes import ProgrammeRoutes, harmless
from controller.api.programme_shapes import (
    Moment,
    ProblemView,
    ProgrammeShape,
    ProgrammeView,
    RecordedShape,
    local_time,
    recorded,
    recorded_shape,
    shape_of,
)
from controller.api.routing import Call, Route, route
from controller.api.schema import YEARS, Empty, Id, Line, Schema
from controller.services.context import Permission
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.exceptions import Exceptional, Following
from controller.services.occurrences import OccurrenceService
from controller.services.programme_model import time_text
from schedules.model import MAX_RELAY
from schedules.recurrence import RecurrenceError, parse_time

_LONGEST_S = int(MAX_RELAY.total_seconds())


class ExceptionShape(Schema):
    """How one occurrence is, said whole; with nothing said, as its programme has it."""

    start: Moment | None = Field(None, description="Local time of the programme's zone; null = as by its rule")
    content: RecordedShape | None = Field(None, description="Null = the programme's")
    cancelled: bool = False

    def value(self) -> Exceptional:
        """As the services know it.

        Raises:
            InvalidError: ``start`` is no local time.
        """
        return Exceptional(
            None if self.start is None else local_time("start", self.start),
            None if self.content is None else recorded(self.content),
            self.cancelled,
        )

    @classmethod
    def of(cls, how: Exceptional) -> ExceptionShape:
        """From the services."""
        return cls(
            start=None if how.start is None else time_text(how.start),
            content=None if how.content is None else recorded_shape(how.content),
            cancelled=how.cancelled,
        )


class OccurrenceEdit(ExceptionShape):
    """How this one is to be. ``version``: the programme's that its author saw."""

    version: int = Field(ge=1)


class FollowingShape(Schema):
    """What changes from an occurrence on; null = it stays."""

    start: Moment | None = Field(None, description="Local start of the first of them; the others move with it")
    title: Line | None = None
    content: RecordedShape | None = None
    slot_s: int | None = Field(None, ge=1, le=_LONGEST_S)

    def value(self) -> Following:
        """As the services know it.

        Raises:
            InvalidError: ``start`` is no local time.
        """
        return Following(
            None if self.start is None else local_time("start", self.start),
            self.title,
            None if self.content is None else recorded(self.content),
            None if self.slot_s is None else timedelta(seconds=self.slot_s),
        )


class FollowingEdit(FollowingShape):
    """What changes from here on. ``version``: the programme's that its author saw."""

    version: int = Field(ge=1)


class EditPreviewRequest(FollowingShape):
    """An edit that is being thought of."""

    scope: Literal["this", "following"] = "this"
    cancelled: bool = False


class EditPreview(Schema):
    """What an edit would meet."""

    ok: bool = Field(description="It would be taken; problems are warnings then")
    problems: tuple[ProblemView, ...]


class EditedView(Schema):
    """The programme after an edit of one occurrence. Saying ``before`` undoes it."""

    programme: ProgrammeView
    before: ExceptionShape


class DividedView(Schema):
    """A programme that was cut in two. Joining with ``before`` undoes it."""

    programme: ProgrammeView
    following: ProgrammeView
    before: ProgrammeShape


class JoinRequest(Schema):
    """What a programme says again, and which one followed it."""

    version: int = Field(ge=1)
    programme: ProgrammeShape
    following: Id


class OccurrenceRoutes:
    """Operations on occurrences. They are named by their RECURRENCE-ID, as the schedule shows it."""

    def __init__(self, occurrences: OccurrenceService, programmes: ProgrammeRoutes) -> None:
        self._occurrences = occurrences
        self._programmes = programmes

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        may = Permission.SCHEDULE
        one = "/api/v1/programmes/{programme_id}"
        at = f"{one}/occurrences/{{recurrence}}"
        errors = (NotFoundError, ForbiddenError, InvalidError, ConflictError)
        return (
            route("POST", f"{at}/move", "changeOccurrence", may, self.move, body=OccurrenceEdit, returns=EditedView,
                  errors=errors, summary="This one: move it, give it another sound, leave it out, or undo that"),
            route("POST", f"{at}/split", "changeFollowing", may, self.split, body=FollowingEdit, returns=DividedView,
                  status=201, errors=errors, summary="This and following: end the programme before it and go on anew"),
            route("POST", f"{at}/preview", "previewEdit", may, self.preview, body=EditPreviewRequest,
                  returns=EditPreview, errors=errors, summary="What an edit would meet: conflicts, quiet hours"),
            route("POST", f"{one}/join", "joinProgramme", may, self.join, body=JoinRequest, returns=ProgrammeView,
                  errors=errors, summary="Undo a cut: withdraw what follows and say the whole again"),
        )  # fmt: skip

    async def move(self, call: Call[OccurrenceEdit, Empty]) -> EditedView:
        """Edit this one."""
        edited = await self._occurrences.change(
            call.actor, call.path["programme_id"], _recurrence(call.path), call.body.value(), version=call.body.version
        )
        programme = self._programmes.view(edited.entry, edited.findings)
        return EditedView(programme=programme, before=ExceptionShape.of(edited.before))

    async def split(self, call: Call[FollowingEdit, Empty]) -> DividedView:
        """Edit this and following."""
        divided = await self._occurrences.split(
            call.actor, call.path["programme_id"], _recurrence(call.path), call.body.value(), version=call.body.version
        )
        return DividedView(
            programme=self._programmes.view(divided.entry, ()),
            following=self._programmes.view(divided.following, divided.findings),
            before=shape_of(divided.before),
        )

    async def join(self, call: Call[JoinRequest, Empty]) -> ProgrammeView:
        """Undo a cut."""
        body = call.body
        spec = self._programmes.spec(body.programme)
        entry = await self._occurrences.join(
            call.actor, call.path["programme_id"], spec, body.following, version=body.version
        )
        return self._programmes.view(entry)

    async def preview(self, call: Call[EditPreviewRequest, Empty]) -> EditPreview:
        """What an edit would meet."""
        body, at, programme_id = call.body, _recurrence(call.path), call.path["programme_id"]
        if body.scope == "this":
            how = ExceptionShape(start=body.start, content=body.content, cancelled=body.cancelled).value()
            found = await self._occurrences.preview_change(call.actor, programme_id, at, how)
        else:
            found = await self._occurrences.preview_split(call.actor, programme_id, at, body.value())
        return EditPreview(ok=harmless(found), problems=tuple(ProblemView.of(each) for each in found))


def _recurrence(path: Mapping[str, str]) -> datetime:
    """The instant of a path.

    Raises:
        NotFoundError: it is none.
    """
    try:
        moment = parse_time(path["recurrence"])
    except RecurrenceError as error:
        raise NotFoundError(f"an occurrence is named by an instant: {error}", code="occurrence_not_found") from error
    if not isinstance(moment, datetime) or moment.tzinfo is None or moment.year not in YEARS:
        raise NotFoundError("an occurrence is named by an instant such as 2026-08-29T22:00:00Z",
                            code="occurrence_not_found")  # fmt: skip
    return moment.astimezone(UTC)
