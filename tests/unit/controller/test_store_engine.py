from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.audit import verify_file
from controller.services.context import SYSTEM
from controller.store import Database, sqlite_url, tables
from controller.store.errors import StoreBusyError, StoreClosedError, StoreFullError, UnauditedChangeError
from tests.unit.controller.desk import START, StillClock, fresh_database


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    path = await fresh_database(tmp_path)
    database = Database(sqlite_url(str(path)), now=StillClock().now, busy_timeout=timedelta(milliseconds=200))
    yield database
    await database.close()


def area(name: str = "A", parent: str | None = None) -> tables.Area:
    return tables.Area(id=f"ar_{name}", parent_id=parent, name=name, kind="xã", created_at=START)


async def scalar(session: AsyncSession, statement: str) -> object:
    return (await (await session.connection()).execute(text(statement))).scalar_one()


async def count(db: Database, table: type[SQLModel]) -> int:
    async with db.read() as session:
        return len((await session.exec(select(table))).all())


async def add(db: Database, row: tables.Area, *, told: list[str] | None = None, cut: bool = False) -> None:
    async with db.transaction(SYSTEM) as tx:
        tx.session.add(row)
        tx.audit("area.create", row.id, {"name": row.name})
        if told is not None:
            tx.on_commit(lambda: told.append("committed"))
        await tx.session.flush()
        if cut:
            raise RuntimeError("cut")


async def write(db: Database, statement: str, *, audited: bool) -> None:
    async with db.transaction(SYSTEM) as tx:
        await (await tx.session.connection()).execute(text(statement))
        if audited:
            tx.audit("area.create", "z")


async def test_a_change_and_its_audit_row_are_one(db: Database) -> None:
    told: list[str] = []
    await add(db, area(), told=told)
    assert (await count(db, tables.Area), await count(db, tables.Audit), told) == (1, 1, ["committed"])


async def test_an_exception_leaves_neither_the_change_nor_the_row(db: Database) -> None:
    told: list[str] = []
    with pytest.raises(RuntimeError, match="cut"):
        await add(db, area(), told=told, cut=True)
    assert (await count(db, tables.Area), await count(db, tables.Audit), told) == (0, 0, [])


async def test_a_change_without_audit_is_refused(db: Database) -> None:
    with pytest.raises(UnauditedChangeError):
        async with db.transaction(SYSTEM) as tx:
            tx.session.add(area())
    assert await count(db, tables.Area) == 0


async def test_a_bulk_change_without_audit_is_refused(db: Database) -> None:
    statement = "INSERT INTO counter (name, value) VALUES ('x', 1)"
    with pytest.raises(UnauditedChangeError):
        await write(db, statement, audited=False)
    assert await count(db, tables.Counter) == 0
    await write(db, statement, audited=True)
    assert await count(db, tables.Counter) == 2  # its own, and the head of the log


async def test_looking_in_a_transaction_needs_no_audit(db: Database) -> None:
    async with db.transaction(SYSTEM) as tx:
        assert (await tx.session.exec(select(tables.Area))).all() == []


async def test_readers_cannot_write(db: Database) -> None:
    async with db.read() as session:
        with pytest.raises(OperationalError, match="readonly"):
            await scalar(session, "DELETE FROM counter")


async def test_pragmas_are_those_that_survive_a_power_cut(db: Database) -> None:
    async with db.telemetry() as session:
        values = [await scalar(session, f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert values == ["wal", 2, 1]  # 2 = FULL


async def test_foreign_keys_hold(db: Database) -> None:
    with pytest.raises(IntegrityError):
        await add(db, area("B", parent="ar_nowhere"))


async def test_the_second_writer_waits_a_bounded_time(db: Database) -> None:
    async with db.transaction(SYSTEM):
        with pytest.raises(StoreBusyError):
            async with db.transaction(SYSTEM):
                pytest.fail("two writers at once")


async def test_another_process_that_holds_the_file_is_store_busy_and_readers_go_on(db: Database) -> None:
    assert db.url.database is not None
    with closing(sqlite3.connect(db.url.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError) as refused:
            async with db.telemetry():
                pytest.fail("the file was locked")
        assert refused.value.code == "store_busy"
        assert await count(db, tables.Area) == 0
        other.execute("ROLLBACK")
    async with db.transaction(SYSTEM) as tx:
        tx.session.add(area())
        tx.audit("area.create", "ar_A")


async def test_a_cancelled_writer_gives_the_turn_back(db: Database) -> None:
    began = asyncio.Event()

    async def hold() -> None:
        async with db.transaction(SYSTEM) as tx:
            tx.session.add(area())
            tx.audit("area.create", "ar_A")
            await tx.session.flush()
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.transaction(SYSTEM) as tx:
        tx.session.add(area("B"))
        tx.audit("area.create", "ar_B")
    assert await count(db, tables.Area) == 1


def workers() -> set[threading.Thread]:
    """aiosqlite's threads: one for each connection that is not closed."""
    return {thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name}


@pytest.mark.parametrize("cut", [False, True], ids=["finished", "cancelled"])
async def test_closing_waits_for_who_is_inside_and_leaves_no_connection(tmp_path: Path, *, cut: bool) -> None:
    """A pool drops what comes back after it was disposed of: a connection never closed, and its thread."""
    before = workers()
    db = Database(sqlite_url(str(await fresh_database(tmp_path))), now=StillClock().now)
    began, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with db.transaction(SYSTEM) as tx, db.read():
            began.set()
            await go_on.wait()
            tx.session.add(area())
            tx.audit("area.create", "ar_A")

    task = asyncio.create_task(work())
    await began.wait()
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    for late in (db.read, db.telemetry):
        with pytest.raises(StoreClosedError):
            async with late():
                pass
    assert not closing.done()
    if cut:
        task.cancel()
    else:
        go_on.set()
    await closing
    assert (task.cancelled(), task.done()) == (cut, True)
    for thread in workers() - before:
        thread.join(2)  # it has been told to end
        assert not thread.is_alive(), thread
    again = Database(sqlite_url(str(tmp_path / "loa.db")), now=StillClock().now)
    assert await count(again, tables.Area) == (0 if cut else 1)
    await again.close()


async def test_counters_only_rise_and_the_chain_holds(db: Database) -> None:
    for expected in (1, 2, 3):
        async with db.transaction(SYSTEM) as tx:
            assert await tx.next_value("plan") == expected
            tx.audit("area.create", "cl_x", {"seq": expected})
    assert db.url.database is not None
    verdict = verify_file(Path(db.url.database))
    assert (verdict.ok, verdict.rows, verdict.head_seq) == (True, 3, 3)


async def test_a_full_disk_is_said_and_nothing_is_half_written(db: Database) -> None:
    async with db.telemetry() as session:
        await session.exec(text("PRAGMA max_page_count=1"))  # type: ignore[call-overload] # clamps to what is there

    async def write_much() -> None:
        async with db.transaction(SYSTEM) as tx:
            for number in range(400):
                tx.session.add(tables.Area(id=f"ar_{number}", name="xã " * 60, kind="xã", created_at=START))
            tx.audit("area.create", "ar_0")

    with pytest.raises(StoreFullError) as refused:
        await write_much()
    assert refused.value.code == "disk_full"
    assert isinstance(refused.value, StoreBusyError)  # whoever waits for a busy store waits for this too
    assert await count(db, tables.Area) == 0
    async with db.telemetry() as session:
        await session.exec(text("PRAGMA max_page_count=1073741823"))  # type: ignore[call-overload]
    async with db.transaction(SYSTEM) as tx:
        tx.session.add(area())
        tx.audit("area.create", "ar_A")
