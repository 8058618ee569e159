"""The stock of a real agent: fetched first, never evicted, hashed again; silent tests and progress told; mute."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.asking import ask
from agent.cache.media import MediaStore
from agent.cache.stock import PATIENCE_US, ROUND_S, Stock
from agent.link.register import Register
from agent.localstatus import StatusSocket
from agent.watch import Watch
from protocol.documents import Command, PlayOrder, SilentTestOrder, StockClip
from protocol.messages import Progress, ProgressStage
from protocol.telemetry import MuteBy, StockState
from schedules.instants import Frames
from schedules.ladder import Priority
from tests.unit.agent.desk import bulletin, eventually, running_agent, soon
from tests.unit.agent.rehearsal import SimClock
from tests.unit.agent.small_controller import SmallController


async def test_the_stock_is_fetched_before_the_plan_and_kept(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        stock = [controller.stocked(controller.sound(0.2 + n / 10)).sha256 for n in range(3)]
        planned = controller.sound(1.5)
        async with running_agent(tmp_path / "agent", controller.provisioning()) as agent:
            agent_id = await controller.session_of()
            await controller.send_settings(agent_id)
            await controller.send_plan(agent_id, bulletin(planned, soon(600)))
            assert agent.cluster is not None
            cluster = agent.cluster
            await eventually(lambda: controller.served[planned.sha256] and not cluster.conductor.missing)
            sounds = [name for name in controller.served if name in {*stock, planned.sha256}]
            assert sounds[:3] == stock
            assert cluster.status().stock == StockState(wanted=3, here=3)


async def test_when_the_disk_is_full_everything_else_goes_first(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        planned, alarm = controller.sound(3.0), controller.sound(2.0, 300)
        sizes = {clip.sha256: len(controller.content[clip.sha256]) for clip in (planned, alarm)}
        budget = sizes[planned.sha256] + sizes[alarm.sha256] - 1
        provisioning = controller.provisioning()
        async with running_agent(tmp_path / "agent", provisioning, budget_bytes=budget) as agent:
            agent_id = await controller.session_of()
            await controller.send_settings(agent_id)
            await controller.send_plan(agent_id, bulletin(planned, soon(600)))
            assert agent.cluster is not None
            cluster = agent.cluster
            await eventually(lambda: bool(controller.served[planned.sha256]) and not cluster.conductor.missing)
            controller.stocked(alarm)
            await controller.send_settings(agent_id)
            await eventually(lambda: cluster.status().stock == StockState(wanted=1, here=1))
            await eventually(lambda: cluster.conductor.missing == {planned.sha256})
            await eventually(lambda: agent.watch.has("disk_full"))
            assert cluster.stock.missing() == ()


async def test_an_altered_emergency_sound_is_found_out_and_fetched_again(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        alarm = controller.stocked(controller.sound(0.5))
        async with running_agent(tmp_path / "agent", controller.provisioning()) as agent:
            agent_id = await controller.session_of()
            await controller.send_settings(agent_id)
            assert agent.cluster is not None
            cluster = agent.cluster
            await eventually(lambda: cluster.status().stock == StockState(wanted=1, here=1))
            file = tmp_path / "agent" / "media" / alarm.sha256
            body = bytearray(file.read_bytes())
            body[100] ^= 1
            file.write_bytes(bytes(body))
            state = await cluster.stock.prove_all()
            assert (state.here, state.bad) == (0, 1)
            assert agent.watch.has("stock_incomplete")
            await eventually(lambda: cluster.status().stock == StockState(wanted=1, here=1))
            assert controller.served[alarm.sha256] == 2
            cluster.stock.look()
            assert not agent.watch.has("stock_incomplete")


async def test_the_first_order_of_a_new_box_may_be_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is acted on before its number is written down; the test waits for that, and proves it."""
    written, persist = asyncio.Event(), Register.persist

    async def slow(self: Register, verified: Any, *more: Any, **named: Any) -> None:
        if isinstance(verified.document, Command):
            await written.wait()
        await persist(self, verified, *more, **named)

    monkeypatch.setattr(Register, "persist", slow)
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await controller.session_of()
        await controller.send_settings(agent_id)
        cluster = agent.cluster
        assert cluster is not None
        await eventually(lambda: cluster.wall.trusted)
        await controller.send_command(agent_id, controller.command(SilentTestOrder()))
        asyncio.get_running_loop().call_later(0.5, written.set)
        await controller.until(lambda: bool(controller.of(Progress)))
        (tested,) = controller.of(Progress)
        assert [check.name for check in tested.checks if not check.ok] == ["plan"]


