"""What all agents of one process share: the HTTP client, the mDNS browser, worker threads, the stored sounds.

One agent has a host of its own; a swarm has one for hundreds. Nothing here is an agent's secret or decision.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from agent.cache.at_once import AtOnce
from agent.cache.media import MediaStore
from agent.clocks import Clock, SystemClock
from agent.config import MEDIA_BUDGET
from agent.crowd import Crowd
from agent.errors import DiscoveryError
from agent.health.probe import Probe
from agent.health.report import SharedProbe
from agent.health.timekeeping import Timekeeper
from agent.link.discovery import MdnsFinder
from agent.link.fetch import SingleFlight
from agent.link.transport import Transport

log = structlog.get_logger("agent.host")

#: Threads that wait for disks: databases of a swarm, hashing, downloads.
WORKERS = 6
AT_ONCE = AtOnce()


class Host:
    """Use as an async context manager around the agents."""

    def __init__(
        self,
        data: Path | None,
        *,
        clock: Clock | None = None,
        draw: random.Random | None = None,
        timekeeper: Timekeeper | None = None,
        mdns: tuple[str, ...] | None = (),
        budget_bytes: int = MEDIA_BUDGET,
        crowd: Crowd | None = None,
    ) -> None:
        """Prepare.

        Args:
            data: the folder of the stored sounds; None uses a temporary one.
            clock: for tests.
            draw: for tests.
            timekeeper: for tests.
            mdns: addresses of the interfaces to look for controllers on; empty: all; None: do not look.
            budget_bytes: how much room sounds may take.
            crowd: who goes first, where agents share the process; None: there is one.
        """
        self.clock: Clock = clock or SystemClock()
        self.random = draw or random.SystemRandom()
        self.timekeeper = timekeeper or Timekeeper(self.clock)
        self.crowd = crowd or Crowd()
        self.transport = Transport()
        self.flights = SingleFlight()
        self.finder = None if mdns is None else MdnsFinder(mdns, draw=self.random)
        self.finder_fault: str | None = None
        self.probe = SharedProbe(Probe(data), self.clock)
        self._data = data
        self._budget = budget_bytes
        self._stack = AsyncExitStack()
        self._needs: list[Callable[[], frozenset[str]]] = []
        self._stocks: list[Callable[[], frozenset[str]]] = []
        self.executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="agent-disk")
        self.media = MediaStore(Path(), self.clock, budget_bytes=0)

    async def __aenter__(self) -> Self:
        folder = self._data
        if folder is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="loa-agent-")))
        self.media = MediaStore(folder / "media", self.clock, budget_bytes=self._budget)
        self.media.open()
        await self._stack.enter_async_context(self.transport)
        if self.finder is not None:
            self._stack.push_async_callback(self.finder.close)
            try:
                await self.finder.start()
            except DiscoveryError as error:
                # A box on 4G has no mDNS and needs none; an agent without an address says what to do.
                log.warning("mDNS is not available", error=str(error))
                self.finder_fault = str(error)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self.executor.shutdown(wait=True, cancel_futures=True)

    def disk(self, data: Path | None) -> Executor:
        """Who waits for an agent's own disk; None: it has none, and nobody need wait."""
        return AT_ONCE if data is None else self.executor

    def needs(self, needed: Callable[[], frozenset[str]], stock: Callable[[], frozenset[str]]) -> None:
        """One more agent tells what it needs, and what it keeps in stock."""
        self._needs.append(needed)
        self._stocks.append(stock)

    def needed(self) -> frozenset[str]:
        """What any agent of this process needs: not evicted for a sound of the plan."""
        return self.stocked().union(*(needed() for needed in self._needs))

    def stocked(self) -> frozenset[str]:
        """What any agent of this process keeps in stock: evicted for nothing."""
        return frozenset().union(*(stock() for stock in self._stocks))
