"""The hub: changes come in one by one, go out gathered, and stay in memory for who was away a moment.

Rules kept here:

1. The first change of a quiet topic leaves at once; what follows is gathered for :data:`GATHER_US`, so that a thousand
   boxes that change together are a handful of events, and a change is never older than that when it leaves.
2. Telling costs an entry in a dictionary and never waits. Where nobody has watched for :data:`KEEP_US`, it costs a
   comparison, and whoever comes back then loads afresh.
3. There are no queues of readers: each has a place in the ring, and reads from there what came since, gathered once
   more. Who falls out of the ring (:data:`ENTRIES`, :data:`IDS`, :data:`KEEP_US`) is told to load everything afresh.
4. At most :data:`PER_USER` readers a person and :data:`READERS` in all.

Not here: who may know what (:mod:`…news.sight`), the words (:mod:`…news.press`), HTTP.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from controller.services.errors import TooManyError
from controller.services.news.model import EVERYONE, Audience, Topic

GATHER_US: Final = 200_000
ENTRIES: Final = 4_096
#: Ids that all entries of the ring hold together.
IDS: Final = 200_000
KEEP_US: Final = 300_000_000
PER_USER: Final = 8
READERS: Final = 512
#: How soon a page that was refused may try again, in seconds.
_RETRY_S: Final = 10

Place = Callable[[str], Audience]


@dataclass(frozen=True, slots=True)
class Entry:
    """What changed of one topic, under one number."""

    seq: int
    at_us: int
    topic: Topic
    items: tuple[tuple[str, Audience], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a reader has to be told. ``lost``: it missed something and must load everything afresh.

    ``after`` and ``seq`` are the places in the ring before and behind it; without changes they are the same.
    """

    after: int
    seq: int
    changes: tuple[tuple[Topic, tuple[tuple[str, Audience], ...]], ...] = ()
    lost: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.changes and not self.lost


