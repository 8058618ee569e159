"""Finds the alerts in a document, hardened: entities, DTDs, files and the network do not exist here.

Rules kept here:

1. A document type declaration refuses the document, whatever it declares. Entities are never expanded, XInclude is
   never processed, and nothing a document names is opened: the parser has neither network nor files.
2. Bytes, depth, elements and alerts are bounded (the constants below).
3. A CAP alert is found where senders put it: alone, in an EDXL distribution, in an Atom or RSS feed (as elements, or
   as text in a content element, one level), or wrapped in anything else. The wrapping is flagged.
4. Bytes that are not what the document says they are (Latin text declared as UTF-8) are read as Windows-1252 and
   flagged ``encoding_guessed``; a document that is broken otherwise is refused, never repaired.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

from controller.cap.alert import Version
from controller.cap.elements import SIGNATURE_NAMESPACE, children, text_of
from controller.cap.errors import CapError
from controller.cap.schema import NAMESPACES

#: The largest document that is read, in bytes. The largest real alert had 1.7 MB.
MAX_BYTES: Final = 4 * 1024 * 1024
#: How deep elements may be nested: CAP itself needs 5, EDXL and Atom a few more.
MAX_DEPTH: Final = 32
#: Elements of all alerts and their wrapping together.
MAX_ELEMENTS: Final = 50_000
#: Alerts in one document. The largest real feed had 17 in a file; an Atom feed may have a few hundred.
MAX_ALERTS: Final = 500

_EDXL: Final = re.compile(r"urn:oasis:names:tc:emergency:EDXL:DE:")
_ATOM: Final = "http://www.w3.org/2005/Atom"
_VERSION_LIKE: Final = re.compile(r"cap[:/]?v?(1\.[012])\b", re.IGNORECASE)
_MARKUP: Final = re.compile(r"\s*(?:<\?xml\b|<(?:[\w.-]+:)?(?:alert|EDXLDistribution)\b)")
_DECLARATION: Final = re.compile(r"\s*<\?xml\b[^>]{0,200}\?>")
_DOCTYPE: Final = re.compile(rb"(?>\s+|<\?(?>.*?\?>)|<!--(?>.*?-->))*+<!DOCTYPE", re.DOTALL)
_TOO_DEEP: Final = etree.XPath(f"boolean({'/*' * (MAX_DEPTH + 1)})")
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FoundAlert:
    """An alert element, the version it is judged by, and the flags of how it was found."""

    element: etree._Element
    version: Version
    flags: tuple[str, ...]


def find_alerts(data: bytes) -> tuple[FoundAlert, ...]:
    """The alerts in a document, in its order.

    Raises:
        CapError: ``empty``, ``too_large``, ``not_xml``, ``doctype_refused``, ``too_deep``, ``too_many_elements``,
            ``too_many_alerts`` or ``no_alert``.
    """
    root, flags = parse(data)
    found = list(_search(root, flags, nested=True))
    if not found:
        raise CapError("no_alert", "there is no CAP alert in it")
    return tuple(found)


def parse(data: bytes) -> tuple[etree._Element, tuple[str, ...]]:
    """The root of an XML document and the flags of its reading. Bounds are checked.

    Raises:
        CapError: see :func:`find_alerts`.
    """
    if len(data) > MAX_BYTES:
        raise CapError("too_large", f"it has {len(data)} bytes; at most {MAX_BYTES} are read")
    data = data.removeprefix(_BOM).lstrip(b" \t\r\n")
    if not data:
        raise CapError("empty", "there is nothing in it")
    flags: tuple[str, ...] = ()
    try:
        root = _parse(data, None)
    except etree.XMLSyntaxError as error:
        if _is_utf8(data) or data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise _not_xml(error) from error
        flags = ("encoding_guessed",)
        try:
            root = _parse(data, "windows-1252")
        except etree.XMLSyntaxError:
            raise _not_xml(error) from error
    docinfo = root.getroottree().docinfo
    if docinfo.doctype or docinfo.internalDTD is not None:
        raise CapError("doctype_refused", "it has a document type declaration, which no alert needs")
    _check_bounds(root)
    return root, flags


def hardened_parser(encoding: str | None = None) -> etree.XMLParser[etree._Element]:
    """A parser without entities, DTDs, network or files; for documents that :func:`parse` has let through, too.

    Never add ``collect_ids=False``: with lxml 6.1 it makes libxml2 open the external subset after all.
    """
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
    )


def _parse(data: bytes, encoding: str | None) -> etree._Element:
    if _DOCTYPE.match(data):  # before the parser can be tempted by it
        raise CapError("doctype_refused", "it has a document type declaration, which no alert needs")
    try:
        return etree.fromstring(data, hardened_parser(encoding))
    except (LookupError, ValueError) as error:  # an encoding nobody knows
        raise CapError("not_xml", f"it cannot be read as XML: {error}") from error


def _not_xml(error: etree.XMLSyntaxError) -> CapError:
    said = str(error)
    if "Excessive depth" in said:
        return CapError("too_deep", f"elements are nested deeper than {MAX_DEPTH}")
    if "ntity" in said:
        return CapError("doctype_refused", "it uses entities, which no alert needs")
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in said)
    return CapError("not_xml", f"it is not well-formed XML: {printable[:200]}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_bounds(root: etree._Element) -> None:
    if _TOO_DEEP(root):
        raise CapError("too_deep", f"elements are nested deeper than {MAX_DEPTH}")
    for count, element in enumerate(root.iter()):
        if count >= MAX_ELEMENTS:
            raise CapError("too_many_elements", f"it has more than {MAX_ELEMENTS} elements")
        if isinstance(element, etree._Entity):  # noqa: SLF001 - lxml's only name for the type
            raise CapError("doctype_refused", "it uses entities, which no alert needs")


def _search(root: etree._Element, flags: tuple[str, ...], *, nested: bool) -> Iterator[FoundAlert]:
    """Alerts under ``root``; ``nested``: markup written as text is looked into as well."""
    wrapping = _wrapping(root)
    count = 0
    for found in _walk(root, nested=nested):
        if isinstance(found, FoundAlert):
            more = flags + (wrapping if found.element is not root else ())
            yield FoundAlert(found.element, found.version, (*more, *found.flags))
        else:
            try:
                inner, inner_flags = parse(found.encode())
            except CapError:
                continue  # prose that only looks like markup
            yield from _search(inner, (*flags, *wrapping, *inner_flags, "alert_as_text"), nested=False)
        count += 1
        if count > MAX_ALERTS:
            raise CapError("too_many_alerts", f"it has more than {MAX_ALERTS} alerts")


def _walk(element: etree._Element, *, nested: bool) -> Iterator[FoundAlert | str]:
    namespace, name = _name(element)
    if name == "alert" and namespace != SIGNATURE_NAMESPACE:
        version, flags = _version(namespace)
        if version is None and _looks_like_alert(element):
            version, flags = "1.2", ("namespace_unknown",)
        if version is not None:
            yield FoundAlert(element, version, flags)
            return
    if nested and name in {"content", "description", "encoded", "summary"}:
        text = text_of(element)
        if _MARKUP.match(text):
            yield _DECLARATION.sub("", text, count=1)  # its encoding was undone with the document's
    for _, _, child in children(element):
        yield from _walk(child, nested=nested)


def _name(element: etree._Element) -> tuple[str, str]:
    name = etree.QName(element)
    return name.namespace or "", name.localname


def _version(namespace: str) -> tuple[Version | None, tuple[str, ...]]:
    if namespace in NAMESPACES:
        return NAMESPACES[namespace], ()
    if not namespace:
        return "1.2", ("namespace_missing",)
    like = _VERSION_LIKE.search(namespace)
    for version in NAMESPACES.values():
        if like and like.group(1) == version:
            return version, ("namespace_unknown",)
    return None, ()


def _looks_like_alert(element: etree._Element) -> bool:
    names = {name for _, name, _ in children(element)}
    return {"identifier", "sender", "sent"} <= names


def _wrapping(root: etree._Element) -> tuple[str, ...]:
    namespace, name = _name(root)
    if name == "EDXLDistribution" or _EDXL.match(namespace):
        statuses = (text_of(child).strip() for _, name, child in children(root) if name == "distributionStatus")
        return ("wrapped_edxl", *("envelope_not_actual" for status in statuses if status != "Actual"))
    if namespace == _ATOM:
        return ("wrapped_atom",)
    if name == "rss":
        return ("wrapped_rss",)
    return ("wrapped",)
