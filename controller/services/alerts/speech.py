"""Words made into clips for one alert: spoken, levelled, put into the media store, before anybody can confirm them.

Rules kept here:

1. At most two texts are made at a time, in child processes of :mod:`audio`; each ends, with a clip or with a reason.
2. What is made is content: equal words in an equal voice are made once (and remembered, :data:`REMEMBERED`).

Not here: the library's recordings (:mod:`controller.services.alerts.templates` uses the ordinary intake for them).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from typing import Final

from audio.errors import AudioError
from audio.ingest import RefusedError
from audio.speech import SpeechEngine
from controller.services.alerts.model import SpokenClip, Words
from controller.services.errors import InvalidError
from controller.services.intake import Ingests
from controller.services.media_store import MediaStore
from schedules.model import Clip

#: Longest words of an alert that is spoken: about two minutes.
MAX_WORDS: Final = 2_000
REMEMBERED: Final = 200
_AT_A_TIME: Final = 2
_PATIENCE_S: Final = 120.0


class Speaker:
    """Makes clips of words."""

    def __init__(self, engine: SpeechEngine | None, ingestor: Ingests, store: MediaStore) -> None:
        self._engine = engine
        self._ingestor = ingestor
        self._store = store
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._made: OrderedDict[tuple[str, str], Clip] = OrderedDict()

    def require(self, words: Words) -> None:
        """Refuse at once what could never be spoken.

        Raises:
            InvalidError: ``no_text``, ``text_too_long``, ``no_voice``.
        """
        if not any(sign.isalnum() for sign in words.text):
            raise InvalidError(f"say what is to be said in {words.language!r}", code="no_text")
        if len(words.text) > MAX_WORDS:
            raise InvalidError(f"an alert may have {MAX_WORDS} letters a language", code="text_too_long")
        known = () if self._engine is None else self._engine.languages
        if words.language.split("-")[0] not in known:
            raise InvalidError(
                f"nothing here speaks {words.language!r} (it speaks {', '.join(known) or 'nothing'}); "
                "use an approved recording for it",
                code="no_voice",
            )

    async def speak(self, words: Words) -> SpokenClip:
        """One language's clip.

        Raises:
            InvalidError: what :meth:`require` says, or why it could not be made.
        """
        self.require(words)
        language = words.language.split("-")[0]
        clip = self._made.get((language, words.text))
        if clip is None or not await self._store.has(clip.sha256):
            async with self._places:
                clip = await self._make(language, words.text)
            self._made[language, words.text] = clip
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return SpokenClip(words.language, words.text, clip)

    async def _make(self, language: str, text: str) -> Clip:
        assert self._engine is not None  # noqa: S101 - require() saw it
        name = f"alert-{secrets.token_hex(8)}.wav"
        spoken = self._store.upload_path(name)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._engine.speak(text, spoken, language=language)
                made = await self._ingestor.ingest(spoken, self._store.uploads / "made")
                await self._store.adopt(made.path, made.sha256)
        except RefusedError as error:
            raise InvalidError(f"the speech cannot be used: {error.report.reason}", code=error.code) from error
        except AudioError as error:
            raise InvalidError(str(error), code=error.code) from error
        except TimeoutError as error:
            raise InvalidError("speaking these words takes too long; cut them", code="speech_timeout") from error
        finally:
            await self._store.drop_upload(name)
        return Clip(made.sha256, made.frames)
