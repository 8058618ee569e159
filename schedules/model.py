"""The frozen values a plan is made of. Both sides of the wire build the arbiter's input from these.

Rules kept here:

1. Every value is immutable and hashable; wall times are aware UTC; lengths of sound are whole samples.
2. An item names its audio by SHA-256 with the approval that was given for exactly those bytes.
3. An occurrence's identity (:func:`occurrence_id`) is made of rule, RECURRENCE-ID and cluster, so it survives
   every recompilation; an item carries the first two, which lets clusters share one day document.

Not here: what sounds (:mod:`schedules.arbiter`), how rules become items (:mod:`schedules.compiler`), bytes
(:mod:`protocol`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from schedules.instants import Frames, duration_of, require_utc
from schedules.ladder import Priority, may_duck

_ASCII_UNIT_SEPARATOR = "\x1f"
#: About 300 bytes each; a box has some dozens, a swarm's process some for each of its clusters.
_REMEMBERED_IDS = 4_096


class LateKind(StrEnum):
    """What an item does when its start was missed (boot, late plan, late audio)."""

    JOIN = "join"
    SKIP = "skip"
    PLAY_FULL = "play_full_within"


@dataclass(frozen=True, slots=True)
class LatePolicy:
    """``join`` at the place the clock says, ``skip``, or ``play_full_within`` a bound after the start."""

    kind: LateKind
    within: timedelta | None = None

    def __post_init__(self) -> None:
        if (self.kind is LateKind.PLAY_FULL) != (self.within is not None):
            raise ValueError("'within' belongs to play_full_within, and to nothing else")


class AfterPreempt(StrEnum):
    """How an item goes on once a higher class that silenced it has ended."""

    RESUME = "resume"  # at the sample where it was silenced
    RESTART = "restart"  # from its first sample
    SKIP = "skip"  # never
    JOIN = "join"  # at the sample it would have reached by now


class Overrun(StrEnum):
    """What happens at the end of the slot to an item that is still sounding."""

    CUT_WITH_FADE = "cut_with_fade"
    LET_FINISH = "let_finish"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who allowed exactly these bytes on air, and when. Bound to the SHA-256 of the :class:`Clip` around it."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Clip:
    """One stored sound: Ogg Opus named by the SHA-256 of its bytes (64 hex digits)."""

    sha256: str
    frames: Frames
    approval: Approval | None = None  # None only for sounds of the system itself (chimes, tones)


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence between two clips."""

    frames: Frames


Piece = Clip | Pause


@dataclass(frozen=True, slots=True)
class Recorded:
    """Stored sound laid end to end: chime, bulletin, gap, bulletin, chime."""

    pieces: tuple[Piece, ...]

    @property
    def frames(self) -> Frames:
        """Length in samples."""
        return Frames(sum(piece.frames for piece in self.pieces))

    @property
    def duration(self) -> timedelta:
        """Length in time."""
        return duration_of(self.frames)

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The sounds that must be in the cache, in order, repetitions included."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Clip))


@dataclass(frozen=True, slots=True)
class Relay:
    """A live source carried through a window. Which stream carries it is told by a signed stream-open."""

    source_id: str
    fallback: tuple[Clip, ...] = ()  # played in a circle when the source has been silent; empty = silence

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The fallback sounds that must be in the cache."""
        return self.fallback


Content = Recorded | Relay


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a cluster is to sound, with everything needed to decide alone.

    ``start`` is inclusive; nothing of the item sounds at or after ``expires``. ``slot_end`` is the end of the
    slot that ``overrun`` speaks of; a relay always has one (its window). ``recurrence`` is the RECURRENCE-ID as
    a UTC instant; it differs from ``start`` when one occurrence was moved.
    """

    rule_id: str
    recurrence: datetime
    title: str
    priority: Priority
    start: datetime
    expires: datetime
    content: Content
    slot_end: datetime | None = None
    late: LatePolicy = LatePolicy(LateKind.JOIN)
    after_preempt: AfterPreempt = AfterPreempt.RESUME
    overrun: Overrun = Overrun.LET_FINISH

    def __post_init__(self) -> None:
        for instant in (self.recurrence, self.start, self.expires):
            require_utc(instant)
        if self.expires <= self.start:
            raise ValueError("an item must expire after it starts")
        if isinstance(self.content, Relay) and self.slot_end is None:
            raise ValueError("a relay needs a window: slot_end is missing")
        if self.slot_end is not None and require_utc(self.slot_end) <= self.start:
            raise ValueError("the slot must end after the item starts")

    @property
    def nominal_end(self) -> datetime:
        """Where the item ends when nothing disturbs it."""
        if isinstance(self.content, Relay):
            assert self.slot_end is not None  # noqa: S101 - __post_init__ keeps it
            return min(self.slot_end, self.expires)
        end = self.start + self.content.duration
        if self.slot_end is not None and self.overrun is Overrun.CUT_WITH_FADE:
            end = min(end, self.slot_end)
        return min(end, self.expires)

    def occurrence_for(self, cluster_id: str) -> str:
        """This item's :func:`occurrence_id` at one cluster."""
        return occurrence_id(self.rule_id, self.recurrence, cluster_id)


