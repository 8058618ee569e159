"""The owner of the controller's background tasks: restarts what fails, gives up loudly, says what lives.

A task that fails is started again after a pause that doubles (1 to 30 s). Five failures within a minute end the
process, and systemd starts it afresh: a loop that cannot live must not be silently dead (Erlang's supervisors, in
small).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

_MOST, _WITHIN_S = 5, 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_CLOSE_S = 10.0

_log = structlog.get_logger(__name__)

State = Literal["running", "restarting", "finished", "failed"]
Work = Callable[[], Awaitable[None]]


class GivenUpError(Exception):
    """A background task failed too often; the process must end and be started afresh."""

    code = "task_given_up"


@dataclass(slots=True)
class _Ward:
    name: str
    work: Work
    state: State = "running"
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST))
    last_error: str = ""


class Supervisor:
    """Keeps background tasks alive. One per process."""

    def __init__(self) -> None:
        self._wards: dict[str, _Ward] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._given_up: asyncio.Future[None] | None = None

    def start(self, name: str, work: Work) -> None:
        """Run ``work()`` as a named task, and again whenever it fails. Names are unique."""
        if name in self._wards:
            raise ValueError(f"there is already a task {name!r}")
        ward = self._wards[name] = _Ward(name, work)
        task = asyncio.get_running_loop().create_task(self._keep(ward), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def every(self, name: str, seconds: float, work: Work) -> None:
        """Call ``work()`` again and again, ``seconds`` after it ended."""

        async def loop() -> None:
            while True:
                await asyncio.sleep(seconds)
                await work()

        self.start(name, loop)

    def states(self) -> dict[str, State]:
        """What lives, by name."""
        return {ward.name: ward.state for ward in self._wards.values()}

    async def given_up(self) -> None:
        """Wait until a task has failed too often.

        Raises:
            GivenUpError: then.
        """
        if self._given_up is None:
            self._given_up = asyncio.get_running_loop().create_future()
        failed = next((ward for ward in self._wards.values() if ward.state == "failed"), None)
        if failed is not None:
            raise GivenUpError(_last_words(failed))
        await self._given_up

    async def close(self) -> None:
        """Cancel every task and wait (bounded) until they are gone."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_S)
            for task in late:
                _log.error("a background task does not end", task=task.get_name())

    async def _keep(self, ward: _Ward) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while True:
            ward.state = "running"
            begun = loop.time()
            try:
                await ward.work()
            except Exception as error:  # noqa: BLE001 - whatever it is: logged, counted, restarted
                ward.last_error = f"{type(error).__name__}: {error}"
                _log.error("a background task failed", task=ward.name, exc_info=error)
            else:
                ward.state = "finished"
                return
            now = loop.time()
            ward.failures.append(now)
            if len(ward.failures) == _MOST and now - ward.failures[0] < _WITHIN_S:
                ward.state = "failed"
                self._give_up(ward)
                return
            pause = _FIRST_PAUSE_S if now - begun > _WITHIN_S else min(pause * 2, _LONGEST_PAUSE_S)
            ward.state = "restarting"
            await asyncio.sleep(pause)

    def _give_up(self, ward: _Ward) -> None:
        _log.critical("a background task failed too often; ending", task=ward.name)
        if self._given_up is not None and not self._given_up.done():
            self._given_up.set_exception(GivenUpError(_last_words(ward)))


def _last_words(ward: _Ward) -> str:
    return f"the task {ward.name!r} failed {_MOST} times within a minute, last with {ward.last_error}"
