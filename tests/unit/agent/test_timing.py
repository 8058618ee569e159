"""When an agent asks for the time: quickly until it may play by the answer, then seldom."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from agent.link.timing import FIRST_BURSTS, IDLE_PAUSE_S, UNREADY_BURSTS, ClockCaller
from protocol.burst import BURST_LENGTH
from protocol.clock import ClockFilter
from protocol.messages import Clock, ClockReply, UtcQuality, decode
from protocol.timeline import Timeline
from schedules.instants import MonoUs


class Path:
    """A clock that moves as answers travel, and the controller at the other end."""

    def __init__(self, jitter_us: float, *, broken: bool = False) -> None:
        self.now = 10_000_000.0
        self.jitter_us = jitter_us
        self.broken = broken
        self.chance = random.Random(3)
        self.caller: ClockCaller | None = None
        self.asked: list[float] = []
        self.pauses: list[float] = []

    def mono_us(self) -> MonoUs:
        return MonoUs(round(self.now))

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def _travel(self) -> MonoUs:
        self.now += 1_000 + self.chance.uniform(0, self.jitter_us)
        return self.mono_us()

    async def send(self, text: str) -> None:
        question = decode(text)
        assert isinstance(question, Clock)
        self.asked.append(self.now)
        there = self._travel()
        line = Timeline(len(self.asked) if self.broken else 7, MonoUs(0))
        reply: ClockReply = line.reply(question, received=there, sent=there, utc_us=1, quality=UtcQuality.SYNCHRONISED)
        assert self.caller is not None
        self.caller.on_reply(reply, self._travel())

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds * 1e6
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)


async def _bursts(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bursts until the caller settles down to its slow rhythm."""
    clock = ClockFilter()
    path.caller = ClockCaller(path, clock, lambda _: None)
    monkeypatch.setattr(asyncio, "sleep", path.sleep)
    task = asyncio.create_task(path.caller.run(path, live=lambda: False, metered=False))
    before = -1
    while len(path.asked) != before:  # it waits for something live, or for half a minute
        before = len(path.asked)
        for _ in range(20):
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert max(path.pauses) < IDLE_PAUSE_S
    return len(path.asked) // BURST_LENGTH


async def test_a_steady_path_is_asked_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _bursts(Path(200), monkeypatch) == FIRST_BURSTS


async def test_a_path_that_sways_is_asked_until_the_answer_may_be_played_by(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FIRST_BURSTS < await _bursts(Path(120_000), monkeypatch) < FIRST_BURSTS + UNREADY_BURSTS


async def test_it_gives_up_being_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _bursts(Path(200, broken=True), monkeypatch) == FIRST_BURSTS + UNREADY_BURSTS
