"""Listening in at the controller: real sockets to a small agent, a real database, pages that a reader takes apart."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from audio import ogg
from controller.api import listening_routes
from controller.services.carrier import CarrierState
from controller.services.carriers import Listener as ChunkListener
from controller.services.catalogue import Catalogue, SourceEntry
from controller.services.chunks import Chunk
from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    TooManyError,
    UnauthenticatedError,
)
from controller.services.listening import (
    MAX_LISTENERS,
    MAX_PER_AGENT,
    Listener,
    ListeningDesk,
    ListeningTickets,
    Wish,
)
from controller.services.listening.listener import FILL_US, PACKET_US, SILENT_PACKET, WAITING, Gapless
from controller.store import tables
from protocol.messages import Listen, ListenEnd, Listening
from protocol.tap import TapFrame, pack
from schedules.instants import MediaUs
from tests.unit.controller.desk import START, StillClock
from tests.unit.controller.gateway_kit import ADMIN, VIEWER, SmallAgent, World, eventually, world_in

TECHNICIAN_ELSEWHERE = Actor("us_t", "technician", (RoleGrant(Role.TECHNICIAN, "ar_b"),))
PACKET = b"\xf8abcdefgh"


@dataclass
class Lease:
    station: Stations
    source_id: str
    listener: ChunkListener

    def release(self) -> None:
        self.station.taken.remove(self)


@dataclass
class Stations:
    """The carriers, as far as listening goes."""

    open: bool = True
    taken: list[Lease] = field(default_factory=list)

    def take(self, source_id: str, listener: ChunkListener) -> Lease:
        self.taken.append(Lease(self, source_id, listener))
        return self.taken[-1]

    def state_of(self, source_id: str) -> CarrierState | None:
        return CarrierState("lost", code="unreachable", since=START)


@dataclass
class House:
    world: World
    desk: ListeningDesk
    stations: Stations


@asynccontextmanager
async def house_in(folder: Path) -> AsyncIterator[House]:
    async with world_in(folder) as world:
        stations, catalogue = Stations(), Catalogue()
        catalogue.put_source(
            SourceEntry("so_a", "ar_a", "VOV1", "http://radio.example/vov1", "active", "us_admin", START)
        )
        desk = ListeningDesk(
            directory=world.directory,
            catalogue=catalogue,
            carriers=stations,
            taps=world.gateway.taps,
            online=world.gateway.online,
            db=world.db,
        )
        yield House(world, desk, stations)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as one:
        yield one


async def agree(agent: SmallAgent) -> Listen:
    """Say yes to what the controller asks."""
    asked = await agent.hear(Listen)
    await agent.say(Listening(tap=asked.tap, on=True))
    return asked


async def heard(house: House, agent: SmallAgent, *, anyway: bool = False) -> tuple[Listener, Listen]:
    listener, asked = await asyncio.gather(house.desk.cluster(ADMIN, "cl_a", anyway=anyway), agree(agent))
    return listener, asked


def packets_of(data: bytes) -> list[bytes]:
    """The packets of an Ogg stream, by the reader of the house; every page's CRC is checked."""
    file = io.BytesIO(data)
    marks = list(ogg.scan(file))
    assert sum(mark.size for mark in marks) == len(data)
    return [piece for mark in marks for piece, _ in ogg.pieces(file, mark)]


async def pages(listener: Listener) -> bytes:
    async with asyncio.timeout(10):
        return b"".join([page async for page in listener.pages()])


def frame(asked: Listen, seq: int, *packets: bytes, at: int | None = None) -> bytes:
    play_at = None if at is None else MediaUs(at)
    return pack(TapFrame(asked.tap, seq, 7, play_at, packets, discontinuity=seq == 0))


async def test_what_an_agent_sends_reaches_everybody_who_listens(house: House) -> None:
    (agent,) = await house.world.online()
    await agent.open_stream()
    first, asked = await heard(house, agent)
    second, again = await heard(house, agent)
    assert again.tap == asked.tap  # one tap; its time begins anew
    for seq in range(3):
        await agent.stream.send_bytes(frame(asked, seq, PACKET, PACKET + b"x", at=1_000_000 + seq * 40_000))
    await eventually(lambda: house.world.gateway.counts.tap_frames == 3)
    for listener in (first, second):
        listener.end("over")
        assert packets_of(await pages(listener))[2:] == [PACKET, PACKET + b"x"] * 3
    first.close()
    assert house.world.gateway.taps.wanted(agent.id)
    second.close()
    second.close()
    assert (await agent.hear(ListenEnd)).tap == asked.tap
    assert house.desk.count == 0
    async with house.world.db.read() as session:
        rows = (await session.exec(select(tables.Audit).where(tables.Audit.action == "listen.cluster"))).all()
    assert [(row.actor, row.subject) for row in rows] == [(ADMIN.audit_name, "cl_a")] * 2


