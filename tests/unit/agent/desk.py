"""Runs a real agent against a :class:`~tests.unit.agent.small_controller.SmallController`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.app import Agent
from agent.cli.output import set_up_logs
from agent.clocks import SystemClock
from agent.config import AgentConfig
from agent.health.timekeeping import Timekeeper
from agent.host import Host
from protocol.enrolment import Provisioning
from schedules.ladder import Priority
from schedules.model import Clip, Item, LateKind, LatePolicy, Recorded

set_up_logs("error")


class HastyRandom(random.Random):
    """Draws so short that a test does not wait for back-off."""

    def uniform(self, a: float, b: float) -> float:
        del b
        return a


class ShiftedClock(SystemClock):
    """The system's clocks, with wall time somewhere else."""

    def __init__(self, shift: timedelta = timedelta(0)) -> None:
        self.shift = shift

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.shift


@asynccontextmanager
async def running_agent(
    folder: Path,
    provisioning: Provisioning | None = None,
    *,
    controller: str | None = None,
    output: str | None = "null",
    clock: ShiftedClock | None = None,
    budget_bytes: int = 1 << 30,
) -> AsyncIterator[Agent]:
    """One agent, ended in good order."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - a test's own folder
    clock = clock or ShiftedClock()
    nobody = Timekeeper(clock, root=folder / "no-such-root")
    async with Host(
        folder, clock=clock, draw=HastyRandom(), timekeeper=nobody, mdns=None, budget_bytes=budget_bytes
    ) as host:
        agent = Agent(host, AgentConfig(folder, output, controller, provisioning, name="test"))
        task = asyncio.create_task(agent.run(), name="agent-under-test")
        try:
            yield agent
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def eventually(what: object, within_s: float = 10.0) -> None:
    """Wait until ``what()`` is true."""
    assert callable(what)
    async with asyncio.timeout(within_s):
        while not what():  # noqa: ASYNC110 - looks into an agent that tells nobody
            await asyncio.sleep(0.01)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def bulletin(clip: Clip, start: datetime, *, name: str = "a", late: LateKind = LateKind.JOIN) -> Item:
    return Item(
        rule_id=f"pr_{name}",
        recurrence=start,
        title=f"bulletin {name}",
        priority=Priority.PROGRAMME,
        start=start,
        expires=start + timedelta(minutes=5),
        content=Recorded((clip,)),
        late=LatePolicy(late),
    )
