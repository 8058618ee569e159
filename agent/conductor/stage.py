"""The cues that are armed or sounding, by what they sound. The conductor's hands on the player.

Rules kept here:

1. At most one cue per :data:`~agent.conductor.cues.Key`; every cue that was armed is accounted for until the player
   says that it has finished.
2. A cue that ends although it should sound is armed again, at most :data:`ATTEMPTS` times: a file that kills the
   decoder is not tried for ever.
3. Nothing here decides. It arms, stops, and tells what happened.
4. A player that counts wrong is told of, and costs no record: a count below zero is taken for none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.conductor.cues import Key
from agent.conductor.faders import Fader
from audio.errors import AudioError
from audio.playout import Cue, LiveCue, Outcome, Player
from schedules.arbiter import Sounding
from schedules.instants import NO_FRAMES, Frames, MonoUs

log = structlog.get_logger("agent.stage")

ATTEMPTS = 3
_REMEMBERED = 256

#: Fade of a sound that gives way, in milliseconds: as long as a fader takes. A STOP takes the player's own, which is
#: shorter.
YIELD_FADE_MS = 100


@dataclass(slots=True)
class Act:
    """One cue. ``planned``: the monotonic instant its first sample belongs to, for the start error.

    ``begins``: when its first sample is due, if that is known. ``fader``: what the player was told last.
    """

    key: Key
    cue_id: str
    sounding: Sounding
    planned: MonoUs
    begins: MonoUs | None
    fader: Fader
    started_at: MonoUs | None = None
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What the player said of a cue that finished. ``last``: it holds no other cue of the same occurrence."""

    at: MonoUs
    frames: int
    silence_frames: int
    outcome: Outcome
    last: bool


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom the stage tells."""

    started: Callable[[Act, MonoUs], None]
    finished: Callable[[Act, Ending], None]
    trouble: Callable[[str, str], None]


class Stage:
    """Implements :class:`audio.playout.PlayerListener`."""

    def __init__(self, player: Player, callbacks: Callbacks) -> None:
        self._player = player
        self._tell = callbacks
        self._acts: dict[str, Act] = {}
        self._attempts: OrderedDict[Key, int] = OrderedDict()
        self._counter = 0
        player.attach(self)

    def next_id(self) -> str:
        """A name for a cue that no other one has."""
        self._counter += 1
        return f"cue-{self._counter}"

    @property
    def acts(self) -> tuple[Act, ...]:
        """Everything armed or sounding."""
        return tuple(self._acts.values())

    def of(self, key: Key) -> Act | None:
        """The live act for ``key``: armed or sounding, and not being stopped."""
        return next((act for act in self._acts.values() if act.key == key and not act.stopping), None)

    def holds(self, occurrence_id: str) -> bool:
        """A cue of this occurrence has not finished yet."""
        return any(act.key[0] == occurrence_id for act in self._acts.values())

    def may_try(self, key: Key) -> bool:
        """It was not tried too often."""
        return self._attempts.get(key, 0) < ATTEMPTS

    def arm(self, key: Key, sounding: Sounding, cue: Cue | LiveCue, planned: MonoUs) -> bool:
        """Give the player a cue; False (and trouble told) when it does not take it."""
        self._attempts[key] = self._attempts.get(key, 0) + 1
        while len(self._attempts) > _REMEMBERED:
            self._attempts.popitem(last=False)
        begins = cue.start_at if isinstance(cue, Cue) else None
        act = Act(key, cue.cue_id, sounding, planned, begins, Fader(cue.level_db))
        self._acts[cue.cue_id] = act
        try:
            self._player.arm(cue)
        except AudioError as error:
            del self._acts[cue.cue_id]
            self._tell.trouble(error.code, str(error))
            return False
        return True

    def give_up(self, key: Key) -> None:
        """Do not arm this again."""
        self._attempts[key] = ATTEMPTS

    def try_again(self, key: Key) -> None:
        """It did well; its tries are not counted against it."""
        self._attempts.pop(key, None)

    def stop(self, act: Act, *, at: MonoUs | None = None, fade_ms: int = YIELD_FADE_MS) -> None:
        """Let it fade."""
        act.stopping = True
        self._player.stop(act.cue_id, at, fade_ms)

    def silence(self) -> None:
        """Stop everything at once, with the player's shortest fade."""
        for act in self._acts.values():
            act.stopping = True
            self._player.stop(act.cue_id)

    def set_gain(self, act: Act, gain_db: float) -> None:
        """Turn it up or down."""
        self._player.set_gain(act.cue_id, gain_db)

    def fade(self, act: Act, fader: Fader) -> None:
        """Move its fader, unless the player was told so already."""
        told = act.fader
        moved = fader.at is not None and told.at is not None and fader.at != told.at
        if fader.level_db != told.level_db or moved:
            act.fader = fader
            self._player.set_level(act.cue_id, fader.level_db, fader.at)

    # -- PlayerListener -----------------------------------------------------------------------------------

    def started(self, cue_id: str, at: MonoUs) -> None:
        """See :class:`audio.playout.PlayerListener`."""
        act = self._acts.get(cue_id)
        if act is not None:
            act.started_at = at
            self._tell.started(act, at)

    def finished(self, cue_id: str, at: MonoUs, frames: Frames, silence_frames: Frames, outcome: Outcome) -> None:
        """See :class:`audio.playout.PlayerListener`."""
        act = self._acts.pop(cue_id, None)
        if act is None:
            return
        if min(frames, silence_frames) < 0:
            self.trouble("miscounted", f"{frames} samples heard and {silence_frames} missing", cue_id)
            frames, silence_frames = max(frames, NO_FRAMES), max(silence_frames, NO_FRAMES)
        self._tell.finished(act, Ending(at, frames, silence_frames, outcome, last=not self.holds(act.key[0])))

    def trouble(self, code: str, detail: str, cue_id: str | None = None) -> None:
        """See :class:`audio.playout.PlayerListener`."""
        log.warning("the player reports", code=code, detail=detail, cue=cue_id)
        self._tell.trouble(code, detail)
