"""Who goes first among the agents of one process: an order to all of them, then what each makes of it on paper.

A box has a processor of its own. Hundreds of agents of a process share one, and hear the same order within the same
milliseconds; were each to finish its bookkeeping before the next one listens, the last would sound a second late. So:

1. While orders are being taken (:meth:`Crowd.hurry`) nothing else is begun. After them comes their paperwork; what is
   told, and everything else (status, records, the checking of relayed sound), once they have started.
2. What waits comes in its turn by :class:`Rank`, then the oldest first, a few in each round of the loop, so that
   sockets and timers never wait for more than a few of them; more of them when the round before was long, so that a
   busy loop starves nobody. Nobody is held up for longer than :data:`LONGEST_S`.
3. An agent that is alone in its process (``hold_s`` 0) never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

#: After an order, this long nothing else is begun: the time in which the neighbours' copies of it arrive.
HOLD_S: Final = 0.03

#: A turn comes at the latest after this, whatever orders come.
LONGEST_S: Final = 0.5

#: So many turns in one round of the loop: some two milliseconds of work.
AT_ONCE: Final = 6

#: And one more for this much of the round before: what waits has a fair part of a loop that is never idle.
ONE_MORE_S: Final = 0.002


class Rank(IntEnum):
    """What somebody waits with."""

    PAPER = 0  # an order that was acted on is written down
    WORD = 1  # acknowledgements, and what became of an order
    REST = 2


class Crowd:
    """One process's. Lives on its event loop."""

    def __init__(self, hold_s: float = 0.0) -> None:
        self._hold_s = hold_s
        self._queues = {rank: _Queue() for rank in Rank}
        self._next: asyncio.Handle | None = None
        self._round_began: float | None = None  # while one round follows the other

    def hurry(self, until_s: float = 0.0) -> None:
        """An order is being taken: let it pass. ``until_s``: how far ahead the instant lies that it is for."""
        if not self._hold_s:
            return
        now = asyncio.get_running_loop().time()
        started = now + max(self._hold_s, min(until_s, LONGEST_S))
        for rank, queue in self._queues.items():
            queue.hold(now + self._hold_s if rank is Rank.PAPER else started)

    def later(self, rank: Rank, act: Callable[[], None]) -> None:
        """Call ``act`` in its turn; now, if there is no crowd. It must be quick and must not raise."""
        if not self._hold_s:
            act()
            return
        queue = self._queues[rank]
        queue.waiting.append((asyncio.get_running_loop().time(), act))
        if self._next is None or len(queue.waiting) == 1:
            self._look_at(0.0)

    async def turn(self, rank: Rank = Rank.REST) -> None:
        """Wait for one's turn."""
        if self._hold_s:
            come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.later(rank, lambda: None if come.done() else come.set_result(None))
            await come

    def _look_at(self, due: float) -> None:
        """Look at the queues then, or in the loop's next round, after its sockets and timers."""
        loop = asyncio.get_running_loop()
        if self._next is not None:
            self._next.cancel()
        self._next = loop.call_soon(self._serve) if due <= loop.time() else loop.call_at(due, self._serve)

    def _serve(self) -> None:
        """Let a few go on."""
        now = asyncio.get_running_loop().time()
        self._next = None
        left = AT_ONCE
        if self._round_began is not None:
            left += int((now - self._round_began) / ONE_MORE_S)
        for queue in self._queues.values():
            left -= queue.serve(now, left)
        due = min((queue.due() for queue in self._queues.values() if queue.waiting), default=None)
        self._round_began = now if due is not None and due <= now else None
        if due is not None:
            self._look_at(due)


class _Queue:
    """Those who wait for one kind of turn, and until when all of them must."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._held_until = 0.0

    def hold(self, until: float) -> None:
        """Nobody goes on before that."""
        self._held_until = max(self._held_until, until)

    def due(self) -> float:
        """When the first may go on."""
        return min(self._held_until, self.waiting[0][0] + LONGEST_S)

    def serve(self, now: float, most: int) -> int:
        """Let some go on; answers how many did."""
        served = 0
        while self.waiting and served < most and self.due() <= now:
            _, act = self.waiting.popleft()
            act()
            served += 1
        return served
