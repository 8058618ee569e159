"""Brings batches to the disk in order, in a worker thread, without the event loop ever waiting for a card.

Rules kept here:

1. Batches reach the disk in the order they were given. What waits is merged into one transaction, so a slow
   card makes fewer and larger writes, and the queue is bounded by the number of things that can change.
2. :meth:`Keeper.apply` returns when the batch is durable, or raises. It is for what must be durable before it
   is acted upon (counters, plans, orders other than STOP).
3. :meth:`Keeper.post` returns at once. A batch that could not be written stays in the queue and is tried again
   (1 s doubling to 30 s); the agent sounds on and reports ``storage_failing``.
4. At most :data:`RECORDS_WAITING` records wait for a disk that does not answer; beyond it the oldest are dropped
   and counted in :attr:`Keeper.dropped`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog

from agent.cache.state import Batch, StateStore
from agent.errors import StorageError

log = structlog.get_logger("agent.cache")

RECORDS_WAITING = 5_000
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0

Result = TypeVar("Result")


class Ledger(Protocol):
    """Where decisions are written down. :class:`Keeper` in an agent, a list in a test."""

    def post(self, batch: Batch) -> None:
        """Write ``batch`` soon, after all that was given before."""
        ...

    async def apply(self, batch: Batch) -> None:
        """Write ``batch`` now; durable on return.

        Raises:
            StorageError: it could not be written.
        """
        ...


class Keeper:
    """The one writer of one agent's :class:`~agent.cache.state.StateStore`. Run :meth:`run` as a supervised task."""

    def __init__(self, store: StateStore, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._queue: list[tuple[Batch, asyncio.Future[None] | None]] = []
        self._dirty = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        #: Set when records were written; whoever reads the journal clears it first.
        self.grown = asyncio.Event()
        #: Why the last write failed, or None.
        self.failure: str | None = None
        #: Records lost because the disk did not answer for too long.
        self.dropped = 0

    def post(self, batch: Batch) -> None:
        """See :class:`Ledger`."""
        if self._queue and self._queue[-1][1] is None:
            batch = self._queue.pop()[0].then(batch)
        self._queue.append((self._bounded(batch), None))
        self._wake()

    async def apply(self, batch: Batch) -> None:
        """See :class:`Ledger`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((batch, future))
        self._wake()
        await future

    async def ask(self, question: Callable[[StateStore], Result]) -> Result:
        """Read from the store in the worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, question, self._store)

    async def flush(self) -> None:
        """Wait until nothing waits for the disk any more."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write what is given, for ever."""
        failures = 0
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if await self._write():
                failures = 0
            else:
                await asyncio.sleep(min(LAST_RETRY_S, FIRST_RETRY_S * 2**failures))
                failures += 1
                self._dirty.set()

    def _wake(self) -> None:
        self._idle.clear()
        self._dirty.set()

    async def _write(self) -> bool:
        taken, self._queue = self._queue, []
        whole = Batch()
        for batch, _ in taken:
            whole = whole.then(batch)
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._store.apply, whole)
        except StorageError as error:
            if self.failure is None:
                log.error("the disk does not take writes; the agent goes on without", error=str(error))  # noqa: TRY400
            self.failure = str(error)
            self._take_back(taken)
            _settle(taken, error)
            return False
        except asyncio.CancelledError:
            _settle(taken, StorageError("storage_failing", "the agent is ending"))
            raise
        self.failure = None
        if whole.records:
            self.grown.set()
        _settle(taken, None)
        if not self._queue:
            self._idle.set()
        return True

    def _take_back(self, taken: list[tuple[Batch, asyncio.Future[None] | None]]) -> None:
        """What nobody waits for is tried again; who waits gets the error and decides."""
        again = Batch()
        for batch, future in taken:
            if future is None:
                again = again.then(batch)
        self._queue.insert(0, (self._bounded(again), None))

    def _bounded(self, batch: Batch) -> Batch:
        over = len(batch.records) - RECORDS_WAITING
        if over <= 0:
            return batch
        self.dropped += over
        return replace(batch, records=batch.records[over:])


def _settle(taken: list[tuple[Batch, asyncio.Future[None] | None]], error: StorageError | None) -> None:
    for _, future in taken:
        if future is None or future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
