"""Wake-ups follow the truth, survive clock steps and failures, and never run twice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from controller.services import arming
from controller.services.arming import Arming, Due, DueSource
from schedules.instants import MonoUs

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class HandClock:
    """Clocks that move by hand, each by itself."""

    def __init__(self) -> None:
        self.wall = START
        self.mono = 0

    def now(self) -> datetime:
        return self.wall

    def mono_us(self) -> MonoUs:
        return MonoUs(self.mono)


class Book:
    """Due things in a list; doing one crosses it out."""

    def __init__(self) -> None:
        self.entries: dict[str, datetime] = {}
        self.done: list[str] = []
        self.looks = 0
        self.fail = False

    def due(self, now: datetime, until: datetime) -> Sequence[Due]:
        self.looks += 1
        return [Due(name, at, self._doing(name)) for name, at in self.entries.items() if at < until]

    def _doing(self, name: str) -> Callable[[], asyncio.Future[None]]:
        async def do() -> None:
            if self.fail:
                raise OSError("disk")
            self.entries.pop(name, None)
            self.done.append(name)

        return lambda: asyncio.ensure_future(do())


@asynccontextmanager
async def running(clock: HandClock, *sources: DueSource) -> AsyncIterator[Arming]:
    subject = Arming(clock, sources)
    task = asyncio.create_task(subject.run(), name="arming")
    await asyncio.sleep(0)
    try:
        yield subject
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - asks about state without a hook
            await asyncio.sleep(0.005)


async def test_due_and_overdue_things_are_done_and_later_ones_wait() -> None:
    clock, book = HandClock(), Book()
    book.entries = {
        "overdue": START - timedelta(hours=3),
        "soon": START + timedelta(milliseconds=40),
        "in_a_minute": START + timedelta(seconds=60),
        "tomorrow": START + timedelta(days=1),
    }
    async with running(clock, book) as subject:
        await until(lambda: book.done == ["overdue", "soon"])
        assert subject.armed == {"in_a_minute"}
        assert subject.looked_at == START


async def test_what_is_withdrawn_before_it_fires_is_not_done() -> None:
    clock, book = HandClock(), Book()
    book.entries = {"gone": START + timedelta(milliseconds=150), "stays": START + timedelta(milliseconds=160)}
    async with running(clock, book) as subject:
        del book.entries["gone"]
        subject.poke()
        await until(lambda: book.done == ["stays"])


async def test_after_a_stop_it_is_looked_at_once_the_stop_has_gone_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "STOP_FIRST_S", 0.05)
    clock, book = HandClock(), Book()
    async with running(clock, book) as subject:
        await until(lambda: book.looks == 1)
        began = asyncio.get_running_loop().time()
        subject.poke_after_stop()
        await until(lambda: book.looks == 2)
        assert asyncio.get_running_loop().time() - began >= 0.05


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
async def test_a_step_of_the_wall_clock_is_seen_and_corrected(step: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "_WATCH", timedelta(milliseconds=10))
    clock, book = HandClock(), Book()
    async with running(clock, book):
        await until(lambda: book.looks == 1)
        await asyncio.sleep(0.03)  # the first comparison of the clocks
        clock.wall += step
        book.entries = {"after": clock.wall + timedelta(milliseconds=20)}
        await until(lambda: book.done == ["after"])
    assert book.looks >= 2


async def test_the_truth_is_asked_again_although_nobody_pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "_WATCH", timedelta(milliseconds=5))
    monkeypatch.setattr(arming, "REARM", timedelta(milliseconds=20))
    book = Book()
    async with running(HandClock(), book):
        await until(lambda: book.looks >= 3)


async def test_a_failing_action_is_asked_for_again_and_a_failing_source_silences_nobody() -> None:
    class Broken:
        def due(self, now: datetime, until: datetime) -> Sequence[Due]:
            raise KeyError("no plan")

    book = Book()
    book.entries, book.fail = {"once": START}, True
    async with running(HandClock(), Broken(), book) as subject:
        await until(lambda: not subject.armed)
        await asyncio.sleep(0.02)
        assert book.done == []
        book.fail = False
        subject.poke()
        await until(lambda: book.done == ["once"])


async def test_an_action_that_still_runs_is_not_started_again(caplog: pytest.LogCaptureFixture) -> None:
    gate, starts = asyncio.Event(), 0

    class Slow:
        def due(self, now: datetime, until: datetime) -> Sequence[Due]:
            return [Due("slow", now, self.work)]

        async def work(self) -> None:
            nonlocal starts
            starts += 1
            await gate.wait()

    async with running(HandClock(), Slow()) as subject:
        await until(lambda: starts == 1)
        for _ in range(3):
            subject.poke()
            await asyncio.sleep(0.01)
        assert starts == 1
        assert not caplog.records  # APScheduler warns of each it had to skip
        gate.set()
