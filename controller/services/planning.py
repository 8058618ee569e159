"""Plans: compiled from the programmes whenever something changed, signed for each agent, offered to those online.

Rules kept here:

1. What is compiled comes from memory (catalogue and directory), in a worker thread: the event loop never waits for it.
2. Changes are gathered for :data:`GATHER` and compiled once. A change that comes during a compilation makes another.
3. The plan begins with the day before today (what began last evening may still sound) and reaches the horizon. It is
   rolled on when a day begins in any zone, and renewed before anything signed has lived half its life.
4. An agent gets its own cluster's days and settings, nothing else. Days without items are not listed.
5. A failure leaves every agent with the plan it has, is logged, and is tried again with the next look.

Not here: rules of time and priority (:mod:`schedules`), signatures and numbers (:mod:`controller.services.issuing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from controller.services.arming import Due
from controller.services.catalogue import Catalogue
from controller.services.context import Clock
from controller.services.directory import Change, Directory
from controller.services.issuing import Issue, Issuer
from controller.services.plan_making import MadePlan, Window, make_plan
from controller.services.ports import AgentGateway
from controller.services.precedence import Precedence
from controller.services.rulebook import Gap, Rulebook
from controller.services.stock import StockShelf
from controller.store import Database, StoreBusyError, tables
from schedules.compiler import Problem
from schedules.model import ClusterSettings, Item

#: How long changes are gathered before they are compiled (at most 1 s to a new plan, with the compilation).
GATHER: Final = timedelta(seconds=0.3)
#: Agents signed for in one go: under 10 ms, so that a STOP in between is not late.
_SLICE: Final = 10
#: Clusters' settings looked up in one go: some milliseconds.
_LOOKUPS: Final = 250
#: What the compiler makes at most.
_MOST_DAYS: Final = 35
_PRUNE_EVERY: Final = timedelta(days=1)
_RETRY: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


class Planner:
    """Compiles, issues, offers. :meth:`run` is its one task."""

    def __init__(
        self,
        *,
        db: Database,
        directory: Directory,
        catalogue: Catalogue,
        rulebook: Rulebook,
        issuer: Issuer,
        gateway: AgentGateway,
        clock: Clock,
        horizon_days: int = 7,
        shelf: StockShelf | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        self._db = db
        self._directory = directory
        self._catalogue = catalogue
        self._rulebook = rulebook
        self._issuer = issuer
        self._gateway = gateway
        self._clock = clock
        self._horizon = horizon_days
        self._shelf = shelf or StockShelf()
        self._precedence = precedence or Precedence()
        self._plan: MadePlan | None = None
        self._settings: dict[str, ClusterSettings] = {}
        self._wake = asyncio.Event()
        self._dirty = True
        self._pruned: datetime | None = None
        self._compiled_once = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        #: When the plan in force was compiled, and how long that took; for /readyz and metrics.
        self.compiled_at: datetime | None = None
        self.compile_seconds = 0.0
        #: Why the last plan could not be made; None when it was.
        self.fault: str | None = None
        catalogue.subscribe(self._hear)
        directory.subscribe(self._hear)
        self._shelf.subscribe(self.poke)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every new plan (the relay desk looks for its windows)."""
        self._listeners.append(listener)

    # --- the task ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compile at once and whenever something changed, until cancelled."""
        while True:
            self._wake.clear()
            try:
                if self._dirty:
                    self._dirty = False
                    await self.compile()
                    await self.offer()
                    self.fault = None
                if self._issuer.waiting:
                    await self._issuer.flush()
                await self._prune_daily()
                await self._wake.wait()
            except StoreBusyError:
                _log.warning("plan_waits_for_the_database")
                self._dirty = True
                await self._wait_for_change(_RETRY)
            except Exception as error:  # noqa: BLE001 - rule 5
                self.fault = f"the last change is not planned yet: {type(error).__name__}"
                _log.exception("planning_failed")
                self._dirty = True
                await self._wait_for_change(_RETRY)
            await asyncio.sleep(GATHER.total_seconds())

    def poke(self) -> None:
        """Something changed: compile again."""
        self._dirty = True
        self._wake.set()

    async def ready(self) -> None:
        """Wait for the first plan."""
        await self._compiled_once.wait()

    def due(self, now: datetime, until: datetime) -> Sequence[Due]:  # noqa: ARG002 - the port's signature
        """When the plan must be rolled on or renewed (for :class:`~controller.services.arming.Arming`)."""
        wanted = [
            ("plan.roll", self._next_midnight()),
            ("plan.renew", self._issuer.next_renewal(self._gateway.online())),
        ]
        return [Due(name, at, self._poke_later) for name, at in wanted if at is not None and at < until]

    async def compile(self) -> None:
        """Compile everything and put the result in force."""
        now = self._clock.now()
        begun = self._clock.mono_us()
        rules, gaps = self._rulebook.rules(self._catalogue.active_programmes())
        settings = await self._all_settings()
        first, days = self._span(now, settings.values())
        known = self._plan.bodies if self._plan is not None else {}
        making = partial(make_plan, pause=self._precedence.wait)
        self._plan = await asyncio.to_thread(making, rules, settings, (first, days), gaps, self._plan)
        fresh = {sha256: body for sha256, body in self._plan.bodies.items() if sha256 not in known}
        self._issuer.keep_documents(fresh)
        self.compiled_at = now
        self.compile_seconds = (self._clock.mono_us() - begun) / 1e6
        self._compiled_once.set()
        for cluster_id, why in self._plan.unencodable.items():
            _log.error("plan_too_large", cluster=cluster_id, why=why)
        for listener in self._listeners:
            listener()

    async def offer(self) -> None:
        """Sign for every agent that is online, and offer what is new to it. The others get theirs when they come."""
        online = [agent_id for agent_id in sorted(self._gateway.online()) if agent_id in self._directory.agents]
        await self._issuer.ensure(len(online) + 1)
        for at in range(0, len(online), _SLICE):
            for agent_id in online[at : at + _SLICE]:
                made = self._issue(agent_id)
                if made is not None and made[2]:
                    issue, settings_new, _ = made
                    settings = [issue.settings_envelope] if settings_new else []
                    await self._gateway.offer_plan(agent_id, [*settings, issue.plan_envelope])
            await self._precedence.turn()

    # --- what agents and people ask ----------------------------------------------------------------------------

    async def documents_for(self, agent_id: str) -> tuple[bytes, bytes] | None:
        """Settings and plan of an agent that has just connected; None when there is nothing for it.

        Raises:
            StoreBusyError: numbers are used up and the database is locked.
        """
        if self._plan is None:
            return None
        await self._issuer.ensure(1)
        made = self._issue(agent_id)
        if made is None:
            return None
        if made[2]:
            self._wake.set()  # its row is written behind
        return made[0].settings_envelope, made[0].plan_envelope

    async def document(self, sha256: str) -> bytes | None:
        """The bytes of a day: of the plan in force, or of an earlier one."""
        if self._plan is not None and sha256 in self._plan.bodies:
            return self._plan.bodies[sha256]
        async with self._db.read() as session:
            row = await session.get(tables.Document, sha256)
            return None if row is None else row.body

    def answered(self, agent_id: str, term: int, seq: int, *, accepted: bool, code: str = "") -> None:
        """An agent accepted or refused its plan."""
        self._issuer.answered(agent_id, term, seq, accepted=accepted, code=code)
        self._wake.set()

    def clips_for(self, agent_id: str) -> frozenset[str]:
        """Hashes of every sound the agent's plan needs."""
        entry = self._directory.agents.get(agent_id)
        if entry is None or entry.cluster_id is None:
            return frozenset()
        return frozenset(clip.sha256 for item in self.items_of(entry.cluster_id) for clip in item.content.clips)

    def items_of(self, cluster_id: str) -> tuple[Item, ...]:
        """The items of a cluster in the plan in force, in the order of their days."""
        if self._plan is None:
            return ()
        return tuple(item for day in self._plan.compiled.days.get(cluster_id, ()) for item in day.items)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the compiler could not plan as it was said."""
        return () if self._plan is None else tuple(self._plan.compiled.problems)

    def gaps_of(self, programme_id: str) -> tuple[Gap, ...]:
        """Why a programme is not (wholly) in the plan: recordings that are not approved, a source that is gone."""
        return () if self._plan is None else self._plan.gaps.get(programme_id, ())

    def windows(self, after: datetime, before: datetime) -> tuple[Window, ...]:
        """Relays that sound somewhere between two instants."""
        known = () if self._plan is None else self._plan.windows
        return tuple(each for each in known if each.start < before and each.end > after)

    # --- inside ------------------------------------------------------------------------------------------------

    def _issue(self, agent_id: str) -> tuple[Issue, bool, bool] | None:
        entry = self._directory.agents.get(agent_id)
        plan = self._plan
        if plan is None or entry is None or not entry.approved or entry.cluster_id is None:
            return None
        settings = plan.settings.get(entry.cluster_id)
        if settings is None or entry.cluster_id in plan.unencodable:
            return None
        days, stock = plan.days.get(entry.cluster_id, ()), self._shelf.of(entry.cluster_id)
        return self._issuer.issue(agent_id, settings, days, stock)

    async def _prune_daily(self) -> None:
        now = self._clock.now()
        if self._plan is not None and (self._pruned is None or now - self._pruned >= _PRUNE_EVERY):
            self._pruned = now
            await self._issuer.prune(frozenset(self._plan.bodies))

    async def _all_settings(self) -> dict[str, ClusterSettings]:
        """What holds at every active cluster; looked up a slice at a time, and only where something changed."""
        clusters = self._directory.clusters
        while changed := [each for each in clusters if each not in self._settings]:
            for cluster_id in changed[:_LOOKUPS]:
                self._settings[cluster_id] = self._directory.effective_settings(cluster_id)
            await self._precedence.turn()
        known = self._settings.items()
        return {name: each for name, each in known if name in clusters and clusters[name].active}

    def _hear(self, change: Change) -> None:
        if change.kind == "area":
            self._settings.clear()
        elif change.kind == "cluster":
            self._settings.pop(change.id, None)
        if change.kind in {"area", "cluster", "zone", "agent", "recording", "source", "programme"}:
            if change.kind == "agent" and change.removed:
                self._issuer.forget(change.id)
            self.poke()

    async def _wait_for_change(self, longest: timedelta) -> None:
        try:
            async with asyncio.timeout(longest.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _poke_later(self) -> None:
        self.poke()

    def _span(self, now: datetime, settings: Iterable[ClusterSettings]) -> tuple[date, int]:
        today = min((_local_date(now, each.timezone) for each in settings), default=now.date())
        return today - timedelta(days=1), min(self._horizon + 1, _MOST_DAYS)

    def _next_midnight(self) -> datetime | None:
        if self._plan is None or self.compiled_at is None:
            return None
        zones = {each.timezone for each in self._plan.settings.values()}
        return min((_midnight_after(self.compiled_at, zone) for zone in zones), default=None)


def _local_date(now: datetime, timezone: str) -> date:
    return now.astimezone(ZoneInfo(timezone)).date()


def _midnight_after(instant: datetime, timezone: str) -> datetime:
    zone = ZoneInfo(timezone)
    tomorrow = instant.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)
