"""What a real agent still does after it was killed, with a small controller that may be gone."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.app import Agent
from agent.cache.database import Database
from agent.cache.pins import Pins
from agent.cache.state import Key, StateStore
from agent.config import AgentConfig
from agent.errors import StorageError
from agent.host import Host
from agent.link.archive import Shelves, read_shelves, restore
from protocol.counters import Counters
from protocol.documents import DocumentKind, PlayOrder
from protocol.messages import AckOutcome, CommandOffer, PlanOffer, SettingsOffer, StreamOpenOffer
from protocol.telemetry import PlayOutcome
from schedules.instants import MediaUs
from schedules.ladder import Priority
from tests.unit.agent.desk import bulletin, eventually, running_agent, soon
from tests.unit.agent.rehearsal import T0
from tests.unit.agent.small_controller import SmallController
from tests.unit.agent.test_agent_link import enrolled, planned

pytestmark = pytest.mark.slow


async def test_an_order_that_still_holds_is_not_acted_on_twice_and_not_forgotten(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        one = bulletin(controller.sound(0.8), soon(5), name="ordered")
        envelope = controller.command(PlayOrder(one))
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            agent_id = await enrolled(controller)
            await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)
            await controller.send_command(agent_id, envelope)
            await controller.until(lambda: any(ack.document is DocumentKind.COMMAND for ack in controller.acks()))
            assert agent.cluster is not None
            await eventually(lambda: not _missing(agent))
        controller.received.clear()
        async with running_agent(tmp_path / "agent", provisioning):
            agent_id = await controller.session_of()
            await controller.send(agent_id, CommandOffer(envelope=envelope.decode()))  # offered again: no matter
            await controller.until(lambda: any(ack.code == "already_have" for ack in controller.acks()))
            await controller.until(lambda: bool(controller.records), 12)
            await asyncio.sleep(0.5)
            assert [record.outcome for record in controller.records.values()] == [PlayOutcome.PLAYED]


def _missing(agent: Agent) -> frozenset[str]:
    assert agent.cluster is not None
    return agent.cluster.conductor.missing


async def test_a_relay_is_rejoined_after_a_restart(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        opened = b""
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            agent_id = await enrolled(controller)
            await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)
            opened = controller.stream_open(3, Priority.COMMUNE_LIVE)
            await controller.send_open(agent_id, opened)
            await controller.until(lambda: agent_id in controller.streams)
        async with running_agent(tmp_path / "agent", provisioning):
            agent_id = await controller.session_of()
            await controller.send(agent_id, StreamOpenOffer(envelope=opened.decode()))
            await controller.until(lambda: agent_id in controller.streams)  # it wants the sound again
            await asyncio.sleep(2.5)
            begin = MediaUs(controller.media_now() + 1_500_000)
            for frame in controller.bundles(3, begin=begin, count=8):
                await controller.streams[agent_id].send_bytes(frame)
            await controller.until(lambda: bool(controller.records), 12)
            (record,) = controller.records.values()
            assert record.stream == 3, record


async def test_a_lost_database_begins_anew_and_old_orders_still_do_not_sound(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            one = bulletin(controller.sound(0.5), soon(300))
            agent_id = await planned(controller, agent, one)
            older = controller.command(PlayOrder(bulletin(controller.sound(0.4), soon(300), name="older")))
            newer = controller.command(PlayOrder(bulletin(controller.sound(0.3), soon(300), name="newer")))
            await controller.send_command(agent_id, newer)
            await controller.until(lambda: _accepted(controller, DocumentKind.COMMAND) == 1)
            plan = agent.cluster.clerk.in_force.plan if agent.cluster is not None else None
            assert plan is not None
        for file in (tmp_path / "agent").glob("agent.db*"):
            file.unlink()
        controller.received.clear()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            agent_id = await controller.session_of()  # still enrolled: the pins were kept beside
            await controller.send(agent_id, CommandOffer(envelope=older.decode()))
            await controller.send(agent_id, CommandOffer(envelope=newer.decode()))
            await controller.until(lambda: controller.events().count("replayed") >= 1)
            assert _accepted(controller, DocumentKind.COMMAND) == 0
            await controller.send(agent_id, SettingsOffer(envelope=controller.settings(agent_id).decode()))
            envelope = controller.plan(agent_id, (one,))
            await controller.send(agent_id, PlanOffer(envelope=envelope.decode()))
            await controller.until(lambda: _accepted(controller, DocumentKind.PLAN) == 1)


def _accepted(controller: SmallController, kind: DocumentKind) -> int:
    return sum(ack.document is kind and ack.outcome is AckOutcome.ACCEPTED for ack in controller.acks())


async def test_a_document_that_was_altered_on_the_disk_is_left_out(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            await planned(controller, agent, bulletin(controller.sound(0.5), soon(300)))
    raw = sqlite3.connect(tmp_path / "agent" / "agent.db")
    raw.execute("UPDATE document SET body = CAST(replace(CAST(body AS TEXT), 'bulletin a', 'bulletin z') AS BLOB)")
    raw.commit()
    raw.close()
    async with running_agent(tmp_path / "agent", provisioning) as agent:
        await eventually(lambda: agent.cluster is not None)
        assert agent.cluster is not None
        assert agent.cluster.clerk.in_force.plan is None
        assert agent.cluster.conductor.needed == frozenset()
        happening = agent.watch.take()
        assert happening is not None
        assert happening.code == "day_altered"


def test_damaged_counters_stop_an_agent_from_believing(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db")
    database.open(T0)
    store = StateStore(database)
    store.open()
    assert read_shelves(store).orders == ()
    pins = Pins(b"\x01" * 32, "cl_a", None, Counters())
    with pytest.raises(StorageError) as caught:
        restore("0" * 32, pins, Shelves(values={Key.COUNTERS: b'{"plan": [1]}'}))
    assert caught.value.code == "counters_lost"


async def test_an_emergency_sounds_although_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        clip = controller.sound(1.5)
        agent_id = await planned(controller, agent, bulletin(clip, soon(3000)))
        await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)

        def refuse(*_: object) -> None:
            raise StorageError("storage_failing", "read-only")

        monkeypatch.setattr(StateStore, "apply", refuse)
        alarm = replace(bulletin(clip, soon(0.5), name="alarm"), priority=Priority.EMERGENCY_STORED)
        ordinary = replace(bulletin(clip, soon(0.5), name="plain"), priority=Priority.COMMUNE_LIVE)
        await controller.send_command(agent_id, controller.command(PlayOrder(ordinary)))
        await controller.until(lambda: any(ack.code == "storage_failing" for ack in controller.acks()))
        await controller.send_command(agent_id, controller.command(PlayOrder(alarm)))
        assert agent.cluster is not None
        conductor = agent.cluster.conductor
        await eventually(lambda: conductor.heard() is not None)
        act = conductor.heard()
        assert act is not None
        assert act.sounding.priority is Priority.EMERGENCY_STORED
        await eventually(lambda: agent.watch.has("storage_failing"))
        monkeypatch.undo()


async def test_an_agent_that_cannot_use_its_folder_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "agent.key").write_text("nonsense")
    async with Host(folder, mdns=None) as host:
        agent = Agent(host, AgentConfig(folder, "null"))
        with pytest.raises(StorageError) as caught:
            await agent.run()
        assert caught.value.code == "key_damaged"


async def test_an_expired_plan_is_silent_and_told(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await enrolled(controller)
        await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)
        late = soon(60)
        envelope = controller.plan(
            agent_id, (bulletin(controller.sound(0.5), late),), expires=soon(0.5) + timedelta(seconds=1)
        )
        await controller.send(agent_id, PlanOffer(envelope=envelope.decode()))
        await controller.until(lambda: _accepted(controller, DocumentKind.PLAN) == 1)
        await eventually(lambda: agent.watch.has("plan_expired"), 15)
        cluster = agent.cluster
        assert cluster is not None
        await eventually(lambda: cluster.conductor.decision.upcoming is None)
