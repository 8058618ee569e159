"""Every loop has an owner: a crashed one is restarted with back-off, and one that keeps crashing ends the process.

Rules kept here:

1. A child that raises is logged with its name and started again after 0.1 s doubling to 5 s.
2. Five crashes of one child within 60 s raise :class:`~agent.errors.SupervisionError`; the process exits with a
   code other than 0 and systemd starts it again with a clean memory.
3. A child that returns is done and is not started again. Cancellation goes through untouched.
4. An :class:`~agent.errors.SupervisionError` of an inner supervisor escalates at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from agent.clocks import Clock
from agent.errors import SupervisionError

#: Crashes of one child within :data:`WINDOW_US` that end the process (Erlang/OTP's intensity and period).
INTENSITY = 5
WINDOW_US = 60_000_000

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0

Child = Callable[[], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


class Supervisor:
    """Runs named children until all are done, one escalates, or the caller cancels."""

    def __init__(self, clock: Clock, *, name: str = "agent", sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._log = structlog.get_logger("agent.supervise").bind(supervisor=name)
        #: Names of the children that are running now, for the status page.
        self.alive: set[str] = set()
        #: Crashes so far, by child.
        self.crashes: dict[str, int] = {}

    async def run(self, children: Mapping[str, Child]) -> None:
        """Run ``children`` to their end.

        Raises:
            SupervisionError: one of them crashed five times within a minute.
        """
        await together({name: self._keep(name, child) for name, child in children.items()})

    async def _keep(self, name: str, child: Child) -> None:
        recent: deque[int] = deque(maxlen=INTENSITY)
        while True:
            self.alive.add(name)
            try:
                await child()
                return
            except SupervisionError:
                raise
            except Exception as error:  # noqa: BLE001 - the last one to see it; logged and counted below
                self._log.exception("a loop crashed", loop=name)
                self._count(name, recent, error)
            finally:
                self.alive.discard(name)
            await self._sleep(min(LAST_PAUSE_S, FIRST_PAUSE_S * 2 ** (len(recent) - 1)))

    def _count(self, name: str, recent: deque[int], error: Exception) -> None:
        now = self._clock.mono_us()
        while recent and now - recent[0] > WINDOW_US:
            recent.popleft()
        recent.append(now)
        self.crashes[name] = self.crashes.get(name, 0) + 1
        if len(recent) == INTENSITY:
            message = f"the loop {name!r} crashed {INTENSITY} times within a minute, last with: {error}"
            raise SupervisionError("crash_loop", message) from error


async def together(children: Mapping[str, Coroutine[Any, Any, None]], *, until_first: bool = False) -> None:
    """Run named coroutines as tasks of this one, and leave none behind.

    Ends when all are done (with ``until_first``: when one is), or with the error of the first that fails. Unlike
    :class:`asyncio.TaskGroup` before Python 3.13 it never forgets a cancellation that comes together with an error,
    and it raises the error itself, not a group around it.
    """
    tasks = [asyncio.create_task(child, name=name) for name, child in children.items()]
    when = asyncio.FIRST_COMPLETED if until_first else asyncio.FIRST_EXCEPTION
    try:
        done, _ = await asyncio.wait(tasks, return_when=when)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done and not task.cancelled():
            error = task.exception()
            if error is not None:
                raise error
