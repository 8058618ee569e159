"""Long work that somebody may end before its end, without ending whoever waits for it."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def unless_ended(making: asyncio.Task[T]) -> T | None:
    """What comes of it; None when somebody cancelled it. Whoever waits and is cancelled cancels it, too."""
    try:
        return await making
    except asyncio.CancelledError:
        waiter = asyncio.current_task()
        if not making.cancelled() or (waiter is not None and waiter.cancelling()):
            raise
        return None
