"""The fleet as it is now: who is there, what it sounds, what is wrong. In memory; the database follows.

1. Nothing here waits for the database except play records, which are acknowledged only when they are on the disk.
2. A box that is not connected, or says nothing, is *offline* after 60 s (90 s when its line still stands): with the
   controller's look every 5 s the fault is on the technician's screen within the 100 s of EN 54-16.
3. "Playing" is what a status said that is not older than 90 s; otherwise it is unknown and not shown as playing.
4. Status and time of last contact are written every 30 s; a crash loses that much of telemetry and nothing else.
   Looking and writing go by :data:`_AT_ONCE` boxes, so that nothing on air waits for thousands.
5. What agents refuse as forged, replayed or foreign is counted for each box and kept (20 rows in ten minutes a box at
   most; the counters go on).

Not here: who may join (:mod:`controller.services.enrolment`), faults' rules (:mod:`controller.services.faults`),
what is to be told (:class:`Briefer`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from sqlalchemy import bindparam, update
from sqlmodel import col, select

from controller.services.context import Clock
from controller.services.directory import AgentEntry, Directory
from controller.services.faults import Fault, FaultBook
from controller.services.keeping import Keeper
from controller.services.leads import Leads
from controller.services.play_records import PlayRecordBook
from controller.services.ports import Briefing
from controller.store import Database, StoreError, tables
from protocol.messages import Ack, AckOutcome, Event, Hello, Progress, Status
from protocol.telemetry import PlayRecord

_log = structlog.get_logger(__name__)

#: Fault codes the controller itself sets.
OFFLINE: Final = "link_offline"
TWO_BOXES: Final = "link_two_boxes"
SLOW: Final = "link_slow"

_GONE_US: Final = 60_000_000
_SILENT_US: Final = 90_000_000
_LOOK_S: Final = 5.0
_WRITE_S: Final = 30.0
_AT_ONCE: Final = 100
_EVENTS: Final = 20
_EVENT_WINDOW: Final = timedelta(minutes=10)
_EVENTS_WAITING: Final = 2000
#: Connections that replaced one which still stood: so many within the window look like two boxes with one key.
_REPLACEMENTS: Final = 5
_REPLACEMENT_WINDOW_US: Final = 60_000_000

#: Refusals that happen between honest parties: a late packet, a clock not yet set, an offer repeated.
HONEST: Final = frozenset(
    {"expired", "not_yet_valid", "time_untrusted", "already_have", "quiet_hours", "unknown_stream", "held", "too_late"}
)
#: What an event must be called to count as an attempt on an agent.
HOSTILE: Final = frozenset(
    {
        "bad_signature",
        "unsigned",
        "too_many_signatures",
        "unknown_key",
        "wrong_role",
        "wrong_root",
        "wrong_target",
        "wrong_type",
        "wrong_stream",
        "key_not_valid",
        "term_not_rooted",
        "replayed",
        "older_version",
        "term_too_low",
        "wrong_timeline",
        "certificate_mismatch",
        "hash_mismatch",
        "wrong_hash",
        "start_flood",
        "bad_envelope",
        "bad_document",
        "bad_bundle",
        "bad_field",
        "duplicate_key",
        "not_json",
        "too_deep",
        "bad_number",
        "bad_utf8",
        "drill_unmarked",
    }
)


class Briefer(Protocol):
    """Planning and orders, as the fleet needs them."""

    async def briefing(self, agent_id: str) -> Briefing:
        """What an agent that has just connected must be told."""
        ...

    async def answered(self, agent_id: str, ack: Ack) -> None:
        """An agent accepted or refused a document."""
        ...


@dataclass(slots=True)
class Box:
    """One approved box, as far as it is known now. Read it; only the fleet writes."""

    agent_id: str
    connected: bool = False
    since: datetime | None = None  # of the present connection
    last_seen: datetime | None = None
    heard_us: int | None = None  # monotonic
    told_us: int | None = None  # monotonic, of its last status
    left_us: int = 0
    software: str = ""
    status: Status | None = None
    outcomes: Counter[str] = field(default_factory=Counter)  # of records received since the start
    refusals: Counter[str] = field(default_factory=Counter)
    faults: FaultBook = field(default_factory=FaultBook)
    changed: bool = False
    _replaced: deque[int] = field(default_factory=lambda: deque(maxlen=_REPLACEMENTS))
    _events: deque[datetime] = field(default_factory=lambda: deque(maxlen=_EVENTS))

    def fresh(self, now_us: int) -> bool:
        """Whether its last status may still be believed."""
        return self.connected and self.heard_us is not None and now_us - self.heard_us <= _SILENT_US


@dataclass(frozen=True, slots=True)
class AreaSummary:
    """One area's clusters in numbers. ``played`` and ``missed`` count records since the controller's start."""

    area_id: str
    name: str
    clusters: int
    agents: int
    online: int
    cached: int
    playing: int
    played: int
    missed: int
    faults: int


class FleetService:
    """Implements :class:`controller.services.ports.FleetEvents`."""

    def __init__(
        self,
        db: Database,
        directory: Directory,
        clock: Clock,
        records: PlayRecordBook,
        briefer: Briefer,
        *,
        leads: Leads | None = None,
    ) -> None:
        """``leads``: who judges the agents' lines; without it nobody is too slow."""
        self._db = db
        self._directory = directory
        self._clock = clock
        self._records = records
        self._briefer = briefer
        self._leads = leads or Leads(clock.mono_us)
        self._boxes: dict[str, Box] = {}
        self._events: deque[tables.SecurityEvent] = deque(maxlen=_EVENTS_WAITING)
        self._listeners: list[Callable[[str], None]] = []
        self._watchers: list[Callable[[str, Progress], None]] = []
        self._followers: list[Callable[[str], None]] = []
        self._readers: list[Callable[[str, Sequence[PlayRecord]], None]] = []
        self.started_at = clock.now()
        self.security_events: Counter[str] = Counter()

    async def open(self, keeper: Keeper) -> None:
        """Remember who was seen when, and begin to watch."""
        async with self._db.read() as session:
            for row in await session.exec(select(tables.Agent).where(col(tables.Agent.state) == "approved")):
                box = self.box(row.id)
                box.last_seen, box.software = row.last_seen, row.software
        keeper.every("fleet-watch", _LOOK_S, self.look)
        keeper.every("fleet-writer", _WRITE_S, self.write)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.write()

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(agent_id)`` when a box comes, goes, or changes its faults. It must be quick and not raise."""
        self._listeners.append(listener)

    def watch_progress(self, watcher: Callable[[str, Progress], None]) -> None:
        """Call ``watcher(agent_id, progress)`` at once for every progress told. It must be quick."""
        self._watchers.append(watcher)

    def watch_status(self, follower: Callable[[str], None]) -> None:
        """Call ``follower(agent_id)`` after every status that came in. It must be quick and not raise."""
        self._followers.append(follower)

    def watch_records(self, reader: Callable[[str, Sequence[PlayRecord]], None]) -> None:
        """Call ``reader(agent_id, records)`` for play records that are new, once they are kept. It must be quick."""
        self._readers.append(reader)

    # --- FleetEvents ------------------------------------------------------------------------------------------

    async def connected(self, agent_id: str, hello: Hello) -> Briefing:
        """A box is there. Returns what it must be told."""
        box = self.box(agent_id)
        now, now_us = self._clock.now(), self._clock.mono_us()
        if box.connected:  # its former line still stood: this one replaces it
            box._replaced.append(now_us)  # noqa: SLF001 - the fleet is the box's owner
        box.since = now
        box.connected, box.last_seen, box.heard_us = True, now, now_us
        box.software, box.changed = hello.software, True
        box.faults.put(OFFLINE, "", now, raised=False)
        self._tell(agent_id)
        return await self._briefer.briefing(agent_id)

    async def disconnected(self, agent_id: str) -> None:
        """Its line is gone."""
        box = self.box(agent_id)
        box.connected, box.since, box.left_us, box.changed = False, None, self._clock.mono_us(), True
        self._records.forget(agent_id)
        self._tell(agent_id)

    async def status(self, agent_id: str, status: Status) -> None:
        """A heartbeat."""
        box = self.box(agent_id)
        now = self._clock.now()
        box.status, box.last_seen, box.heard_us, box.changed = status, now, self._clock.mono_us(), True
        box.told_us = box.heard_us
        present = {fault.code: fault.detail for fault in status.faults if not fault.code.startswith("link_")}
        self._leads.heard(agent_id, status)
        changed = bool(box.faults.reading(present, now))
        if self._look_at_line(box, now) or changed:
            self._tell(agent_id)
        for follower in self._followers:
            follower(agent_id)

    async def ack(self, agent_id: str, ack: Ack) -> None:
        """It accepted or refused a document."""
        if ack.outcome is AckOutcome.REFUSED and ack.code is not None:
            if ack.code in HONEST:
                self.box(agent_id).refusals[ack.code] += 1  # counted, and no attack
            else:
                self._note_refusal(agent_id, ack.code, f"{ack.document} {ack.term}.{ack.seq}: {ack.detail}")
        await self._briefer.answered(agent_id, ack)

    async def records(self, agent_id: str, journal: str, records: Sequence[PlayRecord]) -> int:
        """Keep what it played.

        Raises:
            BusyError, StoreBusyError: not now; nothing is acknowledged.
        """
        entry = self._directory.agents.get(agent_id)
        stored = await self._records.store(agent_id, entry.cluster_id if entry else None, journal, records)
        box = self.box(agent_id)
        box.outcomes.update(record.outcome.value for record in stored.new)
        for reader in self._readers:
            reader(agent_id, stored.new)
        return stored.up_to

    def progress(self, agent_id: str, progress: Progress) -> None:
        """What became of an emergency, a drill or a silent test, told to those who watch one."""
        box = self.box(agent_id)
        box.last_seen, box.heard_us = self._clock.now(), self._clock.mono_us()
        for listener in self._watchers:
            try:
                listener(agent_id, progress)
            except Exception:  # noqa: BLE001 - a board must not cost an agent its session
                _log.exception("progress_not_taken", agent_id=agent_id)

    async def event(self, agent_id: str, event: Event) -> None:
        """Something it wants known."""
        if event.code in HOSTILE:
            self._note_refusal(agent_id, event.code, event.detail)
        else:
            _log.info("agent_event", agent_id=agent_id, code=event.code, detail=event.detail)

    # --- looking ----------------------------------------------------------------------------------------------

    def box(self, agent_id: str) -> Box:
        """What is known of a box (empty when it was never heard of)."""
        box = self._boxes.get(agent_id)
        if box is None:
            box = self._boxes[agent_id] = Box(agent_id, left_us=self._clock.mono_us())
        return box

    def online(self, agent_id: str) -> bool:
        """Connected, and heard of lately."""
        box = self._boxes.get(agent_id)
        return box is not None and box.connected and not self._silent(box)

    def faults_of(self, agent_id: str) -> tuple[Fault, ...]:
        """A box's raised faults, oldest first."""
        box = self._boxes.get(agent_id)
        return () if box is None else box.faults.active(self._clock.now())

    def summaries(self, area_ids: Iterable[str]) -> tuple[AreaSummary, ...]:
        """The areas named that hold clusters themselves, by name."""
        found = []
        for area_id in area_ids:
            clusters = [one for one in self._directory.clusters_in(area_id) if one.area_id == area_id]
            if clusters:
                boxes = [self.box(agent.id) for one in clusters for agent in self._approved(one.id)]
                found.append(self._summary(area_id, len(clusters), boxes))
        return tuple(sorted(found, key=lambda one: one.name))

    def _summary(self, area_id: str, clusters: int, boxes: Sequence[Box]) -> AreaSummary:
        now, now_us = self._clock.now(), self._clock.mono_us()
        fresh = [box for box in boxes if box.fresh(now_us)]
        return AreaSummary(
            area_id=area_id,
            name=self._directory.area(area_id).name,
            clusters=clusters,
            agents=len(boxes),
            online=sum(box.connected and not self._silent(box) for box in boxes),
            cached=sum(has_everything(box.status) for box in fresh),
            playing=sum(box.status is not None and box.status.sounding is not None for box in fresh),
            played=sum(box.outcomes["played"] for box in boxes),
            missed=sum(box.outcomes["missed"] for box in boxes),
            faults=sum(len(box.faults.active(now)) for box in boxes),
        )

    def fresh_statuses(self) -> tuple[Status, ...]:
        """The last status of every box, where it may still be believed."""
        now_us = self._clock.mono_us()
        return tuple(box.status for box in self._boxes.values() if box.status is not None and box.fresh(now_us))

    def _approved(self, cluster_id: str) -> list[AgentEntry]:
        entries = (self._directory.agents[agent_id] for agent_id in self._directory.agents_of([cluster_id]))
        return [entry for entry in entries if entry.approved]

    # --- watching and writing ---------------------------------------------------------------------------------

    async def look(self) -> None:
        """Raise and clear the faults the controller itself can see."""
        for number, entry in enumerate(list(self._directory.agents.values())):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
                now, now_us = self._clock.now(), self._clock.mono_us()
            if not entry.approved:
                self._boxes.pop(entry.id, None)
                self._leads.forget(entry.id)
                continue
            box = self.box(entry.id)
            gone = self._silent(box) if box.connected else now_us - box.left_us > _GONE_US
            replaced = box._replaced  # noqa: SLF001 - the fleet is the box's owner
            twins = len(replaced) == _REPLACEMENTS and now_us - replaced[0] < _REPLACEMENT_WINDOW_US
            changed = box.faults.put(OFFLINE, "no contact", now, raised=gone)
            changed |= box.faults.put(TWO_BOXES, "connects again and again: two boxes with one key?", now, raised=twins)
            changed |= self._look_at_line(box, now)
            if changed:
                self._tell(entry.id)

    async def write(self) -> None:
        """Write status, last contact and security events to the database; what fails is written next time."""
        changed = [box for box in self._boxes.values() if box.changed and box.last_seen is not None]
        try:
            for first in range(0, len(changed), _AT_ONCE):
                await self._write_boxes(changed[first : first + _AT_ONCE])
            await self._write_events()
        except StoreError as error:
            _log.warning("fleet_not_written", reason=str(error))

    async def _write_boxes(self, boxes: Sequence[Box]) -> None:
        """Raises StoreError; what is not written stays marked."""
        rows = []
        for box in boxes:
            box.changed = False
            status = {} if box.status is None else box.status.model_dump(mode="json")
            rows.append({"agent": box.agent_id, "seen": box.last_seen, "status": status, "soft": box.software})
        try:
            async with self._db.telemetry() as session:
                await (await session.connection()).execute(_UPDATE, rows)
        except StoreError:
            for box in boxes:
                box.changed = True
            raise

    async def _write_events(self) -> None:
        events = list(self._events)
        if not events:
            return
        async with self._db.telemetry() as session:
            session.add_all([tables.SecurityEvent(**event.model_dump(exclude={"id"})) for event in events])
        for _ in events:
            self._events.popleft()

    def _look_at_line(self, box: Box, now: datetime) -> bool:
        complaint = self._leads.complaint(box.agent_id)
        return box.faults.put(SLOW, complaint or "", now, raised=complaint is not None)

    def _note_refusal(self, agent_id: str, code: str, detail: str) -> None:
        box = self.box(agent_id)
        now = self._clock.now()
        box.refusals[code] += 1
        self.security_events[code] += 1
        _log.warning("agent_refused_something", agent_id=agent_id, code=code, detail=detail)
        seen = box._events  # noqa: SLF001 - the fleet is the box's owner
        if len(seen) < _EVENTS or now - seen[0] > _EVENT_WINDOW:
            seen.append(now)
            self._events.append(tables.SecurityEvent(agent_id=agent_id, code=code, detail=detail, at=now))

    def _silent(self, box: Box) -> bool:
        return box.heard_us is None or self._clock.mono_us() - box.heard_us > _SILENT_US

    def _tell(self, agent_id: str) -> None:
        for listener in self._listeners:
            listener(agent_id)


def has_everything(status: Status | None) -> bool:
    """Whether a box has its plan and every sound the plan needs."""
    if status is None or status.plan.plan_seq == 0:
        return False
    return status.plan.days_missing == 0 and status.plan.clips_cached >= status.plan.clips_needed


_UPDATE = (
    update(tables.Agent)
    .where(col(tables.Agent.id) == bindparam("agent"))
    .values(last_seen=bindparam("seen"), last_status=bindparam("status"), software=bindparam("soft"))
)
