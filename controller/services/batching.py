"""Many small writes as one transaction: a district reports within the same second.

1. Everything that waits is committed together, at most ``batch`` items a time; each submitter gets its own result, or
   the failure of its batch.
2. At most ``limit`` items wait; one more is refused at once with :class:`BusyError`, and its sender tries again.
3. Closing refuses what still waits; nothing is acknowledged that was not committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from controller.services.errors import BusyError
from controller.services.keeping import Keeper

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Batcher(Generic[ItemT, ResultT]):
    """Collects items and commits them together. ``commit`` returns one result for each item, in order."""

    def __init__(
        self,
        commit: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
        *,
        name: str,
        limit: int = 4096,
        batch: int = 512,
    ) -> None:
        self._commit = commit
        self._name = name
        self._limit = limit
        self._batch = batch
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._arrived = asyncio.Event()
        self._open = False

    def open(self, keeper: Keeper) -> None:
        """Begin to commit, in a task that ``keeper`` owns."""
        self._open = True
        keeper.start(self._name, self._run)

    def close(self) -> None:
        """Take no more, and refuse what waits."""
        self._open = False
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(BusyError("the controller is stopping; try again later"))

    async def submit(self, item: ItemT) -> ResultT:
        """Commit an item together with whatever else waits.

        Raises:
            BusyError: too much waits already, or the controller stops.
            Exception: whatever the commit of its batch raised.
        """
        if not self._open or len(self._waiting) >= self._limit:
            raise BusyError(f"too much is waiting to be written ({self._name}); try again in a moment")
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                size = min(self._batch, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(size)]
                await self._settle(batch)

    async def _settle(self, batch: list[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        wanted = [(item, future) for item, future in batch if not future.done()]
        if not wanted:
            return
        try:
            results = await self._commit([item for item, _ in wanted])
        except asyncio.CancelledError:
            _fail(wanted, BusyError("the controller is stopping; try again later"))
            raise
        except Exception as error:  # noqa: BLE001 - the failure belongs to those who wait for this batch
            _fail(wanted, error)
            return
        for (_, future), result in zip(wanted, results, strict=True):
            if not future.done():
                future.set_result(result)


def _fail(batch: Sequence[tuple[ItemT, asyncio.Future[ResultT]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
