"""What a live session is made of: its billing, and the means it works with. Values and ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from audio.stream import SpeechFormat
from controller.services.chunks import Chunk
from controller.services.context import Actor, Clock
from controller.services.live.model import InputKind, LiveTimes
from controller.services.ports import MediaClock
from controller.services.streams import StreamOpener
from schedules.instants import MediaUs
from schedules.ladder import Priority


class Speech(Protocol):
    """An encoder of speech that runs, as :class:`audio.stream.SpeechEncoder` does."""

    def tell_format(self, what: SpeechFormat) -> None:
        """What follows."""
        ...

    def speech(self, data: bytes) -> bool:
        """One frame; False when it was dropped."""
        ...

    def chime(self, which: Literal["before", "after"]) -> None:
        """Let a chime follow."""
        ...

    def bend(self, ppm: int) -> None:
        """Play speech faster by so many millionths."""
        ...

    def end(self) -> None:
        """Nothing more comes."""
        ...

    def __aiter__(self) -> Any:
        """Packets and levels."""
        ...


SpeechFactory = Callable[[], AbstractAsyncContextManager[Speech]]


class Feed(Protocol):
    """Fetches the sound of an address."""

    @property
    def trouble(self) -> tuple[str, datetime] | None:
        """Why nothing comes, and since when; None while it sounds."""
        ...

    @property
    def sounds(self) -> bool | None:
        """Whether sound is at hand; None while that is being found out."""
        ...

    def begin(self, start: MediaUs) -> None:
        """``start`` is the first instant it may sound; until then nothing is handed out."""
        ...

    def __call__(self, listener: Callable[[Chunk], None]) -> Awaitable[None]:
        """Fetch until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a session works with."""

    opener: StreamOpener
    media: MediaClock
    clock: Clock
    speech: SpeechFactory
    times: LiveTimes


@dataclass(frozen=True, slots=True)
class Billing:
    """What a session is."""

    id: str
    title: str
    priority: Priority
    input: InputKind
    actor: Actor
    clusters: frozenset[str]
    chime_before: bool
    chime_after: bool
    duration: timedelta
    alert_id: str | None = None
