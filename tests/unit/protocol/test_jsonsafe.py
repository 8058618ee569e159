"""JSON that says one thing only, within bounds."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.jsonsafe import dumps, loads, loads_object

numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8
)


@given(values)
def test_round_trip(value: Any) -> None:
    assert loads(dumps(value), max_bytes=10**6, max_depth=20) == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{}{}", "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"a":1,}', "not_json"),
        (b"\xff\xfe", "bad_utf8"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"b":{"a":1,"a":2}}', "duplicate_key"),
        (b"NaN", "bad_number"),
        (b"-Infinity", "bad_number"),
        (b"1e400", "bad_number"),
        (b"9007199254740992", "bad_number"),
        (b"-9007199254740992", "bad_number"),
        (b"1" * 5_000, "bad_number"),
        (b"0." + b"1" * 5_000, "bad_number"),
        (b'"\\ud800"', "bad_utf8"),
        (b'{"\\udfff":1}', "bad_utf8"),
        (b"[" * 13 + b"]" * 13, "too_deep"),
        (b"[" * 9_000, "too_deep"),
        (b'{"a":' * 9_000, "too_deep"),
        (b'"' + b"x" * 10_000 + b'"', "too_large"),
        (b'"\x01"', "not_json"),
    ],
)
def test_refused(text: bytes, code: str) -> None:
    limit = 60_000 if code == "too_deep" else 9_999
    with pytest.raises(MalformedError) as caught:
        loads(text, max_bytes=limit)
    assert caught.value.code == code


def test_a_pair_of_surrogates_is_a_letter() -> None:
    assert loads(b'"\\ud83d\\udce2"', max_bytes=99) == "📢"


def test_text_counts_by_its_bytes() -> None:
    text = json.dumps("ệ" * 40, ensure_ascii=False)
    assert loads(text, max_bytes=122) == "ệ" * 40
    with pytest.raises(MalformedError) as caught:
        loads(text, max_bytes=121)
    assert caught.value.code == "too_large"
    with pytest.raises(MalformedError, match="UTF-8"):
        loads('"\ud800"', max_bytes=10)


def test_only_objects() -> None:
    assert loads_object(b'{"a":[1]}', max_bytes=99) == {"a": [1]}
    with pytest.raises(MalformedError) as caught:
        loads_object(b"[1]", max_bytes=99)
    assert caught.value.code == "not_an_object"


@given(st.binary(max_size=300))
def test_never_another_exception(data: bytes) -> None:
    with suppress(MalformedError):
        loads(data, max_bytes=200)
