"""Shapes of programmes, and their way to the domain's values."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from controller.api.schema import YEARS, Id, Line, Schema
from controller.services.catalogue import ProgrammeEntry
from controller.services.errors import FieldProblem, InvalidError
from controller.services.programme_model import (
    ContentSpec,
    ProgrammeSpec,
    RecordedSpec,
    RelaySpec,
    TargetSpec,
    time_text,
)
from controller.services.rulebook import Gap
from schedules.compiler import Problem
from schedules.ladder import Priority
from schedules.model import MAX_RELAY, AfterPreempt, LateKind, LatePolicy, Overrun
from schedules.recurrence import Recurrence, RecurrenceError, parse_time
from schedules.rules import DEFAULT_GAP, MAX_GAP, MAX_REPEAT, MIN_GAP

#: Lists are bounded: a programme of years has some hundreds of exceptions.
_EXCEPTIONS: Final = 1000
_DAY_S: Final = 86_400

Moment = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=8, max_length=32), Field(description="2026-08-30T05:00")
]
Moments = Annotated[tuple[Moment, ...], Field(max_length=_EXCEPTIONS)]
Ids = Annotated[tuple[Id, ...], Field(max_length=1000)]
Seconds = Annotated[int, Field(ge=0, le=_DAY_S)]
Planned = Literal["PRIORITY_BULLETIN", "PROGRAMME", "RELAY", "FILLER"]
Chime = Literal["opening", "closing"]


class RecordedShape(Schema):
    """Recordings in the order of reading, with repetitions and chimes."""

    kind: Literal["recorded"] = "recorded"
    recordings: tuple[Id, ...] = Field(min_length=1, max_length=100)
    repeat: int = Field(1, ge=1, le=MAX_REPEAT)
    gap_s: int = Field(
        int(DEFAULT_GAP.total_seconds()), ge=int(MIN_GAP.total_seconds()), le=int(MAX_GAP.total_seconds())
    )
    chime_before: Chime | None = None
    chime_after: Chime | None = None


class RelayShape(Schema):
    """A station; fallback recordings sound while it is silent (none = silence)."""

    kind: Literal["relay"] = "relay"
    source: Id
    fallback: tuple[Id, ...] = Field((), max_length=20)


Content = Annotated[RecordedShape | RelayShape, Field(discriminator="kind")]


class TargetShape(Schema):
    """Where: areas with everything below them, single clusters, and zones with what they hold each day."""

    areas: Ids = ()
    clusters: Ids = ()
    zones: Ids = ()


class LateShape(Schema):
    """What happens when the start was missed."""

    kind: Literal["join", "skip", "play_full_within"] = "join"
    within_s: int | None = Field(None, ge=1, le=_DAY_S)

    @model_validator(mode="after")
    def _fits(self) -> LateShape:
        if (self.kind == "play_full_within") != (self.within_s is not None):
            raise ValueError("within_s belongs to play_full_within, and to nothing else")
        return self

    def value(self) -> LatePolicy:
        """As the domain knows it."""
        within = None if self.within_s is None else timedelta(seconds=self.within_s)
        return LatePolicy(LateKind(self.kind), within)


class Move(Schema):
    """One occurrence that was moved: its own local time, and when it starts instead."""

    recurrence: Moment
    start: Moment


class Replacement(Schema):
    """One occurrence, by its own local time, that has a sound of its own."""

    recurrence: Moment
    content: RecordedShape


class ProgrammeShape(Schema):
    """Everything a person says about a programme."""

    area_id: Id
    title: Line
    priority: Planned = "PROGRAMME"
    dtstart: Moment = Field(description="First local time")
    timezone: str | None = Field(None, max_length=64, description="IANA zone; null = that of the area")
    rrule: str | None = Field(None, max_length=500, description="RFC 5545, for example FREQ=DAILY; null = once")
    exdates: Moments = ()
    rdates: Moments = ()
    moved: tuple[Move, ...] = Field((), max_length=_EXCEPTIONS)
    replaced: tuple[Replacement, ...] = Field((), max_length=_EXCEPTIONS)
    content: Content
    targets: TargetShape
    late: LateShape = LateShape()
    after_preempt: Literal["resume", "restart", "skip", "join"] = "resume"
    overrun: Literal["cut_with_fade", "let_finish"] = "let_finish"
    slot_s: int | None = Field(None, ge=1, le=int(MAX_RELAY.total_seconds()), description="A relay needs one")
    max_delay_s: Seconds = 600

    def spec(self, area_timezone: str) -> ProgrammeSpec:
        """As the services know it.

        Raises:
            InvalidError: a time, the zone or the rule cannot be read.
        """
        return ProgrammeSpec(
            area_id=self.area_id,
            title=self.title,
            priority=Priority[self.priority],
            recurrence=self._recurrence(area_timezone),
            content=_content(self.content),
            targets=TargetSpec(self.targets.areas, self.targets.clusters, self.targets.zones),
            late=self.late.value(),
            after_preempt=AfterPreempt(self.after_preempt),
            overrun=Overrun(self.overrun),
            slot=None if self.slot_s is None else timedelta(seconds=self.slot_s),
            max_delay=timedelta(seconds=self.max_delay_s),
            moved=tuple((local_time("moved", move.recurrence), local_time("moved", move.start)) for move in self.moved),
            replaced=tuple((local_time("replaced", each.recurrence), recorded(each.content)) for each in self.replaced),
        )

    def _recurrence(self, area_timezone: str) -> Recurrence:
        try:
            return Recurrence(
                local_time("dtstart", self.dtstart),
                self.timezone or area_timezone,
                self.rrule,
                tuple(_moment("exdates", each) for each in self.exdates),
                tuple(_moment("rdates", each) for each in self.rdates),
            )
        except RecurrenceError as error:
            field = "timezone" if error.code == "unknown_timezone" else "rrule"
            raise InvalidError(
                str(error), code=error.code, fields=[FieldProblem(field, str(error), error.code)]
            ) from error


class ProblemView(Schema):
    """Something a person should know about a programme."""

    code: str
    message: str
    cluster_id: str | None = None
    at: datetime | None = None
    warning: bool = False
    other: str = Field("", description="Title of the programme it meets")
    languages: tuple[str, ...] = Field((), description="Those it is about")

    @classmethod
    def of(cls, problem: Problem | Gap) -> ProblemView:
        """From what was found."""
        if isinstance(problem, Gap):
            return cls(code=problem.code, message=problem.message)
        return cls(
            code=problem.code,
            message=problem.message,
            cluster_id=problem.cluster_id,
            at=problem.at,
            warning=problem.warning,
            other=problem.other,
            languages=problem.languages,
        )


class ProgrammeView(ProgrammeShape):
    """A programme as it stands."""

    id: str
    state: str = Field(description="active, withdrawn or ended")
    version: int
    next_start: datetime | None
    problems: tuple[ProblemView, ...]
    created_by: str
    created_at: datetime


def view_of(entry: ProgrammeEntry, next_start: datetime | None, problems: tuple[ProblemView, ...]) -> ProgrammeView:
    """A programme as it stands."""
    return ProgrammeView(
        **dict(shape_of(entry.spec)),
        id=entry.id,
        state=entry.state,
        version=entry.version,
        next_start=next_start,
        problems=problems,
        created_by=entry.created_by,
        created_at=entry.created_at,
    )


def shape_of(spec: ProgrammeSpec) -> ProgrammeShape:
    """What a programme says, as it may be said again."""
    when, late = spec.recurrence, spec.late
    return ProgrammeShape(
        area_id=spec.area_id,
        title=spec.title,
        priority=spec.priority.name,
        dtstart=time_text(when.dtstart),
        timezone=when.timezone,
        rrule=when.rrule,
        exdates=tuple(time_text(each) for each in when.exdates),
        rdates=tuple(time_text(each) for each in when.rdates),
        moved=tuple(Move(recurrence=time_text(old), start=time_text(new)) for old, new in spec.moved),
        replaced=tuple(
            Replacement(recurrence=time_text(old), content=recorded_shape(new)) for old, new in spec.replaced
        ),
        content=_content_shape(spec.content),
        targets=TargetShape(areas=spec.targets.areas, clusters=spec.targets.clusters, zones=spec.targets.zones),
        late=LateShape(
            kind=late.kind.value, within_s=None if late.within is None else int(late.within.total_seconds())
        ),
        after_preempt=spec.after_preempt.value,
        overrun=spec.overrun.value,
        slot_s=None if spec.slot is None else int(spec.slot.total_seconds()),
        max_delay_s=int(spec.max_delay.total_seconds()),
    )


def _content(shape: RecordedShape | RelayShape) -> ContentSpec:
    if isinstance(shape, RelayShape):
        return RelaySpec(shape.source, shape.fallback)
    return recorded(shape)


def recorded(shape: RecordedShape) -> RecordedSpec:
    """Recordings as the services know them."""
    return RecordedSpec(
        shape.recordings, shape.repeat, timedelta(seconds=shape.gap_s), shape.chime_before, shape.chime_after
    )


def _content_shape(content: ContentSpec) -> RecordedShape | RelayShape:
    if isinstance(content, RelaySpec):
        return RelayShape(source=content.source, fallback=content.fallback)
    return recorded_shape(content)


def recorded_shape(content: RecordedSpec) -> RecordedShape:
    """Recordings as the API shows them."""
    return RecordedShape(
        recordings=content.recordings,
        repeat=content.repeat,
        gap_s=int(content.gap.total_seconds()),
        chime_before=content.chime_before,
        chime_after=content.chime_after,
    )


def _moment(field: str, text: str) -> date | datetime:
    try:
        moment = parse_time(text)
        if moment.year not in YEARS:
            raise RecurrenceError("time_out_of_range", f"{text!r} must lie between {YEARS[0]} and {YEARS[-1]}")
    except RecurrenceError as error:
        raise InvalidError(str(error), code=error.code, fields=[FieldProblem(field, str(error), error.code)]) from error
    return moment


def local_time(field: str, text: str) -> datetime:
    """A local time with hours.

    Raises:
        InvalidError: ``time_not_local``, or it is no time.
    """
    moment = _moment(field, text)
    if not isinstance(moment, datetime) or moment.tzinfo is not None:
        message = f"{text!r} must be a local time with hours, such as 2026-08-30T05:00, without Z or offset"
        raise InvalidError(message, code="time_not_local", fields=[FieldProblem(field, message, "time_not_local")])
    return moment
