"""What every long-running command of the agent shares: a loop, signals, systemd, and a clean end.

SIGTERM and SIGINT cancel the work, which then ends in good order; a second one ends at once. The exit code is 0 after
a signal, 1 when something keeps crashing (systemd starts the agent again).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from agent.notify import SystemdNotifier

log = structlog.get_logger("agent")


def run_until_signal(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``main`` on uvloop until it ends or a signal comes.

    Raises:
        AgentError: what ``main`` raised.
    """
    import uvloop  # noqa: PLC0415 - not needed by status and the like

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_guarded(main))


async def _guarded(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(main(), name="agent")
    stopped = False

    def stop(name: str) -> None:
        nonlocal stopped
        if stopped:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)
        log.info("ending", signal=name)
        stopped = True
        work.cancel()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop, each.name)
    try:
        await work
    except asyncio.CancelledError:
        if not stopped:
            raise


async def notify_systemd(notifier: SystemdNotifier, ready: Callable[[], Awaitable[object]], status: str) -> None:
    """Tell systemd when ``ready`` says so, then feed its watchdog for as long as the loop turns."""
    await ready()
    notifier.ready(status)
    while notifier.watchdog_period_s is not None:
        notifier.watchdog()
        await asyncio.sleep(notifier.watchdog_period_s)
