"""What an agent said, on its way to the use-cases: in order, bounded, and never in the way of the clock.

1. Clock questions are answered by the reader itself; everything else goes through this queue, so that a slow database
   holds up neither time nor orders.
2. The queue is bounded. A status takes the place of an older one that still waits. When it is full the newest message
   is dropped and counted: records are then not acknowledged, so the agent sends them again.
"""

from __future__ import annotations

import asyncio
from collections import deque

from protocol.messages import Ack, Event, Records, Status

Report = Status | Ack | Records | Event


class Inbox:
    """A bounded queue of reports for one worker."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Report] = deque()
        self._arrived = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, report: Report) -> bool:
        """Queue a report; False: it was dropped."""
        if isinstance(report, Status):
            for place, other in enumerate(self._waiting):
                if isinstance(other, Status):
                    self._waiting[place] = report
                    return True
        if len(self._waiting) >= self._limit:
            self.dropped += 1
            return False
        self._waiting.append(report)
        self._arrived.set()
        return True

    async def get(self) -> Report:
        """The oldest report; waits for one (the owner cancels)."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()
