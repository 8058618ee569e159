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
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from agent.clocks import Clock
from agent.errors import AgentError, SupervisionError

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
        try:
            async with asyncio.TaskGroup() as group:
                for name, child in children.items():
                    group.create_task(self._keep(name, child), name=name)
        except* SupervisionError as group_error:
            raise _first(group_error) from None

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


@contextmanager
def unwrapped() -> Iterator[None]:
    """Let an :class:`~agent.errors.AgentError` out of the exception groups that task groups wrap it in."""
    try:
        yield
    except BaseExceptionGroup as group:
        found: BaseException = group
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if isinstance(found, AgentError):
            raise found from None
        raise


def _first(group: BaseExceptionGroup[SupervisionError]) -> SupervisionError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, SupervisionError)  # noqa: S101 - except* let nothing else through
    return found
