"""Rules as the desk writes them: what, when, where, and how it behaves in a crowd.

Rules kept here: every value is frozen; a recording names its bytes by SHA-256 and carries the approval given for
exactly those; ``moved`` names an occurrence by its RECURRENCE-ID (UTC) and its new start (UTC).

Not here: occurrences (:mod:`schedules.recurrence`), items for a cluster (:mod:`schedules.compiler`), what the desk
refuses (:mod:`schedules.checks`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from schedules.instants import Frames, require_utc
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Approval, Clip, LateKind, LatePolicy, Overrun
from schedules.recurrence import Recurrence

#: Repetitions and gaps as the sets in the field know them: 1 to 10 times, 1 s to 2 h apart, 30 s by default.
MAX_REPEAT = 10
MIN_GAP = timedelta(seconds=1)
MAX_GAP = timedelta(hours=2)
DEFAULT_GAP = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RecordingRef:
    """One approved rendition. ``language`` None is for everybody (music, a signal), else a tag such as ``vi``."""

    sha256: str
    frames: Frames
    language: str | None = None
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class RecordedContent:
    """Stored sound: the recordings for a cluster's languages in a row, ``repeat`` times with ``gap`` of silence."""

    recordings: tuple[RecordingRef, ...]
    repeat: int = 1
    gap: timedelta = DEFAULT_GAP
    chime_before: Clip | None = None
    chime_after: Clip | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.repeat <= MAX_REPEAT:
            raise ValueError(f"repeat must be 1 to {MAX_REPEAT}")
        if not MIN_GAP <= self.gap <= MAX_GAP:
            raise ValueError("the gap between repetitions must be 1 second to 2 hours")


@dataclass(frozen=True, slots=True)
class RelayContent:
    """A live source through the rule's slot; ``fallback`` sounds in a circle while the source is silent."""

    source_id: str
    fallback: tuple[Clip, ...] = ()


RuleContent = RecordedContent | RelayContent

JOIN_LATE = LatePolicy(LateKind.JOIN)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the programme grid.

    ``slot`` is how long its place in the grid is; a relay must have one. An occurrence expires ``max_delay`` after the
    instant it would end undisturbed. ``targets`` are cluster ids. ``replaced`` gives single occurrences, by their
    RECURRENCE-ID, a sound of their own; one without recordings does not sound.
    """

    id: str
    title: str
    priority: Priority
    recurrence: Recurrence
    content: RuleContent
    targets: frozenset[str]
    late: LatePolicy = JOIN_LATE
    after_preempt: AfterPreempt = AfterPreempt.RESUME
    overrun: Overrun = Overrun.LET_FINISH
    slot: timedelta | None = None
    max_delay: timedelta = timedelta(minutes=10)
    moved: tuple[tuple[datetime, datetime], ...] = field(default=())
    replaced: tuple[tuple[datetime, RecordedContent], ...] = field(default=())

    def __post_init__(self) -> None:
        if isinstance(self.content, RelayContent) and self.slot is None:
            raise ValueError("a relay needs a slot: how long it is carried")
        if self.slot is not None and self.slot <= timedelta(0):
            raise ValueError("a slot must be longer than nothing")
        if self.max_delay < timedelta(0):
            raise ValueError("max_delay must not be negative")
        if self.replaced and not isinstance(self.content, RecordedContent):
            raise ValueError("an occurrence of a relay has no sound of its own")
        for recurrence_id, start in self.moved:
            require_utc(recurrence_id)
            require_utc(start)
        for recurrence_id, _ in self.replaced:
            require_utc(recurrence_id)

    @property
    def contents(self) -> tuple[RuleContent, ...]:
        """Everything it may sound: its content, and those of single occurrences."""
        return (self.content, *(content for _, content in self.replaced))
