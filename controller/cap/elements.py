"""Reads one block of an alert against its rules: strict first, and a flag for every departure that was overlooked.

Rules kept here:

1. Order, cardinality, words and times are checked against the version's own table (:mod:`controller.cap.schema`).
2. What is out of order is read all the same (``element_order``); what the version does not know is left out
   (``unexpected_element``); a second value for a single element is left out (``repeated_element``).
3. Text is trimmed. Blanks round a word are a fault (``stray_space``), as in XML Schema; round prose or a time they
   are not.
4. An element that is there and empty is an empty text; one that is absent is None. Required elements that are
   either are told to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from lxml import etree

from controller.cap.faults import FaultList
from controller.cap.moments import read_moment
from controller.cap.schema import NAMESPACES, Block, Kind, Rule

SIGNATURE_NAMESPACE = "http://www.w3.org/2000/09/xmldsig#"

#: Attributes that any document may have.
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"

#: Of a value that is quoted in a message.
_QUOTED = 60


def children(element: etree._Element) -> Iterator[tuple[str, str, etree._Element]]:
    """(namespace, name, element) of every child element, comments and instructions left out."""
    for child in element:
        if isinstance(child.tag, str):
            namespace, _, name = child.tag.rpartition("}")
            yield namespace.lstrip("{"), name, child


def text_of(element: etree._Element) -> str:
    """The element's own text, also what stands between comments."""
    parts = [element.text or ""]
    parts += [child.tail or "" for child in element if not isinstance(child.tag, str)]
    return "".join(parts)


class BlockReader:
    """The children of one element, sorted by name and checked."""

    def __init__(self, element: etree._Element, block: Block, where: str, faults: FaultList) -> None:
        self._where = where
        self._faults = faults
        self._found: dict[str, list[etree._Element]] = {rule.name: [] for rule in block.rules}
        self._rules = {rule.name: rule for rule in block.rules}
        #: Names of required elements that are absent or empty.
        self.missing: list[str] = []
        #: Names of single elements that came again with another value.
        self.ambiguous: list[str] = []
        self._sort(element, block)
        self._check_presence()

    def _sort(self, element: etree._Element, block: Block) -> None:
        own_namespace = etree.QName(element).namespace or ""
        if any((text or "").strip() for text in (element.text, *(child.tail for child in element))):
            self.fault("stray_text", "there is text between the elements; it is left out")
        self._check_attributes(element)
        furthest = 0
        for namespace, name, child in children(element):
            if namespace == SIGNATURE_NAMESPACE:
                continue
            place = block.place(name)
            if place is None or (namespace not in NAMESPACES and namespace not in {"", own_namespace}):
                self.fault("unexpected_element", f"<{name[:_QUOTED]}> does not belong here and is left out")
                continue
            if namespace != own_namespace:
                self.fault("namespace_mixed", f"<{name}> is in another namespace than its parent")
            if place < furthest:
                self.fault("element_order", f"<{name}> comes too late")
            furthest = max(furthest, place)
            self._found[name].append(child)
            if block.rules[place].kind is not Kind.BLOCK:
                self._check_attributes(child)

    def _check_attributes(self, element: etree._Element) -> None:
        if any(not name.startswith(_SCHEMA_INSTANCE) for name in element.attrib):
            self.fault("unexpected_attribute", f"<{etree.QName(element).localname}> has attributes; they are left out")

    def _check_presence(self) -> None:
        for name, rule in self._rules.items():
            found = self._found[name]
            if rule.required and not any(text_of(one).strip() for one in found):
                self.missing.append(name)
            if len(found) > 1 and not rule.many:
                self.fault("repeated_element", f"<{name}> comes {len(found)} times; the first counts")
                if any(text_of(one).strip() != text_of(found[0]).strip() for one in found):
                    self.ambiguous.append(name)

    def fault(self, code: str, detail: str, *, quarantine: bool = False) -> None:
        """Note a fault of this block."""
        self._faults.add(code, self._where, detail, quarantine=quarantine)

    def text(self, name: str) -> str | None:
        """The trimmed text of a single element; None when it is absent."""
        found = self._found.get(name)
        return self._value(found[0], self._rules[name]) if found else None

    def texts(self, name: str) -> tuple[str, ...]:
        """The trimmed texts of an element that may come again; empty ones are left out."""
        rule = self._rules.get(name)
        values = (self._value(one, rule) for one in self._found.get(name, [])) if rule else ()
        return tuple(value for value in values if value)

    def raw_texts(self, name: str) -> tuple[str, ...]:
        """The trimmed texts of an element that may come again, empty ones too."""
        return tuple(self._value(one, self._rules[name]) for one in self._found.get(name, []))

    def time(self, name: str) -> tuple[datetime | None, str | None]:
        """The instant an element names, and its text as given."""
        text = self.text(name)
        if not text:
            return None, text
        moment = read_moment(text)
        if moment is None:
            self.fault(f"bad_{snake(name)}", f"<{name}> is no time: {text[:_QUOTED]!r}")
            return None, text
        if moment.fault:
            self.fault(moment.fault, f"<{name}> is not written as CAP asks: {text[:_QUOTED]!r}")
        return moment.at, text

    def blocks(self, name: str) -> tuple[etree._Element, ...]:
        """The elements themselves."""
        return tuple(self._found.get(name, []))

    def _value(self, element: etree._Element, rule: Rule) -> str:
        raw = text_of(element)
        value = raw.strip()
        if rule.kind in {Kind.TEXT, Kind.TIME} and next(children(element), None) is not None:
            self.fault("unexpected_element", f"<{rule.name}> is text, it has no elements in it")
        if rule.words and value != raw:
            self.fault("stray_space", f"<{rule.name}> has blanks round it")
        if (rule.words or rule.kind is Kind.TIME) and not value:
            self.fault("empty_element", f"<{rule.name}> is empty")
        if value and rule.words and value not in rule.words:
            self.fault(f"bad_{snake(rule.name)}", f"<{rule.name}> is {value[:_QUOTED]!r}, a word CAP does not know")
        return value


def snake(name: str) -> str:
    """``msgType`` as ``msg_type``."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
