"""JSON that says one thing only, within bounds.

Rules kept here:

1. Size is checked before parsing, depth right after; a nest deep enough to trouble the parser is refused too.
2. Refused: duplicate keys, NaN and infinities, numbers that overflow to infinity, integers beyond
   :data:`~protocol.limits.MAX_INT`, lone surrogates, anything but UTF-8, anything after the value.
3. :func:`dumps` writes one form only: keys sorted, no spaces, UTF-8, so equal values are equal bytes.

Not here: what the fields mean (:mod:`protocol.fields`, :mod:`protocol.messages`).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from protocol.errors import MalformedError
from protocol.limits import MAX_DEPTH, MAX_INT

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONGEST_NUMBER = 32


def loads(data: bytes | str, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """Parse one JSON value.

    Args:
        data: UTF-8 bytes, or text already decoded.
        max_bytes: refuse anything longer, unread.
        max_depth: refuse values nested deeper.

    Raises:
        MalformedError: ``too_large``, ``bad_utf8``, ``not_json``, ``duplicate_key``, ``bad_number`` or ``too_deep``.
    """
    text = _as_text(data, max_bytes)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise MalformedError("too_deep", "JSON nested too deeply") from None
    except ValueError as error:
        raise MalformedError("not_json", f"not JSON: {error}") from None
    _check_depth(value, max_depth)
    if _SURROGATE.search(text):
        _check_surrogates(value)
    return value


def loads_object(data: bytes | str, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        MalformedError: as :func:`loads`, and ``not_an_object``.
    """
    value = loads(data, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(value, dict):
        raise MalformedError("not_an_object", "expected a JSON object")
    return value


def dumps(value: Any) -> bytes:
    """The one form of ``value``: sorted keys, no spaces, UTF-8. ``value`` is ours, so it is not checked here."""
    return _ENCODER.encode(value).encode()


def _as_text(data: bytes | str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise MalformedError("too_large", f"{len(data)} bytes where {max_bytes} are allowed")
    try:
        if isinstance(data, bytes):
            return data.decode()
        if len(data) * 4 > max_bytes and len(data.encode()) > max_bytes:
            raise MalformedError("too_large", f"more than the {max_bytes} bytes allowed")
        return data
    except UnicodeError:
        raise MalformedError("bad_utf8", "not valid UTF-8") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedError("duplicate_key", "a JSON object names a key twice")
    return value


def _integer(text: str) -> int:
    if len(text) <= _LONGEST_NUMBER and abs(number := int(text)) <= MAX_INT:
        return number
    raise MalformedError("bad_number", "an integer is beyond 2^53 - 1")


def _real(text: str) -> float:
    number = float(text) if len(text) <= _LONGEST_NUMBER else math.inf
    if not math.isfinite(number):
        raise MalformedError("bad_number", "a number is too long or too large")
    return number


def _constant(name: str) -> NoReturn:
    raise MalformedError("bad_number", f"{name} is not JSON")


def _check_depth(value: Any, max_depth: int) -> None:
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(max_depth):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise MalformedError("too_deep", f"JSON nested deeper than {max_depth}")


def _check_surrogates(value: Any) -> None:
    try:
        dumps(value)
    except UnicodeError:
        raise MalformedError("bad_utf8", "a lone surrogate is not text") from None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=True
)
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)
