"""A keeper of a store that never waits: a swarm's agents that keep everything in memory.

A worker thread and a queue are for a card that takes fifty milliseconds. A database in memory is written before the
call returns; order, answers and failures are the same as :class:`~agent.cache.keeper.Keeper`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from agent.cache.keeper import Keeper
from agent.cache.state import Batch, StateStore
from agent.errors import StorageError

Result = TypeVar("Result")


class PromptKeeper(Keeper):
    """What could not be written waits in the queue of its base, and what comes after it too."""

    def post(self, batch: Batch) -> None:
        """See :class:`~agent.cache.keeper.Ledger`."""
        if self._queue:
            super().post(batch)
            return
        try:
            self._write_now(batch)
        except StorageError:
            super().post(batch)  # tells of the failure, and tries again

    async def apply(self, batch: Batch) -> None:
        """See :class:`~agent.cache.keeper.Ledger`."""
        if self._queue:
            await super().apply(batch)
        else:
            self._write_now(batch)

    async def ask(self, question: Callable[[StateStore], Result]) -> Result:
        """Read from the store."""
        return question(self._store)

    def _write_now(self, batch: Batch) -> None:
        self._store.apply(batch)
        if batch.records:
            self.grown.set()
