"""A conductor on a simulated clock: years in milliseconds, with the real arbiter, the real state store and a player
that keeps time (:class:`audio.playout.TimedPlayer`, the one a swarm uses) on the same clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from agent.cache.database import Database
from agent.cache.state import Batch, StateStore
from agent.conductor.conductor import Conductor, time_floor
from agent.conductor.performance import Parts
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import Reading, Source, SteadyWall
from agent.link.archive import Shelves, read_shelves
from agent.watch import Watch
from audio.playout import TimedPlayer, Timer
from protocol.clock import ClockFilter
from protocol.documents import CloseStreamOrder, Command, Order, PlayOrder, StopOrder, Targets, WithdrawOrder
from protocol.telemetry import PlayRecord
from schedules.instants import SAMPLE_RATE, Frames, MonoUs, to_unix_us
from schedules.ladder import Priority
from schedules.model import (
    Amplifier,
    Approval,
    Clip,
    ClusterSettings,
    Item,
    LateKind,
    LatePolicy,
    Pause,
    Recorded,
    Relay,
)

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)  # 10:00 in Hanoi: nobody sleeps
CLUSTER = "cl_krongklang"
SECOND = timedelta(seconds=1)

__all__ = [
    "CLUSTER",
    "SECOND",
    "T0",
    "CloseStreamOrder",
    "Rehearsal",
    "SimClock",
    "StopOrder",
    "WithdrawOrder",
    "clip",
    "command",
    "item",
    "play",
    "relay",
]


class SimClock:
    """Monotonic and wall time that move when told; timers for the player."""

    def __init__(self, wall: datetime = T0, mono: int = 5_000_000_000) -> None:
        self._mono = mono
        self.offset_us = to_unix_us(wall) - mono
        self._timers: list[tuple[int, int, _SimTimer]] = []
        self._order = count()

    def mono_us(self) -> MonoUs:
        return MonoUs(self._mono)

    now = mono_us

    def wall(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._mono + self.offset_us)

    def call_at(self, at: MonoUs, callback: Callable[[], None]) -> Timer:
        timer = _SimTimer(callback)
        heapq.heappush(self._timers, (max(at, self._mono), next(self._order), timer))
        return timer

    def next_timer(self) -> int | None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def move_to(self, mono: int) -> None:
        """Go there, firing what is due on the way."""
        while (at := self.next_timer()) is not None and at <= mono:
            self._mono = max(self._mono, at)
            heapq.heappop(self._timers)[2].callback()
        self._mono = max(self._mono, mono)


@dataclass(slots=True)
class _SimTimer:
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class StoredMedia:
    """Sounds that are simply here, except those a test takes away or alters."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.altered: set[str] = set()
        self.asked: list[str] = []

    def missing(self, needed: frozenset[str]) -> frozenset[str]:
        return frozenset(needed & self.gone)

    def check(self, needed: tuple[str, ...]) -> bool:
        self.asked += needed
        found = self.altered & set(needed)
        self.gone |= found
        return not set(needed) & self.gone

    def path(self, sha256: str) -> Path:
        return Path("/nowhere") / sha256


