"""Shapes of alerts and templates over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from controller.api.order_routes import ScopeShape
from controller.api.schema import PROSE, Id, Instant, Line, OptionalLine, Schema
from controller.services.alerts.board import Board, Row, unaware
from controller.services.alerts.model import (
    DEFAULT_GAP,
    DEFAULT_TIMES,
    DEFAULT_VALID,
    MAX_TIMES,
    Alert,
    AlertDraft,
    AlertKind,
    Category,
    Message,
    Origin,
    Repetition,
    Step,
    Tone,
    Where,
    Words,
)
from controller.services.alerts.review import Replaced, Review
from controller.services.alerts.wording import Tongue, cautions_of, sentence_of
from controller.services.directory import Directory

_DAY_S = 24 * 3600
_HOUR_S = 3600
_GAP_S = int(DEFAULT_GAP.total_seconds())

Figure = Annotated[str, StringConstraints(min_length=3, max_length=20_000, pattern=r"^[0-9eE+\-., ]+$")]
Tag = Annotated[str, StringConstraints(min_length=2, max_length=35, pattern=r"^[A-Za-z0-9-]+$")]
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000, pattern=PROSE)]
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
CategoryName = Literal[
    "flood", "flash_flood", "storm", "landslide", "fire", "dam_release", "evacuation", "all_clear", "custom"
]
ToneName = Literal["none", "siren", "warble", "pulse", "gong"]


class WordsShape(Schema):
    """What is said in one language."""

    language: Tag
    text: Said
    recording: Id | None = Field(None, description="An approved recording that says it; null = it is spoken")

    def value(self) -> Words:
        """As the services know it."""
        return Words(self.language, self.text, self.recording)


class WhereShape(ScopeShape):
    """Where: places of the tree, zones, clusters, figures on the map; together."""

    polygons: tuple[Figure, ...] = Field((), max_length=50, description="As in CAP: 'lat,lon lat,lon …'")
    circles: tuple[Figure, ...] = Field((), max_length=50, description="As in CAP: 'lat,lon radius_km'")

    def where(self) -> Where:
        """As the services know it."""
        return Where(self.value(), self.polygons, self.circles)


class RepetitionShape(Schema):
    """How often."""

    times: int = Field(DEFAULT_TIMES, ge=1, le=MAX_TIMES, description="In a row")
    gap_s: int = Field(_GAP_S, ge=0, le=2 * _HOUR_S)
    every_s: int | None = Field(None, ge=300, le=_DAY_S, description="The same again and again; 7200 for disasters")
    until: Instant | None = Field(None, description="With every_s; null = until cancelled, 24 h at most")

    def repetition(self) -> Repetition:
        """As the services know it."""
        return Repetition(
            self.times,
            timedelta(seconds=self.gap_s),
            None if self.every_s is None else timedelta(seconds=self.every_s),
            None if self.until is None else self.until.astimezone(UTC),
        )


class AlertShape(WhereShape):
    """What someone wants to send."""

    kind: Literal["template", "text", "voice"] = "template"
    template: Id | None = Field(None, description="With kind 'template'")
    title: OptionalLine = Field("", description="Empty = the template's")
    category: CategoryName = "custom"
    tone: ToneName = "siren"
    words: tuple[WordsShape, ...] = Field((), max_length=8, description="With kind 'text'")
    cancel_words: tuple[WordsShape, ...] = Field((), max_length=8, description="Empty = our own")
    repetition: RepetitionShape | None = Field(None, description="null = as the template says")
    valid_s: int = Field(
        int(DEFAULT_VALID.total_seconds()),
        ge=60,
        le=_DAY_S,
        description="How long a cluster that was away may come back and still sound it",
    )
    again: bool = Field(default=False, description="The same once more within 3 minutes is meant")
    replaces: tuple[Id, ...] = Field(
        (), max_length=8, description="Alerts whose place it takes: they end where it sounds, and go on elsewhere"
    )

    def draft(self) -> AlertDraft:
        """As the services know it."""
        return AlertDraft(
            where=self.where(),
            kind=AlertKind(self.kind),
            template=self.template,
            title=self.title,
            category=Category(self.category),
            tone=Tone(self.tone),
            words=tuple(each.value() for each in self.words),
            cancel_words=tuple(each.value() for each in self.cancel_words),
            repetition=None if self.repetition is None else self.repetition.repetition(),
            valid=timedelta(seconds=self.valid_s),
            again=self.again,
            replaces=self.replaces,
            origin=Origin(),
        )


class AreaCountView(Schema):
    """A commune, and how many of its clusters are meant."""

    area_id: str
    name: str
    clusters: int
    offline: int


class CautionView(Schema):
    """Something that should give pause."""

    code: str
    text: str


class ReplacedView(Schema):
    """An alert whose place it takes."""

    alert_id: str
    title: str
    ends: int = Field(description="Clusters at which it ends, with no word of a cancel")
    goes_on: int = Field(description="Clusters at which it goes on until it is cancelled")


class ReviewView(Schema):
    """What to look at before a confirmation."""

    sentence: str = Field(description="Read it aloud before you confirm; in the language of Accept-Language: vi or en")
    clusters: int
    areas: tuple[AreaCountView, ...]
    offline: tuple[str, ...]
    mute: tuple[str, ...] = Field(description="Clusters that are kept silent, emergencies included")
    languages: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]] = Field(description="Language -> clusters that will not hear it")
    first_words: Mapping[str, str]
    words: Mapping[str, str] = Field(description="All that is said, by language")
    cancel_words: Mapping[str, str] = Field(description="What is said when it is cancelled, by language")
    length_s: float = Field(description="Of one sounding with its repetitions in a row")
    times: int
    every_s: int | None
    until: datetime | None
    quiet: tuple[str, ...] = Field(description="Clusters in whose quiet hours it would sound")
    stocked: int = Field(description="Clusters that hold its sound already")
    unstocked: tuple[str, ...]
    replaces: tuple[ReplacedView, ...]
    cautions: tuple[CautionView, ...]


class StepView(Schema):
    """Who, when, why."""

    by: str = Field(description="The sign-in name")
    display_name: str = Field(description="What people call them; empty = nothing else is known")
    at: datetime
    reason: str


class FarewellView(Schema):
    """The message that told people of an alert's end: its cancel message, or the all-clear."""

    start: datetime
    words: str
    clusters: int
    sounded: int = Field(description="Clusters at which it was heard")
    unaware: int = Field(description="Clusters at which the alert was heard and its end was not, so far")


