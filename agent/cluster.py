"""One enrolled agent at work: all its parts, put together and supervised.

The loops, each restarted when it crashes: keeper (disk), conductor (sound), pins (the small file), clerk (documents),
link (control connection), stream (media connection), plans, sounds (downloads), stock (hashed every day), prover
(silent tests), time, care (faults that nobody else sees).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from agent.cache.journal import JournalReader
from agent.cache.keeper import Keeper
from agent.cache.pins import PinFile, Pins
from agent.cache.prompt import PromptKeeper
from agent.cache.shelf import Shelf
from agent.cache.state import Batch, Key, StateStore
from agent.cache.stock import Stock
from agent.conductor.conductor import Conductor, time_floor
from agent.conductor.loop import conduct
from agent.conductor.performance import Parts
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import Reading, Source, SteadyWall
from agent.config import AgentConfig
from agent.errors import StorageError
from agent.health.care import DeviceCare
from agent.health.proof import Evidence, Prover
from agent.health.report import Reporter, Subjects
from agent.health.sync import SyncWatch
from agent.host import Host
from agent.link.address import Address
from agent.link.archive import Archive, Shelves
from agent.link.backoff import Backoff
from agent.link.clerk import Clerk
from agent.link.fetch import Door, Fetcher
from agent.link.link import Link
from agent.link.locate import Locator
from agent.link.office import Office
from agent.link.session import Ears, Kit
from agent.link.stream import StreamKeeper
from agent.link.supply import Supply
from agent.link.tap import Tap
from agent.link.timing import ClockCaller
from agent.supervise import Child
from agent.watch import Watch
from audio.playout import WARM_US, OutputStatus, Player
from protocol.clock import ClockFilter
from protocol.counters import Counters
from protocol.documents import DayReference
from protocol.errors import ClockError
from protocol.keys import SigningKey
from protocol.messages import Status
from schedules.instants import MonoUs
from schedules.model import ClusterSettings

log = structlog.get_logger("agent")

#: Until the first signed settings come. They come before the first plan, so nothing sounds by these.
FIRST_ZONE = "Asia/Ho_Chi_Minh"

TIME_PERIOD_S = 10.0
CARE_PERIOD_S = 10.0
FLUSH_S = 5.0

#: A plan that was issued longer ago than this means that nobody has planned, or that somebody keeps it from us.
PLAN_OLD = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Memory:
    """What was read from the disk, and where it goes back to."""

    store: StateStore
    pins: Pins
    pin_file: PinFile
    shelves: Shelves
    archive: Archive


class Cluster:
    """The loudspeaker cluster that this agent serves."""

    def __init__(
        self, host: Host, config: AgentConfig, *, identity: SigningKey, player: Player, memory: Memory, watch: Watch
    ) -> None:
        self._host = host
        self._memory = memory
        self._watch = watch
        self._player = player
        clock, archive = host.clock, memory.archive
        self.wall = SteadyWall(at=clock.mono_us(), floor_us=time_floor(memory.shelves.values))
        self._timebase = _timebase(memory.shelves.values)
        self._disk = host.disk(config.data)
        # Without a disk of its own there is nothing to wait for.
        self._keeper = Keeper(memory.store, self._disk) if config.data else PromptKeeper(memory.store, self._disk)
        self._shelf = Shelf(host.media, host.executor, watch)
        self.stock = Stock(host.media, host.executor, watch, clock)
        self._streams = LiveStreams(
            clock, self._timebase, watch.report, output_us=lambda: player.state().output.latency_us
        )
        parts = Parts(clock, self.wall, player, self._shelf, self._keeper, watch, self._streams)
        self.conductor = Conductor(parts, _first_settings(memory))
        self._unpinned = asyncio.Event()
        office = Office(
            clock,
            self.wall,
            self._keeper,
            watch,
            self.conductor,
            self._streams,
            archive.trust,
            self._pin,
            self._unpinned.set,
            self.stock,
            host.crowd,
        )
        self.clerk = Clerk(office, archive.in_force, archive.kept, archive.key_set)
        self._documents = {day.sha256: memory.shelves.documents[day.sha256] for day in _days(archive)}
        self._caller = ClockCaller(clock, self._timebase, self._learnt)
        self._supply = Supply(
            fetcher=Fetcher(host.transport, host.media, host.executor, host.flights),
            conductor=self.conductor,
            plans=self.clerk.plans,
            shelf=self._shelf,
            watch=watch,
            known_days=lambda: self._documents,
            stock=self.stock,
            keep=host,
        )
        self._tap = Tap(player, self._timebase, clock.mono_us, metered=config.metered)
        self._stream = StreamKeeper(
            host.transport,
            wanted=lambda: self._streams.any or self._tap.active,
            bundle=self._relayed,
            heard=self._tap.next_frame,
            watch=watch,
            doubt=lambda: self.link.doubt(),  # noqa: PLW0108 - the link is made below
        )
        self._tap.changed = self._stream.changed
        sync, media, probe = SyncWatch(), host.media, host.probe
        self._device = config.output or ""
        self._care_for_device = DeviceCare(
            clock, player, sync, watch, expected=self._expected, remember=self._remember_clock
        )
        self._reporter = Reporter(
            Subjects(
                clock,
                self.wall,
                self._timebase,
                player,
                self.conductor,
                media,
                watch,
                probe,
                self.stock,
                self._streams,
                sync,
            )
        )
        self._prover = Prover(
            Evidence(
                clock,
                self.wall,
                self._timebase,
                player,
                self.conductor,
                self.stock,
                self._keeper,
                lambda: self.clerk.in_force,
                lambda: archive.trust.counters,
            )
        )
        self.link = self._make_link(config, identity)
        self._told: object = None
        self._wants: object = None
        self._pinning = asyncio.Lock()
        self._restore()

    def _make_link(self, config: AgentConfig, identity: SigningKey) -> Link:
        host, pins = self._host, self._memory.pins
        ears = Ears(
            bundle=self._spoken,
            stream_closed=self._stream_closed,
            door=self._door,
            status=self.status,
            live=lambda: self._streams.any or not self.conductor.idle,
            trusted_now=lambda: self.wall.now(host.clock.mono_us()) if self.wall.trusted else None,
        )
        kit = Kit(
            clock=host.clock,
            identity=identity,
            trust=self._memory.archive.trust,
            clerk=self.clerk,
            caller=self._caller,
            journal=JournalReader(self._keeper, self._memory.store),
            watch=self._watch,
            herald=self.conductor.herald,
            tap=self._tap,
            ears=ears,
            crowd=host.crowd,
            metered=config.metered,
        )
        configured = config.controller or (config.provisioning.controller if config.provisioning else None)
        locator = Locator(configured, host.finder, draw=host.random)
        locator.last_good = pins.controller
        if host.finder is not None:
            host.finder.want(self._memory.archive.trust.root_fingerprint)
        link = Link(kit, host.transport, locator, Backoff(host.random))
        link.on_session = self._session
        return link

    def _restore(self) -> None:
        shelves, archive = self._memory.shelves, self._memory.archive
        for code, words in archive.complaints:
            self._watch.report(code, words)
        self.conductor.restore(shelves.values, shelves.progress, shelves.plays)
        self._shelf.on_change(self.conductor.media_changed)
        self._host.needs(lambda: self.conductor.needed, lambda: self.stock.names)
        self.conductor.on_test = self._prover.order
        if archive.in_force.settings is not None:
            self.stock.set(archive.in_force.settings.stock)
        self.conductor.set_plan(archive.items)
        self._look_at_system_clock()
        self.clerk.revive()

    # -- life ---------------------------------------------------------------------------------------------

    def children(self) -> dict[str, Child]:
        """The loops to supervise."""
        return {
            "keeper": self._keeper.run,
            "conductor": lambda: conduct(self.conductor, self._host.clock, self._after_step, self._host.crowd.turn),
            "pins": self._keep_pins,
            "clerk": self.clerk.run,
            "link": self.link.run,
            "stream": self._stream.run,
            "plans": self._supply.keep_plans,
            "sounds": self._supply.keep_sounds,
            "stock": self.stock.run,
            "prover": self._prover.run,
            "time": self._keep_time,
            "care": self._care,
            "device": self._care_for_device.run,
        }

    async def close(self) -> None:
        """End in good order: goodbye, silence, everything on the disk."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await self.link.goodbye()
        self.conductor.close()
        await self._player.close()
        self.conductor.close()
        self._remember_clock()
        await self._shelf.close()
        keeper = asyncio.create_task(self._keeper.run(), name="keeper-last")
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._keeper.flush()
        except TimeoutError:
            log.error("the disk did not take the last writes")  # noqa: TRY400 - nothing to trace
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        trust = self._memory.archive.trust
        # What was accepted last may have been on its way to the small file: a box that then loses its database must
        # know it for a replay.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._pin(trust.counters, trust.root_public)

    def status(self) -> Status:
        """What it says of itself."""
        return self._reporter.status(self.clerk.in_force, days_missing=self._supply.days_missing)

    @property
    def connected(self) -> bool:
        """A session with the controller stands."""
        return self.link.connected

    # -- what others tell ---------------------------------------------------------------------------------

    def _spoken(self, data: bytes) -> None:
        """A bundle of an emergency voice: it came over the control connection."""
        if self._push(data, self._host.clock.mono_us()):
            self.conductor.urge()

    async def _relayed(self, data: bytes) -> None:
        """A bundle of anything else; its lead is longer than a moment's courtesy."""
        arrived = self._host.clock.mono_us()
        await self._host.crowd.turn()
        if self._push(data, arrived):
            self.conductor.poke()

    def _push(self, data: bytes, arrived: MonoUs) -> bool:
        now = self.wall.now(self._host.clock.mono_us()) if self.wall.trusted else None
        return self._streams.push(data, now=now, arrived=arrived)

    def _stream_closed(self, stream: int) -> None:
        self._streams.close(stream)
        self.conductor.poke()

    def _door(self, door: Door | None) -> None:
        self._supply.door(door)
        self._stream.door(door)

    def _session(self, address: Address | None) -> None:
        if address is None:
            self.wall.withdraw(Source.CONTROLLER)
            self._remember_clock()

    def _learnt(self, reading: Reading | None) -> None:
        if reading is not None:
            self.wall.offer(reading, idle=self.conductor.idle)
        self._time_changed()

    def _after_step(self) -> None:
        """Tell the others what the conductor changed."""
        wants = self._streams.any, self.conductor.needed, self.conductor.missing
        if wants != self._wants:
            self._wants = wants
            self._stream.changed()
            self._supply.changed()
        heard, plan = self.conductor.heard(), self.clerk.in_force.plan
        # The desk wants to know soon what sounds, that the box is mute, and whether a new plan is here whole.
        sounds, mute = None if heard is None else heard.cue_id, self.conductor.muted is not None
        telling = sounds, mute, plan and plan.seq, not self.conductor.missing
        if telling != self._told:
            self._told = telling
            self.link.changed()

    def _expected(self) -> MonoUs | None:
        """Until when something may sound: what is planned next, or a live stream that is open."""
        now = self._host.clock.mono_us()
        if self._streams.any:
            return MonoUs(now + WARM_US // 2)
        if not self.wall.trusted:
            return None
        wall = self.wall.now(now)
        expected = self.conductor.expected(wall)
        return None if expected is None else MonoUs(now + (expected - wall) // timedelta(microseconds=1))

    # -- loops --------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            self._look_at_system_clock()
            await asyncio.sleep(TIME_PERIOD_S)

    def _look_at_system_clock(self) -> None:
        self.wall.offer(self._host.timekeeper.read(), idle=self.conductor.idle)
        self._time_changed()

    def _time_changed(self) -> None:
        self.clerk.revive()
        self.conductor.poke()

    async def _care(self) -> None:
        while True:
            self._look_around()
            self.clerk.forget()
            self.stock.look()
            await asyncio.sleep(CARE_PERIOD_S)

    def _look_around(self) -> None:
        watch, plan = self._watch, self.clerk.in_force.plan
        watch.set_fault("storage_failing", self._keeper.failure)
        output = self._player.state().output
        words = output.detail or output.code or "the sound output does not work"
        watch.set_fault("output_failed", words if output.status is OutputStatus.FAILED else None)
        step = self.wall.pending_step_us
        words = f"the clock must be set by {step / 1e6:.1f} s; that waits until nothing sounds"
        watch.set_fault("clock_step_waits", words if step else None)
        implausible = "the clock says a time before the last one that was written down"
        watch.set_fault("clock_implausible", implausible if self.wall.implausible else None)
        if self._host.finder_fault is not None and not self.connected:
            watch.set_fault("mdns_unavailable", self._host.finder_fault)
        if plan is None or not self.wall.trusted:
            return
        now = self.wall.now(self._host.clock.mono_us())
        watch.set_fault("plan_old", "the plan is older than a week" if now - plan.issued > PLAN_OLD else None)
        if now >= plan.expires and not watch.has("plan_expired"):
            watch.raise_fault("plan_expired", "the plan's time is over: nothing of it sounds any more")
            self.conductor.set_plan(())
        elif now < plan.expires:
            watch.clear_fault("plan_expired")

    # -- remembering --------------------------------------------------------------------------------------

    async def _keep_pins(self) -> None:
        """Bring the counters of what was accepted into the small file, the last of several at once."""
        trust = self._memory.archive.trust
        while True:
            await self._unpinned.wait()
            await self._host.crowd.turn()
            self._unpinned.clear()
            await self._pin(trust.counters, trust.root_public)

    async def _pin(self, counters: Counters, root_public: bytes) -> None:
        pins = replace(self._memory.pins, counters=counters, root_public=root_public)
        loop = asyncio.get_running_loop()
        try:
            async with self._pinning:  # in the order in which they were accepted
                await loop.run_in_executor(self._disk, self._memory.pin_file.write, pins)
        except StorageError as error:
            self._watch.raise_fault("storage_failing", str(error))

    def _remember_clock(self) -> None:
        """Keep how fast the clocks run; temperature moves them by a millionth or two."""
        learnt = {
            "drift_ppm": round(self._timebase.drift_ppm, 4),
            "dac_ppm": round(self._player.state().dac_ppm, 4),
            "device": self._device,
        }
        self._keeper.post(Batch(memory={Key.CLOCK: json.dumps(learnt).encode()}))


def dac_ppm(values: dict[Key, bytes], device: str) -> float:
    """How fast this very sound device ran the last time; 0 when nothing is known."""
    try:
        kept = json.loads(values.get(Key.CLOCK, b"{}")).get("device", device)
    except (ValueError, AttributeError):
        return 0.0
    return (_number(values, "dac_ppm") or 0.0) if kept == device else 0.0


def _timebase(values: dict[Key, bytes]) -> ClockFilter:
    try:
        return ClockFilter(drift_ppm=_number(values, "drift_ppm"))
    except ClockError:
        return ClockFilter()


def _number(values: dict[Key, bytes], name: str) -> float | None:
    try:
        value = json.loads(values.get(Key.CLOCK, b"{}")).get(name)
    except (ValueError, AttributeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def _first_settings(memory: Memory) -> ClusterSettings:
    settings = memory.archive.in_force.settings
    return ClusterSettings(memory.pins.cluster_id, FIRST_ZONE) if settings is None else settings.cluster


def _days(archive: Archive) -> tuple[DayReference, ...]:
    plan = archive.in_force.plan
    return () if plan is None else plan.days
