"""Kill -9 in the middle of an item, with a real process: back in time, joined where the clock says, told once."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from pathlib import Path

import pytest

from protocol.telemetry import PlayOutcome
from schedules.instants import SAMPLE_RATE
from schedules.model import LateKind
from tests.unit.agent.desk import bulletin, soon
from tests.unit.agent.small_controller import SmallController

pytestmark = pytest.mark.system


async def start(folder: Path) -> Process:
    words = ("-m", "agent.cli", "run", "--data", str(folder), "--output", "null", "--log", "error")
    return await create_subprocess_exec(sys.executable, *words, stdout=DEVNULL)


async def end(child: Process) -> None:
    if child.returncode is None:
        child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(10):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


async def test_killed_in_the_middle(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as both:
        for late in (LateKind.JOIN, LateKind.SKIP):
            folder = tmp_path / late
            folder.mkdir()
            both.create_task(killed(folder, late))


async def killed(folder: Path, late: LateKind) -> None:
    async with SmallController(folder) as controller:
        data = folder / "agent"
        data.mkdir()
        (data / "provisioning.json").write_bytes(controller.provisioning().to_bytes())
        child = await start(data)
        try:
            agent_id = await controller.session_of(30)
            await controller.send_settings(agent_id)
            begin = soon(4)
            await controller.send_plan(agent_id, bulletin(controller.sound(14.0), begin, late=late))
            await controller.until(lambda: any(one.sounding is not None for one in controller.statuses()), 20)
            await asyncio.sleep(1.0)
            child.kill()
            await child.wait()
            restarted = time.monotonic()
            child = await start(data)
            await controller.until(lambda: agent_id in controller.sessions, 20)
            controller.received.clear()
            if late is LateKind.JOIN:
                await controller.until(lambda: any(one.sounding is not None for one in controller.statuses()), 20)
                assert time.monotonic() - restarted < 10
            await controller.until(lambda: bool(controller.records), 30)
            await asyncio.sleep(1.0)
            (record,) = controller.records.values()
            assert record.outcome is PlayOutcome.PARTIAL
            assert record.start_error_us is not None
            assert abs(record.start_error_us) < 50_000  # the first start, before the kill
            assert record.frames < 13 * SAMPLE_RATE
            assert (record.frames > SAMPLE_RATE) is (late is LateKind.JOIN)
            assert controller.repeats == 0
        finally:
            await end(child)
