from __future__ import annotations

import asyncio

import pytest

from controller import supervisor as module
from controller.supervisor import GivenUpError, Supervisor


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.0)


async def test_a_failed_task_is_started_again() -> None:
    supervisor, well, tries = Supervisor(), asyncio.Event(), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RuntimeError("not yet")
        well.set()
        await asyncio.Event().wait()

    supervisor.start("work", work)
    await asyncio.wait_for(well.wait(), 5)
    assert supervisor.states() == {"work": "running"}
    await supervisor.close()


async def test_five_failures_in_a_minute_end_the_process() -> None:
    supervisor = Supervisor()

    async def work() -> None:
        raise RuntimeError("the disk is gone")

    supervisor.start("work", work)
    with pytest.raises(GivenUpError, match="the disk is gone"):
        await asyncio.wait_for(supervisor.given_up(), 5)
    assert supervisor.states() == {"work": "failed"}
    await supervisor.close()


async def test_a_task_that_ends_is_finished_and_names_are_unique() -> None:
    supervisor = Supervisor()
    supervisor.start("work", lambda: asyncio.sleep(0))
    with pytest.raises(ValueError, match="already"):
        supervisor.start("work", lambda: asyncio.sleep(0))
    async with asyncio.timeout(5):
        while supervisor.states()["work"] != "finished":  # noqa: ASYNC110 - the task's own end has no event
            await asyncio.sleep(0)
    await supervisor.close()


async def test_every_goes_on_and_close_ends_it() -> None:
    supervisor, thrice, rounds = Supervisor(), asyncio.Event(), 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            thrice.set()

    supervisor.every("rounds", 0.0, work)
    await asyncio.wait_for(thrice.wait(), 5)
    await supervisor.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "rounds"]
