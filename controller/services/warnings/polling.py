"""Feeds of warnings, asked in turn for ever: one task a feed, its state on the disk, its failures in sight.

Rules kept here:

1. A feed is asked when its state says, also after a restart; a restart in the middle asks again, and what was taken
   before is a duplicate.
2. A failure doubles the pause, from the source's interval to :data:`LONGEST`; a success ends that. What the feed says
   itself (Retry-After, time to live) is respected within the same bounds.
3. State (validators, entries seen) is written only after every document was taken: what could not be taken because the
   controller was busy is fetched again.
4. One feed's trouble is nobody else's: each has its own task, and :meth:`WarningPolls.run` owns them all.

Not here: HTTP, Atom, RSS, addresses that are refused (:mod:`controller.feeds.cap_feed`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from sqlmodel import select

from controller.feeds.cap_feed import CapDocument, PollResult
from controller.feeds.errors import FeedBusyError, FeedError
from controller.services.context import Clock
from controller.services.errors import InvalidError, ServiceError
from controller.services.warnings.intake import WarningIntake
from controller.services.warnings.model import SourceEntry, SourceKind
from controller.services.warnings.sources import WarningSources
from controller.store import Database, StoreError
from controller.store.warning_tables import WarningPoll

#: The longest pause between two tries of a feed that fails.
LONGEST: Final = timedelta(minutes=30)
#: A feed that fails this often in a row is a fault.
FAILURES: Final = 3
#: The clock is looked at this often at least, so that a stepped clock delays nothing for long.
_LOOK_S: Final = 20.0
_DETAIL: Final = 300
#: The pause when a feed lists more than one look may fetch.
_MORE: Final = timedelta(seconds=10)
_JITTER: Final = 0.1
_END_S: Final = 10.0

_log = structlog.get_logger(__name__)


class Feed(Protocol):
    """One feed (:class:`controller.feeds.cap_feed.CapFeed` is the real one)."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What to remember until the next look, as plain JSON values."""
        ...

    async def poll(self, now: datetime) -> PollResult:
        """Look once.

        Raises:
            FeedError: it cannot be had; the code says why.
        """
        ...

    def accept(self, result: PollResult) -> None:
        """What it gave was taken: the next look may leave it out."""
        ...


#: Makes the feed of a source from its address and what was remembered.
FeedMaker = Callable[[SourceEntry, Mapping[str, Any]], Feed]


@dataclass(frozen=True, slots=True)
class PollState:
    """Where a feed stands."""

    state: Mapping[str, Any]
    next_at: datetime
    tried_at: datetime | None = None
    succeeded_at: datetime | None = None
    failures: int = 0
    code: str = ""
    detail: str = ""

    @classmethod
    def of(cls, row: WarningPoll) -> PollState:
        """From its row."""
        return cls(row.state, row.next_at, row.tried_at, row.succeeded_at, row.failures, row.code, row.detail)

    @property
    def failing(self) -> bool:
        """Whether it failed often enough to be a fault."""
        return self.failures >= FAILURES


def next_look(interval: timedelta, failures: int, asked: timedelta | None) -> timedelta:
    """The pause until the next look at a feed."""
    pause = interval * (1 << min(failures, 10))
    return min(max(pause, asked or pause), max(LONGEST, interval))


