"""Simulated paths between an agent and its controller, for the clock filter: models, not recordings."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protocol.burst import Exchange
from protocol.messages import UtcQuality
from schedules.instants import MediaUs, MonoUs

Delay = Callable[[random.Random], float]


@dataclass(frozen=True)
class Path:
    """One-way delays, microseconds."""

    up: Delay
    down: Delay


def _stalling(base: float, spread: float) -> Delay:
    return lambda chance: base + chance.uniform(0, spread) + (400_000 if chance.random() < 0.02 else 0)


FIBRE = Path(lambda c: 1_000 + c.expovariate(1 / 150), lambda c: 1_000 + c.expovariate(1 / 150))
WAN = Path(lambda c: 3_000 + c.expovariate(1 / 250), lambda c: 3_000 + c.expovariate(1 / 250))
MOBILE = Path(_stalling(22_000, 20_000), _stalling(18_000, 0))

SWAYING = Path(lambda c: c.uniform(40_000, 80_000), lambda c: c.uniform(40_000, 80_000))


class World:
    """True time, and two clocks that disagree by an offset and a wandering drift."""

    def __init__(self, path: Path, seed: int, *, ppm: float = 20.0, wander_ppm: float = 1.0) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.ppm = ppm
        self.wander_ppm = wander_ppm
        self.timeline = 7
        self.mono_origin = 86_400_000_000 * 30
        self.media_origin = 5_000_000

    def mono(self, true_us: float) -> MonoUs:
        return MonoUs(self.mono_origin + round(true_us))

    def media(self, true_us: float) -> MediaUs:
        period = 1_800e6
        wander = self.wander_ppm * 1e-6 * period / (2 * math.pi) * (1 - math.cos(2 * math.pi * true_us / period))
        return MediaUs(self.media_origin + round(true_us * (1 + self.ppm * 1e-6) + wander))

    def exchange(self, at: float) -> tuple[Exchange, float]:
        """One exchange that starts at a true instant, and when it ended."""
        there = at + self.path.up(self.chance)
        back = there + 40 + self.path.down(self.chance)
        sent, received = self.media(there), self.media(there + 40)
        utc = 1_700_000_000_000_000 + received
        quality = UtcQuality.SYNCHRONISED
        return Exchange(self.mono(at), sent, received, self.mono(back), self.timeline, utc, quality), back

    def burst(self, at: float, length: int = 8) -> tuple[list[Exchange], float]:
        exchanges = []
        for _ in range(length):
            exchange, at = self.exchange(at)
            exchanges.append(exchange)
            at += 200
        return exchanges, at

    def starts(self, seconds: float) -> Iterator[float]:
        """Bursts as an agent sends them: three a second apart, then one every ten seconds."""
        at = 1e6
        for _ in range(3):
            yield at
            at += 1e6
        while at < seconds * 1e6:
            yield at
            at += 10e6