async def test_a_silent_test_and_an_emergency_are_told_over_the_wire(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        alarm = controller.stocked(controller.sound(0.6))
        async with running_agent(tmp_path / "agent", controller.provisioning()) as agent:
            agent_id = await controller.session_of()
            await controller.send_settings(agent_id)
            assert agent.cluster is not None
            cluster = agent.cluster
            await eventually(lambda: cluster.status().stock.here == 1 and cluster.wall.trusted)
            await controller.send_command(agent_id, controller.command(SilentTestOrder()))
            await controller.until(lambda: bool(controller.of(Progress)))
            (tested,) = controller.of(Progress)
            assert tested.stage is ProgressStage.TESTED
            assert tested.code == "plan"  # it has none yet, and says so
            assert [check.name for check in tested.checks if not check.ok] == ["plan"]
            assert not controller.records
            flood = replace(bulletin(alarm, soon(0.3), name="flood"), priority=Priority.EMERGENCY_STORED)
            await controller.send_command(agent_id, controller.command(PlayOrder(flood)))
            await controller.until(lambda: len(controller.of(Progress)) == 3)
            started, finished = controller.of(Progress)[1:]
            assert (started.stage, finished.stage) == (ProgressStage.STARTED, ProgressStage.FINISHED)
            assert (started.rule_id, started.recurrence, started.seq) == ("pr_flood", flood.recurrence, 2)
            assert finished.code is None


async def test_mute_from_the_shell_of_the_box(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        folder = tmp_path / "agent"
        async with running_agent(folder, controller.provisioning()) as agent:
            await controller.session_of()
            socket = StatusSocket(folder, agent)
            await socket.open()
            try:
                said = await asyncio.to_thread(ask, folder, {"ask": "mute", "minutes": 30})
                assert said["ok"]
                assert said["muted"]["by"] == "technician"
                assert agent.cluster is not None
                cluster = agent.cluster
                await controller.until(lambda: any(one.muted is not None for one in controller.statuses()))
                muted = controller.statuses()[-1].muted
                assert muted is not None
                assert muted.by is MuteBy.TECHNICIAN
                assert agent.watch.has("muted")
                for odd in (0, 1441, "60", None, True):
                    refused = await asyncio.to_thread(ask, folder, {"ask": "mute", "minutes": odd})
                    assert not refused["ok"]
                said = await asyncio.to_thread(ask, folder, {"ask": "unmute"})
                assert (said["ok"], said["had"], said["muted"]) == (True, True, None)
                assert cluster.conductor.muted is None
            finally:
                await socket.close()


async def test_every_sound_is_hashed_once_after_a_boot_and_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimClock()
    store = MediaStore(tmp_path, clock, budget_bytes=1 << 20)
    store.open()
    names = [f"{n:064x}" for n in range(3)]
    proven: list[str] = []
    monkeypatch.setattr(store, "has", lambda name: name in names)
    monkeypatch.setattr(store, "missing", lambda wanted: frozenset())

    def prove(name: str) -> bool:
        proven.append(name)
        return True

    monkeypatch.setattr(store, "prove", prove)
    with ThreadPoolExecutor(1) as executor:
        stock = Stock(store, executor, Watch(clock, clock.wall), clock)
        stock.set(tuple(StockClip(name, Frames(1), 1) for name in names))
        for _ in range(2):
            while (name := stock._next()) is not None:
                await stock._prove(name)
                clock.move_to(clock.mono_us() + 2_000_000)
            assert sorted(proven) == names
            proven.clear()
            clock.move_to(clock.mono_us() + int(ROUND_S * 1e6))


def test_a_stock_that_stays_incomplete_is_a_fault(tmp_path: Path) -> None:
    clock = SimClock()
    store = MediaStore(tmp_path, clock, budget_bytes=1 << 20)
    store.open()
    watch = Watch(clock, clock.wall)
    with ThreadPoolExecutor(1) as executor:
        stock = Stock(store, executor, watch, clock)
        stock.set((StockClip("ab" * 32, Frames(1), 1),))
        stock.look()
        assert not watch.has("stock_incomplete")
        clock.move_to(clock.mono_us() + PATIENCE_US + 1)
        stock.look()
        assert watch.has("stock_incomplete")
        stock.set(())
        stock.look()
        assert not watch.has("stock_incomplete")
