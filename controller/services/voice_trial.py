"""Trying out a voice: a short text spoken at once, kept nowhere.

Not here: texts that become recordings (:meth:`controller.services.recordings.RecordingService.create_spoken`).
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from audio.errors import AudioError
from audio.speech import SpeechEngine
from controller.services.errors import BusyError, InvalidError

#: Letters of a text that is tried out: about a minute of speech.
MAX_TRIED: Final = 1_000
#: Somebody who waits longer for a turn is asked to come back.
_PATIENCE_S: Final = 10.0


class VoiceTrial:
    """Speaks for a listener at the desk."""

    def __init__(self, engine: SpeechEngine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._turn = asyncio.Semaphore(1)

    @property
    def languages(self) -> tuple[str, ...]:
        """What can be spoken, as ISO 639 codes."""
        return self._engine.languages

    async def speak(self, text: str, language: str) -> bytes:
        """A WAV file.

        Raises:
            InvalidError: why it cannot be spoken.
            BusyError: ``busy``: others are being served.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise BusyError("other texts are being spoken; try again in a moment") from error
        try:
            return await self._spoken(text, language)
        except AudioError as error:
            raise InvalidError(str(error), code=error.code) from error
        finally:
            self._turn.release()

    async def _spoken(self, text: str, language: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="voice-", dir=self._folder) as folder:
            out = Path(folder) / "spoken.wav"
            await self._engine.speak(text, out, language=language.split("-", maxsplit=1)[0])
            return await asyncio.to_thread(out.read_bytes)
