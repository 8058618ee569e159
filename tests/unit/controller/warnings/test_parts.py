"""The smaller parts: words for the air, languages, the reader's bounds, the book's bounds, the doctor's eye."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from controller.config import load_config
from controller.keys.cap_identity import ensure_identity
from controller.services.alerts import CADENCE, Category
from controller.services.context import SYSTEM, Role
from controller.services.doctor import examine
from controller.services.errors import BusyError, ConflictError, InvalidError
from controller.services.warnings import Changes, Mode, Proposal, SourceKind, State, WarningFilter, WarningPolicy
from controller.services.warnings.book import KEPT, PENDING
from controller.services.warnings.drafts import (
    SPOKEN_MAX,
    Reach,
    cancel_words,
    category_of,
    propose,
    speakable,
    title_of,
    words_of,
)
from controller.services.warnings.languages import best_tag, lacking, same_language
from controller.services.warnings.notice import Notice, NoticeInfo
from controller.services.warnings.outcome import draft_of
from controller.services.warnings.reader import STUCK, WarningReader
from controller.store.warning_tables import WarningDocument
from tests.unit.controller.desk import START
from tests.unit.controller.warnings.warning_kit import World, flood, geocodes, info, open_world, pem, xml

PROPOSE = WarningPolicy(mode=Mode.PROPOSE)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def notice(*infos: NoticeInfo) -> Notice:
    return Notice("s", "id-1", START, "Actual", "Alert", "Public", infos)


# --- words ---


def test_words_for_the_air_are_headline_description_instruction() -> None:
    said = words_of(
        NoticeInfo(
            "vi",
            "Lũ",
            headline="Cảnh báo lũ",
            description="Nước  lên\r\nnhanh. Xem https://kttv.example/x?y=1 nhé",
            instruction="Rời xa bờ sông!",
        )
    )
    assert said == "Cảnh báo lũ. Nước lên nhanh. Xem nhé. Rời xa bờ sông!"


def test_long_words_end_at_a_sentence() -> None:
    said = words_of(NoticeInfo("vi", "Lũ", headline="Lũ", description="Nước lên nhanh quá. " * 100))
    assert len(said) <= SPOKEN_MAX
    assert said.endswith("nhanh quá.")


@given(st.text(max_size=3_000))
def test_whatever_is_written_can_be_spoken(text: str) -> None:
    said = words_of(NoticeInfo("vi", "", headline=text, description=text, instruction=text))
    assert len(said) <= SPOKEN_MAX
    assert said.isprintable()
    assert speakable(speakable(text)) == speakable(text)
    assert title_of(notice(NoticeInfo("vi", text, headline=text)))


@pytest.mark.parametrize(
    ("event", "category"),
    [
        ("Flash Flood Warning", Category.FLASH_FLOOD),
        ("Lũ quét", Category.FLASH_FLOOD),
        ("Flood", Category.FLOOD),
        ("Tropical Cyclone", Category.STORM),
        ("Storm damage report", Category.STORM),
        ("Dam break", Category.DAM_RELEASE),
        ("Sạt lở đất", Category.LANDSLIDE),
        ("Heat", Category.CUSTOM),
    ],
)
def test_what_threatens_is_guessed_from_the_words(event: str, category: Category) -> None:
    assert category_of(notice(NoticeInfo("vi", event))) is category


def test_each_cluster_language_gets_the_most_severe_part_that_speaks_it() -> None:
    minor = NoticeInfo("vi-VN", "Mưa", severity="Minor", headline="Mưa")
    severe = NoticeInfo("vi", "Lũ", severity="Severe", headline="Lũ")
    english = NoticeInfo("en", "Flood", severity="Severe", headline="Flood")
    reach = Reach({"cl_1": ("vi", "bru"), "cl_2": ("en",), "cl_3": ("vi",)}, ("A", "B"))
    found = propose(notice(minor, severe, english), reach, template=None)
    assert [(one.language, one.text) for one in found.words] == [("vi", "Lũ."), ("en", "Flood.")]
    assert found.lacking == {"cl_1": ("bru",)}
    assert Proposal.decode(found.encode()) == found
    assert propose(notice(minor), reach, template="tp").words == ()


def test_languages_are_compared_as_listeners_do() -> None:
    assert same_language("vi", "vi-VN")
    assert same_language("vie", "vi")
    assert not same_language("vi", "en")
    assert best_tag("en-GB", ["en-US", "en-GB"]) == "en-GB"
    assert best_tag("bru", ["vi"]) is None
    assert lacking(["vi-VN"], {"a": ("vi",), "b": ("bru", "vi")}) == {"b": ("bru",)}
    assert [one.language for one in cancel_words("x", ["vi-VN", "bru", "en"])] == ["vi-VN", "en"]


async def test_a_two_hourly_policy_repeats_until_the_warning_ends(world: World) -> None:
    source = await world.source(policy=WarningPolicy(mode=Mode.PROPOSE, repeat_two_hourly=True))
    long = await world.taken(source, flood())
    draft = draft_of(Proposal.decode(long.proposal), long, source, now=START, by="cap")
    assert draft.repetition is not None
    assert (draft.repetition.every, draft.repetition.until) == (CADENCE, START + timedelta(hours=6))
    short = await world.taken(source, flood(identifier="2", infos=(info(expires=START + timedelta(hours=1)),)))
    draft = draft_of(Proposal.decode(short.proposal), short, source, now=START, by="cap")
    assert (draft.repetition, draft.valid) == (None, timedelta(hours=1))


# --- reader ---


async def test_a_document_that_takes_too_long_is_refused_and_reading_goes_on() -> None:
    reader, gate = WarningReader(seconds=0.05), threading.Event()
    try:
        for _ in range(STUCK):
            assert reader.fault is None
            with pytest.raises(InvalidError) as caught:
                await reader.run(lambda: gate.wait(20))
            assert caught.value.code == "reading_too_slow"
        assert reader.fault is not None
        with pytest.raises(BusyError):
            await reader.read(xml(flood()), (), now=START)
    finally:
        gate.set()
        reader.close()


async def test_the_reader_is_bounded_and_says_so() -> None:
    reader, gate = WarningReader(), threading.Event()
    waiting = [asyncio.create_task(reader.run(lambda: gate.wait(20))) for _ in range(32)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError) as caught:
        await reader.run(lambda: None)
    assert caught.value.code == "warnings_busy"
    gate.set()
    await asyncio.gather(*waiting)
    with pytest.raises(InvalidError) as refused:
        await reader.read(b"x" * (5 << 20), (), now=START)
    assert refused.value.code == "too_large"
    reader.close()
    with pytest.raises(BusyError):
        await reader.run(lambda: None)


# --- book ---


async def test_the_book_is_bounded_in_what_waits_and_in_age(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    world.book.pending = PENDING
    with pytest.raises(BusyError):
        await world.intake.take(source, SourceKind.PUSH, xml(flood(identifier="2")))
    world.book.pending = 0
    world.desk.clock.at += KEPT + timedelta(days=1)
    await world.handler.step()
    rows, _ = await world.people.listed(SYSTEM, WarningFilter(), before=None, limit=10)
    assert rows == []
    async with world.desk.db.read() as session:
        assert (await session.exec(select(WarningDocument))).all() == []
    assert entry.state is State.PROPOSED


async def test_pages_show_what_somebody_may_see_and_nothing_twice(world: World) -> None:
    viewer = await world.desk.user("xem", (Role.VIEWER, world.areas["Ba Nang"]))
    source = await world.source(policy=PROPOSE, geocodes=geocodes(world))
    for number in range(7):
        await world.taken(source, flood(identifier=str(number)))
    seen: list[str] = []
    before: int | None = None
    while True:
        rows, before = await world.people.listed(SYSTEM, WarningFilter(), before=before, limit=3)
        seen += [row.identifier for row in rows]
        if before is None:
            break
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    assert await world.people.listed(viewer, WarningFilter(), before=None, limit=3) == ([], None)


async def test_two_who_accept_at_once_make_one_alert(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    results = await asyncio.gather(
        *(world.people.accept(SYSTEM, entry.id, Changes()) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, ConflictError) for one in results) == 4
    assert len(world.alerts.kept) == 1


# --- doctor ---


async def test_the_doctor_sees_certificates_end(world: World) -> None:
    await world.source(certificates=(pem(),))
    config = load_config(world.desk.folder, None, {}, {})
    ensure_identity(config.keys_folder, "loa", now=datetime.now(UTC))

    def looked(days: float) -> dict[str, str]:
        found = examine(config, now=START + timedelta(days=days))
        return {one.said.en.rsplit(" ends in ", 1)[0]: one.level for one in found if one.check == "cap"}

    own, theirs = "our CAP certificate", "the last signature certificate of the warning source 'KTTV Quảng Trị'"
    assert looked(0) == {own: "ok", theirs: "ok"}
    assert looked(300 - 60)[theirs] == "warning"
    assert looked(300 - 0.5)[theirs] == "bad"
    assert looked(3 * 365 - 20)[own] == "warning"