class WarningPolls:
    """Asks every feed in use."""

    def __init__(
        self, *, db: Database, sources: WarningSources, intake: WarningIntake, make: FeedMaker, clock: Clock
    ) -> None:
        self._db = db
        self._sources = sources
        self._intake = intake
        self._make = make
        self._clock = clock
        self._random = random.Random()  # noqa: S311 - spreads load, protects nothing
        self._states: dict[str, PollState] = {}
        self._tasks: dict[str, tuple[tuple[object, ...], asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        sources.subscribe(lambda _: self._changed.set())

    @property
    def states(self) -> Mapping[str, PollState]:
        """Where each feed stands, by source."""
        return self._states

    @property
    def failing(self) -> int:
        """How many feeds in use fail again and again."""
        return sum(state.failing for one, state in self._states.items() if self._wanted(self._sources.find(one)))

    async def load(self) -> None:
        """Read where every feed stood (at start)."""
        async with self._db.read() as session:
            self._states = {row.source_id: PollState.of(row) for row in (await session.exec(select(WarningPoll))).all()}

    async def run(self) -> None:
        """Keep one task for every feed in use, for ever."""
        try:
            while True:
                self._changed.clear()
                await self._arrange()
                await self._changed.wait()
        finally:
            await self._end([task for _, task in self._tasks.values()])
            self._tasks.clear()

    async def look(self, source: SourceEntry, feed: Feed) -> PollState:
        """Look at a feed once, take what is new, and write down where it stands."""
        before, now = self._states.get(source.id), self._clock.now()
        interval = timedelta(seconds=source.interval_s)
        asked: timedelta | None = None
        failures, code, detail, remembered = 0, "", "", before.state if before else {}
        try:
            answer = await feed.poll(now)
            asked = answer.next_after
            await self._take(source, answer.documents)
            feed.accept(answer)
            remembered = feed.state
            if answer.waiting:
                interval = min(interval, _MORE)
            if answer.failed:
                code, detail = "entries_failed", f"{answer.failed} of the listed warnings could not be fetched"
        except (FeedError, ServiceError, StoreError) as error:
            asked = error.retry_after if isinstance(error, FeedBusyError) else None
            failures = (before.failures if before else 0) + 1
            code, detail = error.code, str(error)[:_DETAIL]
            _log.warning("warning_feed_failed", source=source.id, code=code, detail=detail, failures=failures)
        succeeded = self._clock.now() if not failures else (before.succeeded_at if before else None)
        state = PollState(
            dict(remembered), now + self._pause(interval, failures, asked), now, succeeded, failures, code, detail
        )
        self._states[source.id] = state
        await self._write(source.id, state)
        return state

    def _pause(self, interval: timedelta, failures: int, asked: timedelta | None) -> timedelta:
        """The next pause, a little longer or shorter, so that many controllers do not ask in step."""
        return next_look(interval, failures, asked) * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    async def _take(self, source: SourceEntry, documents: Sequence[CapDocument]) -> None:
        for document in documents:
            try:
                await self._intake.take(source, SourceKind.POLL, document.data)
            except InvalidError:  # counted and logged by the intake; fetching it again would not mend it
                continue

    async def _write(self, source_id: str, state: PollState) -> None:
        try:
            async with self._db.telemetry() as session:
                row = await session.get(WarningPoll, source_id) or WarningPoll(
                    source_id=source_id, next_at=state.next_at
                )
                row.sqlmodel_update(
                    {
                        "state": dict(state.state), "next_at": state.next_at, "tried_at": state.tried_at,
                        "succeeded_at": state.succeeded_at, "failures": state.failures, "code": state.code,
                        "detail": state.detail,
                    }
                )  # fmt: skip
                session.add(row)
        except StoreError as error:  # the next look writes it
            _log.warning("warning_feed_state_not_written", source=source_id, code=error.code)

    async def _arrange(self) -> None:
        wanted = {one.id: _key(one) for one in self._sources.all() if self._wanted(one)}
        stale = [one for one, (key, _) in self._tasks.items() if wanted.get(one) != key]
        await self._end([self._tasks.pop(one)[1] for one in stale])
        for one in stale:  # another address has other validators, and is asked at once
            self._states.pop(one, None)
        for one, key in wanted.items():
            if one not in self._tasks:
                self._tasks[one] = key, asyncio.create_task(self._watch(one), name=f"warnings-of-{one}")
        for gone in set(self._states) - {one.id for one in self._sources.all()}:
            del self._states[gone]

    async def _watch(self, source_id: str) -> None:
        """Look at one feed again and again until it is not wanted any more."""
        source = self._sources.find(source_id)
        if source is None:
            return
        before = self._states.get(source_id)
        feed = self._make(source, before.state if before else {})
        while (current := self._sources.find(source_id)) is not None:
            await self._wait(source_id)
            try:
                await self.look(current, feed)
            except Exception as error:  # noqa: BLE001 - one feed's fault is nobody else's; it is logged and tried again
                _log.error("a feed of warnings failed", source=source_id, exc_info=error)
                await asyncio.sleep(_LOOK_S)

    async def _wait(self, source_id: str) -> None:
        while True:
            state = self._states.get(source_id)
            left = 0.0 if state is None else (state.next_at - self._clock.now()).total_seconds()
            if left <= 0:
                return
            # A clock that was set back must not silence a feed for longer than its longest pause.
            if left > max(LONGEST.total_seconds(), 3_600.0):
                return
            await asyncio.sleep(min(left, _LOOK_S))

    @staticmethod
    def _wanted(source: SourceEntry | None) -> bool:
        return source is not None and source.enabled and source.kind is SourceKind.POLL and source.url is not None

    @staticmethod
    async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)


def _key(source: SourceEntry) -> tuple[object, ...]:
    """What a feed's task depends on: when it changes, the task begins anew."""
    return (source.url, source.interval_s)
