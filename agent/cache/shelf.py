"""The conductor's view of the stored sounds: what is missing, and what has been hashed again just now.

The disk is read in worker threads; the conductor asks, is told "not yet", and is poked when the answer is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from agent.cache.media import MediaStore
from agent.watch import Watch

#: Sounds hashed at once for one agent; an item of a thousand pieces waits its turn.
_PROVING_LIMIT = 4


class Shelf:
    """One agent's shelf. Several agents of a swarm may share the :class:`~agent.cache.media.MediaStore` below."""

    def __init__(self, store: MediaStore, executor: Executor, watch: Watch) -> None:
        self._store = store
        self._executor = executor
        self._watch = watch
        self._proving: dict[str, asyncio.Future[bool]] = {}
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when a sound arrived, was proven, or turned out to be altered."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Something arrived or went."""
        for listener in self._listeners:
            listener()

    def missing(self, needed: Iterable[str]) -> frozenset[str]:
        """Those of ``needed`` that are not here."""
        return self._store.missing(needed)

    def path(self, sha256: str) -> Path:
        """Where a sound lies."""
        return self._store.path(sha256)

    def check(self, needed: Iterable[str]) -> bool:
        """All of ``needed`` were hashed a moment ago. If not, hashing begins, and a change is told when it is done."""
        done = True
        for sha256 in dict.fromkeys(needed):
            if self._store.proven(sha256):
                continue
            done = False
            if sha256 not in self._proving and self._store.has(sha256) and len(self._proving) < _PROVING_LIMIT:
                proving = asyncio.get_running_loop().run_in_executor(self._executor, self._store.prove, sha256)
                self._proving[sha256] = proving
                proving.add_done_callback(partial(self._proved, sha256))
        return done

    async def close(self) -> None:
        """Stop hashing."""
        for proving in tuple(self._proving.values()):
            proving.cancel()
        await asyncio.gather(*self._proving.values(), return_exceptions=True)

    def _proved(self, sha256: str, proving: asyncio.Future[bool]) -> None:
        self._proving.pop(sha256, None)
        if proving.cancelled():
            return
        if not proving.result():
            self._watch.report("media_altered", f"{sha256} on this disk had other bytes than its name says; not played")
        self.changed()
