"""What the library shows beside recordings: waveforms, the very sound that was listened to, voices to try out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from audio.codec import OggOpusWriter
from audio.errors import SpeechError
from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError
from controller.services.recordings import Upload
from controller.services.voice_trial import VoiceTrial
from controller.services.waveforms import PARTS, Waveforms
from schedules.instants import Frames
from tests.unit.controller.air_kit import ADMIN, open_stage
from tests.unit.controller.staff import open_staff
from tests.unit.controller.test_recordings import chunks


def opus(path: Path, *seconds: float) -> Path:
    """A file that sounds and is silent in turn, for so many seconds each."""
    parts = [
        np.full(round(length * 48_000), 0.5 if number % 2 == 0 else 0.0) * np.cos(np.arange(round(length * 48_000)) / 9)
        for number, length in enumerate(seconds)
    ]
    with OggOpusWriter(path) as writer:
        writer.write(np.concatenate(parts).astype(np.float32))
    return path


async def test_a_waveform_shows_where_it_sounds_and_is_made_once(tmp_path: Path) -> None:
    path, waveforms = opus(tmp_path / "a.opus", 12.0, 12.0), Waveforms()
    first, second = await asyncio.gather(waveforms.of("a", path), waveforms.of("a", path))
    assert first is second
    assert len(first) == PARTS
    assert min(first[10:290]) == pytest.approx(0.5, abs=0.1)
    assert max(first[310:]) < 0.05


async def test_a_waveform_of_very_little_and_of_nothing_readable(tmp_path: Path) -> None:
    assert len(await Waveforms().of("a", opus(tmp_path / "a.opus", 0.01))) == 480
    (tmp_path / "b.opus").write_bytes(b"no sound at all")
    with pytest.raises(ConflictError) as caught:
        await Waveforms().of("b", tmp_path / "b.opus")
    assert caught.value.code == "media_damaged"


async def test_who_listens_hears_the_very_sound_or_is_told(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        entry = await stage.recording(await stage.area(), b"first", approved=False)
        recordings = stage.air.recordings
        assert await recordings.sound(ADMIN, entry.id, entry.sha256) == await recordings.sound(ADMIN, entry.id)
        await recordings.replace(ADMIN, entry.id, Upload(chunks(b"second")), "again.mp3")
        await stage.settled(entry.id)
        with pytest.raises(ConflictError) as caught:
            await recordings.sound(ADMIN, entry.id, entry.sha256)
        assert caught.value.code == "changed_since"


async def test_what_was_archived_comes_back_as_it_was(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        entry, refused = await stage.recording(area), await stage.recording(area, b"BAD", approved=False)
        with pytest.raises(ConflictError) as caught:
            await stage.air.recordings.restore(ADMIN, entry.id)
        assert caught.value.code == "not_archived"
        for one in (entry, refused):
            await stage.air.recordings.archive(ADMIN, one.id)
        viewer = Actor("us_v", "xem", (RoleGrant(Role.VIEWER, area),))
        with pytest.raises(ForbiddenError):
            await stage.air.recordings.restore(viewer, entry.id)
        back = await stage.air.recordings.restore(ADMIN, entry.id)
        assert (back.state, back.approval, back.sha256) == ("ready", entry.approval, entry.sha256)
        assert (await stage.air.recordings.restore(ADMIN, refused.id)).state == "refused"


class Mouth:
    """A voice that speaks when it may."""

    languages = ("vi",)

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        await self.may.wait()
        if language not in self.languages:
            raise SpeechError("nothing here speaks it", code="no_voice")
        out.write_text(text)  # noqa: ASYNC240 - a few bytes
        return Frames(1)


async def test_a_voice_is_tried_by_one_at_a_time_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.voice_trial._PATIENCE_S", 0.01)
    mouth = Mouth()
    trial = VoiceTrial(mouth, tmp_path)
    first = asyncio.create_task(trial.speak("xin chào", "vi-VN"))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await trial.speak("tôi cũng muốn", "vi")
    mouth.may.set()
    assert await first == "xin chào".encode()
    with pytest.raises(InvalidError) as caught:
        await trial.speak("hello", "en")
    assert caught.value.code == "no_voice"
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a test's own folder


async def test_over_http(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data", disk_reserve_mib=0) as staff:
        status, voices = await staff.call("GET", "/api/v1/voices")
        assert (status, "vi" in voices["languages"]) == (200, True)
        headers = {"Authorization": f"Bearer {staff.token}"}
        url = staff.running.staff_url + "/api/v1/voices/trial"
        async with staff.http.post(url, json={"text": "Xin chào bà con"}, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/wav")
            assert (await answer.read()).startswith(b"RIFF")
        status, refused = await staff.call("POST", "/api/v1/voices/trial", {"text": "…"})
        assert (status, refused["code"]) == (422, "no_text")
        for path in ("waveform", "uses"):
            assert (await staff.call("GET", f"/api/v1/recordings/rc_none/{path}"))[0] == 404
