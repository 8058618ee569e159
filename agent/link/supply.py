"""Brings in what is needed: day documents of an offered plan; the stock first, then the sounds, soonest first.

Runs for as long as the agent does; works while a session stands. Failures wait (1 s to 60 s with jitter) and are
tried again; a sound that has the wrong bytes, or does not fit, is reported and tried again much later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from agent.cache.shelf import Shelf
from agent.cache.stock import Stock
from agent.conductor.conductor import Conductor
from agent.errors import AgentError, LinkError, MediaError
from agent.link.backoff import Backoff
from agent.link.fetch import Door, Fetcher
from agent.link.plans import PlanDesk
from agent.watch import Watch
from protocol.documents import PlanManifest
from protocol.errors import ProtocolError
from protocol.trust import Verified

log = structlog.get_logger("agent.supply")

#: A sound that could not be kept is tried again after this long.
SULK_S = 300.0


class Keep(Protocol):
    """What must not be evicted for a download (:class:`agent.host.Host`)."""

    def needed(self) -> frozenset[str]:
        """For a sound of the plan."""
        ...

    def stocked(self) -> frozenset[str]:
        """For a sound of the stock."""
        ...


class Supply:
    """One agent's purchasing."""

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        conductor: Conductor,
        plans: PlanDesk,
        shelf: Shelf,
        watch: Watch,
        known_days: Callable[[], dict[str, bytes]],
        stock: Stock,
        keep: Keep,
    ) -> None:
        """``known_days``: bodies of day documents that are here already."""
        self._fetcher = fetcher
        self._conductor = conductor
        self._plans = plans
        self._shelf = shelf
        self._watch = watch
        self._known_days = known_days
        self._stock = stock
        self._keep = keep
        stock.changed = self.changed
        self._door: Door | None = None
        self._news = asyncio.Event()
        self._sulking: dict[str, float] = {}
        #: Day documents of the offered plan that are not here yet, for the status.
        self.days_missing = 0

    def door(self, door: Door | None) -> None:
        """A session stands (or stands no more)."""
        self._door = door
        self._news.set()

    def changed(self) -> None:
        """Something else is needed."""
        self._news.set()

    # -- plans --------------------------------------------------------------------------------------------

    async def keep_plans(self) -> None:
        """Fetch the days of every plan that is offered, for ever."""
        backoff = Backoff()
        while True:
            wanted = await self._plans.wait()
            try:
                bodies = await self._days(wanted, await self._open_door())
                if await self._plans.take(wanted, bodies):
                    self._remember(bodies)
                    self.changed()
                backoff.reset()
            except ProtocolError as error:
                log.warning("a plan is not acceptable", code=error.code, detail=error.detail)
            except AgentError as error:
                log.info("a plan is not complete yet", error=str(error))
                await asyncio.sleep(backoff.next_delay_s())
            finally:
                self.days_missing = 0

    async def _days(self, wanted: Verified[PlanManifest], door: Door) -> dict[str, bytes]:
        known = self._known_days()
        bodies: dict[str, bytes] = {}
        references = wanted.document.days
        for index, day in enumerate(references):
            self.days_missing = len(references) - index
            body = known.get(day.sha256)
            bodies[day.sha256] = body or await self._fetcher.document(door, day.sha256, size=day.size)
        return bodies

    def _remember(self, bodies: dict[str, bytes]) -> None:
        known = self._known_days()
        known.clear()
        known.update(bodies)

    # -- sounds -------------------------------------------------------------------------------------------

    async def keep_sounds(self) -> None:
        """Fetch what is missing, for ever."""
        backoff = Backoff()
        while True:
            sha256 = self._next()
            if sha256 is None:
                self._news.clear()
                await self._wait()
                continue
            door = await self._open_door()
            try:
                stays = self._keep.stocked if sha256 in self._stock.names else self._keep.needed
                await self._fetcher.sound(door, sha256, stays)
            except LinkError as error:
                log.info("a sound is not here yet", sha256=sha256, error=str(error))
                await asyncio.sleep(backoff.next_delay_s())
            except (MediaError, OSError) as error:
                self._sulk(sha256, error)
            else:
                backoff.reset()
                self._sulking.pop(sha256, None)
                self._watch.clear_fault("disk_full")
                self._shelf.changed()

    def _next(self) -> str | None:
        missing = self._conductor.missing
        stock = self._stock.missing()
        if not missing and not stock:
            return None
        now = asyncio.get_running_loop().time()
        due = (*stock, *(one for one in self._conductor.needs_in_order() if one in missing))
        return next((one for one in due if self._sulking.get(one, 0.0) <= now), None)

    def _sulk(self, sha256: str, error: Exception) -> None:
        code = error.code if isinstance(error, AgentError) else "disk_full"
        self._watch.report(code, f"{sha256}: {error}")
        if code == "disk_full":
            self._watch.raise_fault("disk_full", str(error))
        self._sulking[sha256] = asyncio.get_running_loop().time() + SULK_S

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(SULK_S if self._sulking else None):
                await self._news.wait()
        except TimeoutError:
            return

    async def _open_door(self) -> Door:
        while self._door is None:
            self._news.clear()
            await self._news.wait()
        return self._door
