"""How far each kind of document has come: the numbers that must survive a power cut.

Rules kept here:

1. A mark never moves back; (term, seq) compare in that order, kind by kind.
2. Damaged stored counters are refused, never read as empty: empty counters would let every old order sound again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from protocol.documents import DocumentKind
from protocol.fields import Fields
from protocol.limits import MAX_U32

_MARK_FIELDS: Final = ("term", "seq", "digest")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """How far one kind of document has come: the last (term, seq) accepted and the SHA-256 of its body."""

    term: int
    seq: int
    digest: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Counters:
    """The marks of all kinds: what must survive a power cut. Persist it before acting."""

    marks: Mapping[DocumentKind, Mark] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, kind: DocumentKind) -> Mark | None:
        """The mark of one kind."""
        return self.marks.get(kind)

    def advanced(self, kind: DocumentKind, mark: Mark) -> Counters:
        """These counters with one mark moved; a mark never moves back."""
        old = self.marks.get(kind)
        if old is not None and mark < old:
            return self
        return Counters(MappingProxyType({**self.marks, kind: mark}))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {kind.value: [mark.term, mark.seq, mark.digest] for kind, mark in self.marks.items()}

    @classmethod
    def from_dict(cls, value: Any) -> Counters:
        """Counters from :meth:`to_dict`'s values.

        Raises:
            MalformedError: the stored values are damaged. An agent must not go on with empty counters then.
        """
        marks = {}
        whole = Fields(value, "counters.")
        for kind in DocumentKind:
            if not whole.has(kind.value):
                continue
            row = value[kind.value]
            if not isinstance(row, list) or len(row) != len(_MARK_FIELDS):
                whole.refuse(kind.value, "expected term, seq and digest")
            one = Fields(dict(zip(_MARK_FIELDS, row, strict=True)), f"counters.{kind.value}.")
            marks[kind] = Mark(one.integer("term", 0, MAX_U32), one.integer("seq"), one.hexadecimal("digest", 64))
        return cls(MappingProxyType(marks))