async def test_who_may_not_is_told_and_nothing_is_asked(house: House) -> None:
    (agent,) = await house.world.online()
    for actor in (VIEWER, TECHNICIAN_ELSEWHERE):
        with pytest.raises(ForbiddenError):
            await house.desk.cluster(actor, "cl_a")
        with pytest.raises(ForbiddenError):
            await house.desk.source(actor, "so_a")
    with pytest.raises(NotFoundError):
        await house.desk.cluster(ADMIN, "cl_nowhere")
    assert not house.world.gateway.taps.wanted(agent.id)


@pytest.mark.parametrize("how", ["token", "right"])
async def test_who_loses_the_right_hears_no_more(house: House, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening_routes, "LOOK_S", 0.01)
    taken = False

    def still() -> None:
        if taken and how == "token":
            raise UnauthenticatedError("signed out")
        house.desk.still(TECHNICIAN_ELSEWHERE if taken else ADMIN, cluster_id="cl_a")

    (agent,) = await house.world.online()
    listener, _ = await heard(house, agent)
    looking = asyncio.create_task(listening_routes._look(listener, still))
    await asyncio.sleep(0.05)
    assert not looking.done()
    taken = True
    await pages(listener)
    await looking
    assert listener.ended == "right_taken"
    listener.close()


async def test_a_cluster_without_its_agent_is_said(house: House) -> None:
    with pytest.raises(ConflictError) as refused:
        await house.desk.cluster(ADMIN, "cl_a")
    assert refused.value.code == "agent_offline"


@pytest.mark.parametrize("code", ["nothing_to_hear", "metered_link", "something_new"])
async def test_what_the_agent_answers_is_what_the_person_hears(house: House, code: str) -> None:
    (agent,) = await house.world.online()

    async def refuse() -> None:
        asked = await agent.hear(Listen)
        await agent.say(Listening(tap=asked.tap, on=False, code=code, detail="because"))

    with pytest.raises(ConflictError) as refused:
        await asyncio.gather(house.desk.cluster(ADMIN, "cl_a"), refuse())
    assert refused.value.code == code
    assert ("0.15 MB a minute" in refused.value.detail) is (code == "metered_link")
    assert house.desk.count == 0
    listener, asked = await heard(house, agent, anyway=True)  # and it can be asked again
    assert asked.anyway
    assert asked.bit_rate == 16_000
    listener.close()


async def test_an_agent_that_goes_ends_what_is_listened_to(house: House) -> None:
    (agent,) = await house.world.online()
    listener, _ = await heard(house, agent)
    await agent.control.close()
    await eventually(lambda: listener.ended is not None)
    assert listener.ended == "agent_offline"
    assert packets_of(await pages(listener))[2:] == []
    await agent.connect()
    again, _ = await heard(house, agent)  # while the first has not left yet
    listener.close()
    assert house.desk.count == 1
    assert house.world.gateway.taps.wanted(agent.id)
    again.close()


async def test_a_newer_session_of_the_agent_ends_it_too(house: House) -> None:
    (agent,) = await house.world.online()
    listener, _ = await heard(house, agent)
    twin = SmallAgent(house.world, agent.key)
    await twin.connect()
    await eventually(lambda: listener.ended == "agent_offline")
    listener.close()


async def test_a_tap_that_ends_by_itself_ends_the_stream(house: House) -> None:
    (agent,) = await house.world.online()
    listener, asked = await heard(house, agent)
    await agent.say(Listening(tap=asked.tap, on=False, code="over"))
    await eventually(lambda: listener.ended == "over")
    listener.close()


async def test_what_nobody_asked_for_is_dropped_and_a_flood_cut_off(house: House) -> None:
    (agent,) = await house.world.online()
    await agent.open_stream()
    gateway = house.world.gateway
    for data in (b"", b"nonsense", frame(Listen(tap=9), 0, PACKET)):
        await agent.stream.send_bytes(data)
    await eventually(lambda: gateway.counts.tap_frames_refused == 3)
    listener, asked = await heard(house, agent)
    await agent.stream.send_bytes(frame(Listen(tap=(asked.tap + 1) % 2**32), 0, PACKET))
    await eventually(lambda: gateway.counts.tap_frames_refused == 4)
    for seq in range(80):
        await agent.stream.send_bytes(frame(asked, seq, PACKET))
    await eventually(lambda: gateway.counts.cut_off == 1)
    assert agent.id in gateway.online()
    listener.close()


