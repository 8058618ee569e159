"""N complete agents in one process, for demonstrations and measurements.

Each links, verifies, arbitrates, times and journals by itself, with its own key, counters and database. They share what
does not change the outcome: one HTTP client, one mDNS browser, worker threads, one store of sounds (each sound is
fetched and hashed once), and what is a matter of bytes alone: the very same order or bundle is parsed, and its
signature checked, once in a process. What it may do here, and whether it is new, each agent judges by itself. The first
``decode`` of them decode into a null output; the rest keep time without decoding, and the swarm says so.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from agent.app import Agent, player_maker
from agent.config import AgentConfig
from agent.crowd import HOLD_S, Crowd
from agent.host import Host
from agent.notify import SystemdNotifier
from agent.process import notify_systemd
from agent.supervise import together
from audio.playout import DecodeWorker

log = structlog.get_logger("agent.swarm")

#: Agents that begin at once; the rest follow, so that a start is not one long stall of the loop.
STARTING_AT_ONCE = 32

#: Allocations before the youngest objects are looked through; the older ones never are by themselves.
GC_THRESHOLDS = (700, 1_000_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class SwarmConfig:
    """What a swarm is.

    Attributes:
        count: agents in this process.
        first: number of the first one within the whole swarm (more processes: more than 0).
        decode: how many of them decode.
        data: folder with one sub-folder per agent, or None for memory.
        output_one: the very first agent sounds through this output.
        agent: what all of them have in common.
        interfaces: addresses to look for controllers on.
    """

    count: int
    first: int
    decode: int
    data: Path | None
    output_one: str | None
    agent: AgentConfig
    interfaces: tuple[str, ...] = ()

    def output_of(self, number: int) -> str | None:
        """Where agent ``number`` (of the whole swarm) sounds; None: it keeps time without decoding."""
        if number == 0 and self.output_one is not None:
            return self.output_one
        return "null" if number - self.first < self.decode else None

    def describe(self) -> dict[str, Any]:
        """What it does, for ``--json``."""
        outputs = [self.output_of(number) for number in range(self.first, self.first + self.count)]
        decoding = sum(1 for output in outputs if output is not None)
        return {
            "agents": self.count,
            "first": self.first,
            "decoding": decoding,
            "timing_only": self.count - decoding,
            "output_one": self.output_one if self.first == 0 else None,
            "data": None if self.data is None else str(self.data),
        }


class Swarm:
    """All agents of one process."""

    def __init__(self, config: SwarmConfig) -> None:
        self._config = config
        self.agents: tuple[Agent, ...] = ()
        self._starting = asyncio.Semaphore(STARTING_AT_ONCE)

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            AgentError: one of them cannot start, or keeps crashing.
        """
        config = self._config
        common = config.agent
        configured = common.controller or (common.provisioning.controller if common.provisioning else None)
        mdns = None if configured is not None else config.interfaces
        shared = None if config.data is None else config.data / f"shared-{config.first:04d}"  # one store, one process
        async with Host(shared, mdns=mdns, crowd=Crowd(HOLD_S)) as host:
            decoding = DecodeWorker()
            try:
                self.agents = tuple(self._make(host, decoding, number) for number in range(config.count))
                work = {f"agent-{index}": self._start(agent) for index, agent in enumerate(self.agents)}
                await together({"systemd": notify_systemd(SystemdNotifier(), self._all_ready, "swarm")} | work)
            finally:
                await asyncio.to_thread(decoding.close)

    def _make(self, host: Host, decoding: DecodeWorker, index: int) -> Agent:
        config, number = self._config, self._config.first + index
        data = None if config.data is None else config.data / f"agent-{number:04d}"
        if data is not None:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = config.output_of(number)
        one = replace(config.agent, data=data, output=output, token_index=number, name=f"{number:04d}")
        return Agent(host, one, player_maker(output, decoding if output is not None else None))

    async def _start(self, agent: Agent) -> None:
        await self._starting.acquire()
        waiting = asyncio.create_task(self._let_next(agent), name="swarm-next")
        try:
            await agent.run()
        finally:
            waiting.cancel()

    async def _let_next(self, agent: Agent) -> None:
        """Once this one is at work the next may begin."""
        try:
            await agent.ready.wait()
        finally:
            self._starting.release()

    async def _all_ready(self) -> None:
        for agent in self.agents:
            await agent.ready.wait()
        # To look through hundreds of agents at once would keep every one of them from an order for a second: what
        # lives by now is set aside, and by itself the collector looks at young objects only.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
