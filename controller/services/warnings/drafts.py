"""What a warning is turned into when it is proposed: title, template or words by language, clusters, and what lacks.

Rules kept here:

1. A template that the source's table names for the event is preferred: its sound lies ready on every box. Without one
   the warning's own words are filled in, for each language that a reached cluster speaks and the warning has.
2. Words for the air are the headline, the description, the instruction, in that order, without letters that nobody can
   speak, and cut at a sentence: :data:`SPOKEN_MAX` letters are about a minute.
3. Of several parts in one language the most severe is taken, and among equals the first.
4. Clusters that would hear none of their languages are named, not left out.

Pure. Not here: sending it (two people at the alert desk).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from controller.cap.alert import SEVERITIES
from controller.services.alerts import Category
from controller.services.warnings.languages import best_tag, lacking, primary
from controller.services.warnings.notice import Notice, NoticeInfo
from controller.services.warnings.policy import expires_at

#: Letters that are spoken of one language at most.
SPOKEN_MAX: Final = 900
TITLE_MAX: Final = 120
#: Languages of one draft at most.
_LANGUAGES_MAX: Final = 8
_NAMED_MAX: Final = 50

_SENTENCE: Final = re.compile(r"[.!?။。…](\s|$)")
#: Beginnings of words (regular expressions) in an event or headline -> what threatens. The first that is found
#: counts, so the narrower come first.
_CATEGORIES: Final[tuple[tuple[str, Category], ...]] = (
    (r"lũ quét|flash flood", Category.FLASH_FLOOD),
    (r"xả lũ|xả nước|dam\b", Category.DAM_RELEASE),
    (r"sạt lở|landslide|debris flow", Category.LANDSLIDE),
    (r"sơ tán|evacuat", Category.EVACUATION),
    (r"cháy|fire", Category.FIRE),
    (r"lũ|ngập|flood", Category.FLOOD),
    (r"bão|áp thấp|dông|storm|cyclone|typhoon|hurricane|thunderstorm|wind", Category.STORM),
)


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """What is said in one language of ours."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A filled-in alert, or the cancelling of some. ``replaces``: our alerts that it takes the place of, or cancels."""

    kind: str  # alert | cancel
    title: str
    category: Category = Category.CUSTOM
    template: str | None = None
    words: tuple[SpokenWords, ...] = ()
    clusters: tuple[str, ...] = ()
    communes: tuple[str, ...] = ()
    spoken: tuple[str, ...] = ()  # languages the warning has
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # cluster -> languages it will not hear
    outside: int = 0
    unplaced: tuple[str, ...] = ()
    expires: datetime | None = None
    two_hourly: bool = False
    replaces: tuple[str, ...] = ()

    def encode(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "kind": self.kind,
            "title": self.title,
            "category": self.category.value,
            "template": self.template,
            "words": [{"language": one.language, "text": one.text} for one in self.words],
            "clusters": list(self.clusters),
            "communes": list(self.communes),
            "spoken": list(self.spoken),
            "lacking": {cluster: list(tags) for cluster, tags in self.lacking.items()},
            "outside": self.outside,
            "unplaced": list(self.unplaced),
            "expires": None if self.expires is None else self.expires.isoformat(),
            "two_hourly": self.two_hourly,
            "replaces": list(self.replaces),
        }

    @classmethod
    def decode(cls, value: Mapping[str, Any]) -> Proposal:
        """From plain JSON values."""
        return cls(
            kind=value["kind"],
            title=value["title"],
            category=Category(value["category"]),
            template=value["template"],
            words=tuple(SpokenWords(one["language"], one["text"]) for one in value["words"]),
            clusters=tuple(value["clusters"]),
            communes=tuple(value["communes"]),
            spoken=tuple(value["spoken"]),
            lacking={cluster: tuple(tags) for cluster, tags in value["lacking"].items()},
            outside=value["outside"],
            unplaced=tuple(value["unplaced"]),
            expires=None if value["expires"] is None else datetime.fromisoformat(value["expires"]),
            two_hourly=value["two_hourly"],
            replaces=tuple(value["replaces"]),
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom the draft is for: languages by cluster, and the names of the communes they stand in."""

    languages: Mapping[str, tuple[str, ...]]
    communes: tuple[str, ...] = ()
    outside: int = 0
    unplaced: tuple[str, ...] = ()


def propose(
    notice: Notice, reach: Reach, *, template: str | None, two_hourly: bool = False, replaces: Sequence[str] = ()
) -> Proposal:
    """The alert that a warning asks for."""
    chosen = by_language(notice.infos)
    words = tuple(
        SpokenWords(tag, spoken)
        for tag in _wanted(reach.languages.values())
        if (found := best_tag(tag, chosen)) is not None and (spoken := words_of(chosen[found]))
    )
    return Proposal(
        kind="alert",
        title=title_of(notice),
        category=category_of(notice),
        template=template,
        words=() if template is not None else words,
        clusters=tuple(sorted(reach.languages)),
        communes=reach.communes[:_NAMED_MAX],
        spoken=tuple(chosen),
        # A template's own languages are judged by the alert desk, which knows them.
        lacking={} if template is not None else lacking((one.language for one in words), reach.languages),
        outside=reach.outside,
        unplaced=reach.unplaced,
        expires=expires_at(notice),
        two_hourly=two_hourly,
        replaces=tuple(replaces),
    )


def by_language(infos: Sequence[NoticeInfo]) -> dict[str, NoticeInfo]:
    """The most severe part of each language, in the order of the warning."""
    chosen: dict[str, NoticeInfo] = {}
    for info in infos:
        tag = best_tag(info.language, chosen) or info.language
        if tag not in chosen or _rank(info) < _rank(chosen[tag]):
            chosen[tag] = info
    return chosen


def title_of(notice: Notice) -> str:
    """The headline's first words; without one the event; without both the identifier."""
    lead = notice.lead
    words = "" if lead is None else (speakable(lead.headline) or speakable(lead.event))
    return _cut(words or speakable(notice.identifier) or "CAP", TITLE_MAX)


def category_of(notice: Notice) -> Category:
    """What threatens, as far as its words tell."""
    said = " ".join(f"{info.event} {info.headline}" for info in notice.infos).casefold()
    return next((category for word, category in _CATEGORIES if re.search(rf"\b(?:{word})", said)), Category.CUSTOM)


def event_names(notice: Notice) -> tuple[str, ...]:
    """Codes first, then names, of every part: what the source's table of templates is asked with."""
    return names_of(notice.infos)


def names_of(infos: Sequence[NoticeInfo]) -> tuple[str, ...]:
    """As :func:`event_names`, of some parts."""
    codes = [code for info in infos for code in info.codes]
    return tuple(dict.fromkeys([*codes, *(info.event for info in infos)]))


def words_of(info: NoticeInfo) -> str:
    """What is said on the air for one part of a warning."""
    parts = (speakable(text) for text in (info.headline or info.event, info.description, info.instruction))
    said: list[str] = []
    for part in parts:
        if part and part not in said:
            said.append(part if part[-1] in ".!?…။。:;" else f"{part}.")
    return _cut(" ".join(said), SPOKEN_MAX)


def cancel_words(title: str, languages: Sequence[str]) -> tuple[SpokenWords, ...]:
    """The twin of words that came by a warning: that it holds no longer. Vietnamese and English only."""
    texts = {"vi": f"Cảnh báo sau đây đã được hủy bỏ: {title}.", "en": f"This warning has been cancelled: {title}."}
    return tuple(SpokenWords(tag, texts[primary(tag)]) for tag in languages if primary(tag) in texts)


def speakable(text: str) -> str:
    """Text without control and format characters, addresses of web pages, and runs of white space."""
    plain = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(re.sub(r"https?://\S+", " ", plain).split())


def _wanted(of_clusters: Any) -> tuple[str, ...]:
    """The languages of the clusters, those that more clusters speak first."""
    count: dict[str, int] = {}
    for tags in of_clusters:
        for tag in tags:
            count[tag] = count.get(tag, 0) + 1
    return tuple(sorted(count, key=lambda tag: -count[tag]))[:_LANGUAGES_MAX]


def _rank(info: NoticeInfo) -> int:
    return SEVERITIES.index(info.severity) if info.severity in SEVERITIES else len(SEVERITIES)


def _cut(text: str, most: int) -> str:
    """Text of at most ``most`` letters, ended at a sentence if there is one in the second half, else at a word."""
    if len(text) <= most:
        return text
    head = text[:most]
    ends = [found.end() for found in _SENTENCE.finditer(head)]
    if ends and ends[-1] > most // 2:
        return head[: ends[-1]].strip()
    return head.rsplit(" ", 1)[0].strip()[: most - 1] + "…"
