from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from controller.services.audit import verify_file
from controller.services.context import SYSTEM
from controller.services.errors import NotFoundError
from controller.store.audit import GENESIS, AuditEntry, chain, verify
from tests.unit.controller.desk import START, open_desk


def log(rows: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(rows):
        seq, digest = (entries[-1].seq, entries[-1].hash) if entries else (0, GENESIS)
        entries.append(
            chain(
                seq,
                digest,
                at=START,
                actor="us_1 lan",
                action="x.y",
                subject="s",
                details={"n": number, "tên": "Tà Rụt"},
            )
        )
    return entries


def codes(rows: Sequence[AuditEntry], head: int | None) -> list[tuple[int, str]]:
    return [(fault.seq, fault.code) for fault in verify(rows, head=head).faults]


def test_an_untouched_log_is_unbroken() -> None:
    assert verify(log(5), head=5).ok
    assert verify([], head=None).ok


def test_every_kind_of_change_is_found_at_its_row() -> None:
    rows = log(5)
    altered = AuditEntry(
        3,
        rows[2].at,
        "us_9 other",
        *(getattr(rows[2], name) for name in ("action", "subject", "details", "prev_hash", "hash")),
    )
    assert codes([*rows[:2], altered, *rows[3:]], 5) == [(3, "altered")]
    assert codes([rows[0], *rows[2:]], 5) == [(2, "missing")]
    assert codes([rows[0], rows[2], rows[1], *rows[3:]], 5)[0] == (2, "missing")
    assert (2, "reordered") in codes([rows[0], rows[2], rows[1], *rows[3:]], 5)
    assert codes(rows[:4], 5) == [(5, "truncated")]
    assert codes(rows[1:], 5) == [(1, "missing")]


def test_a_row_forged_with_a_good_hash_breaks_the_link() -> None:
    rows = log(3)
    forged = chain(1, rows[0].hash, at=START, actor="us_9", action="x.y", subject="s", details={})
    assert codes([rows[0], forged, rows[2]], 3) == [(3, "broken_link")]


def test_a_log_rewritten_as_a_whole_is_found_by_the_head_that_was_written_down() -> None:
    rows = log(3)
    other = [chain(0, GENESIS, at=START, actor="us_9", action="z", subject="s", details={})]
    assert verify(other, head=1).ok
    verdict = verify(other, head=1, expect=(1, rows[0].hash))
    assert [fault.code for fault in verdict.faults] == ["unexpected_head"]
    assert verify(rows, head=3, expect=(1, rows[0].hash)).ok


@pytest.mark.parametrize(
    ("forgery", "expected"),
    [
        ("UPDATE audit SET actor = 'us_0 nobody' WHERE seq = 2", {(2, "altered")}),
        ("UPDATE audit SET details = x'00' WHERE seq = 2", {(2, "altered")}),
        ("DELETE FROM audit WHERE seq = 2", {(2, "missing")}),
        ("DELETE FROM audit WHERE seq = 4", {(4, "truncated")}),
        ("UPDATE audit SET seq = 9 WHERE seq = 4", {(9, "altered"), (4, "missing"), (4, "truncated")}),
        ("DELETE FROM counter", {(4, "truncated")}),
    ],
)
async def test_forgery_in_the_file_is_named(tmp_path: Path, forgery: str, expected: set[tuple[int, str]]) -> None:
    async with open_desk(tmp_path) as desk:
        for name in ("A", "B", "C", "D"):
            await desk.areas.create(SYSTEM, name=name, kind="xã")
    assert verify_file(tmp_path / "loa.db").ok
    with closing(sqlite3.connect(tmp_path / "loa.db")) as connection, connection:
        connection.execute(forgery)
    found = {(fault.seq, fault.code) for fault in verify_file(tmp_path / "loa.db").faults}
    assert found == expected


async def test_rows_written_after_a_cut_do_not_hide_it(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.areas.create(SYSTEM, name="A", kind="xã")
        await desk.areas.create(SYSTEM, name="B", kind="xã")
        with closing(sqlite3.connect(tmp_path / "loa.db")) as connection, connection:
            connection.execute("DELETE FROM audit WHERE seq = 2")
        await desk.areas.create(SYSTEM, name="C", kind="xã")
    assert [(fault.seq, fault.code) for fault in verify_file(tmp_path / "loa.db").faults] == [(2, "missing")]


def test_something_else_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database at all, by no means" * 50)
    for name in ("x.db", "missing.db"):
        with pytest.raises(NotFoundError) as refused:
            verify_file(tmp_path / name)
        assert refused.value.code == "no_database"
