"""What people see before they confirm, in figures. Pure.

Not here: the same in words (:mod:`controller.services.alerts.wording`), what a drill shows
(:mod:`controller.services.drills`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from controller.services.alerts.model import Alert, Message, Repetition, SpokenClip, Words
from controller.services.alerts.places import Places
from controller.services.alerts.sounding import groups, lacking
from controller.services.directory import Directory
from schedules.airtime import overlaps_quiet

_FIRST_WORDS: Final = 14


@dataclass(frozen=True, slots=True)
class AreaCount:
    """A commune (the area a cluster stands in directly), and how many clusters there are meant."""

    area_id: str
    name: str
    clusters: int
    offline: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """An alert that ends where this one sounds, and where it goes on."""

    alert: Alert
    ends: frozenset[str]
    goes_on: frozenset[str]


@dataclass(frozen=True, slots=True)
class Review:
    """Everything to look at before a confirmation."""

    title: str
    live: bool  # spoken by the duty officer; no words are known
    spoken: bool  # its words are sound already, so the length is known
    everywhere: bool
    clusters: tuple[str, ...]
    areas: tuple[AreaCount, ...]
    offline: tuple[str, ...]
    mute: tuple[str, ...]  # clusters kept silent, by order or at their boxes: nothing sounds there
    languages: tuple[str, ...]
    lacking: dict[str, tuple[str, ...]]  # language -> clusters that have it and will not hear it
    first_words: dict[str, str]
    words: dict[str, str]  # all that is said, by language
    cancel_words: dict[str, str]  # what its cancelling will say; empty for live voice and for an all-clear
    length: timedelta  # of one sounding, with its repetitions
    repetition: Repetition
    quiet: tuple[str, ...]  # clusters in whose quiet hours it sounds
    unstocked: tuple[str, ...]  # clusters online that do not hold its sound yet
    stocked: int
    replaces: tuple[Replaced, ...]
    unplaced: int  # clusters without coordinates, which no figure on the map can mean
    disabled: int  # clusters that are meant and switched off


@dataclass(frozen=True, slots=True)
class Facts:
    """What the review needs to know of the fleet."""

    directory: Directory
    online: Callable[[str], bool]  # cluster -> whether a box of it is connected
    mute: Callable[[str], bool]  # cluster -> whether it is kept silent
    stocked: Callable[[str], bool]  # cluster -> whether its boxes hold the sound


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be looked at. ``message`` None: ``words`` that are not spoken yet, or, without any, live voice."""

    places: Places
    title: str
    message: Message | None
    repetition: Repetition
    start: datetime
    words: tuple[Words, ...] = ()
    twin: Message | None = None
    cancel_words: tuple[Words, ...] = ()
    replaces: tuple[Replaced, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """What is said, by language."""
        return _by_language(self.words if self.message is None else self.message.spoken)

    @property
    def cancel_texts(self) -> dict[str, str]:
        """What is said when it is cancelled, by language."""
        return _by_language(self.cancel_words if self.twin is None else self.twin.spoken)


def make_review(facts: Facts, asked: Asked) -> Review:
    """Look at a draft as it would sound now."""
    directory, places, message, repetition = facts.directory, asked.places, asked.message, asked.repetition
    start = asked.start
    clusters = tuple(sorted(places.clusters))
    languages = {each: directory.clusters[each].languages for each in clusters}
    offline = tuple(each for each in clusters if not facts.online(each))
    made = () if message is None else groups(message, languages, times=repetition.times, gap=repetition.gap)
    length = max((group.sound.duration for group in made), default=timedelta(0))
    stocked = [each for each in clusters if facts.stocked(each)] if message is not None else list(clusters)
    known = frozenset((*stocked, *offline))
    quiet = tuple(
        each
        for each in clusters
        if overlaps_quiet(directory.effective_settings(each), start, start + max(length, timedelta(seconds=1)))
    )
    return Review(
        title=asked.title,
        live=not asked.texts,
        spoken=message is not None,
        everywhere=places.everywhere,
        clusters=clusters,
        areas=_areas(directory, clusters, frozenset(offline)),
        offline=offline,
        mute=tuple(each for each in clusters if facts.mute(each)),
        languages=tuple(asked.texts),
        lacking=lacking(asked.texts, languages) if asked.texts else {},
        first_words={language: first_words(text) for language, text in asked.texts.items()},
        words=asked.texts,
        cancel_words=asked.cancel_texts,
        length=length,
        repetition=repetition,
        quiet=quiet,
        unstocked=tuple(each for each in clusters if each not in known),
        stocked=len(stocked),
        replaces=asked.replaces,
        unplaced=places.unplaced,
        disabled=len(places.disabled),
    )


def _by_language(said: Iterable[Words | SpokenClip]) -> dict[str, str]:
    return {each.language: each.text for each in said}


def first_words(text: str) -> str:
    """How a text begins."""
    words = text.split()
    return " ".join(words[:_FIRST_WORDS]) + (" …" if len(words) > _FIRST_WORDS else "")


def _areas(directory: Directory, clusters: tuple[str, ...], offline: frozenset[str]) -> tuple[AreaCount, ...]:
    count = Counter(directory.clusters[each].area_id for each in clusters)
    away = Counter(directory.clusters[each].area_id for each in offline)
    found = [AreaCount(area, directory.area(area).name, number, away[area]) for area, number in count.items()]
    return tuple(sorted(found, key=lambda one: (-one.clusters, one.name)))
