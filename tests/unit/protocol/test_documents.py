"""Documents and days: what is read back equals what was written; what is odd is refused by name."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given

from protocol.codec import decode, encode
from protocol.documents import Document, DocumentKind, PlanManifest, kind_of
from protocol.errors import MalformedError, TrustError
from protocol.items import DayDocument, day_sha256, decode_day, encode_day
from protocol.jsonsafe import dumps
from protocol.limits import MAX_DAY
from schedules.ladder import Priority
from tests.unit.protocol import district as d
from tests.unit.protocol import strategies as some


@given(some.documents)
def test_documents_round_trip(document: Document) -> None:
    body = encode(document)
    assert decode(kind_of(document), body) == document
    assert encode(decode(kind_of(document), body)) == body


@given(some.days)
def test_days_round_trip(day: DayDocument) -> None:
    body = encode_day(day)
    assert decode_day(body) == day
    assert encode_day(decode_day(body)) == body


def test_a_day_names_no_cluster_so_clusters_share_it() -> None:
    day = DayDocument(date(2026, 11, 22), (d.item(), d.item(title="Tin khác")))
    assert d.CLUSTER.encode() not in encode_day(day)
    assert day_sha256(encode_day(day)) == day_sha256(encode_day(DayDocument(day.date, day.items)))


@pytest.mark.parametrize(
    "priority", [Priority.DRILL, Priority.EMERGENCY_STORED, Priority.EMERGENCY_LIVE, Priority.STOP]
)
def test_a_day_may_not_carry_what_the_plan_key_may_not_sign(priority: Priority) -> None:
    with pytest.raises(TrustError) as caught:
        decode_day(encode_day(DayDocument(date(2026, 11, 22), (d.item(priority),))))
    assert caught.value.code == "wrong_role"


def test_unknown_fields_are_ignored() -> None:
    value = json.loads(encode(d.plan())) | {"later": {"version": [1, 2]}}
    assert decode(DocumentKind.PLAN, dumps(value)) == d.plan()
    key = json.loads(encode(d.key_set()))
    key["keys"][0]["roles"].append("a-role-of-tomorrow")
    assert decode(DocumentKind.KEY_SET, dumps(key)) == d.key_set()


def _changed(document: Document, path: list[Any], value: Any) -> bytes:
    whole = json.loads(encode(document))
    node = whole
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return dumps(whole)


ODD: list[tuple[Document, list[Any], Any]] = [
    (d.plan(), ["seq"], 0),
    (d.plan(), ["seq"], True),
    (d.plan(), ["seq"], 1.0),
    (d.plan(), ["seq"], "1"),
    (d.plan(), ["seq"], None),
    (d.plan(), ["term"], 2**32),
    (d.plan(), ["agent"], "AB" * 16),
    (d.plan(), ["agent"], "ab" * 15),
    (d.plan(), ["cluster"], "../../etc"),
    (d.plan(), ["cluster"], "cl_x\n"),
    (d.plan(), ["cluster"], ""),
    (d.plan(), ["issued"], -1),
    (d.plan(), ["expires"], 0),
    (d.plan(), ["expires"], 9 * 10**15),
    (d.plan(), ["days"], {}),
    (d.plan(), ["days"], [[]]),
    (d.plan(), ["days", 0, "date"], "2026-02-30"),
    (d.plan(), ["days", 0, "date"], "20261122"),
    (d.plan(), ["days", 0, "date"], "2027-11-22"),
    (d.plan(), ["days", 0, "bytes"], MAX_DAY + 1),
    (d.plan(), ["days", 0, "sha256"], "G" * 64),
    (d.key_set(), ["keys", 0, "key_id"], 7),
    (d.key_set(), ["keys", 0, "roles"], "plan"),
    (d.key_set(), ["keys", 0, "not_after"], 0),
    (d.settings(), ["cluster", "timezone"], "Asia/Nowhere"),
    (d.settings(), ["cluster", "timezone"], "../../../etc/passwd"),
    (d.settings(), ["cluster", "gains"], [[40, 99.0]]),
    (d.settings(), ["cluster", "gains"], [[41, 0.0]]),
    (d.settings(), ["cluster", "gains"], [[40, 0.0], [30, 0.0]]),
    (d.settings(), ["cluster", "gains"], [[40]]),
    (d.settings(), ["cluster", "gains"], [[40, True]]),
    (d.settings(), ["cluster", "quiet_hours"], {"begin": "21:30", "end": "04:45:00"}),
    (d.settings(), ["cluster", "quiet_hours"], {"begin": "24:00:00", "end": "04:45:00"}),
    (d.settings(), ["cluster", "quiet_hours"], {"begin": "04:45:00", "end": "04:45:00"}),
    (d.settings(), ["cluster", "output_delay_us"], -1),
    (d.settings(), ["cluster", "duck_db"], 0),
    (d.settings(), ["cluster", "duck_db"], -41.0),
    (d.settings(), ["cluster", "duck_db"], "off"),
    (d.settings(), ["cluster", "amplifier"], {"port": "gpio", "lead_us": 0, "tail_us": 0}),
    (d.settings(), ["cluster", "amplifier"], {"port": "usb", "lead_us": 0, "tail_us": 0}),
    (d.settings(), ["cluster", "max_item_us"], 10**12),
    (d.command(), ["nonce"], ""),
    (d.command(), ["targets"], {}),
    (d.command(), ["targets"], {"everyone": 1}),
    (d.command(), ["targets"], {"clusters": ["cl_a", "cl_a"]}),
    (d.command(), ["targets"], {"clusters": ["cl_a"] * 2000}),
    (d.command(), ["order"], {"kind": "reboot"}),
    (d.command(), ["order"], {"kind": "withdraw"}),
    (d.command(), ["order"], "stop"),
    (d.command(), ["expires"], 2 * 10**15),
    (d.play(), ["order", "item", "priority"], 45),
    (d.play(), ["order", "item", "title"], "a\x00b"),
    (d.play(), ["order", "item", "title"], "x" * 301),
    (d.play(), ["order", "item", "expires"], 1),
    (d.play(), ["order", "item", "slot_end"], 1),
    (d.play(), ["order", "item", "late"], {"kind": "play_full_within"}),
    (d.play(), ["order", "item", "late"], {"kind": "join", "within_us": 5}),
    (d.play(), ["order", "item", "content"], {"pieces": []}),
    (d.play(), ["order", "item", "content"], {"source": "so_a", "fallback": []}),
    (d.play(), ["order", "item", "content", "pieces", 0, "frames"], 0),
    (d.play(), ["order", "item", "content", "pieces", 0, "frames"], 48_000 * 3600 * 13),
    (d.play(), ["order", "item", "content", "pieces", 0, "clip"], "../../x"),
    (d.stream_open(), ["stream"], 5),
    (d.stream_open(), ["stream"], "5"),
    (d.stream_open(), ["not_after"], 2 * 10**15),
    (d.stream_open(), ["rule"], "pr_without_recurrence"),
]


@pytest.mark.parametrize(
    ("document", "path", "value"), ODD, ids=[f"{'.'.join(map(str, p))}={v!r:.30}" for _, p, v in ODD]
)
def test_odd_fields_are_refused_by_name(document: Document, path: list[Any], value: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        decode(kind_of(document), _changed(document, path, value))
    assert caught.value.code == "bad_field"


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1e999", b"9007199254740993"])
def test_numbers_that_are_none(text: bytes) -> None:
    body = encode(d.settings()).replace(b"-6.0", text)
    assert text in body
    with pytest.raises(MalformedError) as caught:
        decode(DocumentKind.SETTINGS, body)
    assert caught.value.code == "bad_number"


def test_a_plan_of_too_many_bytes_in_all() -> None:
    days = [{"date": f"2026-01-{n:02}", "sha256": "ab" * 32, "bytes": MAX_DAY} for n in range(1, 6)]
    with pytest.raises(MalformedError, match="in all"):
        decode(DocumentKind.PLAN, _changed(d.plan(), ["days"], days))


def test_a_day_that_agents_would_refuse_is_not_made() -> None:
    many = tuple(d.item(title="x" * 300) for _ in range(2_000))
    with pytest.raises(MalformedError) as caught:
        encode_day(DayDocument(date(2026, 11, 22), many))
    assert caught.value.code == "too_large"


def test_a_relay_and_its_window_travel() -> None:
    item = d.item(Priority.RELAY, slot_end=d.item().start + timedelta(minutes=5))
    body = encode_day(DayDocument(date(2026, 11, 22), (item,)))
    assert decode_day(body).items[0].slot_end == item.slot_end


def test_the_manifest_is_small() -> None:
    assert isinstance(d.plan(), PlanManifest)
    assert len(encode(d.plan())) < 1_200
