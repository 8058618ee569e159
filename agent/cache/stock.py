"""The stock: sounds the signed settings name, kept whatever the plan says. Emergencies are played from here.

Rules kept here:

1. They are fetched before anything else, in the order they are named, and are never evicted; when the disk is full,
   everything else goes first (:meth:`Stock.names` is what must stay).
2. Each is hashed when it comes, before it sounds, and here once after a boot and once a day, one after the other, so
   that a worn card is found out on a quiet day. What was altered is removed, reported and fetched again.
3. A stock that stays incomplete for :data:`PATIENCE_US` is a fault (``stock_incomplete``).

Not here: the store (:mod:`agent.cache.media`), downloads (:mod:`agent.link.supply`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from agent.cache.media import MediaStore
from agent.clocks import Clock
from agent.watch import Watch
from protocol.documents import StockClip
from protocol.telemetry import StockState

#: Everything is hashed again this often.
ROUND_S = 86_400.0

#: After a boot it begins this late, and goes this fast: a box that starts has other things to do.
FIRST_S = 20.0
PACE_S = 2.0

PATIENCE_US = 300_000_000


class Stock:
    """One agent's stock."""

    def __init__(self, store: MediaStore, executor: Executor, watch: Watch, clock: Clock) -> None:
        self._store = store
        self._executor = executor
        self._watch = watch
        self._clock = clock
        self._wanted: tuple[StockClip, ...] = ()
        self._bad: set[str] = set()
        self._hashed_us: dict[str, int] = {}
        self._incomplete_since: int | None = None
        self._news = asyncio.Event()
        #: Told when something must be fetched.
        self.changed: Callable[[], None] = lambda: None

    def set(self, wanted: tuple[StockClip, ...]) -> None:
        """What the settings name from now on."""
        self._wanted = wanted
        names = self.names
        self._bad &= names
        self._hashed_us = {name: at for name, at in self._hashed_us.items() if name in names}
        self._news.set()
        self.changed()

    @property
    def names(self) -> frozenset[str]:
        """What must stay here."""
        return frozenset(clip.sha256 for clip in self._wanted)

    def missing(self) -> tuple[str, ...]:
        """What is not here, in the order to fetch it."""
        gone = self._store.missing(clip.sha256 for clip in self._wanted)
        return tuple(clip.sha256 for clip in self._wanted if clip.sha256 in gone) if gone else ()

    def state(self) -> StockState:
        """For the status message."""
        missing = self._store.missing(clip.sha256 for clip in self._wanted)
        self._bad &= missing  # what is here again was fetched again, and proven
        return StockState(wanted=len(self._wanted), here=len(self._wanted) - len(missing), bad=len(self._bad))

    def look(self) -> None:
        """Raise or clear the fault; called every few seconds."""
        state = self.state()
        now = self._clock.mono_us()
        if state.here == state.wanted:
            self._incomplete_since = None
        elif self._incomplete_since is None:
            self._incomplete_since = now
        since = self._incomplete_since
        late = since is not None and (state.bad > 0 or now - since > PATIENCE_US)
        words = (
            f"{state.wanted - state.here} of {state.wanted} emergency sounds are not here ({state.bad} were altered)"
        )
        self._watch.set_fault("stock_incomplete", words if late else None)

    async def prove_all(self) -> StockState:
        """Hash everything now."""
        for name in sorted(self.names):
            await self._prove(name)
        return self.state()

    async def run(self) -> None:
        """Hash one after the other, for ever."""
        await asyncio.sleep(FIRST_S)
        while True:
            name = self._next()
            if name is not None:
                await self._prove(name)
                await asyncio.sleep(PACE_S)
                continue
            self._news.clear()
            try:
                async with asyncio.timeout(ROUND_S / 24):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _next(self) -> str | None:
        """The one that waits longest, if its day is over."""
        due = self._clock.mono_us() - ROUND_S * 1e6
        here = [clip.sha256 for clip in self._wanted if self._store.has(clip.sha256)]
        waiting = [name for name in here if self._hashed_us.get(name, due) <= due]
        return min(waiting, key=lambda name: self._hashed_us.get(name, due), default=None)

    async def _prove(self, name: str) -> None:
        if not self._store.has(name):
            return
        good = await asyncio.get_running_loop().run_in_executor(self._executor, self._store.prove, name)
        self._hashed_us[name] = self._clock.mono_us()
        if not good:
            self._bad.add(name)
            self._watch.report(
                "media_altered", f"{name} in the stock had other bytes than its name says; fetched again"
            )
            self.look()
            self.changed()
