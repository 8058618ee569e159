"""What a feed of warnings lists: entries of Atom or RSS, each with the alert inside or the address where it is. Pure.

Rules kept here:

1. An entry with an alert inside (as elements or as text) needs no fetching; the whole document is then read.
2. Else the best of its links is taken: one that says it is CAP, then one that says it is XML, then the entry's own page
   (some services answer with CAP there when asked for it). One address an entry.
3. An entry is known by its id (or address) and its date together: an entry that was changed is a new one.
4. At most :data:`MAX_ENTRIES` are looked at, in the order of the feed.

The XML is read with the hardened parser of :mod:`controller.cap.document`. Not here: fetching
(:mod:`controller.feeds.cap_feed`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

from controller.cap import CapError
from controller.cap.document import find_alerts, parse
from controller.cap.elements import children, text_of

#: Entries of a feed that are looked at.
MAX_ENTRIES: Final = 500
#: Longer addresses are none.
_MAX_HREF: Final = 2048

_CAP_TYPES: Final = ("application/cap+xml", "application/common-alerting-protocol+xml")
_XML_TYPES: Final = ("application/xml", "text/xml")
_DATES: Final = ("updated", "published", "pubDate", "date")


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """An entry whose alert is elsewhere. ``key``: names this entry in this state; ``href``: as written."""

    key: str
    href: str


@dataclass(frozen=True, slots=True)
class FeedIndex:
    """What a document lists. ``embedded``: there are alerts in the document itself."""

    embedded: bool
    entries: tuple[FeedEntry, ...]


def read_index(data: bytes) -> FeedIndex:
    """The index of a feed; of a document that is an alert (or wraps some) it is ``embedded`` without entries.

    Raises:
        CapError: the document cannot be read (see :func:`controller.cap.document.find_alerts`), or is no feed
            (``no_feed``): no alerts, no entries, and no Atom or RSS either.
    """
    root, _ = parse(data)
    embedded = _has_alerts(data)
    name = etree.QName(root).localname
    if not embedded and name not in {"feed", "rss", "RDF", "entry", "channel", "EDXLDistribution"}:
        raise CapError("no_feed", "this is neither a warning nor a feed of warnings")
    entries: dict[str, FeedEntry] = {}
    for element in _entries(root):
        if len(entries) >= MAX_ENTRIES:
            break
        found = _entry(element)
        if found is not None and not (embedded and _has_alerts(etree.tostring(element, with_tail=False))):
            entries[found.key] = found
    return FeedIndex(embedded, tuple(entries.values()))


def _has_alerts(data: bytes) -> bool:
    try:
        return bool(find_alerts(data))
    except CapError as error:
        if error.code == "no_alert":
            return False
        raise


def _entries(root: etree._Element) -> Iterator[etree._Element]:
    if etree.QName(root).localname == "entry":
        yield root
        return
    yield from root.iter("{*}entry", "{*}item")


def _entry(element: etree._Element) -> FeedEntry | None:
    links: list[tuple[int, str]] = []
    known = {"id": "", "guid": "", "date": ""}
    for _, name, child in children(element):
        if name in {"link", "enclosure"}:
            links += _links(name, child)
        elif name in {"id", "guid"}:
            known[name] = text_of(child).strip()
        elif name in _DATES:
            known["date"] = max(known["date"], text_of(child).strip())
    links = [(rank, href) for rank, href in links if 0 < len(href) <= _MAX_HREF]
    if not links:
        return None
    href = min(links, key=lambda link: link[0])[1]
    name = "\n".join((known["id"] or known["guid"] or href, known["date"], href))
    return FeedEntry(hashlib.sha256(name.encode()).hexdigest()[:24], href)


def _links(name: str, element: etree._Element) -> Iterator[tuple[int, str]]:
    """(rank, address) of a link; lower ranks are better."""
    href = (element.get("href") or element.get("url") or text_of(element)).strip()
    kind = (element.get("type") or "").partition(";")[0].strip().lower()
    rel = element.get("rel") or "alternate"
    if kind in _CAP_TYPES:
        yield 0, href
    elif kind in _XML_TYPES:
        yield 1, href
    elif kind == "" and href.lower().partition("?")[0].endswith((".cap", ".xml")):
        yield 2, href
    elif kind == "" and rel == "alternate" and name == "link":
        yield 3, href
