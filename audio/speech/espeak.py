"""Vietnamese out of the box: eSpeak NG, bundled by ``espeakng-loader``, run in a child process.

Rules kept here:

1. A text is spoken whole or not at all; the file appears under its name only when it is complete.
2. The child has a time limit and dies with its caller; at most two speak at once.
3. eSpeak is intelligible but robotic: emergency texts are recorded by people, this is for the rest and for tests.

Not here: loudness (speech goes through :mod:`audio.ingest` like every recording).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from audio.children import end
from audio.errors import SpeechError
from schedules.instants import Frames

#: Characters a text may have: half an hour of speech.
MAX_TEXT = 30_000

#: A calm announcer; eSpeak's own 175 is too fast over horns that echo.
WORDS_A_MINUTE = 145

#: eSpeak's voice for each language we can speak (ISO 639 codes).
VOICES: Mapping[str, str] = {"vi": "vi", "en": "en"}

_LINE_BYTES = 65_536


class SpeechEngine(Protocol):
    """Makes sound of text."""

    @property
    def languages(self) -> tuple[str, ...]:
        """What it speaks, as ISO 639 codes."""
        ...

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        """Write ``text`` as speech to ``out`` (WAV, mono 48 kHz, 16 bit) and return its length.

        Raises:
            SpeechError: it cannot be spoken.
        """
        ...


class EspeakEngine:
    """A :class:`SpeechEngine` that needs nothing but the Python packages.

    Args:
        voice: the language spoken when none is named.
        words_a_minute: pace, 80 to 450.
        timeout_s: how long one text may take.
    """

    def __init__(self, voice: str = "vi", *, words_a_minute: int = WORDS_A_MINUTE, timeout_s: float = 120.0) -> None:
        self._language = voice
        self._words_a_minute = words_a_minute
        self._timeout = timeout_s
        self._places = asyncio.Semaphore(2)

    @property
    def languages(self) -> tuple[str, ...]:
        """What it speaks, as ISO 639 codes."""
        return tuple(sorted(VOICES))

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        """Write ``text`` as speech to ``out`` (WAV, mono 48 kHz, 16 bit) and return its length.

        Raises:
            SpeechError: ``no_text``, ``text_too_long``, ``no_voice``, ``not_installed``, ``not_stored``, ``timeout``,
                ``speech_failed``.
        """
        voice = VOICES.get(language or self._language)
        if voice is None:
            raise SpeechError(
                f"nothing here speaks {language or self._language!r}: record it, or use {', '.join(self.languages)}",
                code="no_voice",
            )
        if not any(sign.isalnum() for sign in text):
            raise SpeechError("there is nothing in this text that can be spoken", code="no_text")
        if len(text) > MAX_TEXT:
            raise SpeechError(f"the text is longer than {MAX_TEXT} characters: cut it", code="text_too_long")
        part = out.with_name(f".{out.name}.part")
        job = {
            "voice": voice,
            "words_a_minute": self._words_a_minute,
            "text": text.replace("\0", " "),
            "out": str(part),
            "parent": os.getpid(),
        }
        try:
            async with self._places:
                answer = await self._ask(job)
            if "frames" not in answer:
                raise SpeechError(answer["message"], code=answer["code"])
            await asyncio.to_thread(part.replace, out)
            return Frames(answer["frames"])
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "audio.speech.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
            start_new_session=True,
            # Where the caller is: ``out`` may be relative.
            env={"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            async with asyncio.timeout(self._timeout):
                said, _ = await child.communicate(json.dumps(job).encode() + b"\n")
        except TimeoutError as error:
            raise SpeechError("speaking this text takes too long: cut it", code="timeout") from error
        finally:
            await end(child)
        if not said:
            raise SpeechError("the speech engine broke down: change the text a little and try again")
        answer: dict[str, Any] = json.loads(said)
        return answer
