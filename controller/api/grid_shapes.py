"""Shapes of the grid and of today."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import Field

from controller.api.hold_shapes import HoldView
from controller.api.programme_shapes import RecordedShape, recorded_shape
from controller.api.schema import Schema
from controller.services.cluster_states import StateKind
from controller.services.grid import GridItem
from controller.services.programme_model import RelaySpec
from controller.services.reasons import Reason, ReasonKind
from controller.services.today import RedList, Sounded, SoundsNow, Today

#: Clusters that one entry names; it counts all.
NAMED = 50


class GridGap(Schema):
    """Why a programme cannot sound."""

    code: str
    message: str


class GridItemView(Schema):
    """One occurrence on the grid."""

    programme_id: str
    recurrence: datetime = Field(description="Its RECURRENCE-ID, which names it however it is moved")
    start: datetime
    end: datetime
    title: str
    priority: int
    area_id: str
    kind: Literal["recorded", "relay"]
    repeats: bool = Field(description="Whether its programme has further occurrences")
    moved: bool = Field(description="It is not where its rule has it")
    own: RecordedShape | None = Field(description="What it sounds instead of what its programme has")
    version: int = Field(description="The programme's, for edits")
    editable: bool = Field(description="You may, and it has not begun")
    clusters: int = Field(description="Clusters it is for, of those you may read")
    content: Literal["ready", "partial", "missing"] = Field(
        description="Whether approved sound is there: for all of its clusters, for some, for none"
    )
    gaps: tuple[GridGap, ...]
    lacking: tuple[str, ...] = Field(description=f"Clusters without a recording in their language, {NAMED} at most")
    lacking_count: int
    quiet: int = Field(description="Clusters that leave it out, since it would touch their quiet hours")
    on_air: int = Field(description="Clusters that report it sounding now")

    @classmethod
    def of(cls, item: GridItem) -> GridItemView:
        """From the service."""
        when, entry = item.when, item.programme
        sounds = bool(when.sounds or when.quiet) and not item.gaps
        return cls(
            programme_id=entry.id,
            recurrence=when.recurrence,
            start=when.start,
            end=when.end,
            title=entry.spec.title,
            priority=int(entry.spec.priority),
            area_id=entry.spec.area_id,
            kind="relay" if isinstance(entry.spec.content, RelaySpec) else "recorded",
            repeats=bool(entry.spec.recurrence.rrule or entry.spec.recurrence.rdates),
            moved=item.moved,
            own=None if item.own is None else recorded_shape(item.own),
            version=entry.version,
            editable=item.editable,
            clusters=item.clusters,
            content="missing" if not sounds else "partial" if when.lacking else "ready",
            gaps=tuple(GridGap(code=gap.code, message=gap.message) for gap in item.gaps),
            lacking=() if item.gaps else tuple(sorted(when.lacking))[:NAMED],
            lacking_count=0 if item.gaps else len(when.lacking),
            quiet=len(when.quiet),
            on_air=item.on_air,
        )


class ScheduleView(Schema):
    """The grid of a window, by start."""

    items: tuple[GridItemView, ...]
    cut: bool = Field(description="There were more than are shown")


class ReasonView(Schema):
    """What is behind a sound."""

    kind: ReasonKind
    id: str | None
    recurrence: datetime | None

    @classmethod
    def of(cls, reason: Reason) -> ReasonView:
        """From the service."""
        return cls(kind=reason.kind, id=reason.id, recurrence=reason.recurrence)


class SoundedView(Schema):
    """One occurrence that boxes reported, in numbers of clusters."""

    reason: ReasonView
    title: str
    priority: int
    start: datetime | None
    expected: int | None = Field(description="Clusters that had it in their plan; null: the plan has forgotten it")
    reported: int
    played: int
    partial: int
    missed: int
    skipped: int
    refused: int
    stopped: int
    silent: tuple[str, ...] = Field(description=f"Clusters that should have reported by now, {NAMED} at most")
    silent_count: int

    @classmethod
    def of(cls, sounded: Sounded) -> SoundedView:
        """From the service."""
        line = sounded.line
        return cls(
            reason=ReasonView.of(sounded.reason),
            title=line.title,
            priority=line.priority,
            start=line.planned_start,
            expected=line.expected,
            reported=line.reported,
            played=line.count("played"),
            partial=line.count("partial"),
            missed=line.count("missed"),
            skipped=line.count("skipped"),
            refused=line.count("refused"),
            stopped=line.count("stopped"),
            silent=sounded.silent[:NAMED],
            silent_count=len(sounded.silent),
        )


class SoundsNowView(Schema):
    """One thing that sounds now."""

    reason: ReasonView
    title: str
    priority: int
    since: datetime
    clusters: tuple[str, ...] = Field(description=f"{NAMED} at most")
    cluster_count: int

    @classmethod
    def of(cls, sounds: SoundsNow) -> SoundsNowView:
        """From the service."""
        return cls(
            reason=ReasonView.of(sounds.reason),
            title=sounds.title,
            priority=sounds.priority,
            since=sounds.since,
            clusters=sounds.clusters[:NAMED],
            cluster_count=len(sounds.clusters),
        )


class TodayFault(Schema):
    """A raised fault and where it is."""

    code: str
    detail: str
    since: datetime
    agent_id: str
    cluster_id: str


class RedListView(Schema):
    """An alert that was not heard everywhere."""

    alert_id: str
    title: str
    start: datetime | None
    clusters: int = Field(description="It was for so many")
    sounded: int
    red: tuple[str, ...] = Field(description="Clusters that did not start")

    @classmethod
    def of(cls, red: RedList) -> RedListView:
        """From the service."""
        alert = red.alert
        return cls(
            alert_id=alert.id,
            title=alert.title,
            start=alert.start,
            clusters=red.total,
            sounded=red.sounded,
            red=red.clusters,
        )


class WrongView(Schema):
    """What went wrong, or will."""

    failed: tuple[SoundedView, ...] = Field(description="Partial, missed, refused, or not reported everywhere")
    unheard: tuple[GridItemView, ...] = Field(description="Should have sounded, and no box said anything about it")
    holes: tuple[GridItemView, ...] = Field(description="Will come, and cannot sound, or not everywhere")
    faults: tuple[TodayFault, ...]
    held: tuple[HoldView, ...] = Field(description="Clusters kept silent by order, emergencies included")
    red_lists: tuple[RedListView, ...]


class TodayView(Schema):
    """What sounded, what sounds, what will, and what went wrong."""

    at: datetime
    since: datetime
    until: datetime
    states: dict[StateKind, int] = Field(description="Clusters by state")
    sounded: tuple[SoundedView, ...]
    now: tuple[SoundsNowView, ...]
    next: tuple[GridItemView, ...]
    next_cut: bool
    wrong: WrongView
    names: dict[str, str] = Field(description="Names of the clusters that are named in here, by id")

    @classmethod
    def of(cls, today: Today, name: Callable[[str], str]) -> TodayView:
        """From the service. ``name`` tells that of a cluster."""
        faults = tuple(
            TodayFault(
                code=each.fault.code,
                detail=each.fault.detail,
                since=each.fault.since,
                agent_id=each.agent_id,
                cluster_id=each.cluster.id,
            )
            for each in today.faults
        )
        named = {
            *(each for sounds in today.now for each in sounds.clusters[:NAMED]),
            *(each for sounded in today.sounded for each in sounded.silent[:NAMED]),
            *(each for red in today.red for each in red.clusters),
            *(fault.cluster.id for fault in today.faults),
            *today.held,
        }
        return cls(
            at=today.at,
            since=today.since,
            until=today.until,
            states=today.states,
            sounded=tuple(map(SoundedView.of, today.sounded)),
            now=tuple(map(SoundsNowView.of, today.now)),
            next=tuple(map(GridItemView.of, today.ahead.items)),
            next_cut=today.ahead.cut,
            wrong=WrongView(
                failed=tuple(map(SoundedView.of, today.failed)),
                unheard=tuple(map(GridItemView.of, today.unheard)),
                holes=tuple(map(GridItemView.of, today.holes)),
                faults=faults,
                held=HoldView.many(today.held),
                red_lists=tuple(map(RedListView.of, today.red)),
            ),
            names={each: name(each) for each in sorted(named)},
        )
