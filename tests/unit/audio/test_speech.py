"""Speech: Vietnamese text becomes sound, at the loudness of all programmes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio.errors import SpeechError
from audio.ingest import Ingestor
from audio.pcm import read_wav
from audio.speech import EspeakEngine, SpeechEngine

BULLETIN = (
    "Đây là đài truyền thanh xã Tà Rụt. Ngày mai, từ 7 giờ sáng, trạm y tế xã tiêm vắc-xin sởi cho trẻ em dưới 5 tuổi. "
    "Đề nghị bà con đưa các cháu đến đúng giờ. Bản tin đến đây là hết."
)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def test_a_vietnamese_bulletin_is_spoken(tmp_path: Path) -> None:
    engine: SpeechEngine = EspeakEngine()
    assert "vi" in engine.languages
    frames = await engine.speak(BULLETIN, tmp_path / "a.wav")
    sound = read_wav(tmp_path / "a.wav")
    assert len(sound) == frames
    assert 8.0 < frames / 48_000 < 40.0
    assert 0.02 < float(np.sqrt(np.mean(sound**2))) < 0.5
    assert _names(tmp_path) == ["a.wav"]
    # The tones of Vietnamese carry meaning: another tone is another sound.
    first = await engine.speak("ma", tmp_path / "1.wav", language="vi")
    second = await engine.speak("mã", tmp_path / "2.wav", language="vi")
    one, two = read_wav(tmp_path / "1.wav"), read_wav(tmp_path / "2.wav")
    assert first != second or not np.allclose(one, two)


async def test_speech_meets_the_loudness_of_programmes(tmp_path: Path) -> None:
    await EspeakEngine().speak(BULLETIN, tmp_path / "a.wav")
    done = await Ingestor().ingest(tmp_path / "a.wav", tmp_path / "media")
    assert done.report.warnings == ()
    assert done.report.lufs_out == pytest.approx(-16.0, abs=0.5)
    assert done.report.true_peak_out is not None
    assert done.report.true_peak_out <= -1.0


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [
        ("", "vi", "no_text"),
        (" …—! ", "vi", "no_text"),
        ("a" * 30_001, "vi", "text_too_long"),
        ("Xin chào", "bru", "no_voice"),
    ],
)
async def test_what_cannot_be_spoken_is_told(tmp_path: Path, text: str, language: str, code: str) -> None:
    with pytest.raises(SpeechError) as caught:
        await EspeakEngine().speak(text, tmp_path / "a.wav", language=language)
    assert caught.value.code == code
    assert not _names(tmp_path)


async def test_no_place_to_write_and_no_time_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpeechError) as caught:
        await EspeakEngine().speak("Xin chào", tmp_path / "none" / "a.wav")
    assert caught.value.code == "not_stored"
    with pytest.raises(SpeechError) as caught:
        await EspeakEngine(timeout_s=0.01).speak("Xin chào", tmp_path / "a.wav")
    assert caught.value.code == "timeout"


async def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    text = "Xin\0chào </speak> [[wraI2]] $(reboot) \ud83d\ude00 " + "ạ̣̣̣" * 50
    assert await EspeakEngine().speak(text.encode("utf-8", "replace").decode(), tmp_path / "a.wav") > 0
