"""The control connection: proof, session, clock, orders, documents, reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import select

from controller.gateway import GatewayLimits
from controller.services.context import SYSTEM
from controller.services.ports import Briefing
from controller.store import StoreBusyError, tables
from protocol.documents import DocumentKind
from protocol.keys import SigningKey
from protocol.messages import (
    Ack,
    AckOutcome,
    Bye,
    ClockReply,
    CommandOffer,
    Event,
    KeySetOffer,
    Message,
    Progress,
    ProgressStage,
    Records,
    RecordsAck,
    Refused,
    StreamOpenOffer,
    Welcome,
    decode,
)
from protocol.telemetry import Fault, PlayOutcome
from tests.unit.controller.gateway_kit import JOURNAL, SmallAgent, World, eventually, record, world_in


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_in(tmp_path, secure=request.param) as one:
        yield one


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as one:
        yield one


async def test_an_enrolled_agent_gets_a_session(world: World) -> None:
    agent = await world.approved()
    await agent.connect()
    assert agent.welcome.cluster_id == "cl_a"
    assert agent.welcome.timeline == world.media.timeline
    assert world.gateway.online() == {agent.id}
    await agent.say(Bye())
    await eventually(lambda: not world.gateway.online())
    assert world.gateway.door.census.total <= 1


async def test_strangers_are_told_why_and_shut_out(plain: World) -> None:
    stranger = SmallAgent(plain, SigningKey.generate())
    answer = await stranger.shake_hands()
    assert isinstance(answer, Refused)
    assert answer.code == "not_enrolled"
    assert plain.gateway.counts.handshakes_refused == 1


@pytest.mark.parametrize(("state", "code"), [("pending", "not_approved"), ("revoked", "revoked")])
async def test_who_is_not_approved_gets_no_session(plain: World, state: str, code: str) -> None:
    agent = await plain.approved()
    entry = plain.directory.agents[agent.id]
    plain.directory.put_agent(type(entry)(entry.id, entry.public_key, entry.cluster_id, state))
    answer = await agent.shake_hands()
    assert isinstance(answer, Refused)
    assert answer.code == code


async def test_another_certificate_is_refused(plain: World) -> None:
    agent = await plain.approved()
    agent.certificate = bytes.fromhex("11" * 32)
    answer = await agent.shake_hands()
    assert isinstance(answer, Refused)
    assert answer.code in {"certificate_mismatch", "bad_signature"}


async def test_a_conversation_must_begin_with_hello(plain: World) -> None:
    agent = await plain.approved()
    agent.control = await plain.http.ws_connect(f"{plain.url}/control")
    await agent.say(agent.status())
    refused, code = await agent.end()
    assert refused is not None
    assert refused.code == "out_of_order"
    assert code == 1008


async def test_a_silent_stranger_is_dropped_in_time(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(handshake_s=0.1)) as world:
        agent = await world.approved()
        agent.control = await world.http.ws_connect(f"{world.url}/control")
        refused, _ = await agent.end()
        assert refused is not None
        assert refused.code == "handshake_timeout"


async def test_the_clock_is_answered_at_once_with_stamps_in_order(world: World) -> None:
    (agent,) = await world.online()
    before = world.media.now()
    await agent.ask_time(42)
    reply = await agent.hear(ClockReply)
    assert reply.t0 == 42
    assert before <= reply.t1 <= reply.t2 <= world.media.now()
    assert reply.timeline == world.media.timeline


async def test_the_newest_connection_of_an_agent_counts(plain: World) -> None:
    (first,) = await plain.online()
    second = SmallAgent(plain, first.key)
    await second.connect()
    refused, code = await first.end()
    assert refused is None
    assert code == 4001
    assert plain.gateway.online() == {first.id}
    assert await plain.gateway.send_command(plain.command(), frozenset({first.id})) == 1
    await second.hear(CommandOffer)


async def test_one_key_in_two_boxes_is_noticed(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        agent = await world.approved()
        boxes = [SmallAgent(world, agent.key) for _ in range(6)]
        for box in boxes:
            await box.connect()
            await eventually(lambda: world.fleet.box(agent.id).connected)
        assert world.gateway.counts.flapping >= 1
        await eventually(lambda: len(world.fleet.box(agent.id)._replaced) == 5)
        await world.fleet.look()
        assert [fault.code for fault in world.fleet.faults_of(agent.id)] == ["link_two_boxes"]


async def test_what_it_must_know_comes_with_the_session(plain: World) -> None:
    agent = await plain.approved()
    plain.desk.briefings[agent.id] = Briefing(key_set=plain.vault.key_set_envelope, commands=(plain.command(),))
    await agent.connect()
    assert (await agent.hear(KeySetOffer)).envelope == plain.vault.key_set_envelope.decode()
    assert await agent.hear(CommandOffer)


async def test_a_locked_database_delays_the_briefing_not_the_session(
    plain: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.gateway.control._BRIEFING_RETRY_S", 0.01)
    plain.desk.failures = [StoreBusyError("locked"), StoreBusyError("locked")]
    agent = await plain.approved()
    plain.desk.briefings[agent.id] = Briefing(commands=(plain.command(),))
    await agent.connect()
    await agent.ask_time()
    await agent.hear(ClockReply)
    assert await agent.hear(CommandOffer)


async def test_an_order_reaches_whoever_is_online(plain: World) -> None:
    agents = await plain.online(3)
    absent = await plain.approved()
    command = plain.command()
    targets = frozenset({agents[0].id, agents[1].id, absent.id})
    assert await plain.gateway.send_command(command, targets) == 2
    for agent in agents[:2]:
        assert (await agent.hear(CommandOffer)).envelope == command.decode()
    await agents[2].ask_time()
    assert isinstance(await agents[2].hear(ClockReply), ClockReply)  # and nothing before it


async def test_records_are_kept_once_and_acknowledged(world: World) -> None:
    (agent,) = await world.online()
    batch = Records(journal=JOURNAL, records=(record(1), record(2, PlayOutcome.MISSED)))
    await agent.say(batch)
    assert (await agent.hear(RecordsAck)).up_to == 2
    await agent.say(batch)  # its acknowledgement was lost
    await agent.say(Records(journal=JOURNAL, records=(record(2, PlayOutcome.MISSED), record(3))))
    assert (await agent.hear(RecordsAck)).up_to == 2
    assert (await agent.hear(RecordsAck)).up_to == 3
    async with world.db.read() as session:
        rows = list(await session.exec(select(tables.PlayRecordRow)))
    assert sorted(row.seq for row in rows) == [1, 2, 3]
    assert {row.cluster_id for row in rows} == {"cl_a"}
    assert world.fleet.box(agent.id).outcomes == {"played": 2, "missed": 1}


async def test_status_faults_and_refusals_reach_the_fleet(plain: World) -> None:
    (agent,) = await plain.online()
    at = plain.clock.now()
    for _ in range(3):
        await agent.say(agent.status(faults=(Fault(code="under_voltage", detail="4.4 V", since=at),)))
    await agent.say(Event(code="bad_signature", detail="a forged bundle", at=at))
    await agent.say(
        Ack(document=DocumentKind.PLAN, term=1, seq=9, outcome=AckOutcome.REFUSED, code="wrong_target", at=at)
    )
    await eventually(lambda: len(plain.desk.acks) == 1)
    assert [fault.code for fault in plain.fleet.faults_of(agent.id)] in ([], ["under_voltage"])  # statuses coalesce
    assert plain.fleet.security_events == {"bad_signature": 1, "wrong_target": 1}
    await plain.fleet.write()
    async with plain.db.read() as session:
        events = list(await session.exec(select(tables.SecurityEvent)))
        row = await session.get(tables.Agent, agent.id)
    assert {event.code for event in events} == {"bad_signature", "wrong_target"}
    assert row is not None
    assert row.last_status["health"]["clock"] == "ready"
    assert row.software == "test 1"


async def test_progress_of_emergencies_waits_for_no_database(plain: World) -> None:
    """A board hears of it although records before it wait for a lock; a board that fails costs nobody a session."""
    (agent,) = await plain.online()
    heard: list[tuple[str, Progress]] = []

    def broken(agent_id: str, progress: Progress) -> None:
        raise ZeroDivisionError(agent_id, progress)

    plain.fleet.watch_progress(broken)
    plain.fleet.watch_progress(lambda *said: heard.append(said))
    said = Progress(
        term=1, seq=7, rule_id="al_lu", stage=ProgressStage.STARTED, at=plain.clock.now(), start_error_us=80
    )
    async with plain.db.transaction(SYSTEM) as tx:  # holds the lock that records need
        tx.audit("area.create", "lock")
        await agent.say(Records(journal=JOURNAL, records=(record(1),)))
        await agent.say(said)
        await eventually(lambda: heard == [(agent.id, said)])
    assert plain.fleet.online(agent.id)


async def test_what_is_only_late_is_counted_and_is_no_attack(plain: World) -> None:
    (agent,) = await plain.online()
    at = plain.clock.now()
    for code in ("expired", "drill_unmarked", "duplicate_key"):
        await agent.say(Ack(document=DocumentKind.COMMAND, outcome=AckOutcome.REFUSED, code=code, at=at))
    await eventually(lambda: len(plain.desk.acks) == 3)
    assert plain.fleet.box(agent.id).refusals == {"expired": 1, "drill_unmarked": 1, "duplicate_key": 1}
    assert plain.fleet.security_events == {"drill_unmarked": 1, "duplicate_key": 1}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"type":"status"}', "bad_message"),
        ("not json", "not_json"),
        ('{"type":"clock","t0":1,"t0":2}', "duplicate_key"),
        ("[" * 5000, "too_deep"),
    ],
)
async def test_nonsense_ends_the_session_with_a_reason(plain: World, frame: str, code: str) -> None:
    agent, other = await plain.online(2)
    await agent.control.send_str(frame)
    refused, closed = await agent.end()
    assert refused is not None
    assert refused.code == code
    assert closed == 1008
    await other.ask_time()
    await other.hear(ClockReply)


async def test_unknown_messages_are_ignored(plain: World) -> None:
    (agent,) = await plain.online()
    await agent.control.send_str('{"type":"of_a_later_version","x":1}')
    await agent.ask_time()
    await agent.hear(ClockReply)


async def test_sound_from_an_agent_is_refused(plain: World) -> None:
    (agent,) = await plain.online()
    await agent.control.send_bytes(b"\x01" * 100)
    refused, _ = await agent.end()
    assert refused is not None
    assert refused.code == "bad_message"


async def test_a_flood_is_cut_off_and_nobody_else_notices(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(messages_burst=20, messages_per_s=1)) as world:
        agent, other = await world.online(2)
        answer: Message | None = None
        for number in range(60):
            # One at a time: what lies unread in a socket that is closed would take the refusal with it.
            await agent.ask_time(number)
            answer = decode(await agent.control.receive_str(timeout=5))
            if isinstance(answer, Refused):
                break
        assert isinstance(answer, Refused)
        assert answer.code == "too_many_messages"
        await other.ask_time()
        await other.hear(ClockReply)


async def test_a_revoked_agent_is_cut_off_and_stays_out(plain: World) -> None:
    (agent,) = await plain.online()
    entry = plain.directory.agents[agent.id]
    plain.directory.put_agent(type(entry)(entry.id, entry.public_key, entry.cluster_id, "revoked"))
    refused, code = await agent.end()
    assert refused is not None
    assert refused.code == "revoked"
    assert code == 1008
    await eventually(lambda: not plain.gateway.online())
    again = await SmallAgent(plain, agent.key).shake_hands()
    assert isinstance(again, Refused)
    response = await plain.http.get(f"{plain.url}/documents/{'0' * 64}", headers=agent.authorization)
    assert response.status == 401


async def test_an_agent_moved_to_another_cluster_connects_again(plain: World) -> None:
    (agent,) = await plain.online()
    entry = plain.directory.agents[agent.id]
    plain.directory.put_agent(type(entry)(entry.id, entry.public_key, "cl_b", "approved"))
    refused, _ = await agent.end()
    assert refused is not None
    assert refused.code == "reassigned"
    again = SmallAgent(plain, agent.key)
    await again.connect()
    assert again.welcome.cluster_id == "cl_b"


async def test_a_restart_is_announced(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        (agent,) = await world.online()
        closing = asyncio.ensure_future(world.gateway.close())
        _, code = await agent.end()
        assert code == 1012
        await closing
        assert world.gateway.door.census.total == 0


async def test_an_open_stream_is_announced_to_who_comes_later(plain: World) -> None:
    agent = await plain.approved()
    envelope = plain.opening(5, [agent.id])
    assert await plain.gateway.open_stream(5, envelope, frozenset({agent.id})) == 0
    await agent.connect()
    assert (await agent.hear(StreamOpenOffer)).envelope == envelope.decode()


async def test_a_district_connects_at_once(plain: World) -> None:
    agents = await plain.online(60)
    assert plain.gateway.online() == {agent.id for agent in agents}
    assert all(isinstance(agent.welcome, Welcome) for agent in agents)
    await asyncio.gather(*(agent.say(Bye()) for agent in agents))
    await eventually(lambda: not plain.gateway.online())
    await eventually(lambda: plain.gateway.door.census.total == 0)


async def test_a_line_that_went_dead_without_a_word_is_found(tmp_path: Path) -> None:
    """Nobody answers the pings: what a dropped NAT entry looks like from here."""
    async with world_in(tmp_path, limits=GatewayLimits(ping_s=0.1)) as world:
        (agent, other) = await world.online(2)
        talking = asyncio.ensure_future(agent.hear(CommandOffer))  # reads, and so answers pings
        await eventually(lambda: world.gateway.online() == {agent.id})
        await world.gateway.send_command(world.command(), frozenset({agent.id}))
        await talking
        assert world.fleet.box(other.id).connected is False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_flapping_line_leaves_nothing_behind(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        agent = await world.approved()
        await agent.connect()
        await agent.control.close()
        await eventually(lambda: world.gateway.door.census.total == 0)
        files, tasks = open_files(), len(asyncio.all_tasks())
        for turn in range(60):
            await agent.connect()
            if turn % 2:
                await agent.open_stream()
            if turn % 3 == 0:
                assert agent.control._response.connection is not None
                agent.control._response.connection.transport.abort()  # type: ignore[union-attr]
            await agent.control.close()
        await eventually(lambda: world.gateway.door.census.total == 0)
        await eventually(lambda: not world.gateway.online())
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks + 2)
        assert open_files() <= files + 5
        assert len(world.gateway._tickets) <= 3