class AlertView(Schema):
    """One alert."""

    id: str
    title: str
    category: str
    kind: str
    state: str = Field(
        description="composed, armed, confirmed, overridden, sounding, repeating, cancelled, cleared, replaced, "
        "expired, missed"
    )
    priority: int
    clusters: int
    languages: tuple[str, ...]
    composed: StepView
    code: str | None = Field(description="For the composer alone, while it waits: tell it to the second person")
    code_expires: datetime | None
    given: StepView | None
    start: datetime | None
    expires: datetime | None
    ended: StepView | None
    length_s: float
    times: int
    every_s: int | None
    until: datetime | None
    sha256: tuple[str, ...] = Field(description="The sounds, to listen to before confirming")
    replaces: tuple[str, ...] = Field(description="Alerts whose place it takes, or took")
    replaced_by: str | None = Field(description="The alert that took its place, where it has clusters in common")
    origin: str
    origin_reference: str
    live_session: str | None
    fault: str
    counts: Mapping[str, int] | None = Field(description="Clusters by how far it came; null before it was given")
    sounded: int | None = Field(description="Clusters that it was heard at, cut short or not; null before it was given")
    farewell: FarewellView | None = Field(description="After a cancel or an all-clear; null when nobody was told")


class RowView(Schema):
    """How far it came at one cluster."""

    cluster_id: str
    cluster: str
    area: str
    state: str
    code: str
    sounded: bool
    rounds: int
    start_error_us: int | None
    times: Mapping[str, datetime]


class RedView(RowView):
    """A cluster that should sound and does not."""

    contact_name: str
    contact_phone: str


class FarewellBoardView(FarewellView):
    """How far an alert's end came."""

    complete: bool = Field(description="Every cluster with a box has answered, one way or the other")
    red: tuple[RedView, ...] = Field(description="Heard the alert, and not its end, 15 s after that began")


class BoardView(Schema):
    """The board of an alert."""

    alert_id: str
    state: str
    revision: int = Field(description="Ask again with ?since=REVISION for what changed")
    counts: Mapping[str, int]
    sounded: int
    complete: bool = Field(description="Every cluster with a box has answered, one way or the other")
    red: tuple[RedView, ...] = Field(description="Not started 15 s after the start")
    rows: tuple[RowView, ...]
    farewell: FarewellBoardView | None = Field(description="After a cancel or an all-clear; null when nobody was told")


@dataclass(frozen=True, slots=True)
class Boards:
    """The boards of one alert: its own, and that of its farewell."""

    alert: Board | None
    end: Board | None


def review_view(review: Review, tongue: Tongue) -> ReviewView:
    """A review for people, in their language."""
    every = review.repetition.every
    return ReviewView(
        sentence=sentence_of(review, tongue),
        clusters=len(review.clusters),
        areas=tuple(AreaCountView.model_validate(each) for each in review.areas),
        offline=review.offline,
        mute=review.mute,
        languages=review.languages,
        lacking=review.lacking,
        first_words=review.first_words,
        words=review.words,
        cancel_words=review.cancel_words,
        length_s=round(review.length.total_seconds(), 1),
        times=review.repetition.times,
        every_s=None if every is None else int(every.total_seconds()),
        until=review.repetition.until,
        quiet=review.quiet,
        stocked=review.stocked,
        unstocked=review.unstocked,
        replaces=tuple(_replaced_view(each) for each in review.replaces),
        cautions=tuple(CautionView.model_validate(each) for each in cautions_of(review, tongue)),
    )


def _replaced_view(old: Replaced) -> ReplacedView:
    return ReplacedView(alert_id=old.alert.id, title=old.alert.title, ends=len(old.ends), goes_on=len(old.goes_on))