@lru_cache(maxsize=_REMEMBERED_IDS)
def occurrence_id(rule_id: str, recurrence: datetime, cluster_id: str) -> str:
    """SHA-256, in hex, of rule, RECURRENCE-ID (UTC, microseconds) and cluster.

    The same occurrence keeps the same id however often the plan is compiled, which is what makes
    "at most once" checkable on the agent and on the controller. Remembered, because every step of an arbiter asks
    for those of all its items.
    """
    stamp = require_utc(recurrence).strftime("%Y%m%dT%H%M%S.%fZ")
    text = _ASCII_UNIT_SEPARATOR.join(("loa-occurrence-1", rule_id, stamp, cluster_id))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local times between which only classes of 80 and more may sound. May cross midnight (21:30 to 04:45)."""

    begin: time
    end: time

    def __post_init__(self) -> None:
        if self.begin == self.end:
            raise ValueError("quiet hours must begin and end at different times")


@dataclass(frozen=True, slots=True)
class Amplifier:
    """The relay that powers the amplifier. ``lead`` before sound it goes on, ``tail`` after sound it goes off."""

    port: Literal["none", "gpio"] = "none"
    pin: int | None = None
    lead: timedelta = timedelta(0)
    tail: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if (self.port == "gpio") != (self.pin is not None):
            raise ValueError("a gpio amplifier port needs a pin, and nothing else has one")


#: How much softer a sound may be made beneath a live announcement, in decibels: less is no difference, more is silence.
DUCK_MIN_DB, DUCK_MAX_DB = -40.0, -6.0

#: What is proposed to an operator: the announcement is understood, and the music is still there.
DUCK_USUAL_DB = -20.0

#: The agent caps by itself (DESIGN of the ladder): three hours for an item, twelve for a relay.
MAX_ITEM = timedelta(minutes=180)
MAX_RELAY = timedelta(minutes=720)


#: An emergency message may sound this long in one piece (a resumed one: in all), whatever the order says: room for a
#: siren of 140 s and three readings in three languages. The sirens of Dallas 2017 had no such bound. A repeated order
#: rests at least ten seconds between two rounds, and each round counts anew.
MAX_EMERGENCY = timedelta(minutes=15)

#: Emergencies sound this much louder where the settings name no gain: twice the amplitude, as the loudspeakers of
#: Japanese towns do. The playout limiter keeps peaks at -1 dBTP, so it gains loudness and cannot overload.
EMERGENCY_GAIN_DB = 6.0


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What holds at one cluster whatever the plan says. Travels as a signed document of its own.

    ``gains`` are decibels by class, sorted by class; a class that is absent plays at 0 dB, an emergency
    at :data:`EMERGENCY_GAIN_DB`. ``output_delay`` is
    for acoustics: positive = this cluster sounds later. ``duck_db``: how much softer a relay or music goes on beneath a
    live announcement (:func:`schedules.ladder.may_duck`); None: it is silent beneath it, as beneath all else.
    """

    cluster_id: str
    timezone: str
    quiet_hours: QuietHours | None = QuietHours(time(21, 30), time(4, 45))
    gains: tuple[tuple[Priority, float], ...] = ()
    output_delay: timedelta = timedelta(0)
    amplifier: Amplifier = field(default_factory=Amplifier)
    languages: tuple[str, ...] = ("vi",)
    max_item: timedelta = MAX_ITEM
    max_relay: timedelta = MAX_RELAY
    duck_db: float | None = None
    max_emergency: timedelta = MAX_EMERGENCY

    def __post_init__(self) -> None:
        if self.duck_db is not None and not DUCK_MIN_DB <= self.duck_db <= DUCK_MAX_DB:
            raise ValueError(f"ducking lies between {DUCK_MIN_DB:g} and {DUCK_MAX_DB:g} dB")
        if any(a[0] >= b[0] for a, b in pairwise(self.gains)):
            raise ValueError("gains must be sorted by class, each class once")

    def gain_db(self, priority: Priority) -> float:
        """The gain for one class, in decibels."""
        return dict(self.gains).get(priority, EMERGENCY_GAIN_DB if priority.crosses_quiet_hours else 0.0)

    def ducks(self, upper: Priority, lower: Priority) -> bool:
        """Whether ``lower`` goes on softly beneath ``upper`` here; otherwise it is silent."""
        return self.duck_db is not None and may_duck(upper, lower)
