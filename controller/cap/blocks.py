"""Info blocks, areas, resources and references of an alert (see :mod:`controller.cap.reading` for the rules)."""

from __future__ import annotations

import re
from typing import Final

from lxml import etree

from controller.cap.alert import AlertKey, CapArea, CapInfo, CapResource, NameValue
from controller.cap.elements import BlockReader, snake
from controller.cap.errors import ShapeError
from controller.cap.faults import FaultList
from controller.cap.moments import read_moment
from controller.cap.schema import Schema
from controller.cap.shapes import Circle, Polygon

#: References further back than this are history.
MAX_REFERENCES: Final = 1_000

_QUOTED: Final = 60
_DECIMAL: Final = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})")
#: What XML Schema (anyURI) has against an address: a colon after what is no scheme, a bare per cent sign.
_BAD_ADDRESS: Final = re.compile(r"(?![A-Za-z][A-Za-z0-9+.-]*:)[^/?#:]*:|.*%(?![0-9A-Fa-f]{2})", re.DOTALL)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}")


def read_info(element: etree._Element, schema: Schema, where: str, faults: FaultList) -> CapInfo:
    """One info block. What it lacks is flagged, and quarantines the alert."""
    block = BlockReader(element, schema.info, where, faults)
    for name in block.missing:
        block.fault(f"missing_{snake(name)}", f"the info block has no <{name}>", quarantine=True)
    for name in block.ambiguous:
        block.fault(
            f"ambiguous_{snake(name)}", f"the info block says <{name}> twice, and not the same", quarantine=True
        )
    language = block.text("language")
    if language is not None and not _LANGUAGE.fullmatch(language):
        block.fault("bad_language", f"<language> is no language: {language[:_QUOTED]!r}")
    _check_address(block, "web")
    effective, effective_text = block.time("effective")
    onset, onset_text = block.time("onset")
    expires, expires_text = block.time("expires")
    return CapInfo(
        language=language,
        categories=block.texts("category"),
        event=block.text("event"),
        response_types=block.texts("responseType"),
        urgency=block.text("urgency"),
        severity=block.text("severity"),
        certainty=block.text("certainty"),
        audience=block.text("audience") or "",
        event_codes=_pairs(block, "eventCode", schema, faults, where),
        effective=effective,
        onset=onset,
        expires=expires,
        sender_name=block.text("senderName") or "",
        headline=block.text("headline") or "",
        description=block.text("description") or "",
        instruction=block.text("instruction") or "",
        web=block.text("web") or "",
        contact=block.text("contact") or "",
        parameters=_pairs(block, "parameter", schema, faults, where),
        resources=tuple(
            _resource(one, schema, f"{where}/resource {number}", faults)
            for number, one in enumerate(block.blocks("resource"), start=1)
        ),
        areas=tuple(
            _area(one, schema, f"{where}/area {number}", faults)
            for number, one in enumerate(block.blocks("area"), start=1)
        ),
        effective_text=effective_text,
        onset_text=onset_text,
        expires_text=expires_text,
    )


def _area(element: etree._Element, schema: Schema, where: str, faults: FaultList) -> CapArea:
    block = BlockReader(element, schema.area, where, faults)
    for name in block.missing:
        block.fault(f"missing_{snake(name)}", f"the area has no <{name}>")
    polygon_texts, circle_texts = block.raw_texts("polygon"), block.raw_texts("circle")
    polygons, circles = [], []
    for text in polygon_texts:
        try:
            polygon = Polygon.parse(text)
        except ShapeError as error:
            block.fault(error.code, str(error))
            continue
        if polygon.closed_here:
            block.fault("polygon_open", "a polygon does not end where it begins; it is closed")
        polygons.append(polygon)
    for text in circle_texts:
        try:
            circles.append(Circle.parse(text))
        except ShapeError as error:
            block.fault(error.code, str(error))
    for name in ("altitude", "ceiling"):
        height = block.text(name)
        if height is not None and schema.version == "1.2" and not _DECIMAL.fullmatch(height):
            block.fault(f"bad_{name}", f"<{name}> is no number: {height[:_QUOTED]!r}")
    return CapArea(
        desc=block.text("areaDesc") or "",
        polygons=tuple(polygons),
        circles=tuple(circles),
        geocodes=_pairs(block, "geocode", schema, faults, where),
        altitude=block.text("altitude") or "",
        ceiling=block.text("ceiling") or "",
        polygon_texts=polygon_texts,
        circle_texts=circle_texts,
    )


def _resource(element: etree._Element, schema: Schema, where: str, faults: FaultList) -> CapResource:
    block = BlockReader(element, schema.resource, where, faults)
    for name in block.missing:
        block.fault(f"missing_{snake(name)}", f"the resource has no <{name}>")
    size_text = block.text("size")
    size = int(size_text) if size_text and size_text.isdecimal() and len(size_text) <= 15 else None  # noqa: PLR2004
    if size_text is not None and size is None:
        block.fault("bad_size", f"<size> is no number of bytes: {size_text[:_QUOTED]!r}")
    _check_address(block, "uri")
    return CapResource(
        desc=block.text("resourceDesc") or "",
        mime_type=block.text("mimeType") or "",
        uri=block.text("uri") or "",
        size=size,
        digest=block.text("digest") or "",
        embedded_chars=len(block.text("derefUri") or ""),
    )


def _check_address(block: BlockReader, name: str) -> None:
    text = block.text(name)
    if text and _BAD_ADDRESS.match(text):
        block.fault(f"bad_{name}", f"<{name}> is no address: {text[:_QUOTED]!r}")


def _pairs(block: BlockReader, name: str, schema: Schema, faults: FaultList, where: str) -> tuple[NameValue, ...]:
    if schema.version == "1.0":  # name=value in one text
        split = (text.partition("=") for text in block.texts(name))
        return tuple(
            NameValue(left.strip(), right.strip()) if equals else NameValue("", left) for left, equals, right in split
        )
    pairs = []
    for element in block.blocks(name):
        pair = BlockReader(element, schema.pair, where, faults)
        if "valueName" in pair.missing:
            block.fault("missing_value_name", f"a <{name}> has no <valueName>")
        if pair.text("value") is None:
            block.fault("missing_value", f"a <{name}> has no <value>")
        pairs.append(NameValue(pair.text("valueName") or "", pair.text("value") or ""))
    return tuple(pairs)


def read_references(text: str, block: BlockReader) -> tuple[AlertKey, ...]:
    """The alerts that ``sender,identifier,sent sender,identifier,sent …`` names. Unreadable ones are flagged."""
    keys: dict[AlertKey, None] = {}
    for triplet in text.split(None, MAX_REFERENCES)[:MAX_REFERENCES]:
        parts = triplet.split(",")
        moment = read_moment(parts[-1])
        if len(parts) < 3 or moment is None:  # noqa: PLR2004 - a triplet
            block.fault("references_unreadable", f"no sender,identifier,sent: {triplet[:_QUOTED]!r}")
            continue
        keys[AlertKey(parts[0], ",".join(parts[1:-1]), moment.at)] = None
    return tuple(keys)