def alert_view(alert: Alert, boards: Boards, directory: Directory, code: str | None, now: datetime) -> AlertView:
    """An alert for people."""
    board = boards.alert
    every = alert.repetition.every
    started = 0 if board is None else board.sounded()
    return AlertView(
        id=alert.id,
        title=alert.title,
        category=str(alert.category),
        kind=str(alert.draft.kind),
        state=alert.phase(started=started, now=now),
        priority=int(alert.priority),
        clusters=len(alert.clusters),
        languages=() if alert.message is None else alert.message.languages,
        composed=_step(alert.composed, directory),
        code=code,
        code_expires=alert.code_expires,
        given=None if alert.given is None else _step(alert.given, directory),
        start=alert.start,
        expires=alert.expires,
        ended=None if alert.ended is None else _step(alert.ended, directory),
        length_s=round(alert.length / 48_000, 1),
        times=alert.repetition.times,
        every_s=None if every is None else int(every.total_seconds()),
        until=alert.repetition.until,
        sha256=_sounds(alert.message),
        replaces=alert.draft.replaces,
        replaced_by=alert.successor or None,
        origin=alert.draft.origin.kind,
        origin_reference=alert.draft.origin.reference,
        live_session=alert.voice or None,
        fault=alert.fault,
        counts=None if board is None else board.counts(),
        sounded=None if board is None else started,
        farewell=_farewell(alert, boards),
    )


def board_view(
    alert: Alert, board: Board, directory: Directory, now: datetime, *, end: Board | None, since: int
) -> BoardView:
    """A board for people: every cluster, or those that changed since a revision; ``end``: that of its farewell."""
    counts = board.counts()
    boards = Boards(board, end)
    return BoardView(
        alert_id=alert.id,
        state=alert.phase(started=board.sounded(), now=now),
        revision=board.revision,
        counts=counts,
        sounded=board.sounded(),
        complete=_complete(counts),
        red=tuple(_red(row, directory) for row in board.red(now)) if alert.state.given else (),
        rows=tuple(row_view(row, directory) for row in board.rows(since)),
        farewell=_farewell_board(alert, boards, directory, now),
    )


def _complete(counts: Mapping[str, int]) -> bool:
    return counts["queued"] + counts["delivered"] + counts["verified"] == 0


def _farewell(alert: Alert, boards: Boards) -> FarewellView | None:
    if alert.farewell is None or boards.end is None:
        return None
    return FarewellView(
        start=alert.farewell.start,
        words=alert.farewell.words,
        clusters=len(alert.remaining),
        sounded=boards.end.sounded(),
        unaware=len(unaware(boards.alert, boards.end)),
    )


def _farewell_board(alert: Alert, boards: Boards, directory: Directory, now: datetime) -> FarewellBoardView | None:
    told = _farewell(alert, boards)
    if told is None or boards.end is None:
        return None
    waiting = unaware(boards.alert, boards.end)
    return FarewellBoardView(
        **told.model_dump(),
        complete=_complete(boards.end.counts()),
        red=tuple(_red(row, directory) for row in boards.end.red(now) if row.cluster_id in waiting),
    )


def row_view(row: Row, directory: Directory) -> RowView:
    """One line of the board."""
    return RowView(**_row(row, directory))


def _red(row: Row, directory: Directory) -> RedView:
    cluster = directory.clusters.get(row.cluster_id)
    return RedView(
        **_row(row, directory),
        contact_name="" if cluster is None else cluster.contact_name,
        contact_phone="" if cluster is None else cluster.contact_phone,
    )


def _row(row: Row, directory: Directory) -> dict[str, object]:
    cluster = directory.clusters.get(row.cluster_id)
    area = None if cluster is None else directory.areas.get(cluster.area_id)
    return {
        "cluster_id": row.cluster_id,
        "cluster": row.cluster_id if cluster is None else cluster.name,
        "area": "" if area is None else area.name,
        "state": row.state,
        "code": row.code,
        "sounded": row.sounded,
        "rounds": row.rounds,
        "start_error_us": row.start_error_us,
        "times": dict(row.times),
    }


def _sounds(message: Message | None) -> tuple[str, ...]:
    return () if message is None else tuple(each.clip.sha256 for each in message.spoken)


def _step(step: Step, directory: Directory) -> StepView:
    user = directory.users.get(step.by.user_id)
    called = "" if user is None else user.display_name
    return StepView(by=step.by.name, display_name=called, at=step.at, reason=step.reason)


class TemplateShape(Schema):
    """A template as people write it, with its cancel message."""

    area_id: Id
    category: CategoryName
    title: Line
    tone: ToneName = "siren"
    cancel_tone: ToneName = "gong"
    words: tuple[WordsShape, ...] = Field(min_length=1, max_length=8)
    cancel_words: tuple[WordsShape, ...] = Field((), max_length=8)
    times: int = Field(DEFAULT_TIMES, ge=1, le=MAX_TIMES)
    gap_s: int = Field(_GAP_S, ge=0, le=2 * _HOUR_S)
    every_s: int | None = Field(None, ge=300, le=_DAY_S)
