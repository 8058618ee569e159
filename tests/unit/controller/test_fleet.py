"""The fleet: presence, faults, records kept exactly once, what is written and what people may see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from controller.services.batching import Batcher
from controller.services.context import Actor, Role, RoleGrant
from controller.services.directory import Directory
from controller.services.entries import AgentEntry
from controller.services.errors import BusyError, ForbiddenError
from controller.services.faults import FaultBook
from controller.services.fleet import FleetService
from controller.services.fleet_views import FleetViews
from controller.services.play_records import PlayRecordBook, RecordFilter
from controller.store import Database, StoreBusyError, tables
from controller.supervisor import Supervisor
from protocol.documents import DocumentKind
from protocol.messages import Ack, AckOutcome, Event, Hello, Status
from protocol.telemetry import (
    ClockState,
    Fault,
    Health,
    OutputState,
    PlanState,
    PlayOutcome,
    SoundingState,
)
from schedules.instants import MonoUs
from tests.unit.controller.gateway_kit import ADMIN, JOURNAL, Desk, furnish, make_database, record

BEGIN = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
COMMUNE_A = Actor("us_a", "a", (RoleGrant(Role.VIEWER, "ar_a"),))


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.at = BEGIN
        self.mono = 1_000_000_000

    def now(self) -> datetime:
        return self.at

    def mono_us(self) -> MonoUs:
        return MonoUs(self.mono)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.mono += int(seconds * 1e6)


class House:
    """A fleet without a network."""

    def __init__(self, db: Database, directory: Directory, clock: HandClock) -> None:
        self.db = db
        self.directory = directory
        self.clock = clock
        self.desk = Desk()
        self.records = PlayRecordBook(db, clock)
        self.fleet = FleetService(db, directory, clock, self.records, self.desk)
        self.views = FleetViews(db, directory, self.fleet, self.records)

    async def agent(self, letter: str, cluster_id: str = "cl_a") -> str:
        agent_id = letter * 32
        async with self.db.telemetry() as session:
            row = tables.Agent(
                id=agent_id, public_key="00" * 32, cluster_id=cluster_id, state="approved", enrolled_at=BEGIN
            )
            session.add(row)
        self.directory.put_agent(AgentEntry.of(row))
        return agent_id

    async def here(self, agent_id: str) -> None:
        await self.fleet.connected(agent_id, hello(agent_id))

    async def says(self, agent_id: str, *faults: str, sounding: bool = False, cached: int = 4) -> None:
        health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK)
        now = SoundingState(title="Bản tin", priority=40, since=self.clock.at) if sounding else None
        said = tuple(Fault(code=code, since=self.clock.at) for code in faults)
        plan = PlanState(plan_term=1, plan_seq=3, clips_needed=4, clips_cached=cached)
        await self.fleet.status(agent_id, Status(at=self.clock.at, health=health, plan=plan, sounding=now, faults=said))

    def codes(self, agent_id: str) -> list[str]:
        return [fault.code for fault in self.fleet.faults_of(agent_id)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = HandClock()
    db = await make_database(tmp_path, clock)
    directory = Directory()
    await furnish(db, directory, clock)
    keeper = Supervisor()
    one = House(db, directory, clock)
    one.records.open(keeper)
    yield one
    await keeper.close()
    one.records.close()
    await db.close()


def hello(agent_id: str) -> Hello:
    return Hello(agent_id=agent_id, public_key="00" * 32, nonce="00" * 32, software="loa 0.1")


async def test_a_box_without_contact_is_a_fault_within_a_hundred_seconds(house: House) -> None:
    agent_id = await house.agent("a")
    await house.here(agent_id)
    await house.says(agent_id)
    assert house.fleet.online(agent_id)
    await house.fleet.disconnected(agent_id)
    for _ in range(12):
        house.clock.advance(5)
        await house.fleet.look()
    assert house.codes(agent_id) == []  # it may be back at once
    house.clock.advance(5)
    await house.fleet.look()
    assert house.codes(agent_id) == ["link_offline"]
    await house.here(agent_id)
    assert house.codes(agent_id) == []


async def test_a_line_that_stands_but_says_nothing_is_no_contact(house: House) -> None:
    agent_id = await house.agent("a")
    await house.here(agent_id)
    await house.says(agent_id, sounding=True)
    (summary,) = house.fleet.summaries(["ar_a"])
    assert (summary.online, summary.playing) == (1, 1)
    house.clock.advance(95)
    await house.fleet.look()
    assert house.codes(agent_id) == ["link_offline"]
    (summary,) = house.fleet.summaries(["ar_a"])
    assert (summary.online, summary.playing, summary.faults) == (0, 0, 1)  # unknown is not shown as playing


async def test_a_box_that_never_came_is_a_fault_too(house: House) -> None:
    agent_id = await house.agent("a")
    await house.fleet.look()
    house.clock.advance(65)
    await house.fleet.look()
    assert house.codes(agent_id) == ["link_offline"]


async def test_a_stepped_wall_clock_changes_nobodys_presence(house: House) -> None:
    agent_id = await house.agent("a")
    await house.here(agent_id)
    await house.says(agent_id)
    house.clock.at += timedelta(days=1)
    await house.fleet.look()
    assert house.fleet.online(agent_id)
    assert house.codes(agent_id) == []


async def test_three_readings_make_a_fault_and_three_end_it(house: House) -> None:
    agent_id = await house.agent("a")
    told: list[str] = []
    house.fleet.subscribe(told.append)
    await house.here(agent_id)
    for expected in ([], [], ["under_voltage"]):
        await house.says(agent_id, "under_voltage")
        assert house.codes(agent_id) == expected
    for expected in (["under_voltage"], ["under_voltage"], []):
        await house.says(agent_id)
        assert house.codes(agent_id) == expected
    assert len(told) == 3  # it came, the fault came, the fault went


async def test_agents_cannot_fake_the_controllers_own_faults(house: House) -> None:
    agent_id = await house.agent("a")
    await house.here(agent_id)
    for _ in range(5):
        await house.says(agent_id, "link_offline")
    assert house.codes(agent_id) == []


def test_a_flapping_fault_is_held_and_told_once() -> None:
    book, now = FaultBook(), BEGIN
    changes = 0
    for flip in range(12):
        for _ in range(3):
            changes += len(book.reading({"hot": "81 °C"} if flip % 2 == 0 else {}, now))
            now += timedelta(seconds=10)
    assert changes == 5
    (held,) = book.active(now)
    assert held.flapping
    now += timedelta(minutes=11)
    for _ in range(3):
        book.reading({}, now)
    assert book.active(now) == ()


def test_a_box_cannot_fill_the_book() -> None:
    book = FaultBook()
    for number in range(500):
        book.reading({f"code_{number}": ""}, BEGIN)
    assert len(book._lines) <= 64
    for _ in range(3):
        book.reading({}, BEGIN + timedelta(hours=1))
    assert not book._lines


async def test_records_of_many_boxes_are_one_transaction(house: House) -> None:
    ids = [await house.agent(letter) for letter in "0123456789abcdef"]
    batches = [tuple(record(seq) for seq in range(1, 21)) for _ in ids]
    acked = await asyncio.gather(
        *(house.fleet.records(agent_id, JOURNAL, batch) for agent_id, batch in zip(ids, batches, strict=True))
    )
    assert acked == [20] * len(ids)
    again = await house.fleet.records(ids[0], JOURNAL, batches[0])
    assert again == 20
    assert house.fleet.box(ids[0]).outcomes["played"] == 20
    assert len(await house.records.find(RecordFilter(limit=500))) == 320


async def test_what_could_not_be_written_is_not_acknowledged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_id = await house.agent("a")
    whole = house.records._writer._commit

    async def locked(_: Sequence[object]) -> list[object]:
        raise StoreBusyError("locked")

    assert await house.fleet.records(agent_id, JOURNAL, (record(1),)) == 1
    monkeypatch.setattr(house.records._writer, "_commit", locked)
    with pytest.raises(StoreBusyError):
        await house.fleet.records(agent_id, JOURNAL, (record(2), record(3)))
    monkeypatch.setattr(house.records._writer, "_commit", whole)
    assert await house.fleet.records(agent_id, JOURNAL, (record(4),)) == 1  # kept, not acknowledged past the hole
    assert await house.fleet.records(agent_id, JOURNAL, (record(2), record(3), record(4))) == 4
    rows = await house.records.find(RecordFilter())
    assert sorted(row.seq for row in rows) == [1, 2, 3, 4]


async def test_a_batcher_refuses_rather_than_grow() -> None:
    gate = asyncio.Event()

    async def commit(items: Sequence[int]) -> list[int]:
        await gate.wait()
        return list(items)

    keeper = Supervisor()
    batcher: Batcher[int, int] = Batcher(commit, name="test", limit=3, batch=2)
    with pytest.raises(BusyError):
        await batcher.submit(0)
    batcher.open(keeper)
    first = [asyncio.ensure_future(batcher.submit(number)) for number in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = [asyncio.ensure_future(batcher.submit(number)) for number in range(2, 5)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await batcher.submit(9)
    gate.set()
    assert await asyncio.gather(*first, *waiting) == [0, 1, 2, 3, 4]
    gate.clear()
    late = asyncio.ensure_future(batcher.submit(6))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await keeper.close()
    batcher.close()
    with pytest.raises(BusyError):
        await late


async def test_status_is_written_in_one_go_and_read_again(house: House, tmp_path: Path) -> None:
    agent_id = await house.agent("a")
    await house.here(agent_id)
    await house.says(agent_id)
    await house.fleet.write()
    async with house.db.read() as session:
        row = await session.get(tables.Agent, agent_id)
    assert row is not None
    assert row.last_seen == BEGIN
    assert row.software == "loa 0.1"
    keeper = Supervisor()
    later = FleetService(house.db, house.directory, house.clock, house.records, house.desk)
    await later.open(keeper)
    assert later.box(agent_id).last_seen == BEGIN
    await keeper.close()


async def test_forgeries_are_counted_and_a_liar_cannot_fill_the_table(house: House) -> None:
    agent_id = await house.agent("a")
    await house.here(agent_id)
    for _ in range(50):
        await house.fleet.event(agent_id, Event(code="replayed", detail="an old STOP", at=BEGIN))
    await house.fleet.event(agent_id, Event(code="preempted", at=BEGIN))
    await house.fleet.ack(
        agent_id, Ack(document=DocumentKind.COMMAND, outcome=AckOutcome.REFUSED, code="expired", at=BEGIN)
    )
    await house.fleet.write()
    assert house.fleet.security_events == {"replayed": 50}
    async with house.db.read() as session:
        assert len(list(await session.exec(select(tables.SecurityEvent)))) == 20
    assert len(await house.views.security_events(ADMIN, limit=5)) == 5
    assert len(await house.views.security_events(ADMIN, limit=5, agent_id=agent_id)) == 5
    assert await house.views.security_events(ADMIN, limit=5, agent_id="b" * 32) == []
    with pytest.raises(ForbiddenError):
        await house.views.security_events(COMMUNE_A, limit=5)


async def test_what_a_box_refused_is_for_who_looks_after_it_and_no_other(house: House) -> None:
    mine, theirs = await house.agent("a"), await house.agent("b", "cl_b")
    for agent_id in (mine, theirs):
        await house.here(agent_id)
        await house.fleet.event(agent_id, Event(code="replayed", detail="an old STOP", at=BEGIN))
    await house.fleet.write()
    crew = Actor("us_crew", "hoang", (RoleGrant(Role.TECHNICIAN, "ar_a"),))
    (event,) = await house.views.security_events(crew, limit=5, agent_id=mine)
    assert (event.agent_id, event.code) == (mine, "replayed")
    for refused in (theirs, None):
        with pytest.raises(ForbiddenError):
            await house.views.security_events(crew, limit=5, agent_id=refused)
    with pytest.raises(ForbiddenError):  # reading is not looking after
        await house.views.security_events(COMMUNE_A, limit=5, agent_id=mine)


async def test_people_see_their_own_area(house: House) -> None:
    a, b = await house.agent("a", "cl_a"), await house.agent("b", "cl_b")
    for agent_id in (a, b):
        await house.here(agent_id)
        await house.says(agent_id, sounding=agent_id == a, cached=4 if agent_id == a else 3)
        await house.fleet.records(agent_id, JOURNAL, (record(1), record(2, PlayOutcome.MISSED)))
    assert [view.entry.id for view in house.views.boxes(COMMUNE_A)] == [a]
    assert {view.entry.id for view in house.views.boxes(ADMIN)} == {a, b}
    with pytest.raises(ForbiddenError):
        house.views.box(COMMUNE_A, b)
    (mine,) = house.views.summaries(COMMUNE_A)
    assert (mine.clusters, mine.agents, mine.online, mine.cached, mine.playing) == (1, 1, 1, 1, 1)
    assert (mine.played, mine.missed, mine.faults) == (1, 1, 0)
    both = house.views.summaries(ADMIN)
    assert [one.cached for one in both] == [1, 0]
    with pytest.raises(ForbiddenError):
        house.views.summaries(COMMUNE_A, "ar_b")
    rows = await house.views.records(COMMUNE_A, RecordFilter())
    assert {row.agent_id for row in rows} == {a}
    with pytest.raises(ForbiddenError):
        await house.views.records(COMMUNE_A, RecordFilter(), cluster_id="cl_b")
    house.clock.advance(100)
    await house.fleet.look()
    assert [line.agent_id for line in house.views.faults(COMMUNE_A)] == [a]
