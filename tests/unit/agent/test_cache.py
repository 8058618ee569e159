"""What the agent keeps: database, state, keeper, sounds, pins."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.cache import keeper as keeper_module
from agent.cache import state as state_module
from agent.cache.atomic import write_file
from agent.cache.database import Database
from agent.cache.keeper import Keeper
from agent.cache.media import PROOF_LIFE_US, MediaStore
from agent.cache.pins import PinFile, Pins, own_key
from agent.cache.state import Batch, KeptOrder, Key, StateStore
from agent.errors import MediaError, StorageError
from protocol.counters import Counters, Mark
from protocol.documents import DocumentKind
from protocol.keys import SigningKey
from tests.unit.agent.rehearsal import T0, SimClock


def opened(path: Path | None = None) -> StateStore:
    database = Database(path)
    database.open(T0)
    store = StateStore(database)
    store.open()
    return store


# -- database and state ---------------------------------------------------------------------------------------


def test_a_batch_is_whole_or_not_at_all(tmp_path: Path) -> None:
    store = opened(tmp_path / "a.db")
    order = KeptOrder("command", 1, 2, 500, b"{}")
    store.apply(Batch(memory={Key.WALL: b"7"}, orders=(order,), records=("{}",), plays={"x": "{}"}))
    with pytest.raises(StorageError):
        store.apply(Batch(memory={Key.WALL: b"8"}, records=(None,)))  # type: ignore[arg-type]
    assert store.read()[Key.WALL] == b"7"
    assert store.orders() == [order]
    assert store.pending(after=0, limit=10) == [(1, "{}")]
    assert store.plays() == {"x": "{}"}


def test_everything_survives_and_numbers_never_come_back(tmp_path: Path) -> None:
    first = opened(tmp_path / "a.db")
    first.apply(Batch(records=("a", "b", "c"), documents={"d": b"1"}, progress={"o": "p"}))
    first.apply(Batch(acknowledged=3))
    again = opened(tmp_path / "a.db")
    assert again.journal == first.journal
    assert again.documents() == {"d": b"1"}
    assert again.progress() == {"o": "p"}
    again.apply(Batch(records=("d",)))
    assert again.pending(after=0, limit=10) == [(4, "d")]


def test_orders_are_dropped_when_over_and_documents_when_not_named() -> None:
    store = opened()
    store.apply(Batch(orders=(KeptOrder("command", 1, 1, 10, b"a"), KeptOrder("command", 1, 2, 30, b"b"))))
    store.apply(Batch(drop_orders_until_us=20, documents={"x": b"1", "y": b"2"}, keep_documents=frozenset({"y"})))
    assert [order.envelope for order in store.orders()] == [b"b"]
    assert store.documents() == {"y": b"2"}


def test_the_journal_is_bounded_and_says_what_it_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "JOURNAL_LIMIT", 5)
    store = opened()
    for number in range(8):
        store.apply(Batch(records=(str(number),)))
    assert [body for _, body in store.pending(after=0, limit=10)] == ["3", "4", "5", "6", "7"]
    assert store.backlog() == (5, 3)


def test_later_wins_when_batches_are_joined() -> None:
    one = Batch(memory={Key.WALL: b"1"}, plays={"a": "x"}, records=("r1",), acknowledged=5)
    two = Batch(memory={Key.WALL: None}, plays={"a": None}, records=("r2",), acknowledged=3)
    joined = one.then(two)
    assert joined.memory == {Key.WALL: None}
    assert joined.plays == {"a": None}
    assert joined.records == ("r1", "r2")
    assert joined.acknowledged == 5


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 400])
def test_a_damaged_database_is_set_aside_and_told(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "a.db"
    store = opened(path)
    store.apply(Batch(memory={Key.WALL: b"1"}))
    store._database.close()
    body = path.read_bytes()
    path.write_bytes(damage or body[:1024] + os.urandom(len(body) - 1024))
    database = Database(path)
    database.open(T0)
    assert database.lost is not None
    assert database.lost.exists()
    fresh = StateStore(database)
    fresh.open()
    assert Key.WALL not in fresh.read()


def test_a_locked_database_is_not_mistaken_for_a_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cache.database.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "a.db"
    store = opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError) as caught:
        store.apply(Batch(memory={Key.WALL: b"1"}))
    assert caught.value.code == "storage_failing"
    other.close()
    store.apply(Batch(memory={Key.WALL: b"1"}))
    assert not list(tmp_path.glob("*.corrupt*"))


def test_the_database_of_a_newer_agent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    opened(path)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(StorageError) as caught:
        Database(path).open(T0)
    assert caught.value.code == "storage_newer"


def test_full_synchronous_wal(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db")
    database.open(T0)
    with database.transaction() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


# -- keeper ---------------------------------------------------------------------------------------------------


class StubbornStore(StateStore):
    """Refuses writes while told to."""

    failing = False

    def apply(self, batch: Batch) -> None:
        if self.failing:
            raise StorageError("storage_failing", "the card is gone")
        super().apply(batch)


@pytest.fixture
def stubborn() -> StubbornStore:
    database = Database(None)
    database.open(T0)
    store = StubbornStore(database)
    store.open()
    return store


async def test_the_keeper_writes_in_order_and_tells_when_durable(stubborn: StubbornStore) -> None:
    with ThreadPoolExecutor(2) as pool:
        keeper = Keeper(stubborn, pool)
        task = asyncio.create_task(keeper.run())
        keeper.post(Batch(records=("a",), memory={Key.WALL: b"1"}))
        await keeper.apply(Batch(records=("b",), memory={Key.WALL: b"2"}))
        keeper.post(Batch(records=("c",), memory={Key.WALL: b"3"}))
        await keeper.flush()
        assert [body for _, body in stubborn.pending(after=0, limit=9)] == ["a", "b", "c"]
        assert stubborn.read()[Key.WALL] == b"3"
        assert keeper.grown.is_set()
        task.cancel()


async def test_a_failing_disk_loses_no_record_and_fails_whoever_waits(
    stubborn: StubbornStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "FIRST_RETRY_S", 0.01)
    stubborn.failing = True
    with ThreadPoolExecutor(2) as pool:
        keeper = Keeper(stubborn, pool)
        task = asyncio.create_task(keeper.run())
        keeper.post(Batch(records=("a",)))
        with pytest.raises(StorageError):
            await keeper.apply(Batch(memory={Key.PLAN: b"x"}))
        assert "card" in str(keeper.failure)
        keeper.post(Batch(records=("b",)))
        stubborn.failing = False
        await keeper.flush()
        assert not keeper.failure
        assert [body for _, body in stubborn.pending(after=0, limit=9)] == ["a", "b"]
        assert Key.PLAN not in stubborn.read()
        task.cancel()


async def test_what_waits_for_a_dead_disk_is_bounded(stubborn: StubbornStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "RECORDS_WAITING", 10)
    with ThreadPoolExecutor(1) as pool:
        keeper = Keeper(stubborn, pool)
        for number in range(25):
            keeper.post(Batch(records=(str(number),)))
        assert keeper.dropped == 15
        task = asyncio.create_task(keeper.run())
        await keeper.flush()
        assert next(body for _, body in stubborn.pending(after=0, limit=99)) == "15"
        task.cancel()


# -- sounds ---------------------------------------------------------------------------------------------------


def stored(store: MediaStore, body: bytes) -> str:
    sha256 = hashlib.sha256(body).hexdigest()
    store.make_room(sha256, len(body), frozenset())
    store.part_path(sha256).write_bytes(body)
    store.finish(sha256)
    return sha256


def media(folder: Path, budget: int = 1000) -> tuple[MediaStore, SimClock]:
    clock = SimClock()
    store = MediaStore(folder, clock, budget_bytes=budget)
    store.open()
    return store, clock


def test_a_sound_appears_only_whole_and_verified(tmp_path: Path) -> None:
    store, _ = media(tmp_path)
    sha256 = stored(store, b"sound")
    assert store.has(sha256)
    assert store.proven(sha256)
    wrong = hashlib.sha256(b"other").hexdigest()
    store.part_path(wrong).write_bytes(b"forged")
    with pytest.raises(MediaError) as caught:
        store.finish(wrong)
    assert caught.value.code == "media_altered"
    assert not store.part_path(wrong).exists()
    assert store.missing({sha256, wrong}) == {wrong}


def test_an_altered_sound_is_removed(tmp_path: Path) -> None:
    store, clock = media(tmp_path)
    sha256 = stored(store, b"sound")
    store.path(sha256).write_bytes(b"sounD")
    assert not store.proven(sha256)
    assert not store.prove(sha256)
    assert not store.has(sha256)
    assert not store.path(sha256).exists()
    clock.move_to(clock.mono_us() + 1)


def test_a_proof_is_not_for_ever(tmp_path: Path) -> None:
    store, clock = media(tmp_path)
    sha256 = stored(store, b"sound")
    clock.move_to(clock.mono_us() + PROOF_LIFE_US + 1)
    assert not store.proven(sha256)
    assert store.prove(sha256)
    assert store.proven(sha256)


def test_a_bit_that_flips_without_a_trace_is_found(tmp_path: Path) -> None:
    store, clock = media(tmp_path)
    sha256 = stored(store, b"sound")
    path = store.path(sha256)
    stat = path.stat()
    path.write_bytes(b"sounE")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    clock.move_to(clock.mono_us() + PROOF_LIFE_US + 1)
    assert not store.prove(sha256)


def test_what_no_plan_needs_goes_first_and_least_recently_used_first(tmp_path: Path) -> None:
    store, clock = media(tmp_path, budget=30)
    one, two, three = (stored(store, name * 10) for name in (b"1", b"2", b"3"))
    clock.move_to(clock.mono_us() + PROOF_LIFE_US + 1)
    assert store.prove(one)
    store.make_room("f" * 64, 10, needed=frozenset({three}))
    assert store.missing({one, two, three}) == {two}
    with pytest.raises(MediaError) as caught:
        store.make_room("e" * 64, 25, needed=frozenset({one, three}))
    assert caught.value.code == "disk_full"
    assert store.has(one)


def test_a_new_start_knows_what_is_there_and_keeps_unfinished_downloads(tmp_path: Path) -> None:
    store, _ = media(tmp_path)
    sha256 = stored(store, b"sound")
    store.part_path("a" * 64).write_bytes(b"half")
    (tmp_path / "stray.txt").write_text("x")
    again, _ = media(tmp_path)
    assert again.has(sha256)
    assert not again.proven(sha256)
    assert again.part_path("a" * 64).read_bytes() == b"half"
    assert not (tmp_path / "stray.txt").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "", "a" * 63])
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    store, _ = media(tmp_path)
    with pytest.raises(MediaError):
        store.path(name)


# -- small files ----------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pins.json"
    write_file(path, b"old")
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_pins_come_back_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    counters = Counters({DocumentKind.COMMAND: Mark(1, 7, "0" * 64)})
    pins = Pins(SigningKey.generate().public, "cl_a", "https://10.0.0.1:8471", counters)
    file = PinFile(tmp_path / "pins.json")
    assert file.read() is None
    file.write(pins)
    assert file.read() == pins
    assert (tmp_path / "pins.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "pins.json").write_bytes(pins.to_bytes().replace(b'"v": 1', b'"v": 2'))
    with pytest.raises(StorageError):
        file.read()


def test_the_agents_key_is_made_once_and_its_own(tmp_path: Path) -> None:
    path = tmp_path / "agent.key"
    key = own_key(path)
    assert own_key(path).public == key.public
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("zz")
    with pytest.raises(StorageError):
        own_key(path)
    assert own_key(None).public != key.public
