"""Stages for the player contract: each runs one kind of player through virtual time, by hand and without threads."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from audio.playout import (
    CueState,
    Decoding,
    Driver,
    EnginePlayer,
    Outcome,
    OutputState,
    OutputStatus,
    Player,
    TimedPlayer,
    Timer,
    Timing,
)
from audio.playout.decoding import Feeder
from schedules.instants import Frames, MonoUs

BLOCK_US = 20_000
BLOCK_FRAMES = 960


@dataclass
class _ManualTimer:
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self._now = 5_000_000
        self._timers: list[tuple[int, int, _ManualTimer]] = []
        self._order = itertools.count()

    def now(self) -> MonoUs:
        return MonoUs(self._now)

    def call_at(self, at: MonoUs, callback: Callable[[], None]) -> Timer:
        timer = _ManualTimer(callback)
        heapq.heappush(self._timers, (at, next(self._order), timer))
        return timer

    def move(self, to: int) -> None:
        while self._timers and self._timers[0][0] <= to:
            at, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, at)
            if timer.callback is not None:
                timer.callback()
        self._now = to


class StepOutput:
    """An output that renders when it is told to."""

    exact = True

    def __init__(self) -> None:
        self.driver: Driver | None = None

    def probe(self) -> None:
        """Always there."""

    def start(self, driver: Driver) -> None:
        self.driver = driver

    def wake(self) -> None:
        """Steps come anyway."""

    def warm(self, until: MonoUs) -> None:
        """Never cold."""

    def state(self) -> OutputState:
        return OutputState("step", OutputStatus.RUNNING, Timing.EXACT)

    def close(self) -> None:
        self.driver = None


class InlineDecoding:
    """Decodes when it is told to, on the caller's thread."""

    def __init__(self) -> None:
        self._feeders: list[Feeder] = []

    def add(self, feeder: Feeder) -> None:
        self._feeders.append(feeder)

    def remove(self, feeder: Feeder) -> None:
        feeder.close()
        self._feeders = [other for other in self._feeders if other is not feeder]

    def wake(self) -> None:
        """The next run will see it."""

    def run(self) -> None:
        for feeder in self._feeders:
            while feeder.step():
                pass

    def close(self) -> None:
        for feeder in self._feeders:
            feeder.close()


@dataclass
class Told:
    """Everything a player said."""

    started_at: dict[str, MonoUs] = field(default_factory=dict)
    finished_at: dict[str, tuple[MonoUs, Frames, Frames, Outcome]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    troubles: list[tuple[str, str | None]] = field(default_factory=list)

    def started(self, cue_id: str, at: MonoUs) -> None:
        assert cue_id not in self.started_at
        assert cue_id not in self.finished_at
        self.started_at[cue_id] = at
        self.order.append(f"started {cue_id}")

    def finished(self, cue_id: str, at: MonoUs, frames: Frames, silence_frames: Frames, outcome: Outcome) -> None:
        assert cue_id not in self.finished_at
        self.finished_at[cue_id] = (at, frames, silence_frames, outcome)
        self.order.append(f"finished {cue_id}")

    def trouble(self, code: str, detail: str, cue_id: str | None = None) -> None:
        assert detail
        self.troubles.append((code, cue_id))


class Stage(ABC):
    """A player, its clock, and what it told."""

    player: Player

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told = Told()

    @property
    def now(self) -> int:
        return self.clock.now()

    def cue_state(self, cue_id: str) -> CueState | None:
        return next((cue for cue in self.player.state().cues if cue.cue_id == cue_id), None)

    async def advance(self, milliseconds: int) -> None:
        for _ in range(milliseconds * 1000 // BLOCK_US):
            self.step()
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    @abstractmethod
    def step(self) -> None:
        """Let one block's time pass."""


class EngineStage(Stage):
    """EnginePlayer on an output and a decoder that are stepped."""

    def __init__(self) -> None:
        super().__init__()
        self.output = StepOutput()
        self.decoding = InlineDecoding()
        decoding: Decoding = self.decoding
        self.player = EnginePlayer(self.output, clock=self.clock, decoding=decoding)
        self.player.attach(self.told)

    def step(self) -> None:
        self.decoding.run()
        if self.output.driver is not None:
            self.output.driver.render(BLOCK_FRAMES, self.clock.now())
        self.clock.move(self.now + BLOCK_US)


class TimedStage(Stage):
    """TimedPlayer on a clock that is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.player = TimedPlayer(self.clock)
        self.player.attach(self.told)

    def step(self) -> None:
        self.clock.move(self.now + BLOCK_US)
