"""What an alert is: frozen values, from the draft to its end. Pure; ``now`` is an argument.

Rules kept here:

1. A draft says what, where and how often; composing it freezes the very clusters and the very bytes. What is confirmed
   is what was shown.
2. The words of its life: ``composed`` (its speech is being made), ``armed`` (waits for a second person), ``confirmed``
   or ``overridden`` (given), then ``sounding`` and ``repeating``; it ends as ``cancelled``, ``cleared``, ``replaced``
   (a later alert took its place everywhere), ``expired`` or ``missed`` (given, and nobody sounded). The first four and
   the ends are kept; the two between are seen (:meth:`Alert.phase`).
3. A new alert may take the place of earlier ones: they end in silence where it sounds, with no word of a cancel, and
   go on where it does not, until somebody cancels them there. Nobody is left in silence, or told that all is well, by
   an alert that says nothing about their place.
4. An alert is an alert for ever: drills have a type, paths and keys of their own and share only the parts below.

Not here: who may do what (:mod:`controller.services.alerts.desk`), bytes in the journal
(:mod:`controller.services.alerts.records`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from controller.services.orders import Scope
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Clip

#: How long a composed alert waits for its second person.
TOKEN_LIFE: Final = timedelta(minutes=10)
#: The cadence of disaster bulletins (Decision 18/2021: every two hours, day and night).
CADENCE: Final = timedelta(hours=2)
#: Longest an alert may go on repeating before a person extends it; the longest life of a command.
MAX_LIFE: Final = timedelta(hours=24)
#: How long a cluster that was away may come back and still sound it.
DEFAULT_VALID: Final = timedelta(hours=1)
MIN_VALID: Final = timedelta(minutes=1)
MAX_TIMES: Final = 10
DEFAULT_TIMES: Final = 3
DEFAULT_GAP: Final = timedelta(seconds=10)
MIN_EVERY: Final = timedelta(minutes=5)
#: A live emergency voice that nobody extends ends after this (DESIGN, section 5).
VOICE_LIFE: Final = timedelta(minutes=10)
#: The reason of an end that a STOP brought, and who it is put down to.
STOP: Final = "STOP"
#: Reasons of other ends that come by themselves; those of a live voice are the codes of its session.
NOT_CONFIRMED: Final = "not_confirmed"
RESTARTED: Final = "restarted"
#: How the rule of what tells of an alert's end is called: the alert's id and this.
FAREWELL: Final = "_c"
BY_ITSELF: Final = "system"
_NO_SOUND: Final = Frames(0)


class Category(StrEnum):
    """What threatens. The names are used in scripts; people see the templates' titles."""

    FLOOD = "flood"
    FLASH_FLOOD = "flash_flood"
    STORM = "storm"
    LANDSLIDE = "landslide"
    FIRE = "fire"
    DAM_RELEASE = "dam_release"
    EVACUATION = "evacuation"
    ALL_CLEAR = "all_clear"
    CUSTOM = "custom"


class Tone(StrEnum):
    """The sound before the words."""

    NONE = "none"
    SIREN = "siren"  # rises and falls: get ready, listen
    WARBLE = "warble"  # two tones in turn, fast: danger now
    PULSE = "pulse"  # short blasts: fire, leave
    GONG = "gong"  # calm: all clear


#: What happens to an alert in its life, each journalled and audited as ``alert.`` and this.
AlertStep = Literal[
    "compose", "arm", "fail", "confirm", "override", "extend", "cancel", "clear", "expire", "stop", "replace"
]


class AlertKind(StrEnum):
    """What sounds: a template, words made for this alert, or a person at the microphone."""

    TEMPLATE = "template"
    TEXT = "text"
    VOICE = "voice"


class AlertState(StrEnum):
    """What is kept of where an alert stands."""

    COMPOSED = "composed"
    ARMED = "armed"
    CONFIRMED = "confirmed"
    OVERRIDDEN = "overridden"
    CANCELLED = "cancelled"
    CLEARED = "cleared"
    REPLACED = "replaced"
    EXPIRED = "expired"
    MISSED = "missed"

    @property
    def given(self) -> bool:
        """Whether orders were given that still hold."""
        return self in {AlertState.CONFIRMED, AlertState.OVERRIDDEN}

    @property
    def waiting(self) -> bool:
        """Whether it still waits for a person."""
        return self in {AlertState.COMPOSED, AlertState.ARMED}


