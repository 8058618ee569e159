"""A row of the log as a sentence: phrases filled with the names of what the row speaks of. Pure, given the names.

Not here: the phrases (:mod:`…audit.sentences`), where names are looked up (:mod:`…audit.names`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from controller.services.alerts.wording import Tongue
from controller.services.audit.names import Names, Remembered, Thing, is_id
from controller.services.audit.sentences import PHRASES, AuditKind, Phrase
from controller.store.actions import AuditAction

#: Names of a list that are said; the others are counted.
_NAMED: Final = 3
_SLOT: Final = re.compile(r"(\{\w+\})")
_OPTION: Final = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_MORE: Final = {Tongue.VI: " và {} nơi khác", Tongue.EN: " and {} more"}
_EVERYWHERE: Final = {Tongue.VI: "mọi cụm loa", Tongue.EN: "every cluster"}
_HOUSE: Final = {Tongue.VI: "Hệ thống", Tongue.EN: "The system"}
_SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a sentence: text, a thing to be shown as a link, or an instant to be said in the reader's way."""

    text: str
    thing: Thing | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A row in words. ``areas``: where everything it speaks of is; empty when that is not known."""

    who: str
    parts: tuple[Part, ...]
    kind: AuditKind | None
    areas: frozenset[str]

    @property
    def text(self) -> str:
        """Who and what, as people search for it."""
        return f"{self.who} {''.join(part.text for part in self.parts)}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a row holds."""

    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]

    def ids(self) -> Iterator[str]:
        """Every text in it that may be an id."""
        yield self.subject
        yield from _texts(self.details)


class Teller:
    """Puts rows into words."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def say(self, facts: Facts, tongue: Tongue, remembered: Remembered) -> Said:
        """The sentence of a row. An action of another version is told by its code."""
        phrase = PHRASES.get(cast("AuditAction", facts.action))
        page = _Page(self._names, facts, tongue, remembered)
        parts = page.fill(f"{facts.action}: {{it}}" if phrase is None else phrase.of(tongue))
        return Said(self._who(facts.actor, tongue), tuple(parts), _kind_of(phrase), page.areas())

    def _who(self, actor: str, tongue: Tongue) -> str:
        user_id, _, name = actor.partition(" ")
        if user_id == _SYSTEM:
            return _HOUSE[tongue]
        known = self._names.find(user_id, {})
        return name if known is None else known.name


@dataclass(frozen=True, slots=True)
class _Page:
    """One row with what its ids stand for."""

    names: Names
    facts: Facts
    tongue: Tongue
    remembered: Remembered

    def fill(self, template: str) -> list[Part]:
        """The parts of a phrase; what is optional and has nothing to say is left out."""
        parts: list[Part] = []
        for option, text in _OPTION.findall(template):
            filled = [self._piece(piece) for piece in _SLOT.split(option or text) if piece]
            if option and not all(filled):
                continue
            parts += [part for piece in filled for part in piece]
        return parts

    def areas(self) -> frozenset[str]:
        """Where all of it is; empty when something's place is not known."""
        things = [self._thing(each) for each in self.facts.ids() if self._speaks_of(each)]
        if self.facts.details.get("where") == "everywhere" or not all(each and each.areas for each in things):
            return frozenset()
        return frozenset(area for each in things if each is not None for area in each.areas)

    def _speaks_of(self, text: str) -> bool:
        return is_id(text) or self._thing(text) is not None

    def _thing(self, text: str) -> Thing | None:
        return self.names.find(text, self.remembered)

    def _piece(self, piece: str) -> list[Part]:
        if not _SLOT.fullmatch(piece):
            return [Part(piece)]
        name = piece[1:-1]
        if name == "it":
            return [self._it()]
        if name == "places":
            return self._places()
        return self._value(self.facts.details.get(name))

    def _it(self) -> Part:
        thing = self._thing(self.facts.subject)
        if thing is not None:
            return Part(thing.name, thing)
        said = self.facts.details.get("title") or self.facts.details.get("name")
        return Part(said if isinstance(said, str) else self.facts.subject)

    def _places(self) -> list[Part]:
        details = self.facts.details
        if details.get("where") == "everywhere":
            return [Part(_EVERYWHERE[self.tongue])]
        named = [each for key in ("areas", "zones", "clusters") if isinstance(details.get(key), list)
                 for each in details[key]]  # fmt: skip
        return self._list(named)

    def _value(self, value: object) -> list[Part]:
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return [Part(str(value))]
        if not isinstance(value, str) or not value.strip():
            return []
        thing = self._thing(value)
        if thing is not None:
            return [Part(thing.name, thing)]
        at = _instant(value)
        return [] if is_id(value) else [Part(value, at=at)]

    def _list(self, values: list[Any]) -> list[Part]:
        shown: list[Part] = []
        for value in values[:_NAMED]:
            shown += ([Part(", ")] if shown else []) + self._value(value)
        more = len(values) - _NAMED
        return shown + ([Part(_MORE[self.tongue].format(more))] if more > 0 else [])


def folded(text: str) -> str:
    """Without case and accents, as people type when they search."""
    plain = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def found(said: Said, words: Iterable[str]) -> bool:
    """Whether every (folded) word occurs in the sentence."""
    text = folded(said.text)
    return all(word in text for word in words)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _kind_of(phrase: Phrase | None) -> AuditKind | None:
    return None if phrase is None else phrase.kind


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
