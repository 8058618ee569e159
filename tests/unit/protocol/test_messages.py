"""The tagged union: every message there and back, everything odd refused, the unknown ignored."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocol import messages as m
from protocol.documents import PAYLOAD_TYPES, DocumentKind
from protocol.envelope import seal
from protocol.errors import MalformedError, ProtocolError, WrongVersionError
from protocol.limits import MAX_BODY, MAX_ENVELOPE, MAX_RECORDS, MAX_TEXT
from protocol.telemetry import (
    Arrivals,
    ClockState,
    Fault,
    Health,
    OutputState,
    PlanState,
    PlayOutcome,
    PlayRecord,
    SoundingState,
)
from tests.unit.protocol import district as d

H32, H64, H128 = "ab" * 16, "cd" * 32, "ef" * 64
SEALED = '{"payload":"…"}'
HEALTH = Health(uptime_s=5, temperature_c=61.5, clock=ClockState.READY, output=OutputState.OK, load_1m=0.5)
RECORD = PlayRecord(
    seq=1,
    occurrence_id=H64,
    rule_id="pr_x",
    recurrence=d.NOW,
    title="Bản tin",
    priority=40,
    outcome=PlayOutcome.PLAYED,
    planned_start=d.NOW,
    started=d.NOW,
    ended=d.NOW,
    start_error_us=-41,
    frames=48_000,
    stream=d.STREAM,
)
EXAMPLES: list[m.Message] = [
    m.Hello(agent_id=H32, public_key=H64, nonce=H64, software="loa 0.1.0"),
    m.Auth(signature=H128, certificate=H64),
    m.Clock(t0=123_456_789),
    m.Ack(document=DocumentKind.PLAN, term=1, seq=2, outcome=m.AckOutcome.REFUSED, code="expired", at=d.NOW),
    m.Status(
        at=d.NOW,
        health=HEALTH,
        plan=PlanState(plan_term=1, plan_seq=2, expires=d.NOW),
        sounding=SoundingState(occurrence_id=H64, priority=40, since=d.NOW),
        arrivals=Arrivals(bundles=900, late=2, p50_ms=8, p95_ms=21, p995_ms=230, needed_lead_ms=430),
        faults=(Fault(code="output_failed", since=d.NOW),),
    ),
    m.Records(journal=H32, records=(RECORD,)),
    m.Progress(
        term=1,
        seq=7,
        rule_id="al_lu",
        recurrence=d.NOW,
        stage=m.ProgressStage.FINISHED,
        at=d.NOW,
        start_error_us=-120,
        code="stopped",
        checks=(m.Check(name="stock", ok=True),),
    ),
    m.Event(code="quiet_hours", detail="không phát", at=d.NOW),
    m.Bye(reason="restart"),
    m.Listening(tap=7, on=False, code="nothing_to_hear", detail="it keeps time only"),
    m.Challenge(nonce=H64, key_id=1, signature=H128, certificate=H64, root_public=H64, key_set=SEALED),
    m.Welcome(session=H32, agent_id=H32, cluster_id="cl_a", timeline=d.TIMELINE, media_ticket="abc"),
    m.Refused(code="wrong_version", detail="…"),
    m.ClockReply(t0=1, t1=2, t2=3, timeline=2**64 - 1, utc_us=5, utc_quality=m.UtcQuality.SYNCHRONISED),
    m.RootOffer(envelope=SEALED),
    m.KeySetOffer(envelope=SEALED),
    m.SettingsOffer(envelope=SEALED),
    m.PlanOffer(envelope=SEALED),
    m.CommandOffer(envelope=SEALED),
    m.StreamOpenOffer(envelope=SEALED),
    m.StreamClose(stream=2**64 - 1),
    m.Listen(tap=7, bit_rate=16_000, seconds=60, anyway=True),
    m.ListenEnd(tap=7),
    m.RecordsAck(journal=H32, up_to=7),
    m.MediaTicket(ticket="abc", expires_s=600),
    m.EnrolToken(token="t" * 32, signature=H128, certificate=H64),
    m.EnrolCommit(public_key=H64, commitment=H64),
    m.EnrolNonce(nonce=H64, root_public=H64, key_set=SEALED, key_id=1, signature=H128, certificate=H64),
    m.EnrolReveal(nonce=H64, signature=H128),
    m.EnrolPending(),
    m.Enrolled(cluster_id="cl_a", agent_id=H32),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.type)
def test_there_and_back(message: m.Message) -> None:
    text = m.encode(message)
    assert m.decode(text) == message
    assert json.loads(text)["type"] == message.type
    assert m.decode(text.encode()) == message


def test_every_message_is_in_the_examples() -> None:
    assert {message.type for message in EXAMPLES} == set(m._MODELS)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.type)
def test_fields_of_tomorrow_are_ignored(message: m.Message) -> None:
    value = json.loads(m.encode(message)) | {"tomorrow": {"x": [1]}}
    assert m.decode(json.dumps(value)) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.type)
def test_messages_are_frozen(message: m.Message) -> None:
    with pytest.raises(ValidationError):
        setattr(message, "type", "other")  # noqa: B010 - mypy knows it is frozen; the run must know it too


def test_types_of_tomorrow_are_ignored() -> None:
    assert m.decode('{"type":"teleport","to":{"x":1}}') == m.Unknown(type="teleport")


def test_numbers_of_64_bits_travel_as_digits() -> None:
    assert json.loads(m.encode(m.StreamClose(stream=2**64 - 1)))["stream"] == "f" * 16
    assert json.loads(m.encode(m.StreamClose(stream=1)))["stream"] == "0" * 15 + "1"


def test_instants_travel_as_microseconds() -> None:
    at = datetime(2026, 11, 22, 4, 0, 0, 1, tzinfo=UTC)
    assert json.loads(m.encode(m.Event(code="x", at=at)))["at"] == 1_795_320_000_000_001


@pytest.mark.parametrize("at", [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=7)))])  # noqa: DTZ001 - meant
def test_instants_are_aware_and_utc(at: datetime) -> None:
    with pytest.raises(ValidationError):
        m.Event(code="x", at=at)


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, 1.0, True])
@pytest.mark.parametrize("kind", ["hello", "enrol_commit", "challenge"])
def test_another_version_is_refused_before_the_rest_is_looked_at(kind: str, version: Any) -> None:
    with pytest.raises(WrongVersionError) as caught:
        m.decode(json.dumps({"type": kind, "version": version, "nonce": 5}))
    assert caught.value.code == "wrong_version"
    assert "speaks" in caught.value.detail


HELLO = json.loads(m.encode(EXAMPLES[0]))
STATUS = json.loads(m.encode(EXAMPLES[4]))
RECORDS = json.loads(m.encode(EXAMPLES[5]))


def _health(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = STATUS | {"health": STATUS["health"] | changes}
    return value


ODD: list[dict[str, Any]] = [
    {},
    {"type": None},
    {"type": ["hello"]},
    {"type": "clock"},
    {"type": "clock", "t0": "5"},
    {"type": "clock", "t0": True},
    {"type": "clock", "t0": 1.5},
    HELLO | {"nonce": "AB" * 32},
    HELLO | {"nonce": "ab" * 31},
    HELLO | {"nonce": "ab" * 32 + "\n"},
    HELLO | {"agent_id": 5},
    HELLO | {"software": "x" * 101},
    HELLO | {"software": "\x1b[2J"},
    {"type": "stream_close", "stream": 5.0},
    {"type": "stream_close", "stream": "0xa1a2a3a4a5a6a7"},
    {"type": "stream_close", "stream": "-000000000000001"},
    {"type": "plan", "envelope": {"payload": ""}},
    {"type": "plan", "envelope": "x" * (MAX_ENVELOPE + 1)},
    {"type": "media_ticket", "ticket": "x", "expires_s": 0},
    {"type": "enrol_token", "token": "short", "signature": H128, "certificate": H64},
    _health(temperature_c="61"),
    _health(temperature_c=1e300),
    _health(temperature_c=True),
    _health(clock="lost"),
    _health(disk_free_mb=-1),
    _health(under_voltage=1),
    STATUS | {"faults": [{"code": "x", "since": 1}] * 33},
    STATUS | {"faults": [{"code": "Not A Code", "since": 1}]},
    STATUS | {"at": -1},
    STATUS | {"at": "2026-01-01T00:00:00Z"},
    RECORDS | {"records": []},
    RECORDS | {"records": RECORDS["records"] * (MAX_RECORDS + 1)},
    RECORDS | {"records": [RECORDS["records"][0] | {"seq": 0}]},
    RECORDS | {"records": [RECORDS["records"][0] | {"frames": -1}]},
    RECORDS | {"records": [RECORDS["records"][0] | {"title": "x" * 301}]},
    RECORDS | {"records": [RECORDS["records"][0] | {"outcome": "heard"}]},
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: json.dumps(value)[:60])
def test_odd_messages_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        m.decode(json.dumps(value))
    assert caught.value.code == "bad_message"
    assert len(caught.value.detail) <= 300


@pytest.mark.parametrize("number", ["NaN", "1e400", "Infinity", "-Infinity"])
def test_a_temperature_that_is_no_number(number: str) -> None:
    text = m.encode(EXAMPLES[4]).replace("61.5", number)
    with pytest.raises(MalformedError) as caught:
        m.decode(text)
    assert caught.value.code == "bad_number"
    with pytest.raises(ValidationError):
        Health(uptime_s=1, temperature_c=math.nan, clock=ClockState.READY, output=OutputState.OK)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(MalformedError) as caught:
        m.decode('{"type":"bye","reason":"\\ud800"}')
    assert caught.value.code == "bad_utf8"


def test_a_frame_that_is_too_large() -> None:
    with pytest.raises(MalformedError) as caught:
        m.decode('{"type":"' + "x" * MAX_TEXT + '"}')
    assert caught.value.code == "too_large"


def test_the_largest_documents_fit_a_frame() -> None:
    sealed = seal(PAYLOAD_TYPES[DocumentKind.COMMAND], bytes(MAX_BODY), d.PLAN)
    assert len(sealed) <= MAX_ENVELOPE
    text = m.encode(m.CommandOffer(envelope=sealed.decode()))
    assert m.decode(text) == m.CommandOffer(envelope=sealed.decode())


@given(st.binary(max_size=200) | st.text(max_size=100))
def test_noise_never_raises_anything_else(data: bytes | str) -> None:
    with pytest.raises(ProtocolError):
        m.decode(data)


@given(st.sampled_from(EXAMPLES), st.data())
def test_damaged_messages_never_raise_anything_else(message: m.Message, data: st.DataObject) -> None:
    text = bytearray(m.encode(message).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        m.decode(bytes(text))
