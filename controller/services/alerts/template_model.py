"""Templates of alerts as frozen values: what people write, and the bytes that were approved.

Rules kept here:

1. A template is written with its cancel message. Without that twin, in every language of the message, it cannot be
   activated; an all-clear needs none.
2. Activating freezes the approved bytes: what happens to the recordings later changes nothing that is ready, except a
   rejection, which takes it out of use.

Not here: rights and rows (:mod:`controller.services.alerts.templates`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.services.alerts.model import (
    DEFAULT_GAP,
    DEFAULT_TIMES,
    Category,
    Message,
    Tone,
    Words,
)
from controller.services.alerts.records import Codec
from controller.services.errors import InvalidError


@dataclass(frozen=True, slots=True)
class TemplateSpec:
    """What a person says about a template. ``every``: the cadence it proposes, None = once."""

    area_id: str
    category: Category
    title: str
    words: tuple[Words, ...]
    cancel_words: tuple[Words, ...] = ()
    tone: Tone = Tone.SIREN
    cancel_tone: Tone = Tone.GONG
    times: int = DEFAULT_TIMES
    gap: timedelta = DEFAULT_GAP
    every: timedelta | None = None

    @property
    def recordings(self) -> tuple[str, ...]:
        """Every recording it names."""
        return tuple(each.recording for each in (*self.words, *self.cancel_words) if each.recording is not None)


@dataclass(frozen=True, slots=True)
class Ready:
    """An active version: what goes on air."""

    template_id: str
    version: int
    spec: TemplateSpec
    message: Message
    twin: Message | None


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One wording."""

    version: int
    state: str  # draft | active | retired
    spec: TemplateSpec
    created_by: str
    created_at: datetime
    activated_by: str | None = None
    activated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """A template: its newest wording, and the one that is active."""

    id: str
    area_id: str
    state: str  # active | retired
    latest: TemplateVersion
    ready: Ready | None = None
    versions: tuple[TemplateVersion, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Frozen:
    """What activation keeps."""

    message: Message
    twin: Message | None


SPECS = Codec(TemplateSpec)
FROZEN = Codec(Frozen)


def check(spec: TemplateSpec) -> None:
    """Refuse what makes no sense by itself.

    Raises:
        InvalidError: ``no_text``, ``language_twice``, ``no_title``.
    """
    if not spec.title.strip():
        raise InvalidError("give the template a title", code="no_title")
    if not spec.words:
        raise InvalidError("a template needs words in at least one language", code="no_text")
    for words in (spec.words, spec.cancel_words):
        languages = [each.language for each in words]
        if len(set(languages)) != len(languages):
            raise InvalidError("a language is there twice", code="language_twice")
        if any(not each.text.strip() for each in words):
            raise InvalidError("write down what is said, also when it is a recording", code="no_text")


def missing_twin(spec: TemplateSpec) -> tuple[str, ...]:
    """Languages of the message in which it cannot be cancelled."""
    if spec.category is Category.ALL_CLEAR:
        return ()
    said = {each.language for each in spec.cancel_words}
    return tuple(each.language for each in spec.words if each.language not in said)
