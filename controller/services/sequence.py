"""Numbers that only rise, given out without waiting: a block is reserved on disk, then used from memory.

Rules kept here: a number is given once, whatever happens (a crash leaves a hole); the database is asked once per block.
"""

from __future__ import annotations

import asyncio
from typing import Final

from controller.store import Database
from controller.store.tables import Counter

#: Numbers reserved at a time: a district's plan for a day is one block.
BLOCK: Final = 20_000


class Sequence:
    """One named counter. :meth:`ensure` before :meth:`take`."""

    def __init__(self, db: Database, name: str, *, block: int = BLOCK) -> None:
        self._db = db
        self._name = name
        self._block = block
        self._next = 1
        self._end = 1  # first number that is not reserved
        self._lock = asyncio.Lock()

    async def ensure(self, count: int = 1) -> None:
        """Make sure that ``count`` numbers can be taken.

        Raises:
            StoreBusyError: more must be reserved and the database is locked.
        """
        async with self._lock:
            if self._end - self._next >= count:
                return
            size = max(self._block, count)
            async with self._db.telemetry() as session:
                row = await session.get(Counter, self._name) or Counter(name=self._name, value=0)
                first = row.value + 1
                row.value += size
                session.add(row)
            self._next, self._end = first, first + size

    def take(self) -> int:
        """The next number.

        Raises:
            RuntimeError: :meth:`ensure` was not called.
        """
        if self._next >= self._end:
            raise RuntimeError(f"no number of {self._name} is reserved")
        value, self._next = self._next, self._next + 1
        return value

    @property
    def left(self) -> int:
        """Numbers that can be taken without the database."""
        return self._end - self._next
