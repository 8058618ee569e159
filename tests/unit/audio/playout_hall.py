"""A virtual converter and programmes whose samples tell their own number: ground truth for the engine's tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from audio.pcm import Samples
from audio.playout.engine import Engine
from audio.playout.ring import SampleRing
from audio.playout.timeline import ClipTimeline, Timeline
from audio.playout.voice import Source, VoiceEvent
from schedules.instants import MonoUs

US = 1e6 / 48_000
BLOCK = 960

Programme = Callable[[int, int], Samples]  # (position, count) -> samples


def counting(position: int, count: int) -> Samples:
    """A saw of 0.1 to 0.6 with a period of 2000 samples: a value tells its position within 41 ms."""
    return (0.1 + 0.5 * (np.arange(position, position + count) % 2000) / 2000).astype(np.float32)


def sine(position: int, count: int) -> Samples:
    """440 Hz at half of full scale; between two of its samples lie at most 0.029."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(position, position + count) / 48_000)).astype(np.float32)


#: The steepest that ``sine`` gets, and a little for fades and joints.
NO_CLICK = 0.5 * 2 * np.pi * 440 / 48_000 * 1.25


@dataclass
class Filler:
    """Keeps a ring filled from a programme, with holes."""

    ring: SampleRing
    programme: Programme
    end: int
    holes: tuple[tuple[int, int], ...] = ()

    def fill(self) -> None:
        while (room := min(self.ring.room(), 9600)) > 0 and self.ring.end < self.end:
            if self.ring.wanted > self.ring.end:
                self.ring.skip(min(self.ring.wanted, self.end))
            at = self.ring.end
            count = min(room, self.end - at)
            samples = self.programme(at, count).copy()
            for begin, end in self.holes:
                samples[max(0, begin - at) : max(0, end - at)] = np.nan
            self.ring.write(samples)


@dataclass
class VirtualDac:
    """Runs an engine against a converter with its own rate; keeps what truly sounded and when."""

    engine: Engine
    ppm: float = 0.0
    noise_us: float = 0.0
    block: int = BLOCK
    start: float = 1_000_000.0
    fillers: list[Filler] = field(default_factory=list)
    events: list[VoiceEvent] = field(default_factory=list)
    sound: list[Samples] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # true instant of each block's first sample

    def __post_init__(self) -> None:
        self.random = random.Random(1)
        self.now = self.start

    def arm(
        self,
        cue_id: str,
        start_at: float,
        frames: int,
        *,
        programme: Programme = counting,
        offset: int = 0,
        gain_db: float = 0.0,
        fade_in_ms: int = 5,
        level_db: float = 0.0,
        holes: tuple[tuple[int, int], ...] = (),
    ) -> ClipTimeline:
        timeline = ClipTimeline(MonoUs(round(start_at)), offset, frames)
        ring = SampleRing(offset)
        self.fillers.append(Filler(ring, programme, frames, holes))
        self.add(cue_id, timeline, ring, gain_db=gain_db, fade_in_ms=fade_in_ms, level_db=level_db)
        return timeline

    def add(
        self,
        cue_id: str,
        timeline: Timeline,
        ring: SampleRing,
        *,
        gain_db: float = 0.0,
        fade_in_ms: int = 5,
        level_db: float = 0.0,
    ) -> None:
        self.engine.add(cue_id, Source(timeline, ring), gain_db=gain_db, fade_in_ms=fade_in_ms, level_db=level_db)

    def run(self, seconds: float, *, keep: bool = True) -> None:
        blocks = round(seconds * 48_000 / self.block)
        for _ in range(blocks):
            self.step(keep=keep)

    def step(self, *, keep: bool = True, glitch_us: float = 0.0) -> Samples:
        self.now += glitch_us
        for filler in self.fillers:
            filler.fill()
        told = self.now + self.random.uniform(-self.noise_us, self.noise_us)
        block = self.engine.render(self.block, MonoUs(round(told)), glitch=glitch_us > 0)
        self.events += self.engine.take_events()
        if keep:
            self.sound.append(block)
            self.times.append(self.now)
        self.now += self.block * US / (1 + self.ppm * 1e-6)
        return block

    @property
    def heard(self) -> Samples:
        return np.concatenate(self.sound)

    def true_error_us(self, timeline: ClipTimeline) -> list[float]:
        """For each kept block: how late its middle sample truly was, by the value it carries (``counting``)."""
        errors = []
        middle = self.block // 2
        for block, time in zip(self.sound, self.times, strict=True):
            value = float(block[middle])
            steps = np.diff(block[middle - 2 : middle + 3]) * 4000
            if not 0.12 < value < 0.58 or not ((steps > 0.5) & (steps < 1.5)).all():
                continue  # at the saw's edge a value is mixed of two
            due = timeline.index_at(time + middle * US / (1 + self.ppm * 1e-6))
            told = (value - 0.1) / 0.5 * 2000
            behind = (due - told + 1000) % 2000 - 1000
            errors.append(behind * US)
        return errors
