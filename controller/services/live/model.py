"""The words of the live desk: what is asked for, how a session stands, what a speaker is told. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from controller.services.chunks import SourceKind
from controller.services.orders import Scope

#: A source opened by hand stops after this unless it is extended, by as much each time (DESIGN, section 5).
HARD_STOP: Final = timedelta(minutes=10)
#: Extended as often as one likes, no session is longer.
LONGEST: Final = timedelta(hours=2)
#: The speaker is warned so long before the end.
WARNING: Final = timedelta(seconds=60)


class InputKind(StrEnum):
    """Where the sound of a session comes from."""

    MICROPHONE = "microphone"
    LINE = "line"
    FILE = "file"
    URL = "url"
    SOURCE = "source"

    @property
    def spoken(self) -> bool:
        """Whether it comes over the microphone's connection (the others are fetched by the controller)."""
        return self not in (InputKind.URL, InputKind.SOURCE)

    @property
    def source_kind(self) -> SourceKind:
        """How it is bundled."""
        return SourceKind.MICROPHONE if self is InputKind.MICROPHONE else SourceKind.LIVE


class LiveState(StrEnum):
    """Where a session stands."""

    WAITING = "waiting"  # for its speaker
    CHIME = "chime"
    ON_AIR = "on_air"
    ABSENT = "absent"  # the speaker's connection broke: silence
    CLOSING = "closing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What is to go on air. ``address``: of a URL, or the id of a source."""

    scope: Scope
    title: str = ""
    input: InputKind = InputKind.MICROPHONE
    address: str = ""
    chime_before: bool = True
    chime_after: bool = True
    duration: timedelta = HARD_STOP


@dataclass(frozen=True, slots=True)
class LiveTimes:
    """The patience of a session. Tests are less patient."""

    speaker: timedelta = timedelta(seconds=60)  # for a speaker to come
    source: timedelta = timedelta(seconds=10)  # for an address to be heard
    reconnect: timedelta = timedelta(seconds=10)
    silence: timedelta = timedelta(seconds=60)
    #: From the decision to the first sample: agents open their media connections meanwhile.
    opening_us: int = 800_000
    look_s: float = 0.25


@dataclass(frozen=True, slots=True)
class LiveView:
    """A session as people see it."""

    id: str
    title: str
    state: LiveState
    priority: int
    input: InputKind
    speaker: str
    clusters: frozenset[str]
    agents: int
    left_out: int  # agents whose line is too slow for live sound
    opened: datetime
    on_air: datetime | None
    ends: datetime | None  # the hard stop
    ended: datetime | None
    code: str  # why it ended
    peak_db: float | None
    rms_db: float | None
    silent_s: float
    lead_ms: int
    tape_id: str | None
    alert_id: str | None


class Speaker(Protocol):
    """The other side of a microphone's connection, as a session sees it."""

    def tell(self, message: dict[str, Any]) -> None:
        """Show the speaker something. Never waits; what cannot be sent is dropped."""
        ...

    def dismiss(self, code: str, words: str) -> None:
        """End the connection: the session is over, or another connection of the speaker took its place."""
        ...
