"""A neural voice that the operator installed: the ``piper`` program with a voice file, run as a child process.

Rules kept here:

1. Nothing is installed or fetched by us: the operator names the program and one voice file (``.onnx``) a language.
2. The child gets the text on stdin, as one line (piper starts a new file with every line), writes a WAV file, has a
   time limit and is ended with the wait for it; at most one speaks at a time, for it takes a whole core.
3. A text is spoken whole or not at all; a missing program or voice is said in words that tell what to do.

Not here: loudness (speech goes through :mod:`audio.ingest` like every recording); what piper prints.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from audio.children import end
from audio.errors import SpeechError
from audio.speech.espeak import MAX_TEXT, SpeechEngine
from schedules.instants import Frames

_MONO: Final = 1
_S16: Final = 2


class PiperEngine:
    """A :class:`~audio.speech.SpeechEngine` around an installed ``piper``.

    Args:
        program: the ``piper`` executable.
        voices: a voice file for each language (ISO 639 code).
        timeout_s: how long one text may take.
    """

    def __init__(self, program: Path, voices: Mapping[str, Path], *, timeout_s: float = 120.0) -> None:
        self._program = program
        self._voices = dict(voices)
        self._timeout = timeout_s
        self._place = asyncio.Semaphore(1)

    @property
    def languages(self) -> tuple[str, ...]:
        """What it speaks, as ISO 639 codes."""
        return tuple(sorted(self._voices))

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        """Write ``text`` as speech to ``out`` (WAV, mono 48 kHz, 16 bit) and return its length.

        Raises:
            SpeechError: ``no_text``, ``text_too_long``, ``no_voice``, ``not_installed``, ``timeout``, ``not_stored``,
                ``speech_failed``.
        """
        voice = self._voices.get(language or next(iter(self._voices), ""))
        if voice is None:
            raise SpeechError(f"no piper voice speaks {language!r}", code="no_voice")
        if not any(sign.isalnum() for sign in text):
            raise SpeechError("there is nothing in this text that can be spoken", code="no_text")
        if len(text) > MAX_TEXT:
            raise SpeechError(f"the text is longer than {MAX_TEXT} characters: cut it", code="text_too_long")
        if not await asyncio.to_thread(voice.is_file):
            raise SpeechError(f"the piper voice {voice} is not there: install it, or change piper_voices",
                              code="not_installed")  # fmt: skip
        made = out.with_name(f".{out.name}.piper.wav")
        try:
            async with self._place:
                await self._run(" ".join(text.split()), voice, made)
            return await asyncio.to_thread(_to_house_format, made, out)
        finally:
            await asyncio.to_thread(made.unlink, missing_ok=True)

    async def _run(self, line: str, voice: Path, made: Path) -> None:
        try:
            child = await asyncio.create_subprocess_exec(
                str(self._program), "--model", str(voice), "--output_file", str(made),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SpeechError(
                f"piper cannot be started ({self._program}: {error.strerror}): install it, or change piper_program",
                code="not_installed",
            ) from error
        try:
            async with asyncio.timeout(self._timeout):
                await child.communicate(line.encode() + b"\n")
        except TimeoutError as error:
            raise SpeechError("speaking this text takes too long: cut it", code="timeout") from error
        finally:
            await end(child)
        if child.returncode != 0 or not await asyncio.to_thread(made.is_file):
            raise SpeechError(f"piper failed with {child.returncode}: is {voice.name} a piper voice?")


class Voices:
    """Several engines as one: the first that speaks a language does."""

    def __init__(self, *engines: SpeechEngine) -> None:
        self._engines = engines

    @property
    def languages(self) -> tuple[str, ...]:
        """What any of them speaks."""
        return tuple(sorted({language for engine in self._engines for language in engine.languages}))

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        """See :class:`~audio.speech.SpeechEngine`.

        Raises:
            SpeechError: nobody speaks it, or the one who does failed.
        """
        wanted = language or "vi"
        for engine in self._engines:
            if wanted in engine.languages:
                return await engine.speak(text, out, language=wanted)
        raise SpeechError(f"nothing here speaks {wanted!r}: it speaks {', '.join(self.languages)}", code="no_voice")


def _to_house_format(made: Path, out: Path) -> Frames:
    """Mono 16 bit at whatever rate piper's voice has, as 48 kHz under its final name."""
    import numpy as np  # noqa: PLC0415 - only where speech is made

    from audio.codec import Resampler  # noqa: PLC0415 - loads FFmpeg
    from audio.pcm import from_s16, write_wav  # noqa: PLC0415 - loads numpy

    try:
        with wave.open(str(made), "rb") as file:
            if file.getnchannels() != _MONO or file.getsampwidth() != _S16:
                raise SpeechError("piper wrote something else than mono 16 bit")
            rate, data = file.getframerate(), file.readframes(file.getnframes())
        resampler = Resampler()
        samples = np.concatenate((resampler.push(from_s16(data), rate), resampler.flush()))
        part = out.with_name(f".{out.name}.part")
        frames = write_wav(part, samples)
        part.replace(out)
    except (wave.Error, EOFError) as error:
        raise SpeechError(f"piper wrote no WAV file: {error}") from error
    except OSError as error:
        raise SpeechError(f"the speech cannot be written: {error.strerror}", code="not_stored") from error
    return Frames(frames)
