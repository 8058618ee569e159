"""What the arbiter answers: what sounds, what comes next, when to ask again, and what happened on the way.

Not here: how the answer is found (:mod:`schedules.arbiter.engine`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schedules.arbiter.outcome import Outcome
from schedules.arbiter.state import State
from schedules.instants import NO_FRAMES, Frames
from schedules.ladder import Priority
from schedules.model import Item


class EventKind(StrEnum):
    """What happened to an occurrence."""

    STARTED = "started"
    DUCKED = "ducked"  # a live announcement speaks over it; it is heard, softly
    PREEMPTED = "preempted"
    RESUMED = "resumed"
    WAITING = "waiting"  # due, but held: media_missing, time_untrusted
    FINISHED = "finished"
    CUT = "cut"
    SKIPPED = "skipped"
    MISSED = "missed"
    REFUSED = "refused"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, at the wall-clock instant ``at``.

    ``code`` says why, in stable snake_case (empty when the kind says it all). ``offset`` is the sample an item
    started or resumed at. ``frames`` counts the samples heard until ``at``. ``outcome`` is set on the last event of an
    occurrence and on no other. ``occurrence_id`` is empty for what concerns the whole cluster (time_untrusted).
    """

    kind: EventKind
    occurrence_id: str
    at: datetime
    code: str = ""
    planned_start: datetime | None = None
    rule_id: str | None = None
    recurrence: datetime | None = None
    title: str = ""
    priority: Priority | None = None
    stream_id: int | None = None
    offset: Frames = NO_FRAMES
    frames: Frames = NO_FRAMES
    outcome: Outcome | None = None


class Presence(StrEnum):
    """How a sound is there."""

    ON_AIR = "on_air"
    DUCKED = "ducked"  # softly, beneath a live announcement
    MUTED = "muted"  # unheard beneath a higher class; its time runs on


@dataclass(frozen=True, slots=True)
class Line:
    """The line of stored sound on the clock: sample ``sample`` belongs to the instant ``at``.

    It stays the same however often the sound is silenced and comes back, as long as its time runs on.
    """

    at: datetime
    sample: Frames


@dataclass(frozen=True, slots=True)
class Sounding:
    """Something on air (or about to be): from sample ``offset`` at the instant ``since``.

    With a ``stream_id`` the stream sounds, by its own timeline. Otherwise the item's pieces sound; for a relay without
    a healthy stream, its fallback clips in a circle, ``offset`` counted in the circle. ``ends`` is when it ends if
    nothing disturbs it (``None``: not known); ``fade`` says that it is then cut and must fade out before it. What joins
    by the clock may have a ``line`` that began long before ``since``.
    """

    occurrence_id: str
    item: Item | None
    stream_id: int | None
    priority: Priority
    since: datetime
    offset: Frames
    ends: datetime | None
    fade: bool
    line: Line
    presence: Presence = Presence.ON_AIR


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one instant.

    Ask again at ``until`` (``None``: only when an input changes). ``events`` are all that happened since the state
    that was given. ``upcoming`` is what starts next if no input changes; it may begin while ``sounding`` still sounds.
    ``beneath`` is what ``sounding`` silences or speaks over and whose time runs on (a relay or a live voice with its
    stream, stored sound that joins by the clock): kept ready, it is back in step at once. Highest class first.
    ``upcoming_beneath`` is the same for the instant at which ``upcoming`` begins, and ``then`` the state there.
    """

    sounding: Sounding | None
    upcoming: Sounding | None
    amplifier: bool
    until: datetime | None
    events: tuple[Event, ...] = ()
    beneath: tuple[Sounding, ...] = ()
    upcoming_beneath: tuple[Sounding, ...] = ()
    then: State | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which one thing sounds without a break. For previews and reports."""

    begin: datetime
    end: datetime
    sounding: Sounding