class WritingLedger:
    """Writes to the real store at once; can be told to fail."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.batches: list[Batch] = []

    def post(self, batch: Batch) -> None:
        self.batches.append(batch)
        self._store.apply(batch)

    async def apply(self, batch: Batch) -> None:
        self.post(batch)


@dataclass(slots=True)
class FakeRelayPort:
    """An amplifier that remembers when it was switched."""

    clock: SimClock
    switched: list[tuple[datetime, bool]] = field(default_factory=list)

    def switch(self, *, on: bool) -> None:
        self.switched.append((self.clock.wall(), on))

    def close(self) -> None:
        return


def settings(**changes: object) -> ClusterSettings:
    base: dict[str, object] = {"cluster_id": CLUSTER, "timezone": "Asia/Ho_Chi_Minh"}
    return ClusterSettings(**(base | changes))  # type: ignore[arg-type]


def clip(name: str, seconds: float) -> Clip:
    digest = (name.encode().hex() * 64)[:64]
    return Clip(digest, Frames(int(seconds * SAMPLE_RATE)), Approval("us_chair", T0))


def item(
    name: str,
    start: datetime,
    seconds: float = 10,
    *,
    priority: Priority = Priority.PROGRAMME,
    late: LatePolicy | None = None,
    slack: timedelta = timedelta(minutes=5),
    **more: object,
) -> Item:
    return Item(
        rule_id=f"pr_{name}",
        recurrence=start,
        title=f"bulletin {name}",
        priority=priority,
        start=start,
        expires=start + timedelta(seconds=seconds) + slack,
        content=Recorded((clip(f"{name}a", seconds / 2), Pause(Frames(0)), clip(f"{name}b", seconds / 2)))
        if more.pop("pause", False)
        else Recorded((clip(name, seconds),)),
        late=late or LatePolicy(LateKind.JOIN),
        **more,  # type: ignore[arg-type]
    )


def relay(name: str, start: datetime, seconds: float, fallback: tuple[Clip, ...] = ()) -> Item:
    end = start + timedelta(seconds=seconds)
    return Item(
        rule_id=f"pr_{name}",
        recurrence=start,
        title=f"relay {name}",
        priority=Priority.RELAY,
        start=start,
        expires=end,
        content=Relay("so_vov", fallback),
        slot_end=end,
    )


_numbers = count(1)


def command(order: Order, issued: datetime, *, life: timedelta = timedelta(minutes=30)) -> Command:
    seq = next(_numbers)
    return Command(1, seq, issued, issued + life, f"{seq:032x}", Targets(everyone=True), order)


def play(one: Item, issued: datetime) -> Command:
    return command(PlayOrder(one), issued)


class Rehearsal:
    """One agent without a network. ``store`` survives :meth:`crash`."""

    def __init__(
        self,
        *items: Item,
        clock: SimClock | None = None,
        store: StateStore | None = None,
        trusted: bool = True,
        cluster: ClusterSettings | None = None,
        media: StoredMedia | None = None,
    ) -> None:
        self.clock = clock or SimClock()
        self.store = store or _new_store()
        self.media = media or StoredMedia()
        self.ledger = WritingLedger(self.store)
        shelves: Shelves = read_shelves(self.store)
        self.wall = SteadyWall(at=self.clock.mono_us(), floor_us=time_floor(shelves.values))
        self.watch = Watch(self.clock, lambda: self.wall.now(self.clock.mono_us()))
        self.timebase = ClockFilter()
        self.streams = LiveStreams(self.clock, self.timebase, self.watch.report)
        self.player = TimedPlayer(self.clock)
        self.ports: list[FakeRelayPort] = []
        parts = Parts(
            self.clock,
            self.wall,
            self.player,
            self.media,
            self.ledger,
            self.watch,
            self.streams,
            amplifier=self._port,
        )
        self.conductor = Conductor(parts, cluster or settings())
        self._poked = False
        self.conductor.on_poke(self._poke)
        self.conductor.restore(shelves.values, shelves.progress, shelves.plays)
        self.conductor.set_plan(items)
        if trusted:
            self.learn_time()

    def _poke(self) -> None:
        self._poked = True

    def _port(self, amplifier: Amplifier) -> FakeRelayPort:
        del amplifier
        self.ports.append(FakeRelayPort(self.clock))
        return self.ports[-1]

    def learn_time(self, source: Source = Source.CONTROLLER) -> None:
        reading = Reading(source, to_unix_us(self.clock.wall()), self.clock.mono_us())
        self.wall.offer(reading, idle=self.conductor.idle)

    @property
    def now(self) -> datetime:
        return self.clock.wall()

    def run_until(self, wall: datetime) -> None:
        """Live until the true wall clock shows ``wall``."""
        end = to_unix_us(wall) - self.clock.offset_us
        while True:
            due: int = self.conductor.step()
            self._poked = False
            timer = self.clock.next_timer()
            following = min(due, end) if timer is None else min(due, timer, end)
            self.clock.move_to(following)
            if following >= end and not self._poked:
                self.conductor.step()
                return

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + timedelta(seconds=seconds))

    def crash(self, *items: Item, off_for: float = 0.0, trusted: bool = True) -> Rehearsal:
        """Kill -9, and boot ``off_for`` seconds later on the same disk."""
        clock = SimClock(self.clock.wall() + timedelta(seconds=off_for))
        return Rehearsal(*items, clock=clock, store=self.store, trusted=trusted, media=self.media)

    def records(self) -> list[PlayRecord]:
        rows = self.store.pending(after=0, limit=1000)
        return [PlayRecord.model_validate_json(body) for _, body in rows]

    def heard(self) -> str | None:
        """The title of what sounds now."""
        act = self.conductor.heard()
        if act is None:
            return None
        return act.sounding.item.title if act.sounding.item is not None else "live"

    def events(self) -> list[str]:
        found = []
        while (one := self.watch.take()) is not None:
            found.append(one.code)
        return found

    def faults(self) -> set[str]:
        return {one.code for one in self.watch.faults}


def _new_store() -> StateStore:
    database = Database(None)
    database.open(T0)
    store = StateStore(database)
    store.open()
    return store
