from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.store import journal as module
from controller.store.errors import JournalError, NotRecordedError
from controller.store.journal import RESERVE, CommandJournal, Draft, JournalEntry, read_journal
from tests.unit.controller.desk import START


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.journal"


async def stop(journal: CommandJournal, note: str = "") -> JournalEntry:
    return await journal.append(actor="us_1 lan", kind="stop", body={"targets": ["*"], "note": note}, at=START)


def shorten(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut])


def forge_third_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"stop", b"play"), *lines[3:]]))


async def test_an_order_is_on_the_disk_before_it_is_returned(path: Path) -> None:
    journal = CommandJournal.open(path, term=3)
    entry = await stop(journal)
    on_disk, fault = read_journal(path)
    await journal.close()
    assert fault is None
    assert on_disk == (entry,)
    assert (entry.term, entry.seq, entry.durable) == (3, 1, True)


async def test_numbers_rise_across_restarts_and_are_never_reused(path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        journal = CommandJournal.open(path, term=1)
        seen += [(await stop(journal)).seq for _ in range(3)]
        await journal.close()
    assert seen == sorted(set(seen))
    assert seen[3] == RESERVE + 1  # a start goes on after what was reserved


async def test_more_orders_than_one_reservation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESERVE", 4)
    journal = CommandJournal.open(path, term=1)
    numbers = [(await stop(journal)).seq for _ in range(11)]
    await journal.close()
    assert numbers == list(range(1, 12))
    assert [entry.seq for entry in read_journal(path)[0]] == numbers


@pytest.mark.parametrize("cut", [1, 30, 70, 100])
async def test_a_torn_tail_is_cut_off_and_kept(path: Path, cut: int) -> None:
    journal = CommandJournal.open(path, term=1)
    first, second = await stop(journal, "one"), await stop(journal, "two")
    await journal.close()
    shorten(path, cut)
    again = CommandJournal.open(path, term=1)
    third = await stop(again)
    await again.close()
    assert again.recovered is not None
    assert "cut off" in again.recovered
    assert list(path.parent.glob("orders.torn-*"))
    entries, fault = read_journal(path)
    assert (entries, fault) == ((first, third), None)
    assert third.seq > second.seq


async def test_damage_further_up_moves_the_file_aside_and_orders_go_on(path: Path) -> None:
    journal = CommandJournal.open(path, term=1)
    numbers = [(await stop(journal)).seq for _ in range(5)]
    await journal.close()
    forge_third_line(path)
    again = CommandJournal.open(path, term=1)
    entry = await stop(again)
    await again.close()
    assert "line 3 is damaged" in (again.recovered or "")
    assert list(path.parent.glob("orders.damaged-*"))
    assert entry.seq > max(numbers) + RESERVE
    assert next(one.seq for one in again.entries_after(0)) == numbers[0]  # what was good is not lost


async def test_a_full_disk_does_not_stop_an_order_and_no_number_comes_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = CommandJournal.open(path, term=1)
    first = await stop(journal)

    def refuse(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    second = await stop(journal)
    assert (second.durable, journal.fault is not None) == (False, True)
    monkeypatch.undo()
    third = await stop(journal)
    await journal.close()
    assert (third.durable, journal.fault) == (True, None)
    again = CommandJournal.open(path, term=1)
    fourth = await stop(again)
    await again.close()
    assert len({first.seq, second.seq, third.seq, fourth.seq}) == 4
    assert read_journal(path)[1] is None


async def test_without_any_reserved_number_left_it_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESERVE", 2)
    journal = CommandJournal.open(path, term=1)

    def refuse(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    assert [(await stop(journal)).durable for _ in range(2)] == [False, False]
    with pytest.raises(JournalError, match="No space"):
        await stop(journal)
    monkeypatch.undo()
    assert (await stop(journal)).durable
    await journal.close()


async def test_a_hanging_disk_does_not_hold_an_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = CommandJournal.open(path, term=1)
    released, real = threading.Event(), os.fsync
    monkeypatch.setattr(module, "FSYNC_SECONDS", 0.05)

    def hang(handle: int) -> None:
        released.wait(10)
        real(handle)

    monkeypatch.setattr(os, "fsync", hang)
    entry = await stop(journal)
    assert not entry.durable
    assert "longer than" in (journal.fault or "")
    released.set()
    monkeypatch.undo()
    assert (await stop(journal)).durable
    await journal.close()
    assert [one.seq for one in read_journal(path)[0]] == [1, 2]  # it came through in the end


async def test_the_term_rises_and_never_falls(path: Path) -> None:
    journal = CommandJournal.open(path, term=2)
    journal.raise_term(5)
    entry = await stop(journal)
    assert (entry.term, entry.seq) == (5, 1)
    with pytest.raises(JournalError):
        journal.raise_term(4)
    await journal.close()


async def test_what_is_drained_leaves_memory_and_stays_in_the_file(path: Path) -> None:
    journal = CommandJournal.open(path, term=1)
    for _ in range(3):
        await stop(journal)
    assert [entry.seq for entry in journal.entries_after(1)] == [2, 3]
    journal.forget_before(2)
    assert [entry.seq for entry in journal.entries_after(0)] == [3]
    await journal.close()
    assert len(read_journal(path)[0]) == 3


def test_a_folder_that_cannot_be_written_is_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"):
        CommandJournal.open(tmp_path / "file" / "orders.journal", term=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "orders.journal"

    async def write() -> None:
        journal = CommandJournal.open(path, term=1)
        for number in range(4):
            await stop(journal, str(number))
        await journal.close()

    asyncio.run(write())
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_byte_is_noticed_and_no_number_is_reused(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(written) - 1))
    bit = data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "orders.journal"
    path.write_bytes(written[:at] + bytes([written[at] ^ (1 << bit)]) + written[at + 1 :])
    entries, fault = read_journal(path)
    assert fault is not None
    assert len(entries) < 4
    journal = CommandJournal.open(path, term=1)
    journal._thread.shutdown()
    journal._file.close()
    assert journal.last_seq >= 4
    assert read_journal(path)[1] is None


def cut_at_every_byte_of_the_last_line(path: Path) -> None:
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        path.write_bytes(whole[:-cut])
        kept, fault = read_journal(path)
        assert ([entry.seq for entry in kept], fault) == ([1], 3)
    path.write_bytes(whole)


async def test_what_belongs_together_is_one_line_and_is_there_whole_or_not_at_all(path: Path) -> None:
    journal = CommandJournal.open(path, term=1)
    await stop(journal)
    drafts = [Draft("alert.confirm", {"subject": "al_1"}), Draft("play", {"n": 1}), Draft("play", {"n": 2})]
    entries = await journal.append_all(drafts, actor="us_1 lan", at=START, strict=True)
    await journal.close()
    assert [entry.seq for entry in entries] == [2, 3, 4]
    assert read_journal(path)[0][1:] == entries
    cut_at_every_byte_of_the_last_line(path)
    again = CommandJournal.open(path, term=1)
    assert (await stop(again)).seq > 4
    await again.close()


async def test_what_must_be_recorded_is_refused_by_a_full_disk_and_never_found_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = CommandJournal.open(path, term=1)

    def refuse(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(NotRecordedError, match="No space"):
        await journal.append_all([Draft("play", {})], actor="us_1", at=START, strict=True)
    monkeypatch.undo()
    entry = await stop(journal)
    await journal.close()
    assert read_journal(path) == ((entry,), None)
    assert entry.seq == 2  # the refused number is not used again


async def test_what_a_slow_disk_writes_after_it_was_refused_is_taken_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FSYNC_SECONDS", 0.05)
    journal = CommandJournal.open(path, term=1)
    gate, real = threading.Event(), os.fsync

    def slow(handle: int) -> None:
        gate.wait(5)
        real(handle)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(NotRecordedError):
        await journal.append_all([Draft("play", {})], actor="us_1", at=START, strict=True)
    gate.set()
    monkeypatch.setattr(module, "FSYNC_SECONDS", 2.0)
    entry = await stop(journal)
    await journal.close()
    assert read_journal(path) == ((entry,), None)