async def test_there_is_room_for_eight_at_an_agent_and_for_thirty_two_in_all(house: House) -> None:
    agents = [(await house.world.online(1, "cl_a"))[0]]
    listeners = [(await heard(house, agents[0]))[0] for _ in range(MAX_PER_AGENT)]
    with pytest.raises(TooManyError) as refused:
        await house.desk.cluster(ADMIN, "cl_a")
    assert refused.value.code == "too_many_listeners"
    assert house.desk.count == MAX_PER_AGENT
    for listener in listeners:
        listener.close()
    assert house.desk.count == 0
    assert MAX_LISTENERS == 32


async def test_a_source_is_opened_for_who_listens_and_let_go_after(house: House) -> None:
    async def play() -> None:
        await eventually(lambda: bool(house.stations.taken))
        house.stations.taken[0].listener(Chunk(MediaUs(5_000_000), (PACKET,), discontinuity=True))

    listener, _ = await asyncio.gather(house.desk.source(ADMIN, "so_a"), play())
    house.stations.taken[0].listener(Chunk(MediaUs(5_020_000 + 40_000), (PACKET,), discontinuity=False))
    second = await house.desk.source(ADMIN, "so_a")
    assert len(house.stations.taken) == 1
    listener.end("over")
    assert packets_of(await pages(listener))[2:] == [PACKET, SILENT_PACKET, SILENT_PACKET, PACKET]
    listener.close()
    second.close()
    assert house.stations.taken == []


async def test_a_station_that_sends_nothing_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.services.listening.desk.STATION_S", 0.1)
    with pytest.raises(ConflictError) as refused:
        await house.desk.source(ADMIN, "so_a")
    assert refused.value.code == "unreachable"
    assert house.stations.taken == []
    house.stations.open = False
    with pytest.raises(BusyError):
        await house.desk.source(ADMIN, "so_a")


async def test_the_end_of_the_controller_ends_everything(house: House) -> None:
    (agent,) = await house.world.online()
    listener, _ = await heard(house, agent)
    house.desk.close()
    assert packets_of(await pages(listener))[2:] == []
    assert listener.ended == "restarting"
    listener.close()


async def test_who_takes_nothing_loses_the_oldest_and_its_time_is_bounded() -> None:
    listener = Listener(seconds=0.2, leave=lambda _: None)
    for number in range(WAITING + 5):
        listener.put((bytes([number + 1]),))
    assert listener.dropped == 5
    found = packets_of(await pages(listener))[2:]
    assert found[0] == bytes([6])
    assert len(found) == WAITING
    assert listener.ended == "over"


@given(st.lists(st.tuples(st.integers(-60_000, 3_000_000), st.integers(0, 10)), max_size=30))
def test_a_listener_is_never_ahead_and_never_far_behind(steps: list[tuple[int, int]]) -> None:
    """However frames come, what was given out has the length of the time that passed, within one packet."""
    gapless, now, given_out, begun = Gapless(), 50_000_000, 0, None
    latest = 0
    for wait, count in steps:
        now += wait
        given_out += len(gapless.take((PACKET,) * count, MediaUs(now))) * PACKET_US
        begun = now if begun is None else begun
        latest = max(latest, now + count * PACKET_US)
        now += count * PACKET_US
    if begun is not None:
        assert given_out >= (now - begun) - PACKET_US - 60_000 * len(steps)
        assert given_out <= max(0, latest - begun) + 60_000 * len(steps)


def test_another_timeline_begins_anew_and_no_clock_follows() -> None:
    gapless = Gapless()
    assert gapless.take((PACKET,), MediaUs(1_000_000)) == (PACKET,)
    assert gapless.take((), MediaUs(1_100_000)) == (SILENT_PACKET,) * 4
    assert gapless.take((PACKET,), MediaUs(1_100_000 + 2 * FILL_US)) == (PACKET,)
    assert gapless.take((PACKET,), MediaUs(5)) == (PACKET,)
    assert gapless.take((PACKET, PACKET), None) == (PACKET, PACKET)
    assert gapless.take((PACKET,), MediaUs(99_000_000)) == (PACKET,)


def test_a_ticket_is_good_once_and_for_a_minute() -> None:
    clock = StillClock()
    tickets = ListeningTickets(clock)
    wish = Wish(ADMIN, "cl_a", None, anyway=False)
    ticket = tickets.issue(wish)
    assert tickets.redeem(ticket) == wish
    assert tickets.redeem(ticket) is None
    late = tickets.issue(wish)
    clock.advance(seconds=61)
    assert tickets.redeem(late) is None
    first = tickets.issue(wish)
    for _ in range(200):
        tickets.issue(wish)
    assert tickets.redeem(first) is None
