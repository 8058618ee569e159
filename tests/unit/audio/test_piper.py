"""A voice the operator installed: run as a child, brought to the house's format, its absence said in words.

The program of the tests behaves as piper does (a WAV at 22.05 kHz, one line of text from stdin).
"""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import pytest

from audio.errors import SpeechError
from audio.speech import EspeakEngine, PiperEngine, Voices

PIPER = """#!{python}
import sys, wave, time
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
text = sys.stdin.readline()
assert sys.stdin.readline() == "", "one line"
if "slow" in text: time.sleep(30)
if "broken" in text: sys.exit(3)
with wave.open(args["--output_file"], "wb") as out:
    out.setnchannels(1); out.setsampwidth(2); out.setframerate(22050)
    out.writeframes(b"\\x00\\x10" * 22050)
"""


@pytest.fixture
def engine(tmp_path: Path) -> PiperEngine:
    program = tmp_path / "piper"
    program.write_text(PIPER.format(python=sys.executable))
    program.chmod(0o755)
    voice = tmp_path / "vi.onnx"
    voice.write_bytes(b"a voice")
    return PiperEngine(program, {"vi": voice, "bru": tmp_path / "gone.onnx"}, timeout_s=2.0)


async def test_speech_is_mono_48_khz_under_its_name_and_as_long_as_it_was(engine: PiperEngine, tmp_path: Path) -> None:
    out = tmp_path / "said.wav"
    frames = await engine.speak("Lũ đang về.\nBà con lên cao.", out, language="vi")
    with wave.open(str(out), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (48_000, 1, frames)
    assert frames == pytest.approx(48_000, abs=480)
    left = await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir() if "said" in path.name])
    assert left == ["said.wav"]


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [("broken", "vi", "speech_failed"), ("slow", "vi", "timeout"), ("…", "vi", "no_text"),
     ("chào", "bru", "not_installed"), ("hello", "en", "no_voice")],
)  # fmt: skip
async def test_what_cannot_be_spoken_is_said(
    engine: PiperEngine, tmp_path: Path, text: str, language: str, code: str
) -> None:
    with pytest.raises(SpeechError) as refused:
        await engine.speak(text, tmp_path / "said.wav", language=language)
    assert refused.value.code == code
    assert not (tmp_path / "said.wav").exists()


async def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    voice = tmp_path / "vi.onnx"
    voice.write_bytes(b"a voice")
    engine = PiperEngine(tmp_path / "nowhere" / "piper", {"vi": voice})
    with pytest.raises(SpeechError, match="install it") as refused:
        await engine.speak("chào", tmp_path / "said.wav", language="vi")
    assert refused.value.code == "not_installed"


async def test_the_first_voice_that_speaks_a_language_does(engine: PiperEngine, tmp_path: Path) -> None:
    voices = Voices(engine, EspeakEngine())
    assert voices.languages == ("bru", "en", "vi")
    assert await voices.speak("chào", tmp_path / "a.wav", language="vi") == pytest.approx(48_000, abs=480)
    assert await voices.speak("good morning", tmp_path / "b.wav", language="en") > 20_000
