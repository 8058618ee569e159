"""From a draft to frozen sound: the template's approved bytes, approved recordings, or words spoken for this alert.

Rules kept here:

1. What can be refused is refused while composing: places, rights are checked by the desk, words, voices, lengths here.
2. A text alert has its cancel twin too: the words given, or our own in Vietnamese and English.
3. Words that are spoken for an alert carry no approval yet; whoever confirms the alert approves these very bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from controller.services.alerts.giving import Sounding, orders_of
from controller.services.alerts.model import (
    MAX_LIFE,
    MAX_TIMES,
    MIN_EVERY,
    MIN_VALID,
    AlertDraft,
    AlertKind,
    Category,
    Message,
    Repetition,
    SpokenClip,
    Tone,
    Words,
)
from controller.services.alerts.places import Places
from controller.services.alerts.speech import Speaker
from controller.services.alerts.template_model import Ready
from controller.services.alerts.templates import TemplateBook, frozen_words
from controller.services.catalogue import Catalogue
from controller.services.directory import Directory
from controller.services.errors import InvalidError
from schedules.ladder import Priority
from schedules.model import Clip

_MAX_GAP: Final = timedelta(hours=2)
_MAX_LANGUAGES: Final = 8


@dataclass(frozen=True, slots=True)
class Content:
    """What a draft means. ``message`` None: live voice, or words that must be spoken first (:attr:`to_speak`)."""

    title: str
    category: Category
    repetition: Repetition
    message: Message | None
    twin: Message | None
    template_version: int | None = None
    to_speak: bool = False


class Composer:
    """Reads drafts."""

    def __init__(
        self,
        *,
        directory: Directory,
        catalogue: Catalogue,
        book: TemplateBook,
        speaker: Speaker,
        tones: Mapping[Tone, Clip],
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._book = book
        self._speaker = speaker
        self._tones = tones

    def content(self, draft: AlertDraft, now: datetime) -> Content:
        """What the draft means, as far as that is known without making sound.

        Raises:
            InvalidError, NotFoundError, ConflictError: what is wrong with it.
        """
        if not MIN_VALID <= draft.valid <= MAX_LIFE:
            raise InvalidError("an alert may wait for a cluster 1 minute to 24 hours", code="bad_valid")
        if draft.kind is AlertKind.VOICE:
            return Content(_title(draft), draft.category, Repetition(1, timedelta(0)), None, None)
        if draft.kind is AlertKind.TEMPLATE:
            if draft.template is None:
                raise InvalidError("say which template", code="no_template")
            return self._of_template(draft, self._book.ready(draft.template), now)
        return self._of_text(draft, now)

    async def speak(self, draft: AlertDraft, title: str) -> tuple[Message, Message]:
        """The message of a text alert and its twin.

        Raises:
            InvalidError: some words cannot be spoken, or a recording is not approved.
        """
        cancelling = draft.cancel_words or default_cancel(title, draft.words)
        made = await self._all_spoken((*draft.words, *cancelling))
        spoken, twin = made[: len(draft.words)], made[len(draft.words) :]
        return Message(self._tones.get(draft.tone), spoken), Message(self._tones.get(Tone.GONG), twin)

    def require_playable(self, content: Content, places: Places, draft: AlertDraft, start: datetime) -> timedelta:
        """Refuse what boxes would cut off; returns the length of one sounding.

        Raises:
            InvalidError: ``too_long``, ``contradiction``.
        """
        if content.message is None:
            return timedelta(0)
        settings = [self._directory.effective_settings(each) for each in places.clusters]
        sounding = Sounding(
            rule_id="review",
            title=content.title,
            priority=Priority.EMERGENCY_STORED,
            message=content.message,
            languages={each.cluster_id: each.languages for each in settings},
            repetition=content.repetition,
            start=start,
            valid=draft.valid,
        )
        return orders_of(sounding, longest=min(each.max_emergency for each in settings)).length

    def _of_template(self, draft: AlertDraft, ready: Ready, now: datetime) -> Content:
        spec = ready.spec
        repetition = draft.repetition or Repetition(spec.times, spec.gap, spec.every)
        check_repetition(repetition, now)
        return Content(
            draft.title.strip() or spec.title, spec.category, repetition, ready.message, ready.twin, ready.version
        )

    def _of_text(self, draft: AlertDraft, now: datetime) -> Content:
        repetition = draft.repetition or Repetition()
        check_repetition(repetition, now)
        if not 0 < len(draft.words) <= _MAX_LANGUAGES:
            raise InvalidError("write the words in one to eight languages", code="no_text")
        languages = [each.language for each in draft.words]
        if len(set(languages)) != len(languages):
            raise InvalidError("a language is there twice", code="language_twice")
        for words in (*draft.words, *draft.cancel_words):
            if words.recording is None:
                self._speaker.require(words)
            else:
                frozen_words(self._catalogue, words)
        return Content(_title(draft), draft.category, repetition, None, None, to_speak=True)

    async def _all_spoken(self, words: tuple[Words, ...]) -> tuple[SpokenClip, ...]:
        """Every wording, made beside each other as far as the speaker allows; the first that fails ends the others."""
        making = [asyncio.ensure_future(self._spoken(each)) for each in words]
        try:
            return tuple(await asyncio.gather(*making))
        finally:
            for each in making:
                each.cancel()
            await asyncio.gather(*making, return_exceptions=True)

    async def _spoken(self, words: Words) -> SpokenClip:
        if words.recording is not None:
            return frozen_words(self._catalogue, words)
        return await self._speaker.speak(words)


def check_repetition(repetition: Repetition, now: datetime) -> None:
    """Refuse a repetition that makes no sense.

    Raises:
        InvalidError: ``bad_repeat``.
    """
    if not 1 <= repetition.times <= MAX_TIMES:
        raise InvalidError(f"it may sound 1 to {MAX_TIMES} times in a row", code="bad_repeat")
    if not timedelta(0) <= repetition.gap <= _MAX_GAP:
        raise InvalidError("the gap may be 0 seconds to 2 hours", code="bad_repeat")
    if repetition.every is None:
        if repetition.until is not None:
            raise InvalidError("'until' needs 'every'", code="bad_repeat")
        return
    if not MIN_EVERY <= repetition.every <= MAX_LIFE:
        raise InvalidError("it may be repeated every 5 minutes to 24 hours", code="bad_repeat")
    if repetition.until is not None and not now < repetition.until <= now + MAX_LIFE:
        raise InvalidError("it may go on for 24 hours at most; extend it later", code="bad_repeat")


def default_cancel(title: str, words: tuple[Words, ...]) -> tuple[Words, ...]:
    """The cancel message of a text alert whose author wrote none."""
    said = {each.language.split("-")[0]: each.language for each in words}
    found = [
        Words(
            said.get("vi", "vi"),
            f"Thông báo. Cảnh báo về {title} đã được hủy bỏ. Bà con trở lại sinh hoạt bình thường. "
            f"Xin nhắc lại: cảnh báo về {title} đã được hủy bỏ.",
        )
    ]
    if "en" in said:
        found.append(
            Words(said["en"], f"Attention. The warning about {title} has been cancelled. The warning is cancelled.")
        )
    return tuple(found)


def _title(draft: AlertDraft) -> str:
    if not draft.title.strip():
        raise InvalidError("give the alert a title: people see it before they confirm", code="no_title")
    return draft.title.strip()
