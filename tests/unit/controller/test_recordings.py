"""Recordings: processed once acknowledged, approved by their bytes, void when replaced."""

from __future__ import annotations

import asyncio
import io
import random
import wave
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from audio.ingest import Ingestor
from controller.services.chimes import ensure_chimes
from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.intake import WAITING, Job, Progress
from controller.services.media_store import DiskFullError, MediaStore, UploadTooLargeError
from controller.services.precedence import Precedence
from controller.services.recordings import NewRecording, Upload
from tests.unit.controller.air_kit import ADMIN, open_stage, until


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_upload_becomes_a_recording_under_its_hash(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        entry = await stage.recording(area, b"hello", approved=False)
        assert (entry.state, entry.frames, entry.original_name) == ("ready", 5 * 48_000, "voice.mp3")
        assert entry.sha256 is not None
        path = await stage.air.recordings.sound(ADMIN, entry.id)
        assert path == tmp_path / "media" / entry.sha256[:2] / entry.sha256
        assert path.read_bytes() == b"hello"
        assert entry.approval is None
        assert list((tmp_path / "uploads").glob("rc_*")) == []


async def test_what_is_no_sound_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        entry = await stage.recording(await stage.area(), b"BAD file", approved=False)
        assert entry.state == "refused"
        assert entry.report["code"] == "not_audio"
        assert entry.report["file"] == entry.original_name  # not where the upload lay
        with pytest.raises(ConflictError) as caught:
            await stage.air.recordings.decide(ADMIN, entry.id, "0" * 64, approved=True)
        assert caught.value.code == "recording_not_ready"


async def test_an_approval_is_bound_to_the_bytes_that_were_heard(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        entry = await stage.recording(await stage.area(), b"first")
        assert entry.approval is not None
        assert entry.sha256 is not None
        await stage.air.recordings.replace(ADMIN, entry.id, Upload(chunks(b"second")), "again.mp3")
        replaced = await stage.settled(entry.id)
        assert replaced.sha256 != entry.sha256
        assert replaced.approval is None
        with pytest.raises(ConflictError) as caught:
            await stage.air.recordings.decide(ADMIN, entry.id, entry.sha256, approved=True)
        assert caught.value.code == "changed_since"


async def test_a_rejection_needs_a_reason_and_takes_the_approval_back(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        entry = await stage.recording(await stage.area())
        assert entry.sha256 is not None
        with pytest.raises(InvalidError) as caught:
            await stage.air.recordings.decide(ADMIN, entry.id, entry.sha256, approved=False)
        assert caught.value.code == "no_reason"
        await stage.air.recordings.decide(ADMIN, entry.id, entry.sha256, approved=False, reason="wrong date")
        assert stage.air.catalogue.recordings[entry.id].approval is None


async def test_another_language_voids_the_approval_and_another_title_does_not(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        entry = await stage.recording(await stage.area())
        assert (await stage.air.recordings.change(ADMIN, entry.id, title="Tin tối")).approval is not None
        assert (await stage.air.recordings.change(ADMIN, entry.id, language="bru")).approval is None


async def test_rights_are_those_over_the_area(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        here, there = await stage.area("here"), await stage.area("there")
        entry = await stage.recording(here, approved=False)
        assert entry.sha256 is not None
        editor = Actor("us_e", "e", (RoleGrant(Role.EDITOR, here),))
        elsewhere = Actor("us_a", "a", (RoleGrant(Role.APPROVER, there),))
        approver = Actor("us_b", "b", (RoleGrant(Role.APPROVER, here),))
        for actor in (editor, elsewhere):
            with pytest.raises(ForbiddenError):
                await stage.air.recordings.decide(actor, entry.id, entry.sha256, approved=True)
        with pytest.raises(ForbiddenError):
            await stage.air.recordings.create(editor, NewRecording(there, "x"), Upload(chunks(b"x")))
        approved = await stage.air.recordings.decide(approver, entry.id, entry.sha256, approved=True)
        assert approved.approval is not None
        assert approved.approval.by == "b"
        assert stage.air.recordings.readable(elsewhere) == []
        with pytest.raises(NotFoundError):
            stage.air.recordings.get(ADMIN, "rc_nothing")


async def test_what_was_acknowledged_is_finished_after_a_restart(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        stage.ingestor.gate.clear()
        kept = await stage.air.recordings.create(ADMIN, NewRecording(area, "kept"), Upload(chunks(b"kept")))
        lost = await stage.air.recordings.create(ADMIN, NewRecording(area, "lost"), Upload(chunks(b"lost")))
        progress = stage.air.recordings.progress(lost.id)
        assert progress is not None
        assert progress.stage == "waiting"
    (tmp_path / "uploads" / lost.id).unlink()
    (tmp_path / "uploads" / "stray.part").write_bytes(b"half")
    async with open_stage(tmp_path) as stage:
        assert (await stage.settled(kept.id)).state == "ready"
        assert (await stage.settled(lost.id)).report["code"] == "interrupted"
        assert not (tmp_path / "uploads" / "stray.part").exists()


async def test_who_leaves_while_an_order_holds_the_upload_still_leaves_nothing(tmp_path: Path) -> None:
    precedence = Precedence()
    store = MediaStore(tmp_path, reserve=0, precedence=precedence)
    store.open()
    whole = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"all of it"
        precedence.order()
        whole.set()

    receiving = asyncio.create_task(store.receive("up", body(), None))
    await whole.wait()
    await asyncio.sleep(0.05)  # it is written, and holds still before the disk is asked
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_too_large_too_full_too_many_and_empty(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, reserve=0, upload_max=10)
    store.open()
    for announced, body in ((11, b""), (None, b"x" * 11), (3, b"x" * 11)):
        with pytest.raises(UploadTooLargeError):
            await store.receive("up", chunks(body), announced)
        assert not (tmp_path / "uploads" / "up").exists()
    with pytest.raises(InvalidError) as caught:
        await store.receive("up", chunks(), None)
    assert caught.value.code == "empty_upload"
    full = MediaStore(tmp_path, reserve=1 << 60)
    with pytest.raises(DiskFullError):
        await full.receive("up", chunks(b"x"), 1)
    async with open_stage(tmp_path / "data") as stage:
        area = await stage.area()
        stage.ingestor.gate.clear()
        for number in range(WAITING + 1):
            stage.air.recordings.intake.put(Job(f"rc_{number}", "none"))
        with pytest.raises(Exception, match="waiting") as busy:
            await stage.air.recordings.create(ADMIN, NewRecording(area, "x"), Upload(chunks(b"x")))
        assert getattr(busy.value, "code", "") == "too_many_uploads"


async def test_a_recording_in_use_is_not_archived(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        entry = await stage.recording(area)
        programme, _ = await stage.air.programmes.create(ADMIN, stage.bulletin(area, entry.id))
        with pytest.raises(ConflictError) as caught:
            await stage.air.recordings.archive(ADMIN, entry.id)
        assert caught.value.code == "recording_in_use"
        (use,) = stage.air.recordings.uses(ADMIN, entry.id)
        assert (use.kind, use.id, use.title) == ("programme", programme.id, "Bản tin sáng")
        await stage.air.programmes.withdraw(ADMIN, programme.id)
        stage.air.recordings.used_by.append(lambda recording: ("Cảnh báo lũ",) if recording == entry.id else ())
        assert stage.air.recordings.templates_of(entry.id) == ("Cảnh báo lũ",)
        with pytest.raises(ConflictError):
            await stage.air.recordings.archive(ADMIN, entry.id)
        stage.air.recordings.used_by.pop()
        await stage.air.recordings.archive(ADMIN, entry.id)
        assert stage.air.recordings.readable(ADMIN) == []


async def test_text_is_spoken_by_the_engine_that_is_always_there(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        new = NewRecording(area, "Thông báo", "vi")
        entry = await stage.air.recordings.create_spoken(ADMIN, new, "Mời bà con nghe thông báo")
        entry = await stage.settled(entry.id)
        assert entry.state == "ready", entry.report
        assert (await stage.air.recordings.sound(ADMIN, entry.id)).read_bytes()[:4] == b"RIFF"  # what was handed on
        for text, language, code in (
            ("", "vi", "no_text"),
            ("x" * 60_000, "vi", "text_too_long"),
            ("x", "bru", "no_voice"),
        ):
            with pytest.raises(InvalidError) as caught:
                await stage.air.recordings.create_spoken(ADMIN, NewRecording(area, "t", language), text)
            assert caught.value.code == code


async def test_what_is_cancelled_ends_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area, recordings = await stage.area(), stage.air.recordings
        stage.ingestor.gate.clear()
        first, second = [
            await recordings.create(ADMIN, NewRecording(area, name), Upload(chunks(name.encode()))) for name in "ab"
        ]
        await until(lambda: recordings.progress(first.id) == Progress("decoding", 0.5))
        reader = Actor("us_reader", "reader", (RoleGrant(Role.APPROVER, area),))
        with pytest.raises(ForbiddenError):
            await recordings.cancel(reader, first.id)
        for each in (second, first):  # one that waits, one that is worked on
            assert (await recordings.cancel(ADMIN, each.id)).state == "archived"
            assert recordings.progress(each.id) is None
        assert recordings.readable(ADMIN) == []
        assert _left(tmp_path) == []
        with pytest.raises(ConflictError) as caught:
            await recordings.cancel(ADMIN, first.id)
        assert caught.value.code == "not_processing"
        stage.ingestor.gate.set()  # and the next one has its turn
        assert (await stage.recording(area, b"next")).state == "ready"


async def test_a_replacement_that_is_cancelled_leaves_what_was_there(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        recordings = stage.air.recordings
        entry = await stage.recording(await stage.area(), b"first")
        stage.ingestor.gate.clear()
        await recordings.replace(ADMIN, entry.id, Upload(chunks(b"second")), "again.mp3")
        await until(lambda: recordings.progress(entry.id) == Progress("decoding", 0.5))
        assert await recordings.cancel(ADMIN, entry.id) == entry
        assert entry.approval is not None
        assert _left(tmp_path) == []
    async with open_stage(tmp_path) as again:
        assert again.air.catalogue.recordings[entry.id] == entry


async def test_what_a_template_waits_for_stays_as_refused(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        recordings = stage.air.recordings
        recordings.used_by.append(lambda _: ("Lũ",))
        stage.ingestor.gate.clear()
        made = await recordings.create(ADMIN, NewRecording(await stage.area(), "Lũ"), Upload(chunks(b"x")))
        cancelled = await recordings.cancel(ADMIN, made.id)
        assert (cancelled.state, cancelled.report["code"]) == ("refused", "cancelled")


async def test_cancelling_kills_the_decoder_and_the_voice(tmp_path: Path) -> None:
    """With the real ones: no process is left, and no file."""
    async with open_stage(tmp_path) as stage:
        area, recordings = await stage.area(), stage.air.recordings
        long = wav(seconds=1200)
        recordings.intake._ingestor = Ingestor(work_dir=stage.air.store.uploads)
        spoken = await recordings.create_spoken(ADMIN, NewRecording(area, "Đọc", "vi"), "Mời bà con nghe. " * 1500)
        decoded = await recordings.create(ADMIN, NewRecording(area, "Dài"), Upload(chunks(long)))
        for each, worker in ((spoken, "audio.speech.worker"), (decoded, "audio.ingest.worker")):
            await until(partial(_runs, worker), within=30)
            assert (await recordings.cancel(ADMIN, each.id)).state == "archived"
            assert not _runs(worker)
        assert _left(tmp_path) == []


def wav(*, seconds: int, rate: int = 8_000) -> bytes:
    """So much noise."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(random.Random(1).randbytes(2 * rate * seconds))
    return out.getvalue()


def _runs(program: str) -> bool:
    """Whether a child of this process runs it."""
    found = psutil.Process().children(recursive=True)
    return any(program in each.cmdline() for each in found if each.status() != psutil.STATUS_ZOMBIE)


def _left(folder: Path) -> list[str]:
    """Files of work that is not done."""
    return sorted(path.name for path in (folder / "uploads").rglob("*") if path.is_file())


async def test_chimes_are_made_once_and_found_again(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, reserve=0)
    store.open()
    made = await ensure_chimes(store)
    assert made == await ensure_chimes(store)
    assert made["opening"] != made["closing"]
    path = store.media_path(made["opening"].sha256)
    assert path is not None
    assert path.read_bytes().startswith(b"OggS")
    path.unlink()
    assert await ensure_chimes(store) == made
    assert path.exists()


async def test_a_busy_database_delays_a_verdict_and_loses_none(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        stage.ingestor.gate.clear()
        entry = await stage.air.recordings.create(ADMIN, NewRecording(area, "x"), Upload(chunks(b"x")))
        async with stage.base.db._writing:  # another change that takes long
            stage.ingestor.gate.set()
            await until(lambda: stage.air.recordings.progress(entry.id) is not None)
        assert (await stage.settled(entry.id)).state == "ready"
