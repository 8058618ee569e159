"""Documents that want to do harm, pushed by a source that may: nothing sounds by itself, nothing falls over."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.services.context import SYSTEM
from controller.services.errors import InvalidError
from controller.services.warnings import (
    Mode,
    SourceEntry,
    SourceKind,
    State,
    WarningEntry,
    WarningFilter,
    WarningHandler,
    WarningPolicy,
)
from controller.services.warnings.intake import _Rate
from controller.services.warnings.notice import Notice
from controller.store import StoreBusyError
from tests.unit.controller.warnings.warning_kit import World, flood, info, open_world, xml

#: Documents of one run; each is a signed warning that somebody altered.
ALTERED = 120
CORPUS = Path(__file__).parents[4] / "../shared/corpus/cap"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def altered(data: bytes, rng: random.Random) -> bytes:
    """The document with something of its content changed, cut, doubled or swapped."""
    kind, at = rng.randrange(5), rng.randrange(60, len(data) - 10)
    if kind == 0:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[at + rng.randrange(1, 200) :]
    if kind == 3:
        return data[:at] + data[at : at + 300] + data[at:]
    words = [b"Extreme", b"Actual", b"Public", b"VN-QTR", b"Flash flood", b"2026", b"16."]
    return data.replace(rng.choice(words), rng.choice(words))


@pytest.mark.slow
async def test_no_altered_warning_sounds_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Rate, "wait", lambda self, now: 0.0)
    source = await world.automatic()
    genuine = xml(flood(), signed=True)
    rng = random.Random(4)
    taken = 0
    for _ in range(ALTERED):
        document = altered(genuine, rng)
        try:
            kept = await world.intake.take(source, SourceKind.PUSH, document)
        except InvalidError:
            continue
        taken += sum(one.taken for one in kept)
    await world.handler.step()
    assert taken
    for alert in world.alerts.kept.values():
        # Only blanks between elements, or a comment, leave a signature whole: then it says what it said.
        warning = await world.book.get(alert.draft.origin.reference)
        assert warning.signature == "valid"
        assert warning.headline == "Cảnh báo lũ quét huyện Đakrông"
    assert len(world.alerts.kept) <= 1


async def test_a_signed_warning_wrapped_around_a_false_one_is_not_believed(world: World) -> None:
    """Signature wrapping: the signed alert is moved inside, another one stands outside with its signature."""
    source = await world.automatic()
    genuine = xml(flood(), signed=True).decode()
    false = xml(flood(identifier="FALSE", infos=(info(headline="Giả"),))).decode()
    inner = genuine.partition("?>")[2]
    wrapped = false.replace("</alert>", f"<note>{inner}</note></alert>")
    signature = genuine[genuine.index("<ds:Signature") : genuine.index("</ds:Signature>") + len("</ds:Signature>")]
    borrowed = false.replace("</alert>", f"{signature}</alert>")
    for document in (wrapped, borrowed):
        try:
            kept = await world.take(source, document.encode())
        except InvalidError:
            continue
        for one in kept:
            if one.id is not None:
                entry = await world.book.get(one.id)
                assert entry.state is not State.ISSUED or entry.identifier == "VN-QTR-1"
    assert all(alert.title == "Cảnh báo lũ quét huyện Đakrông" for alert in world.alerts.kept.values())


async def test_markup_in_a_warning_stays_text(world: World) -> None:
    source = await world.automatic()
    entry = await world.taken(
        source, flood(infos=(info(headline="<script>x</script>\u202e =cmd() & more", event="x"),))
    )
    assert "\u202e" not in entry.proposal["title"]
    assert entry.proposal["title"].startswith("<script>")


async def test_a_fault_in_judging_shows_the_warning_and_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    source = await world.source(policy=WarningPolicy(mode=Mode.PROPOSE))
    real = WarningHandler.notice_of

    async def broken(self: WarningHandler, entry: WarningEntry, source: SourceEntry) -> Notice:
        if entry.identifier == "bad":
            raise RuntimeError("a fault of ours")
        return await real(self, entry, source)

    monkeypatch.setattr(WarningHandler, "notice_of", broken)
    bad = await world.taken(source, flood(identifier="bad"))
    good = await world.taken(source, flood(identifier="good"))
    assert (bad.state, bad.reasons) == (State.SHOWN, ("fault",))
    assert good.state is State.PROPOSED


async def test_a_locked_database_loses_no_warning(world: World) -> None:
    source = await world.source(policy=WarningPolicy(mode=Mode.PROPOSE))
    kept = await world.intake.take(source, SourceKind.PUSH, xml(flood()))
    with closing(sqlite3.connect(world.desk.folder / "loa.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError):
            await world.intake.take(source, SourceKind.PUSH, xml(flood(identifier="2")))
        with pytest.raises(StoreBusyError):
            await world.handler.step()
        other.execute("ROLLBACK")
    assert world.book.pending == 1
    await world.handler.step()
    assert (await world.book.get(kept[0].id or "")).state is State.PROPOSED


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside the repository")
async def test_the_corpus_is_taken_whole_and_expired_warnings_wake_nobody(world: World) -> None:
    source = await world.automatic()
    codes = []
    for file in sorted(CORPUS.rglob("*.xml")):
        codes += [one.code for one in await world.take(source, file.read_bytes())]
    assert codes.count("duplicate_differs") == 2  # the standard's example, in three versions under one name
    rows, _ = await world.people.listed(SYSTEM, WarningFilter(), before=None, limit=100)
    assert len(rows) >= 16
    assert {row.state for row in rows} <= {State.SHOWN, State.EXPIRED}
    assert not world.alerts.kept
