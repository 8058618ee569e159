"""The agent's ports: what the real thing and its stand-in must both keep.

Ports: clock, ledger, media, finder, amplifier, and the controller's side of a play record's journal.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Protocol

import pytest

from agent.cache import Batch, Database, Keeper, Key, Ledger, MediaStore, Shelf, StateStore
from agent.clocks import Clock, SystemClock
from agent.conductor import AmplifierPort, GpioAmplifier, Media, NoAmplifier
from agent.link import Candidate, Finder, MdnsFinder
from agent.watch import Watch
from tests.unit.agent.rehearsal import T0, FakeRelayPort, SimClock, StoredMedia, WritingLedger
from tests.unit.agent.test_discovery import KnownFinder

# -- clock ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SystemClock, SimClock])
def test_a_clock_is_monotonic_in_microseconds_and_its_wall_is_utc(make: Callable[[], Clock]) -> None:
    clock = make()
    first, second = clock.mono_us(), clock.mono_us()
    assert isinstance(first, int)
    assert 0 < first <= second
    assert clock.wall().tzinfo is UTC


# -- ledger ---------------------------------------------------------------------------------------------------


def new_store() -> StateStore:
    database = Database(None)
    database.open(T0)
    store = StateStore(database)
    store.open()
    return store


@asynccontextmanager
async def real_ledger(store: StateStore) -> AsyncIterator[Ledger]:
    with ThreadPoolExecutor(2) as pool:
        keeper = Keeper(store, pool)
        task = asyncio.create_task(keeper.run())
        yield keeper
        await keeper.flush()
        task.cancel()


@asynccontextmanager
async def rehearsed_ledger(store: StateStore) -> AsyncIterator[Ledger]:
    yield WritingLedger(store)


@pytest.mark.parametrize("make", [real_ledger, rehearsed_ledger])
async def test_a_ledger_keeps_order_and_is_durable_when_it_says_so(
    make: Callable[[StateStore], AsyncIterator[Ledger]],
) -> None:
    store = new_store()
    async with make(store) as ledger:  # type: ignore[attr-defined]
        ledger.post(Batch(memory={Key.WALL: b"1"}, records=("a",)))
        ledger.post(Batch(memory={Key.WALL: b"2"}, records=("b",)))
        await ledger.apply(Batch(memory={Key.WALL: b"3"}, records=("c",)))
        assert store.read()[Key.WALL] == b"3"
        assert [body for _, body in store.pending(after=0, limit=9)] == ["a", "b", "c"]


# -- media ----------------------------------------------------------------------------------------------------


class Cupboard(Protocol):
    media: Media

    def put(self, body: bytes) -> str: ...

    def alter(self, sha256: str) -> None: ...


class RealCupboard:
    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        clock = SimClock()
        self._store = MediaStore(folder, clock, budget_bytes=10_000)
        self._store.open()
        self.media: Media = Shelf(self._store, pool, Watch(clock, clock.wall))

    def put(self, body: bytes) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        self._store.make_room(sha256, len(body), frozenset())
        self._store.part_path(sha256).write_bytes(body)
        self._store.finish(sha256)
        return sha256

    def alter(self, sha256: str) -> None:
        self._store.path(sha256).write_bytes(b"altered")


class RehearsedCupboard:
    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        del folder, pool
        self.media: Media = StoredMedia()
        self._stand_in = self.media
        assert isinstance(self._stand_in, StoredMedia)
        self._stand_in.gone.add("f" * 64)

    def put(self, body: bytes) -> str:
        return hashlib.sha256(body).hexdigest()

    def alter(self, sha256: str) -> None:
        assert isinstance(self._stand_in, StoredMedia)
        self._stand_in.altered.add(sha256)


@pytest.mark.parametrize("make", [RealCupboard, RehearsedCupboard])
async def test_media_are_missing_present_or_found_altered(
    make: Callable[[Path, ThreadPoolExecutor], Cupboard], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:
        cupboard = make(tmp_path, pool)
        media = cupboard.media
        sha256, absent = cupboard.put(b"sound"), "f" * 64
        assert media.missing(frozenset({sha256, absent})) == {absent}
        assert media.check((sha256,))
        assert media.check(())
        assert media.path(sha256).name == sha256
        cupboard.alter(sha256)
        async with asyncio.timeout(5):
            while sha256 not in media.missing(frozenset({sha256})):
                assert not media.check((sha256,))
                await asyncio.sleep(0.01)
        assert not media.check((sha256,))


# -- finder ---------------------------------------------------------------------------------------------------


def listening() -> Finder:
    finder = MdnsFinder()
    finder.learn("a", Candidate("a", "https://10.0.0.1:8471", "ab" * 8))
    return finder


def knowing() -> Finder:
    return KnownFinder(Candidate("a", "https://10.0.0.1:8471", "ab" * 8))


@pytest.mark.parametrize("make", [listening, knowing])
async def test_a_finder_tells_what_it_knows_and_waits_for_more(make: Callable[[], Finder]) -> None:
    finder = make()
    assert [one.url for one in finder.candidates()] == ["https://10.0.0.1:8471"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await finder.changed()


# -- amplifier ------------------------------------------------------------------------------------------------


def gpio() -> AmplifierPort:
    if not Path("/dev/gpiochip0").exists():
        pytest.skip("this machine has no GPIO chip")
    return GpioAmplifier(17)


@pytest.mark.parametrize("make", [NoAmplifier, lambda: FakeRelayPort(SimClock()), gpio])
def test_an_amplifier_may_be_switched_as_often_as_one_likes(make: Callable[[], AmplifierPort]) -> None:
    port = make()
    for on in (True, True, False, False, True):
        port.switch(on=on)
    port.close()
