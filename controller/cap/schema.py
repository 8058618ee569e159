"""What each version of CAP allows: elements in their order, how often, and which words. Our own tables.

Written from the standards' element descriptions and kept as data, so that one small checker
(:mod:`controller.cap.elements`) does for every block of every version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controller.cap.alert import (
    CATEGORIES,
    CERTAINTIES,
    MESSAGE_TYPES,
    RESPONSES,
    SCOPES,
    SEVERITIES,
    STATUSES,
    URGENCIES,
    Version,
)

#: Namespace -> version.
NAMESPACES: Final[Mapping[str, Version]] = {
    "http://www.incident.com/cap/1.0": "1.0",
    "urn:oasis:names:tc:emergency:cap:1.1": "1.1",
    "urn:oasis:names:tc:emergency:cap:1.2": "1.2",
}


class Kind(Enum):
    """What an element holds."""

    TEXT = "text"
    TIME = "time"
    PAIR = "pair"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Rule:
    """One element of a block: how often it may come, and what may stand in it."""

    name: str
    required: bool = False
    many: bool = False
    kind: Kind = Kind.TEXT
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """The rules of one element's children, in order."""

    rules: tuple[Rule, ...]

    def place(self, name: str) -> int | None:
        """Where in the order ``name`` belongs; None when the block does not know it."""
        return next((at for at, rule in enumerate(self.rules) if rule.name == name), None)


@dataclass(frozen=True, slots=True)
class Schema:
    """All blocks of one version."""

    version: Version
    alert: Block
    info: Block
    resource: Block
    area: Block
    pair: Block


def _must(name: str, *words: str) -> Rule:
    return Rule(name, required=True, words=words)


def _may(name: str, *words: str) -> Rule:
    return Rule(name, words=words)


def _any(name: str, *words: str) -> Rule:
    return Rule(name, many=True, words=words)


def _time(name: str, *, required: bool = False) -> Rule:
    return Rule(name, required=required, kind=Kind.TIME)


def _pairs(name: str, version: Version) -> Rule:
    return Rule(name, many=True, kind=Kind.TEXT if version == "1.0" else Kind.PAIR)


def _blocks(name: str) -> Rule:
    return Rule(name, many=True, kind=Kind.BLOCK)


def _alert(version: Version) -> Block:
    old = version == "1.0"
    statuses = STATUSES[:-1] if old else STATUSES
    return Block(
        (
            _must("identifier"),
            _must("sender"),
            _time("sent", required=True),
            _must("status", *statuses),
            _must("msgType", *MESSAGE_TYPES),
            *([_may("password")] if old else []),
            _may("source"),
            Rule("scope", required=not old, words=SCOPES),
            _may("restriction"),
            _may("addresses"),
            _any("code"),
            _may("note"),
            _may("references"),
            _may("incidents"),
            _blocks("info"),
        )
    )


def _info(version: Version) -> Block:
    old = version == "1.0"
    categories = tuple(word for word in CATEGORIES if not (old and word == "CBRNE"))
    responses = RESPONSES if version == "1.2" else tuple(w for w in RESPONSES if w not in {"Avoid", "AllClear"})
    return Block(
        (
            _may("language"),
            Rule("category", required=not old, many=True, words=categories),
            _must("event"),
            *([] if old else [_any("responseType", *responses)]),
            _must("urgency", *URGENCIES),
            _must("severity", *SEVERITIES),
            _must("certainty", *(("Very Likely", *CERTAINTIES[1:]) if old else CERTAINTIES)),
            _may("audience"),
            _pairs("eventCode", version),
            _time("effective"),
            _time("onset"),
            _time("expires"),
            _may("senderName"),
            _may("headline"),
            _may("description"),
            _may("instruction"),
            _may("web"),
            _may("contact"),
            _pairs("parameter", version),
            _blocks("resource"),
            _blocks("area"),
        )
    )


def _resource(version: Version) -> Block:
    return Block(
        (
            _must("resourceDesc"),
            Rule("mimeType", required=version == "1.2"),
            _may("size"),
            _may("uri"),
            *([] if version == "1.0" else [_may("derefUri")]),
            _may("digest"),
        )
    )


def _area(version: Version) -> Block:
    return Block(
        (
            _must("areaDesc"),
            _any("polygon"),
            _any("circle"),
            _pairs("geocode", version),
            _may("altitude"),
            _may("ceiling"),
        )
    )


_PAIR: Final = Block((_must("valueName"), Rule("value", required=True)))


def _schema(version: Version) -> Schema:
    return Schema(version, _alert(version), _info(version), _resource(version), _area(version), _PAIR)


SCHEMAS: Final[Mapping[Version, Schema]] = {version: _schema(version) for version in NAMESPACES.values()}
