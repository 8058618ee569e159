"""The journal as a session sees it: records with their numbers, until the controller has them for good."""

from __future__ import annotations

import json

from agent.cache.keeper import Keeper
from agent.cache.state import Batch, StateStore
from protocol.telemetry import PlayRecord


class JournalReader:
    """Implements :class:`agent.link.session.Journal`."""

    def __init__(self, keeper: Keeper, store: StateStore) -> None:
        self._keeper = keeper
        self._store = store

    @property
    def name(self) -> str:
        """Which journal this is: random per database."""
        return self._store.journal

    async def pending(self, *, after: int, limit: int) -> list[PlayRecord]:
        """Unacknowledged records with a number above ``after``, oldest first.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._keeper.grown.clear()
        rows = await self._keeper.ask(lambda store: store.pending(after=after, limit=limit))
        return [PlayRecord.model_validate(json.loads(body) | {"seq": seq}) for seq, body in rows]

    def acknowledge(self, up_to: int) -> None:
        """The controller has them for good."""
        self._keeper.post(Batch(acknowledged=up_to))

    async def grown(self) -> None:
        """Wait until a record was added since the last :meth:`pending`."""
        await self._keeper.grown.wait()
