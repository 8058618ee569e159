"""What the arbiter remembers between two calls, and across reboots.

Rules kept here:

1. An occurrence that is over stays over: its :class:`Progress` is kept for :data:`RETENTION` past its expiry, longer
   than any plan's horizon, so no plan can bring it back.
2. A state is a value and turns into plain JSON values and back without loss (instants as microseconds since 1970).

Not here: how it changes (:mod:`schedules.arbiter.engine`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from schedules.arbiter.outcome import Outcome
from schedules.instants import NO_FRAMES, Frames, frames_of, from_unix_us, to_unix_us

#: How long an ended occurrence is remembered after its expiry: the longest horizon (35 days) and ten days more.
RETENTION = timedelta(days=45)


class Phase(StrEnum):
    """Where an occurrence is on its way."""

    HELD = "held"  # due, but its audio or the time is missing; nothing decided yet
    WAITING = "waiting"  # admitted, never sounded
    SOUNDING = "sounding"
    DUCKED = "ducked"  # sounding softly beneath a live announcement
    PAUSED = "paused"  # sounded, silenced by a higher class or a lost source
    DONE = "done"

    @property
    def is_heard(self) -> bool:
        """Whether it comes out of the loudspeaker, loud or soft."""
        return self in (Phase.SOUNDING, Phase.DUCKED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one occurrence got.

    The place in the sound is ``anchor_frames`` at ``anchor_at``; it moves with the clock while ``moving`` (on air, or
    joining by the clock) and stands still otherwise. ``heard`` counts samples of earlier runs, ``since`` is the
    beginning of the present one, ``first`` of the first. What is ducked is heard, what is silenced is not. ``content``
    is a fingerprint of what it plays.
    """

    phase: Phase
    expires: datetime
    anchor_at: datetime
    anchor_frames: Frames = NO_FRAMES
    moving: bool = False
    since: datetime | None = None
    first: datetime | None = None
    heard: Frames = NO_FRAMES
    content: str = ""
    stream_id: int | None = None
    interrupted: bool = False  # the agent was off in the middle; its late policy has yet to decide
    outcome: Outcome | None = None
    code: str = ""

    def position(self, now: datetime) -> Frames:
        """The sample that is due at ``now``."""
        if not self.moving or now <= self.anchor_at:
            return self.anchor_frames
        return Frames(self.anchor_frames + frames_of(now - self.anchor_at))

    def heard_until(self, now: datetime) -> Frames:
        """Samples heard in all runs until ``now``."""
        if self.since is None or now <= self.since:
            return self.heard
        return Frames(self.heard + frames_of(now - self.since))


@dataclass(frozen=True, slots=True)
class State:
    """The past, as far as the future depends on it. Begin with :meth:`initial`.

    ``at`` is the last instant decided, ``trusted_at`` the last one with trusted time, ``born`` the first: what expired
    before it was never this agent's to play. ``on_air`` is the occurrence that sounds; ``silent_since`` when the last
    one ended. ``stopped_at`` and ``withdrawn`` are the orders that still hold.
    """

    at: datetime | None = None
    trusted_at: datetime | None = None
    born: datetime | None = None
    on_air: str | None = None
    silent_since: datetime | None = None
    stopped_at: datetime | None = None
    withdrawn: Mapping[tuple[str, datetime | None], datetime] = field(default_factory=dict)
    played: Mapping[str, Progress] = field(default_factory=dict)
    untrusted_told: bool = False
    _active: frozenset[str] | None = field(default=None, init=False, repr=False, compare=False)
    _following: tuple[object, datetime | None] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def active(self) -> frozenset[str]:
        """The occurrences that are not over."""
        if self._active is None:
            found = frozenset(key for key, progress in self.played.items() if progress.phase is not Phase.DONE)
            object.__setattr__(self, "_active", found)
            return found
        return self._active

    def with_active(self, active: frozenset[str]) -> Self:
        """Saves the search for them, for one who knows."""
        object.__setattr__(self, "_active", active)
        return self

    def with_following(self, situation: object, change: datetime | None) -> Self:
        """Saves the search for the first change after this state, under inputs that stay as they are."""
        object.__setattr__(self, "_following", (situation, change))
        return self

    def following(self, situation: object) -> tuple[datetime | None] | None:
        """The first change under these very inputs, if that is known."""
        known = self._following
        return (known[1],) if known is not None and known[0] is situation else None

    @classmethod
    def initial(cls) -> Self:
        """An agent that has never sounded."""
        return cls()

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON values, for the agent's database."""
        return {
            "v": 1,
            "at": _us(self.at),
            "trusted_at": _us(self.trusted_at),
            "born": _us(self.born),
            "on_air": self.on_air,
            "silent_since": _us(self.silent_since),
            "stopped_at": _us(self.stopped_at),
            "withdrawn": [[rule, _us(recurrence), _us(at)] for (rule, recurrence), at in self.withdrawn.items()],
            "played": {key: _progress_to_plain(value) for key, value in self.played.items()},
            "untrusted_told": self.untrusted_told,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The state that :meth:`to_plain` wrote.

        Raises:
            ValueError: the values are not a state of a known version.
        """
        try:
            if plain["v"] != 1:
                raise ValueError(f"unknown version of an arbiter state: {plain['v']!r}")
            return cls(
                at=_wall(plain["at"]),
                trusted_at=_wall(plain["trusted_at"]),
                born=_wall(plain["born"]),
                on_air=plain["on_air"],
                silent_since=_wall(plain["silent_since"]),
                stopped_at=_wall(plain["stopped_at"]),
                withdrawn={(rule, _wall(rec)): from_unix_us(at) for rule, rec, at in plain["withdrawn"]},
                played={key: _progress_from_plain(value) for key, value in plain["played"].items()},
                untrusted_told=bool(plain["untrusted_told"]),
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not an arbiter state: {error!r}") from error


_INSTANTS = frozenset({"expires", "anchor_at", "since", "first"})


def _us(value: datetime | None) -> int | None:
    return None if value is None else to_unix_us(value)


def _wall(value: int | None) -> datetime | None:
    return None if value is None else from_unix_us(value)


def _progress_to_plain(progress: Progress) -> dict[str, Any]:
    """Only what differs from a fresh progress: thousands of these are kept."""
    plain: dict[str, Any] = {}
    for spec in fields(progress):
        value = getattr(progress, spec.name)
        if value == spec.default:
            continue
        plain[spec.name] = _us(value) if spec.name in _INSTANTS else value
    return plain


def _progress_from_plain(plain: Mapping[str, Any]) -> Progress:
    values: dict[str, Any] = {key: _wall(value) if key in _INSTANTS else value for key, value in plain.items()}
    values["phase"] = Phase(values["phase"])
    if values.get("outcome") is not None:
        values["outcome"] = Outcome(values["outcome"])
    return Progress(**values)
