"""Relays: the windows of the plan in which a station is carried to the villages, as signed live streams.

Rules kept here:

1. Which windows there are is the plan's word alone. A window opens :data:`OPEN_AHEAD` before its start and closes at
   its end; one that vanishes from the plan (withdrawn, moved) closes at once. Clusters that leave it or join it in the
   middle do not disturb the others. After a restart in the middle it opens again, as a new stream on the new timeline.
2. A stream is authorised by a signed open with the window's rule and occurrence, its clusters, and ``not_after`` a
   moment after the window's end; the sound itself ends with the window, to the packet.
3. Clusters that were told to STOP since the window began are left out: they are silent anyway, and their data costs.
4. A station that is lost is told as it happens: state, audit log (losses that last), metrics. The windows stay open.

5. What went on air is recorded, window by window (:mod:`controller.services.tapes`).

Not here: the station itself (:mod:`controller.services.carrier`), what agents do when it is silent
(:mod:`schedules.arbiter`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from controller.services.arming import Due
from controller.services.carrier import CarrierState
from controller.services.carriers import CarrierPool, Lease
from controller.services.chunks import PACKET_US, Chunk, SourceKind
from controller.services.context import SYSTEM, Clock
from controller.services.dispatch import Courier
from controller.services.plan_making import Window
from controller.services.ports import MediaClock
from controller.services.streams import CarriedStream, StreamOpener, StreamPlan
from controller.services.tapes import Tape, TapeLabel, Tapes
from controller.store import Database, StoreBusyError
from controller.store.errors import JournalError
from schedules.instants import MediaUs
from schedules.ladder import Priority

#: How long before its window a station is connected to.
OPEN_AHEAD: Final = timedelta(seconds=10)
#: A loss is written into the audit log when it lasts this long.
LASTING: Final = timedelta(seconds=10)
#: A stream may live this much longer than its window, so that its last samples are not cut off; what it carries ends
#: with the window.
NOT_AFTER_SLACK: Final = timedelta(seconds=1)
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
class OpenWindow:
    """A window that is being carried."""

    window: Window
    streams: list[CarriedStream] = field(default_factory=list)
    lease: Lease | None = None
    tape: Tape | None = None
    chunks: int = 0


class RelayDesk:
    """Opens and closes windows. :meth:`run` watches over the stations; :meth:`due` is asked by the arming."""

    def __init__(
        self,
        *,
        plan: Windows,
        courier: Courier,
        opener: StreamOpener,
        carriers: CarrierPool,
        tapes: Tapes,
        media: MediaClock,
        clock: Clock,
        db: Database,
    ) -> None:
        self._plan = plan
        self._courier = courier
        self._opener = opener
        self._carriers = carriers
        self._tapes = tapes
        self._media = media
        self._clock = clock
        self._db = db
        self._open: dict[Key, OpenWindow] = {}
        self._turn = asyncio.Lock()
        self._told: dict[str, CarrierState] = {}
        self._endings: set[asyncio.Task[None]] = set()

    # --- tasks and wake-ups --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Watch the stations until cancelled; then the streams end."""
        try:
            while True:
                await asyncio.sleep(LASTING.total_seconds() / 2)
                await self._tell_lasting_losses()
                for opened in tuple(self._open.values()):
                    if opened.lease is not None:
                        self._take_again(opened, opened.lease)
                        opened.lease.need(self._opener.lead_us(opened.streams, SourceKind.RELAY))
        finally:
            for opened in self._open.values():
                if opened.lease is not None:
                    opened.lease.release()
                if opened.tape is not None:
                    opened.tape.close()
            self._open.clear()
            for task in self._endings:
                task.cancel()

    def due(self, now: datetime, until: datetime) -> Sequence[Due]:
        """Windows to open and to close (for :class:`~controller.services.arming.Arming`)."""
        if not self._carriers.open:
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
            if window is None or self._differs(opened, window) or self._stale(opened, window):
                at = now
            elif self._short(opened) and window.start < at:
                at = max(now, window.start)
            found.append(Due(_name("close", key), at, partial(self._reconcile, key)))
        return [each for each in found if each.at < until]

    # --- looking ---------------------------------------------------------------------------------------------------

    def state_of(self, source_id: str) -> CarrierState | None:
        """How a station is; None when it is not being carried."""
        return self._carriers.state_of(source_id)

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
                await self._retarget(opened, window)
                await self._prolong(opened, now)

    async def _open_window(self, key: Key, window: Window) -> None:
        opened = OpenWindow(window)
        clusters = self._remaining(window)
        plan = _plan_of(window, clusters)
        try:
            opened.streams = await self._opener.open(plan)
        except JournalError as error:
            _log.error("relay_not_opened", rule=window.rule_id, why=str(error))
            return
        opened.tape = self._tapes.begin(
            TapeLabel(
                kind="relay",
                title=window.title,
                priority=window.priority,
                clusters=clusters,
                subject=window.rule_id,
                recurrence=window.recurrence,
                source_id=window.source_id,
                actor=SYSTEM.audit_name,
            )
        )
        start = MediaUs(self._media.now() + _us(window.start - self._clock.now()))
        opened.lease = self._carriers.take(window.source_id, partial(self._publish, opened), start=start)
        opened.lease.need(self._opener.lead_us(opened.streams, SourceKind.RELAY))
        self._open[key] = opened
        _log.info("relay_opened", rule=window.rule_id, source=window.source_id, clusters=len(clusters))

    def _take_again(self, opened: OpenWindow, lease: Lease) -> None:
        """A fault of ours while it was published must not end the relay for the day."""
        if lease.dropped and self._carriers.open:
            opened.lease = self._carriers.take(opened.window.source_id, partial(self._publish, opened))
            lease.release()

    async def _retarget(self, opened: OpenWindow, window: Window) -> None:
        """Follow the plan's clusters without a break for those that stay: who comes gets a stream besides."""
        opened.window, remaining = window, self._remaining(window)
        await self._opener.retarget(opened.streams, remaining, SourceKind.RELAY)
        added = remaining - _reached(opened)
        if added:
            try:
                opened.streams += await self._opener.open(_plan_of(window, added))
            except JournalError as error:
                _log.error("relay_not_widened", rule=window.rule_id, clusters=len(added), why=str(error))

    async def _prolong(self, opened: OpenWindow, now: datetime) -> None:
        """A stream may live 12 hours, and was opened a moment before a window of 12 hours."""
        if self._short(opened) and now >= opened.window.start:
            end = opened.window.end + NOT_AFTER_SLACK
            try:
                await self._opener.extend(opened.streams, end, actor=SYSTEM.audit_name)
            except JournalError as error:
                _log.error("relay_not_extended", rule=opened.window.rule_id, why=str(error))

    async def _close(self, key: Key) -> None:
        opened = self._open.pop(key)
        if opened.lease is not None:
            opened.lease.release()
        if opened.tape is not None:
            opened.tape.close()
        if self._carriers.state_of(opened.window.source_id) is None:
            self._told.pop(opened.window.source_id, None)
        _log.info("relay_closed", rule=opened.window.rule_id, chunks=opened.chunks)
        if self._clock.now() < opened.window.end:
            await self._opener.close(opened.streams)
        else:  # what was sent ends with the window; let it
            task = asyncio.create_task(self._opener.end(opened.streams), name="relay-end")
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    def _publish(self, opened: OpenWindow, chunk: Chunk) -> None:
        now = self._media.now()
        offset = self._clock.now() - timedelta(microseconds=now)
        cut = _within(chunk, _us(opened.window.start - offset), _us(opened.window.end - offset))
        if cut is None:
            return
        opened.chunks += 1
        self._opener.publish(opened.streams, cut)
        if opened.tape is not None:
            opened.tape.write(cut)

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _remaining(self, window: Window) -> frozenset[str]:
        """Clusters of a window that were not stopped since it began."""
        stopped = self._courier.stopped_since(window.start)
        return frozenset() if stopped is None else window.clusters - stopped

    def _differs(self, opened: OpenWindow, window: Window) -> bool:
        """Whether an open window must be made anew: another time, another station, or nobody left."""
        old = opened.window
        same = (old.start, old.end, old.source_id) == (window.start, window.end, window.source_id)
        return not same or not self._remaining(window)

    def _stale(self, opened: OpenWindow, window: Window) -> bool:
        """Whether agents or clusters came, went or changed places since the streams were announced."""
        remaining = self._remaining(window)
        return bool(remaining - _reached(opened)) or self._opener.stale(opened.streams, remaining, SourceKind.RELAY)

    def _short(self, opened: OpenWindow) -> bool:
        """Whether the streams end before the window does."""
        return any(one.document.not_after < opened.window.end for one in opened.streams)

    async def _tell_lasting_losses(self) -> None:
        now = self._clock.now()
        for source_id, state in self._carriers.states().items():
            told = self._told.get(source_id)
            lasting = state.state == "lost" and now - state.since >= LASTING
            back = state.state == "sounding" and told is not None and told.state == "lost"
            if (lasting and (told is None or told.since != state.since)) or back:
                self._told[source_id] = state
                await self._tell(source_id, state)

    async def _tell(self, source_id: str, state: CarrierState) -> None:
        _log.warning("source_" + state.state, source=source_id, code=state.code, detail=state.detail)
        try:
            async with self._db.transaction(SYSTEM) as tx:
                tx.audit(
                    "source.lost" if state.state == "lost" else "source.back",
                    source_id,
                    {"code": state.code, "since": state.since.isoformat()},
                )
        except StoreBusyError:
            _log.warning("source_state_not_audited", source=source_id)


def _plan_of(window: Window, clusters: frozenset[str]) -> StreamPlan:
    return StreamPlan(
        priority=Priority(window.priority),
        clusters=clusters,
        title=window.title,
        not_after=window.end + NOT_AFTER_SLACK,
        actor=SYSTEM.audit_name,
        kind=SourceKind.RELAY,
        rule_id=window.rule_id,
        recurrence=window.recurrence,
    )


def _reached(opened: OpenWindow) -> frozenset[str]:
    """Clusters that some stream of the window may sound in."""
    return frozenset().union(*(one.clusters for one in opened.streams))


def _within(chunk: Chunk, start: MediaUs, end: MediaUs) -> Chunk | None:
    """The packets that begin before the window's end; None when nothing of the chunk belongs into the window."""
    if chunk.play_at >= end or chunk.ends <= start:
        return None
    wanted = -(-(end - chunk.play_at) // PACKET_US)
    return replace(chunk, packets=chunk.packets[:wanted])


def _us(span: timedelta) -> MediaUs:
    return MediaUs(span // timedelta(microseconds=1))


def _name(what: str, key: Key) -> str:
    return f"relay.{what}:{key[0]}:{key[1].isoformat()}"