class NewsHub:
    """Gathers, remembers, wakes readers. :meth:`run` is its one task."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        """``now_us``: monotonic."""
        self._now_us = now_us
        #: Names this run: numbers of another run mean nothing.
        self.run_id: Final = secrets.token_hex(8)
        self._seq = 0
        self._floor = 0  # who has read up to here, or further, can go on
        self._ring: deque[Entry] = deque()
        self._ids = 0
        self._waiting: dict[Topic, dict[str, Audience | None]] = {}
        self._left_at: dict[Topic, int] = {}
        self._wanted = asyncio.Event()
        self._readers: list[Reader] = []
        self._watched_us: int | None = None
        self._missed = False  # something was not told, since nobody watched
        self._closed = False
        #: Where things of a topic are, for changes told without an audience; asked when they leave.
        self.places: dict[Topic, Place] = {}

    @property
    def seq(self) -> int:
        """The number of the last entry."""
        return self._seq

    @property
    def readers(self) -> int:
        """How many read."""
        return len(self._readers)

    @property
    def watched(self) -> bool:
        """Whether anybody reads, or was reading a moment ago."""
        if self._readers:
            return True
        return self._watched_us is not None and self._now_us() - self._watched_us <= KEEP_US

    # --- telling -----------------------------------------------------------------------------------------------

    def tell(self, topic: Topic, thing: str, audience: Audience | None = None) -> None:
        """Something changed. ``audience`` None: whoever may know of it where it then is (:attr:`places`)."""
        if not self.watched:
            self._missed = True
            return
        waiting = self._waiting.get(topic)
        if waiting is None:
            self._waiting[topic] = {thing: audience}
            self._wanted.set()
            return
        known = waiting.get(thing)
        waiting[thing] = audience if known is None else known if audience is None else known.joined(audience)
        if len(waiting) > IDS:
            self._forget()

    async def run(self) -> None:
        """Let gathered changes leave in time, until cancelled."""
        while True:
            pause = self.flush()
            self._wanted.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def flush(self) -> float | None:
        """Let leave what is due; seconds until the next is, None when nothing waits."""
        now, soonest = self._now_us(), None
        for topic in tuple(self._waiting):
            due = self._left_at.get(topic, -GATHER_US) + GATHER_US
            if now < due:
                soonest = due if soonest is None else min(soonest, due)
            else:
                self._leave(topic, self._waiting.pop(topic), now)
        return None if soonest is None else (soonest - now) / 1e6

    # --- reading -----------------------------------------------------------------------------------------------

    def open(self, user_id: str, *, after: int | None = None, alive: Callable[[], bool] = lambda: True) -> Reader:
        """Begin to read: from now on, or behind ``after``.

        ``alive``: whether somebody is still behind it; a place is taken from who is not when there are too many.

        Raises:
            TooManyError: ``too_many_streams``.
        """
        for reader in tuple(self._readers):
            if not reader.alive():
                reader.close()
        own = sum(reader.user_id == user_id for reader in self._readers)
        if own >= PER_USER or len(self._readers) >= READERS or self._closed:
            raise TooManyError(
                f"{PER_USER} pages of yours (or {READERS} of all) are open already; close one",
                retry_after=_RETRY_S,
                code="too_many_streams",
            )
        if self._missed:
            self._forget()
        reader = Reader(self, user_id, self._seq if after is None else after, alive)
        self._readers.append(reader)
        return reader

    def close(self) -> None:
        """The controller ends: so does everything that is read."""
        self._closed = True
        for reader in tuple(self._readers):
            reader.close()

    def leave(self, reader: Reader) -> None:
        """For :meth:`Reader.close`."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._watched_us = self._now_us()

    def since(self, after: int) -> Batch:
        """What came behind a place in the ring, gathered by topic."""
        if not self._floor <= after <= self._seq:
            return Batch(self._seq, self._seq, lost=True)
        if after == self._seq:
            return Batch(after, after)
        gathered: dict[Topic, dict[str, Audience]] = {}
        for entry in self._tail(self._seq - after):
            things = gathered.setdefault(entry.topic, {})
            for thing, audience in entry.items:
                things[thing] = audience if thing not in things else things[thing].joined(audience)
        changes = tuple((topic, tuple(things.items())) for topic, things in gathered.items())
        return Batch(after, self._seq, changes)

    # --- inside ------------------------------------------------------------------------------------------------

    def _tail(self, count: int) -> Iterable[Entry]:
        return reversed(tuple(islice(reversed(self._ring), count)))

    def _leave(self, topic: Topic, things: dict[str, Audience | None], now: int) -> None:
        place = self.places.get(topic)
        items = tuple(
            (thing, audience or (EVERYONE if place is None else place(thing))) for thing, audience in things.items()
        )
        self._seq += 1
        self._left_at[topic] = now
        self._ring.append(Entry(self._seq, now, topic, items))
        self._ids += len(items)
        while len(self._ring) > ENTRIES or self._ids > IDS or now - self._ring[0].at_us > KEEP_US:
            oldest = self._ring.popleft()
            self._ids -= len(oldest.items)
            self._floor = oldest.seq
        for reader in self._readers:
            reader.wake()

    def _forget(self) -> None:
        """Whoever read before has missed something."""
        self._missed = False
        self._waiting.clear()
        self._ring.clear()
        self._ids = 0
        self._seq += 1
        self._floor = self._seq
        for reader in self._readers:
            reader.wake()


class Reader:
    """One page that reads. Made by :meth:`NewsHub.open`; :meth:`close` it in the end."""

    def __init__(self, hub: NewsHub, user_id: str, after: int, alive: Callable[[], bool]) -> None:
        self._hub = hub
        self.user_id = user_id
        self.after = after
        self.alive = alive
        self._news = asyncio.Event()
        self.closed = False

    def wake(self) -> None:
        """Something came."""
        self._news.set()

    def close(self) -> None:
        """Leave. Safe to repeat."""
        if not self.closed:
            self.closed = True
            self._hub.leave(self)
            self._news.set()

    async def next(self, patience_s: float) -> Batch:
        """What came since the last call; waits for it, at most so long. Empty when nothing came, or when closed."""
        if self.after == self._hub.seq and not self.closed:
            self._news.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._news.wait()
            except TimeoutError:
                pass
        batch = self._hub.since(self.after)
        self.after = batch.seq
        return batch
