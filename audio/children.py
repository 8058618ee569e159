"""The end of a child process, the same for everyone who has one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

_DEATH_S = 10.0


async def end(child: asyncio.subprocess.Process) -> None:
    """Kill the child's whole session if it lives, and let go of its pipes. Safe to repeat.

    The child must have been started with ``start_new_session=True``.
    """
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    # asyncio waits for the end of a pipe that nobody reads any more, and offers no other way to close it.
    child._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - as said
    # SIGKILL cannot be refused; the bound is for a kernel that hangs.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DEATH_S):
            await asyncio.shield(child.wait())
