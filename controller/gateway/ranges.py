"""Which bytes of a file a request asks for (RFC 9110, sections 13.1.5 and 14). Pure.

One range is honoured; several, or a unit other than bytes, or nonsense, mean the whole file, as the RFC allows.
Content is named by its SHA-256, so the hash in quotes is a strong entity tag that never changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from controller.gateway.errors import RangeError

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Span:
    """``length`` bytes from ``first`` of a file of ``size``; ``partial`` = answer 206."""

    first: int
    length: int
    size: int
    partial: bool

    @property
    def content_range(self) -> str:
        """The value of the Content-Range header."""
        return f"bytes {self.first}-{self.first + self.length - 1}/{self.size}"


def etag_of(sha256: str) -> str:
    """The strong entity tag of content with this hash."""
    return f'"{sha256}"'


def asked_span(size: int, etag: str, range_header: str | None, if_range: str | None) -> Span:
    """What to send of a file of ``size`` bytes.

    Raises:
        RangeError: the range begins after the end, or is empty.
    """
    whole = Span(0, size, size, partial=False)
    if range_header is None or (if_range is not None and if_range.strip() != etag):
        return whole
    match = _ONE_RANGE.fullmatch(range_header.replace(" ", ""))
    if match is None or match.group(0) == "bytes=-":
        return whole
    first_text, last_text = match.groups()
    if not first_text:
        length = min(int(last_text), size)
        if length == 0:
            raise RangeError("the last 0 bytes were asked for")
        return Span(size - length, length, size, partial=True)
    first = int(first_text)
    last = min(int(last_text), size - 1) if last_text else size - 1
    if last_text and int(last_text) < first:
        return whole
    if first >= size:
        raise RangeError(f"byte {first} was asked for, the file has {size}")
    return Span(first, last - first + 1, size, partial=True)


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names this entity (weak comparison)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
