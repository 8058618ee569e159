"""Wake-ups: the one thing APScheduler does here. What is due is always asked anew; nothing is remembered.

Rules kept here:

1. The truth is in the plan and the database. Every :data:`REARM` at the latest, and whenever something changed, each
   :class:`DueSource` is asked what comes next, and all jobs are thrown away and set again.
2. The driver of rule 1 sleeps on the monotonic clock. APScheduler sleeps until a wall time it computed once: after a
   clock that stepped back by an hour its jobs (an interval job too) would come an hour late.
3. The delay of a job is computed from our :class:`~controller.services.context.Clock`, so a step of the wall clock is
   corrected at the next re-arming; a step found between two looks re-arms at once.
4. A wake-up may come late, never be dropped (``misfire_grace_time=None``), never run twice at a time
   (``max_instances=1``), and late ones run once (``coalesce``). Its action decides what being late means.
5. An action that fails is logged and asked for again by rule 1; it takes nothing else with it.

Not here: sample-accurate timing. A wake-up is milliseconds late by nature; sound carries its own instants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from controller.services.context import Clock

#: The longest time between two looks at the truth (DESIGN, section 7).
REARM: Final = timedelta(seconds=20)
#: Only what comes this soon is armed; the rest is found at a later look.
AHEAD: Final = timedelta(seconds=90)
#: A STOP goes out alone: the streams that it silenced are closed this much later.
STOP_FIRST_S: Final = 1.0
#: How often wall and monotonic clock are compared, and what difference is a step.
_WATCH: Final = timedelta(seconds=1)
_STEP: Final = timedelta(seconds=1)
#: The most wake-ups armed at a time; the earliest win, the rest come with a later look.
MAX_ARMED: Final = 5000

_log = structlog.get_logger(__name__)

Action = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Due:
    """Something to do at ``at`` (UTC). ``name`` is unique among what is due, and the same at every look."""

    name: str
    at: datetime
    action: Action


class DueSource(Protocol):
    """Whoever knows what comes next."""

    def due(self, now: datetime, until: datetime) -> Sequence[Due]:
        """Everything that is due before ``until`` and not done yet, what is overdue included. Quick; no I/O."""
        ...


class Arming:
    """Keeps APScheduler's memory store in step with the truth. :meth:`run` is its one task."""

    def __init__(self, clock: Clock, sources: Sequence[DueSource]) -> None:
        self._clock = clock
        self._sources = tuple(sources)
        self._changed = asyncio.Event()
        self._running: set[str] = set()
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._beat: tuple[datetime, int] | None = None
        #: When the truth was last looked at; for /readyz.
        self.looked_at: datetime | None = None

    def poke(self) -> None:
        """Something changed: look again now."""
        self._changed.set()

    def poke_after_stop(self) -> None:
        """Something was silenced: look again, once every box has heard of it (:data:`STOP_FIRST_S`)."""
        asyncio.get_running_loop().call_later(STOP_FIRST_S, self._changed.set)

    @property
    def armed(self) -> frozenset[str]:
        """Names of the wake-ups that are set."""
        return frozenset(job.id for job in self._scheduler.get_jobs())

    async def run(self) -> None:
        """Arm, and go on arming until cancelled."""
        self._scheduler.start()
        try:
            while True:
                self._changed.clear()
                self._arm()
                await self._until_next_look()
        finally:
            self._scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # AsyncIOScheduler ends itself through the loop's queue

    async def _until_next_look(self) -> None:
        waited = timedelta(0)
        while waited < REARM and not self._changed.is_set():
            try:
                async with asyncio.timeout(_WATCH.total_seconds()):
                    await self._changed.wait()
            except TimeoutError:
                waited += _WATCH
            if self._stepped():
                return

    def _stepped(self) -> bool:
        """Whether the wall clock moved against the monotonic one since the last comparison."""
        wall, mono = self._clock.now(), self._clock.mono_us()
        before, self._beat = self._beat, (wall, mono)
        if before is None:
            return False
        step = (wall - before[0]) - timedelta(microseconds=mono - before[1])
        if abs(step) < _STEP:
            return False
        _log.warning("clock_stepped", seconds=round(step.total_seconds(), 3))
        return True

    def _arm(self) -> None:
        now = self._clock.now()
        wanted: dict[str, Due] = {}
        for source in self._sources:
            try:
                wanted.update((due.name, due) for due in source.due(now, now + AHEAD))
            except Exception:  # noqa: BLE001 - one source that fails must not silence the others
                _log.exception("due_source_failed", source=type(source).__name__)
        self._scheduler.remove_all_jobs()
        idle = (due for due in wanted.values() if due.name not in self._running)
        for due in sorted(idle, key=lambda each: each.at)[:MAX_ARMED]:
            delay = max(timedelta(0), due.at - now)
            self._scheduler.add_job(
                self._fire, "date", run_date=datetime.now(UTC) + delay, args=(due,), id=due.name, name=due.name
            )
        self.looked_at = now

    async def _fire(self, due: Due) -> None:
        self._running.add(due.name)
        try:
            await due.action()
        except Exception:  # noqa: BLE001 - rule 5
            _log.exception("wake_up_failed", name=due.name)
        finally:
            self._running.discard(due.name)
