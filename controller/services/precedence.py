"""Who goes first in the controller: an order, then what was being worked on.

One interpreter does one thing at a time. While a plan for thousands of clusters is compiled beside it, every message to
a box waits up to five milliseconds for its turn (``sys.getswitchinterval``), and a thousand boxes wait in line. So what
can wait holds still from the moment an order is given until it is out and heard.

Rule: nobody holds still for longer than :data:`LONGEST_S`, however many orders come; work then goes on until there was
no order for :data:`HOLD_S`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

#: From the last order on: its lead, and the answers of a thousand boxes.
HOLD_S: Final = 1.0
LONGEST_S: Final = 3.0


class Precedence:
    """One controller's. :meth:`order` on the loop, :meth:`wait` in a thread of its own, :meth:`turn` on the loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        """``now`` in seconds, ``sleep`` as :func:`time.sleep`."""
        self._now = now
        self._sleep = sleep
        self._since = self._last = -math.inf
        self._until = 0.0

    def order(self) -> None:
        """An order is being given."""
        now = self._now()
        if now - self._last > HOLD_S:
            self._since = now
        self._last = now
        self._until = min(now + HOLD_S, self._since + LONGEST_S)

    @property
    def left_s(self) -> float:
        """How long to hold still yet; 0: not at all."""
        return max(0.0, self._until - self._now())

    def wait(self) -> None:
        """Hold still while an order is on its way. Blocks: never on the loop."""
        if left := self.left_s:
            self._sleep(left)

    async def turn(self) -> None:
        """The same for a task; lets the others have a turn in any case."""
        await asyncio.sleep(self.left_s)
