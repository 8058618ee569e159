"""Every text that people can send: read from the document that the API gives of itself, so that none is forgotten.

A text is named by the shape it belongs to (``NewArea.name``) or, in a query, by its operation
(``uploadRecording?title``). It is free when the document lets somebody write markup into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: What stands for markup: with blanks, and without for what must be one word.
_MARKUP: Final = ("<svg onload=hit(0)>", "<svg&#x2f;onload=hit(0)>")
_LITTLE: Final = 9_999
#: Parts of names of texts that are free by the document, and that the house reads as something else than words.
NOT_WORDS: Final = {
    "a secret: no page shows it": (".password", "PasswordChange.", ".passphrase", ".code"),
    "who signs in: looked up": ("Credentials.name", "LoginRequest.name", "DemoDoor.role"),
    "a time, or a rule of times: read, and written anew": (
        ".dtstart", ".rrule", "dates[]", ".recurrence", ".start", ".timezone",
    ),
    "a language: looked up": ("anguages[]", ".language", "?language"),
    "a certificate: read, and shown as it was read": ("ertificates[]",),
    "an id: looked up": ("GrantView-Input.area_id",),
}  # fmt: skip

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """One text: what the document says of it."""

    pattern: str | None
    most: int
    closed: bool  # one of some words, or of a format of its own

    def takes(self, said: str) -> bool:
        """Whether the document lets this through."""
        if self.closed or len(said) > self.most:
            return False
        return self.pattern is None or re.search(self.pattern, said) is not None

    @property
    def free(self) -> bool:
        """Whether markup can be written into it."""
        return any(map(self.takes, _MARKUP))


class Texts:
    """All texts of a document."""

    def __init__(self, document: Json) -> None:
        self._shapes: Json = document["components"]["schemas"]
        self._operations = [
            (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$"), operation)
            for path, operations in sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
            for method, operation in operations.items()
            if method != "get"
        ]
        self.known: dict[str, Text] = {}
        for _, _, operation in self._operations:
            for schema, name in _parts(operation):
                self._learn(schema, name, frozenset())

    @property
    def words(self) -> set[str]:
        """The names of those that take markup, and are words (or an address) for people."""
        parts = tuple(part for parts in NOT_WORDS.values() for part in parts)
        return {name for name, text in self.known.items() if text.free and not any(part in name for part in parts)}

    def sent(self, method: str, path: str, body: object, query: Json) -> Iterator[tuple[str, str]]:
        """The texts of one request, by name."""
        operation = next(one for verb, route, one in self._operations if verb == method and route.match(path))
        for schema, name in _parts(operation):
            given = query.get(name.rpartition("?")[2]) if "?" in name else body
            yield from self._read(schema, name, given)

    def _learn(self, schema: Json, name: str, above: frozenset[str]) -> None:
        for shape, named, part in self._inside(schema, name):
            if shape in above:
                continue
            if part.get("type") == "string":
                closed = "enum" in part or "const" in part or "format" in part
                self.known[named] = Text(part.get("pattern"), part.get("maxLength", _LITTLE), closed)
            for names in part.get("patternProperties", ()):
                self.known[f"{named}{{}}"] = Text(names, part["propertyNames"]["maxLength"], closed=False)
            for child, called in _children(part, named):
                self._learn(child, called, above | {shape} if shape else above)

    def _read(self, schema: Json, name: str, value: object) -> Iterator[tuple[str, str]]:
        for _, named, part in self._inside(schema, name):
            if isinstance(value, str) and part.get("type") == "string":
                yield named, value
            elif isinstance(value, list | tuple) and "items" in part:
                for each in value:
                    yield from self._read(part["items"], f"{named}[]", each)
            elif isinstance(value, Mapping):
                if "patternProperties" in part:
                    yield from ((f"{named}{{}}", key) for key in value)
                for key, child in part.get("properties", {}).items():
                    yield from self._read(child, f"{named}.{key}", value.get(key))

    def _inside(self, schema: Json, name: str) -> Iterator[tuple[str, str, Json]]:
        """What a schema may be, with the shape it is and its name: references and alternatives are followed."""
        if "$ref" in schema:
            shape = schema["$ref"].rpartition("/")[2]
            for _, named, part in self._inside(self._shapes[shape], shape):
                yield shape, named, part
            return
        alternatives = [one for kind in ("anyOf", "oneOf", "allOf") for one in schema.get(kind, ())]
        for one in alternatives:
            yield from self._inside(one, name)
        if not alternatives:
            yield "", name, schema


def _parts(operation: Json) -> Iterator[tuple[Json, str]]:
    """The schemas of a body and of a query."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield content.get("schema", {}), operation["operationId"]
    for one in operation.get("parameters", ()):
        if one["in"] == "query":
            yield one["schema"], f"{operation['operationId']}?{one['name']}"


def _children(part: Json, name: str) -> Iterable[tuple[Json, str]]:
    if "items" in part:
        yield part["items"], f"{name}[]"
    for key, child in part.get("properties", {}).items():
        yield child, f"{name}.{key}"
    if isinstance(part.get("additionalProperties"), Mapping):
        yield part["additionalProperties"], f"{name}.*"
