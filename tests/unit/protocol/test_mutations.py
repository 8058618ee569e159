"""A thousand ways to alter what was signed; none is believed, and each refusal is a code, never another exception."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.bundle import pack
from protocol.codec import seal_document
from protocol.envelope import seal
from protocol.errors import ProtocolError
from protocol.jsonsafe import dumps
from protocol.trust import TrustedState, Verified
from schedules.ladder import Priority
from tests.unit.protocol import district as d

LATER = d.NOW + timedelta(seconds=5)
MUTATIONS = 1_000

Judge = Callable[[TrustedState, bytes], Verified[Any]]


def _judge(name: str, now: datetime | None = LATER) -> Judge:
    return lambda state, data: getattr(state, name)(data, now=now)


SIGNED: list[tuple[str, bytes, Judge]] = [
    ("plan", seal_document(d.plan(), d.PLAN), _judge("verify_plan")),
    ("settings", seal_document(d.settings(), d.PLAN), _judge("verify_settings")),
    ("command", seal_document(d.play(Priority.EMERGENCY_STORED), d.EMERGENCY), _judge("verify_command", None)),
    ("stop", seal_document(d.command(), d.PLAN), _judge("verify_command")),
    ("stream", seal_document(d.stream_open(), d.LIVE), _judge("verify_stream_open")),
    ("keys", seal_document(d.key_set(version=2), d.ROOT), _judge("verify_keyset")),
    ("root", seal_document(d.successor(), d.ROOT, d.NEXT_ROOT), lambda state, data: state.verify_root(data)),
]


def _flip(chance: random.Random, data: bytes) -> bytes:
    altered = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
    return bytes(altered)


def _cut(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randrange(1, 40) :]


def _insert(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.randrange(1, 9)) + data[start:]


def _swap_value(chance: random.Random, data: bytes) -> bytes:
    """Keeps the envelope valid and alters the signed body in one place."""
    envelope = json.loads(data)
    body = json.loads(base64.b64decode(envelope["payload"]))
    name = chance.choice(sorted(body))
    body[name] = chance.choice([None, 0, 1, -1, 2**53 - 1, "", "x" * 64, [], {}, True, 1.5, [body[name]]])
    if dumps(body) == base64.b64decode(envelope["payload"]):
        body[name] = "never this"
    envelope["payload"] = base64.b64encode(dumps(body)).decode()
    return dumps(envelope)


def _swap_signature(chance: random.Random, data: bytes) -> bytes:
    envelope = json.loads(data)
    odd = [
        [],
        {},
        None,
        [None],
        [{}],
        [{"keyid": d.PLAN.fingerprint, "sig": ""}],
        [{"keyid": d.PLAN.fingerprint, "sig": base64.b64encode(chance.randbytes(64)).decode()}],
        [{"keyid": d.PLAN.fingerprint, "sig": base64.b64encode(bytes(64)).decode()}],
        [{"keyid": "none", "sig": base64.b64encode(bytes(64)).decode()}],
        [{"keyid": 5, "sig": 5}],
        envelope["signatures"] * 2,
        envelope["signatures"] * 3,
    ]
    envelope["signatures"] = chance.choice(odd)
    return dumps(envelope)


def _relabel(chance: random.Random, data: bytes) -> bytes:
    envelope = json.loads(data)
    envelope["payloadType"] = chance.choice(
        ["", "application/json", "application/vnd.loa.drill.v1+json", 5, None, envelope["payloadType"] + " ", "ấ"]
    )
    return dumps(envelope)


CHANGES = [_flip, _cut, _insert, _swap_value, _swap_signature, _relabel]


def _means_the_same(data: bytes, original: bytes) -> bool:
    """Whether an altered envelope still carries the very same signed bytes (a blank between tokens, say)."""
    try:
        one, other = json.loads(data), json.loads(original)
        parts = [
            (each["payload"], each["payloadType"], [(s["keyid"], s["sig"]) for s in each["signatures"]])
            for each in (one, other)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return parts[0] == parts[1]


@pytest.mark.parametrize(("name", "sealed", "judge"), SIGNED, ids=[name for name, _, _ in SIGNED])
def test_a_thousand_altered_documents(name: str, sealed: bytes, judge: Judge) -> None:
    agent = d.new_agent()
    before = agent.state.counters
    chance = random.Random(f"mutations of {name}")
    codes: dict[str, int] = {}
    for n in range(MUTATIONS):
        data = CHANGES[n % len(CHANGES)](chance, sealed)
        if _means_the_same(data, sealed):
            continue
        with pytest.raises(ProtocolError) as caught:
            judge(agent.state, data)
        codes[caught.value.code] = codes.get(caught.value.code, 0) + 1
    assert agent.state.counters == before
    assert codes["bad_signature"] > 100
    assert len(codes) >= 6, codes
    judge(agent.state, sealed)  # and the real one is still good


def test_a_thousand_altered_bundles() -> None:
    agent = d.new_agent()
    gate = agent.state.gate(d.stream_open())
    chance = random.Random("mutations of a bundle")
    real = pack(d.bundle(), d.LIVE)
    for n in range(MUTATIONS):
        data = (_flip, _cut, _insert)[n % 3](chance, real)
        if data == real:
            continue
        with pytest.raises(ProtocolError) as caught:
            gate.accept(data, now=LATER)
        assert caught.value.code
    assert gate.accept(real, now=LATER) == d.bundle()


@settings(max_examples=200)
@given(st.binary(max_size=600) | st.text(max_size=300))
def test_noise(data: bytes | str) -> None:
    state = d.new_agent().state
    for judge in (state.verify_plan, state.verify_command, state.verify_settings, state.verify_stream_open):
        with pytest.raises(ProtocolError):
            judge(data, now=None)
    with pytest.raises(ProtocolError):
        state.verify_keyset(data, now=None)
    with pytest.raises(ProtocolError):
        state.verify_root(data)


def test_what_a_signer_may_get_wrong_is_refused_too() -> None:
    """Bodies nobody honest makes, under good signatures: still a code, never a crash."""
    agent = d.new_agent()
    chance = random.Random("odd bodies")
    for name, sealed, judge in SIGNED:
        keys = {"command": [d.EMERGENCY], "stream": [d.LIVE], "keys": [d.ROOT], "root": [d.ROOT, d.NEXT_ROOT]}
        for _ in range(150):
            altered = json.loads(_swap_value(chance, sealed))
            resealed = seal(altered["payloadType"], base64.b64decode(altered["payload"]), *keys.get(name, [d.PLAN]))
            with suppress(ProtocolError):
                judge(agent.state, resealed)


def test_agents_of_one_district_do_not_mix() -> None:
    """A document for one agent is refused by all others, however often it is passed around."""
    sealed = seal_document(d.plan(), d.PLAN)
    for n in range(50):
        state = TrustedState(f"{n:032x}", d.ROOT.public)
        state.commit(state.verify_keyset(seal_document(d.key_set(), d.ROOT), now=LATER))
        with pytest.raises(ProtocolError) as caught:
            state.verify_plan(sealed, now=LATER)
        assert caught.value.code == "wrong_target"
