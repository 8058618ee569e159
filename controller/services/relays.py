"""Relays: the windows of the plan in which a station is carried to the villages, as signed live streams.

Rules kept here:

1. Which windows there are is the plan's word alone. A window opens :data:`OPEN_AHEAD` before its start and closes at
   its end; one that vanishes from the plan (withdrawn, moved) closes at once. After a restart in the middle it opens
   again, as a new stream on the new timeline.
2. A stream is authorised by a signed open with the window's rule and occurrence, its clusters, and ``not_after`` = the
   window's end. More clusters than fit into one open become several streams of the same sound.
3. Clusters that were told to STOP since the window began are left out: they are silent anyway, and their data costs.
4. A station that is lost is told as it happens: state, audit log (losses that last), metrics. The windows stay open.

Not here: the station itself (:mod:`controller.services.carrier`), what agents do when it is silent
(:mod:`schedules.arbiter`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from controller.feeds import AddressPolicy, FeedTimeouts
from controller.services.arming import Due
from controller.services.carrier import Carrier, CarrierState, EncoderFactory
from controller.services.catalogue import Catalogue
from controller.services.context import SYSTEM, Clock
from controller.services.directory import Directory
from controller.services.dispatch import Courier, Signers
from controller.services.plan_making import Window
from controller.services.ports import AgentGateway, MediaClock
from controller.services.relay_pacing import PACKET_FRAMES, Chunk
from controller.store import Database, StoreBusyError
from controller.store.errors import JournalError
from controller.store.journal import CommandJournal
from protocol.bundle import Bundle, pack
from protocol.codec import seal_document
from protocol.documents import StreamOpen, Targets
from protocol.keys import Role, SigningKey
from protocol.limits import MAX_STREAM_LIFE, MAX_TARGETS
from schedules.instants import MediaUs, to_unix_us
from schedules.ladder import Priority

#: How long before its window a station is connected to.
OPEN_AHEAD: Final = timedelta(seconds=10)
#: A loss is written into the audit log when it lasts this long.
LASTING: Final = timedelta(seconds=10)
_STREAM_BITS: Final = 64
#: A wake-up may come this much before its time.
_EARLY: Final = timedelta(milliseconds=100)

_log = structlog.get_logger(__name__)

Key = tuple[str, datetime]


class Windows(Protocol):
    """The plan, as far as relays go."""

    def windows(self, after: datetime, before: datetime) -> Sequence[Window]:
        """Relays that sound somewhere between two instants."""
        ...


@dataclass(slots=True)
class RelayStream:
    """One signed live stream of a window."""

    stream_id: int
    envelope: bytes
    clusters: frozenset[str]
    key: SigningKey
    agents: frozenset[str] = frozenset()
    seq: int = 0
    samples: int = 0

    def bundle(self, chunk: Chunk, timeline: int, now: MediaUs) -> bytes:
        """The chunk as the next bundle of this stream."""
        self.seq += 1
        bundle = Bundle(
            key_id=self.key.key_id,
            timeline=timeline,
            stream=self.stream_id,
            seq=self.seq,
            lead_ms=min(max(0, (chunk.play_at - now) // 1000), 0xFFFF),
            frame_samples=PACKET_FRAMES,
            play_at=chunk.play_at,
            sample_index=self.samples,
            packets=chunk.packets,
            end=False,
            discontinuity=chunk.discontinuity or self.seq == 1,
        )
        self.samples += len(chunk.packets) * PACKET_FRAMES
        return pack(bundle, self.key)


@dataclass(slots=True)
class OpenWindow:
    """A window that is being carried."""

    window: Window
    streams: list[RelayStream] = field(default_factory=list)
    listener: Callable[[Chunk], None] | None = None
    chunks: int = 0


@dataclass(slots=True)
class _Running:
    carrier: Carrier
    task: asyncio.Task[None]
    windows: set[Key] = field(default_factory=set)


class RelayDesk:
    """Opens and closes windows. :meth:`run` owns the carriers; :meth:`due` is asked by the arming."""

    def __init__(
        self,
        *,
        plan: Windows,
        catalogue: Catalogue,
        directory: Directory,
        courier: Courier,
        journal: CommandJournal,
        signers: Signers,
        gateway: AgentGateway,
        media: MediaClock,
        clock: Clock,
        db: Database,
        policy: AddressPolicy,
        encoder: EncoderFactory,
        timeouts: FeedTimeouts | None = None,
    ) -> None:
        self._plan = plan
        self._catalogue = catalogue
        self._directory = directory
        self._courier = courier
        self._journal = journal
        self._signers = signers
        self._gateway = gateway
        self._media = media
        self._clock = clock
        self._db = db
        self._policy = policy
        self._encoder = encoder
        self._timeouts = timeouts
        self._group: asyncio.TaskGroup | None = None
        self._carriers: dict[str, _Running] = {}
        self._open: dict[Key, OpenWindow] = {}
        self._turn = asyncio.Lock()
        self._told: dict[str, CarrierState] = {}

    # --- tasks and wake-ups --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the carriers until cancelled; then close every stream."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                while True:
                    await asyncio.sleep(LASTING.total_seconds() / 2)
                    await self._tell_lasting_losses()
        finally:
            self._group = None
            self._carriers.clear()
            self._open.clear()

    def due(self, now: datetime, until: datetime) -> Sequence[Due]:
        """Windows to open and to close (for :class:`~controller.services.arming.Arming`)."""
        if self._group is None:
            return []
        wanted = {(w.rule_id, w.recurrence): w for w in self._plan.windows(now, until + OPEN_AHEAD)}
        found = [
            Due(_name("open", key), window.start - OPEN_AHEAD, partial(self._reconcile, key))
            for key, window in wanted.items()
            if key not in self._open and self._remaining(window)
        ]
        for key, opened in self._open.items():
            window = wanted.get(key)
            at = opened.window.end
            if window is None or self._differs(opened, window) or self._stale(opened):
                at = now
            found.append(Due(_name("close", key), at, partial(self._reconcile, key)))
        return [each for each in found if each.at < until]

    # --- looking ---------------------------------------------------------------------------------------------------

    def state_of(self, source_id: str) -> CarrierState | None:
        """How a station is; None when it is not being carried."""
        running = self._carriers.get(source_id)
        return None if running is None else running.carrier.state

    @property
    def open_windows(self) -> tuple[OpenWindow, ...]:
        """What is being carried."""
        return tuple(self._open.values())

    # --- opening and closing ---------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        """Make one window as the plan and the clock say it must be now."""
        async with self._turn:
            now = self._clock.now()
            near = self._plan.windows(now + _EARLY, now + OPEN_AHEAD + _EARLY)
            window = next((w for w in near if (w.rule_id, w.recurrence) == key), None)
            opened = self._open.get(key)
            if opened is not None and (window is None or self._differs(opened, window)):
                await self._close(key)
                opened = None
            if window is not None and opened is None and self._remaining(window):
                await self._open_window(key, window)
            elif window is not None and opened is not None:
                await self._retarget(opened)

    async def _open_window(self, key: Key, window: Window) -> None:
        opened = OpenWindow(window)
        clusters = sorted(self._remaining(window))
        try:
            for at in range(0, len(clusters), MAX_TARGETS):
                opened.streams.append(await self._announce(window, clusters[at : at + MAX_TARGETS]))
        except JournalError as error:
            _log.error("relay_not_opened", rule=window.rule_id, why=str(error))
            for stream in opened.streams:
                await self._gateway.close_stream(stream.stream_id)
            return
        running = self._carrier_for(window)
        opened.listener = partial(self._publish, opened)
        running.carrier.listeners.append(opened.listener)
        running.windows.add(key)
        self._open[key] = opened
        _log.info("relay_opened", rule=window.rule_id, source=window.source_id, clusters=len(clusters))

    async def _announce(self, window: Window, clusters: Sequence[str]) -> RelayStream:
        """Number, sign and announce one stream."""
        now = self._clock.now()
        key = self._signers.key(Role.LIVE)
        stream_id = secrets.randbits(_STREAM_BITS)
        body = {
            "stream": f"{stream_id:016x}",
            "rule": window.rule_id,
            "recurrence": to_unix_us(window.recurrence),
            "clusters": len(clusters),
        }
        entry = await self._journal.append(actor=SYSTEM.audit_name, kind="stream_open", body=body, at=now)
        document = StreamOpen(
            stream=stream_id,
            timeline=self._media.timeline,
            priority=Priority(window.priority),
            key_id=key.key_id,
            opened=now,
            not_after=min(window.end, now + MAX_STREAM_LIFE),
            targets=Targets(clusters=tuple(clusters)),
            title=window.title,
            term=entry.term,
            seq=entry.seq,
            rule_id=window.rule_id,
            recurrence=window.recurrence,
        )
        stream = RelayStream(stream_id, seal_document(document, key), frozenset(clusters), key)
        stream.agents = self._directory.agents_of(clusters)
        await self._gateway.open_stream(stream_id, stream.envelope, stream.agents)
        return stream

    async def _retarget(self, opened: OpenWindow) -> None:
        """Follow agents that were approved or replaced, and clusters that were stopped."""
        remaining = self._remaining(opened.window)
        for stream in list(opened.streams):
            agents = self._directory.agents_of(stream.clusters & remaining)
            if not agents and not stream.clusters & remaining:
                await self._gateway.close_stream(stream.stream_id)
                opened.streams.remove(stream)
            elif agents != stream.agents:
                stream.agents = agents
                await self._gateway.open_stream(stream.stream_id, stream.envelope, agents)

    async def _close(self, key: Key) -> None:
        opened = self._open.pop(key)
        running = self._carriers.get(opened.window.source_id)
        if running is not None:
            if opened.listener in running.carrier.listeners:
                running.carrier.listeners.remove(opened.listener)
            running.windows.discard(key)
            if not running.windows:
                del self._carriers[opened.window.source_id]
                self._told.pop(opened.window.source_id, None)
                running.task.cancel()
        for stream in opened.streams:
            await self._gateway.close_stream(stream.stream_id)
        _log.info("relay_closed", rule=opened.window.rule_id, chunks=opened.chunks)

    def _carrier_for(self, window: Window) -> _Running:
        running = self._carriers.get(window.source_id)
        if running is not None:
            return running
        if self._group is None:
            raise RuntimeError("the relay desk does not run")
        carrier = Carrier(
            lambda: self._catalogue.source(window.source_id).url,
            policy=self._policy,
            encoder=self._encoder,
            media=self._media,
            clock=self._clock,
            start=MediaUs(self._media.now() + (window.start - self._clock.now()) // timedelta(microseconds=1)),
            timeouts=self._timeouts,
        )
        task = self._group.create_task(carrier.run(), name=f"relay-{window.source_id}")
        running = self._carriers[window.source_id] = _Running(carrier, task)
        return running

    def _publish(self, opened: OpenWindow, chunk: Chunk) -> None:
        now = self._media.now()
        starts = self._clock.now() + timedelta(microseconds=chunk.play_at - now)
        length = timedelta(microseconds=chunk.ends - chunk.play_at)
        if starts >= opened.window.end or starts + length <= opened.window.start:
            return
        opened.chunks += 1
        for stream in opened.streams:
            self._gateway.publish(stream.stream_id, stream.bundle(chunk, self._media.timeline, now), chunk.play_at)

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _remaining(self, window: Window) -> frozenset[str]:
        """Clusters of a window that were not stopped since it began."""
        stopped = self._courier.stopped_since(window.start)
        return frozenset() if stopped is None else window.clusters - stopped

    def _differs(self, opened: OpenWindow, window: Window) -> bool:
        """Whether an open window must be made anew: another time, another station, more or other clusters."""
        old = opened.window
        same = (old.start, old.end, old.source_id, old.clusters) == (
            window.start,
            window.end,
            window.source_id,
            window.clusters,
        )
        return not same or not self._remaining(window)

    def _stale(self, opened: OpenWindow) -> bool:
        """Whether agents came, went or changed places since the streams were announced."""
        remaining = self._remaining(opened.window)
        return any(self._directory.agents_of(one.clusters & remaining) != one.agents for one in opened.streams)

    async def _tell_lasting_losses(self) -> None:
        now = self._clock.now()
        for source_id, running in list(self._carriers.items()):
            state, told = running.carrier.state, self._told.get(source_id)
            lasting = state.state == "lost" and now - state.since >= LASTING
            back = state.state == "sounding" and told is not None and told.state == "lost"
            if (lasting and (told is None or told.since != state.since)) or back:
                self._told[source_id] = state
                await self._tell(source_id, state)

    async def _tell(self, source_id: str, state: CarrierState) -> None:
        _log.warning("source_" + state.state, source=source_id, code=state.code, detail=state.detail)
        try:
            async with self._db.transaction(SYSTEM) as tx:
                action = "source.lost" if state.state == "lost" else "source.back"
                tx.audit(action, source_id, {"code": state.code, "since": state.since.isoformat()})
        except StoreBusyError:
            _log.warning("source_state_not_audited", source=source_id)


def _name(what: str, key: Key) -> str:
    return f"relay.{what}:{key[0]}:{key[1].isoformat()}"
