"""Drives a conductor on the event loop: a step whenever it wanted one or something changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.clocks import Clock
from agent.conductor.conductor import Conductor


async def conduct(conductor: Conductor, clock: Clock, after: Callable[[], None]) -> None:
    """Step for ever. ``after`` is called after each step, to tell others what changed."""
    changed = asyncio.Event()
    conductor.on_poke(changed.set)
    while True:
        changed.clear()
        due = conductor.step()
        after()
        try:
            async with asyncio.timeout(max(0.0, (due - clock.mono_us()) / 1e6)):
                await changed.wait()
        except TimeoutError:
            continue
