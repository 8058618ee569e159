"""What people see before they confirm: the exact sentence and the numbers behind it. Pure.

Rules kept here:

1. The sentence names how many clusters in which communes, how many of them cannot be reached now, the title, the
   languages, how long it sounds and how often, and the first words. It is made here and nowhere else, and it never
   reads like that of a drill (research: Hawaii, 2018).
2. What should give pause is a warning with a code: offline, lacking languages, night, missing sound, no coordinates.

Not here: a drill's own sentence (:mod:`controller.services.drills`).
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
_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class AreaCount:
    """A commune (the area a cluster stands in directly), and how many clusters there are meant."""

    area_id: str
    name: str
    clusters: int
    offline: int


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that should give pause."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """An alert that ends where this one sounds, and where it goes on."""

    alert: Alert
    ends: frozenset[str]
    goes_on: frozenset[str]


@dataclass(frozen=True, slots=True)
class Review:
    """Everything to look at before a confirmation."""

    sentence: str
    clusters: tuple[str, ...]
    areas: tuple[AreaCount, ...]
    offline: tuple[str, ...]
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
    cautions: tuple[Caution, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the review needs to know of the fleet."""

    directory: Directory
    online: Callable[[str], bool]  # cluster -> whether a box of it is connected
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
    review = Review(
        sentence="",
        clusters=clusters,
        areas=_areas(directory, clusters, frozenset(offline)),
        offline=offline,
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
        cautions=(),
    )
    return _with_words(review, asked)


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


def _with_words(review: Review, asked: Asked) -> Review:
    places = asked.places
    names = ", ".join(f"{area.name} ({area.clusters})" for area in review.areas[:_NAMED])
    more = len(review.areas) - _NAMED
    where = names + (f" và {more} nơi khác" if more > 0 else "")
    everywhere = "TOÀN BỘ hệ thống, " if places.everywhere else ""
    if not asked.texts:
        what = "lời nói trực tiếp của người trực"
    else:
        opening = next(iter(review.first_words.values()), "")
        spoken = ", ".join(review.languages)
        lasts = f"dài {_span(review.length)}" if asked.message is not None else "độ dài sẽ biết khi đọc xong"
        what = f"“{opening}” (ngôn ngữ: {spoken}), {_repeats(review.repetition, lasts)}"
    away = f"; {len(review.offline)} cụm hiện mất liên lạc" if review.offline else ""
    count = f"{len(review.clusters)} cụm loa"
    sentence = f"CẢNH BÁO THẬT “{asked.title}”: phát ngay tại {count}, {everywhere}{where}{away}: {what}."
    return Review(
        **{name: getattr(review, name) for name in Review.__dataclass_fields__ if name not in {"sentence", "cautions"}},
        sentence=sentence,
        cautions=tuple(_cautions(review, places)),
    )


def _cautions(review: Review, places: Places) -> list[Caution]:
    found: list[Caution] = []
    if review.offline:
        found.append(Caution("offline", f"{len(review.offline)} cụm mất liên lạc: gọi điện cho trưởng thôn"))
    for language, clusters in review.lacking.items():
        found.append(Caution("language_lacking", f"{len(clusters)} cụm cần tiếng {language}, cảnh báo không có"))
    if review.quiet:
        found.append(Caution("quiet_hours", f"{len(review.quiet)} cụm đang trong giờ yên tĩnh: sẽ đánh thức người dân"))
    if review.unstocked:
        found.append(Caution("not_in_stock", f"{len(review.unstocked)} cụm chưa có sẵn âm thanh: sẽ phát muộn hơn"))
    if places.unplaced:
        found.append(Caution("no_coordinates", f"{places.unplaced} cụm không có tọa độ, không nằm trong hình vẽ nào"))
    if places.disabled:
        found.append(Caution("disabled", f"{len(places.disabled)} cụm đã bị tắt, sẽ không phát"))
    for old in review.replaces:
        found.append(Caution("replaces", f"thay cho “{old.alert.title}” tại {len(old.ends)} cụm: ở đó nó kết thúc"))
        if old.goes_on:
            text = f"“{old.alert.title}” vẫn tiếp tục tại {len(old.goes_on)} cụm khác: hãy hủy nếu không còn đúng"
            found.append(Caution("goes_on_elsewhere", text))
    return found


def _span(length: timedelta) -> str:
    seconds = round(length.total_seconds())
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds} giây"
    parts = ((seconds // 3600, "giờ"), (seconds // 60 % 60, "phút"), (seconds % 60, "giây"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _repeats(repetition: Repetition, lasts: str) -> str:
    text = f"đọc {repetition.times} lượt liền nhau, {lasts}" if repetition.times > 1 else lasts
    if repetition.every is not None:
        until = "đến khi hủy (nhiều nhất 24 giờ)" if repetition.until is None else "đến giờ đã định"
        text += f", nhắc lại mỗi {_span(repetition.every)} {until}"
    return text