@dataclass(frozen=True, slots=True)
class Where:
    """Where an alert is for: places of the tree, single clusters, figures on the map; together.

    Figures are written as CAP writes them: ``lat,lon lat,lon …`` and ``lat,lon radius`` (degrees, kilometres).
    """

    scope: Scope = field(default_factory=Scope)
    polygons: tuple[str, ...] = ()
    circles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """What is said in one language. ``recording``: an approved recording that says it; None = it is spoken for this."""

    language: str
    text: str
    recording: str | None = None


@dataclass(frozen=True, slots=True)
class Repetition:
    """``times`` in a row with ``gap`` between; then, with ``every``, the same again until ``until`` or cancelled."""

    times: int = DEFAULT_TIMES
    gap: timedelta = DEFAULT_GAP
    every: timedelta | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Why it was composed: ``person``, ``cap`` (a warning that was received) or ``policy`` (automatic)."""

    kind: str = "person"
    reference: str = ""  # the warning's id, or the policy's name
    summary: str = ""  # for people


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """What someone wants to send. ``words`` and ``cancel_words`` are for :attr:`AlertKind.TEXT` only.

    ``repetition`` None: as the template says, or three times. ``again``: the same within three minutes is meant.
    ``replaces``: alerts whose place it takes where it sounds.
    """

    where: Where
    kind: AlertKind = AlertKind.TEMPLATE
    template: str | None = None
    title: str = ""
    category: Category = Category.CUSTOM
    tone: Tone = Tone.SIREN
    words: tuple[Words, ...] = ()
    cancel_words: tuple[Words, ...] = ()
    repetition: Repetition | None = None
    valid: timedelta = DEFAULT_VALID
    again: bool = False
    replaces: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class SpokenClip:
    """Frozen sound of one language, with its words. ``clip`` carries the approval of these very bytes, once given."""

    language: str
    text: str
    clip: Clip
    recording: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A tone and the same words in several languages: what an alert, a cancel twin or a drill's content is made of."""

    tone: Clip | None
    spoken: tuple[SpokenClip, ...]

    @property
    def clips(self) -> tuple[Clip, ...]:
        """Every sound of it."""
        return (*(() if self.tone is None else (self.tone,)), *(each.clip for each in self.spoken))

    @property
    def languages(self) -> tuple[str, ...]:
        """What it is spoken in, in order."""
        return tuple(each.language for each in self.spoken)


@dataclass(frozen=True, slots=True)
class Person:
    """Who did something, by id and by the name the audit log shows."""

    user_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an alert's life: who, when, and why where it matters."""

    by: Person
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Farewell:
    """What told people that an alert is over: its cancel twin, or the all-clear; ``rule`` is what boxes know it by."""

    rule: str
    start: datetime
    expires: datetime
    words: str  # in the first language


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, replaced as a whole at every step.

    ``rules`` are the rule ids agents know it by (an extension adds one); ``expires`` is when its last order does;
    ``taken`` are the clusters at which a later alert, ``successor``, took its place.
    """

    id: str
    title: str
    category: Category
    priority: Priority
    draft: AlertDraft
    clusters: frozenset[str]
    message: Message | None  # None: live voice, or its speech is not made yet
    twin: Message | None
    repetition: Repetition
    state: AlertState
    composed: Step
    code_sha256: str = ""
    code_expires: datetime | None = None
    template_version: int | None = None
    given: Step | None = None  # confirmed or overridden
    start: datetime | None = None
    expires: datetime | None = None
    rules: tuple[str, ...] = ()
    length: Frames = _NO_SOUND  # of one round at the cluster that sounds longest
    ended: Step | None = None
    voice: str = ""  # the live session, for AlertKind.VOICE
    fault: str = ""  # why its speech could not be made
    taken: frozenset[str] = frozenset()
    successor: str = ""
    farewell: Farewell | None = None  # None: nobody was told that it is over

    @property
    def remaining(self) -> frozenset[str]:
        """The clusters at which its orders hold as far as no later alert took its place."""
        return self.clusters - self.taken

    @property
    def stopped(self) -> bool:
        """Whether a STOP ended it: people heard no end of it, so it may be cancelled or cleared once more."""
        over = self.ended
        return (
            self.state is AlertState.CANCELLED
            and over is not None
            and (over.by.user_id, over.reason) == (BY_ITSELF, STOP)
        )

    @property
    def solo(self) -> bool:
        """Whether one person gave it alone."""
        return self.given is not None and self.given.by.user_id == self.composed.by.user_id

    def phase(self, *, started: int, now: datetime) -> str:
        """The word people see; ``started``: clusters that sounded so far."""
        if not self.state.given:
            return str(self.state)
        if not started or self.start is None:
            return str(self.state)
        first_round = self.start + timedelta(seconds=self.length / 48_000)
        return "repeating" if self.repetition.every is not None and now > first_round else "sounding"
