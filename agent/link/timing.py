"""Asks the controller for the time in bursts, and tells the wall clock and the live streams what it learnt.

Three bursts a second apart when connected, and on a path that sways as many more as it takes until the mapping may be
played by (at most :data:`UNREADY_BURSTS`); then one every 10 s while something live sounds or is about to (every 3 s
while the mapping is unsure by more than 2 ms), else every 30 s (on a metered link every two minutes, with four
questions instead of eight).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from agent.clocks import Clock
from agent.conductor.wall import Reading, Source
from protocol.burst import ANSWER_WITHIN_US, BURST_LENGTH, Burst
from protocol.clock import ClockFilter
from protocol.errors import ClockError
from protocol.messages import ClockReply, UtcQuality, encode
from schedules.instants import MonoUs, to_unix_us

log = structlog.get_logger("agent.clock")

FIRST_BURSTS = 3
FIRST_PAUSE_S = 1.0
UNREADY_BURSTS = 15
UNREADY_PAUSE_S = 1.0
LIVE_PAUSE_S = 10.0
#: While something live sounds and the mapping is less sure than this, it is asked more often.
UNSURE_US = 2_000.0
UNSURE_PAUSE_S = 3.0
IDLE_PAUSE_S = 30.0
METERED_PAUSE_S = 120.0
METERED_LENGTH = 4


class Asking(Protocol):
    """What a question is written to."""

    async def send(self, text: str) -> None:
        """Write one frame."""
        ...


class ClockCaller:
    """One agent's questions and answers; outlives its connections."""

    def __init__(self, clock: Clock, timebase: ClockFilter, learnt: Callable[[Reading | None], None]) -> None:
        """``learnt`` gets wall time after each burst (None when the controller itself does not know it)."""
        self._clock = clock
        self._timebase = timebase
        self._learnt = learnt
        self._burst = Burst(0)
        self._answered = asyncio.Event()
        self._hurry = asyncio.Event()

    def on_reply(self, reply: ClockReply, received: MonoUs) -> None:
        """Take an answer off the wire."""
        try:
            if self._burst.on_reply(reply, received):
                self._answered.set()
        except ClockError as error:
            log.warning("a clock reply makes no sense", error=str(error))

    def hurry(self) -> None:
        """Something live begins: ask now."""
        self._hurry.set()

    async def run(self, asking: Asking, *, live: Callable[[], bool], metered: bool) -> None:
        """Ask for as long as the connection lasts."""
        for _ in range(FIRST_BURSTS):
            await self._one(asking, BURST_LENGTH)
            await asyncio.sleep(FIRST_PAUSE_S)
        for _ in range(UNREADY_BURSTS):
            if self._timebase.ready(self._clock.mono_us()):
                break
            await self._one(asking, BURST_LENGTH)
            await asyncio.sleep(UNREADY_PAUSE_S)
        while True:
            idle = METERED_PAUSE_S if metered else IDLE_PAUSE_S
            self._hurry.clear()
            try:
                async with asyncio.timeout(self._live_pause() if live() else idle):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            await self._one(asking, METERED_LENGTH if metered and not live() else BURST_LENGTH)

    def _live_pause(self) -> float:
        unsure = self._timebase.sigma_us(self._clock.mono_us()) > UNSURE_US
        return UNSURE_PAUSE_S if unsure else LIVE_PAUSE_S

    async def _one(self, asking: Asking, length: int) -> None:
        self._burst = burst = Burst(length)
        while not burst.done(self._clock.mono_us()):
            self._answered.clear()
            question = burst.question(self._clock.mono_us())
            if question is not None:
                await asking.send(encode(question))
            try:
                async with asyncio.timeout(ANSWER_WITHIN_US / 1e6):
                    await self._answered.wait()
            except TimeoutError:
                continue
        if burst.exchanges:
            self._take(burst)

    def _take(self, burst: Burst) -> None:
        try:
            self._timebase.update(burst.exchanges)
        except ClockError as error:
            log.warning("a burst makes no sense", error=str(error))
            return
        now = self._clock.mono_us()
        known = self._timebase.utc_at(now)
        if known is None or known.quality is UtcQuality.UNKNOWN:
            self._learnt(None)
        else:
            self._learnt(Reading(Source.CONTROLLER, to_unix_us(known.utc), now))
