"""Drives a conductor on the event loop: a step whenever it wanted one or something changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.clocks import Clock
from agent.conductor.conductor import Conductor

#: Steps come this much after the instant they wait for, in seconds. Sound is armed seconds ahead and does not wait for
#: the step; but timers are rounded to milliseconds, and the steps of a swarm's agents just *before* a common start
#: would make the start itself late.
_AFTER_S = 0.005


async def conduct(
    conductor: Conductor,
    clock: Clock,
    after: Callable[[], None],
    turn: Callable[[], Awaitable[None]],
) -> None:
    """Step for ever. ``after`` is called after each step, to tell others what changed; each waits for its ``turn``."""
    changed = asyncio.Event()
    conductor.on_poke(changed.set)
    while True:
        await turn()
        changed.clear()
        due = conductor.step()
        after()
        try:
            async with asyncio.timeout(max(0.0, (due - clock.mono_us()) / 1e6) + _AFTER_S):
                await changed.wait()
        except TimeoutError:
            continue
