"""A swarm over several processes: this one starts the others, and ends them when it ends.

Each child is ``loa-agent swarm`` for a range of the agents. A child that ends ends the whole, so that nobody counts
on agents that are not there.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog

from agent.errors import AgentError

log = structlog.get_logger("agent.swarm")

#: How long children may take to end in good order.
END_S = 15.0


def ranges(count: int, processes: int) -> list[tuple[int, int]]:
    """(first, count) for each process, as even as can be, empty ones left out."""
    sizes = shares(count, processes)
    starts = [sum(sizes[:index]) for index in range(processes)]
    return [(start, size) for start, size in zip(starts, sizes, strict=True) if size]


def shares(count: int, processes: int) -> list[int]:
    """How many of ``count`` each process has, as even as can be."""
    base, rest = divmod(count, processes)
    return [base + (1 if index < rest else 0) for index in range(processes)]


async def run_children(arguments: Sequence[Sequence[str]]) -> None:
    """Run ``loa-agent`` with each of ``arguments`` until one ends or this is cancelled.

    Raises:
        AgentError: ``child_ended``: one of them ended by itself.
    """
    children: list[asyncio.subprocess.Process] = []
    try:
        for each in arguments:
            child = await asyncio.create_subprocess_exec(sys.executable, "-m", "agent.cli", *each)
            children.append(child)
        waits = [asyncio.create_task(child.wait(), name=f"child-{child.pid}") for child in children]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        code = next(iter(done)).result()
        raise AgentError("child_ended", f"one process of the swarm ended by itself with {code}")
    finally:
        await _end(children)


async def _end(children: Sequence[asyncio.subprocess.Process]) -> None:
    for child in children:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            for child in children:
                await child.wait()
    except TimeoutError:
        for child in children:
            if child.returncode is None:
                log.warning("a process of the swarm did not end in time", pid=child.pid)
                child.kill()
                await child.wait()
