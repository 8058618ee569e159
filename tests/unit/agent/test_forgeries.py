"""A thousand forged, replayed, expired, relabelled and wrong-target orders against an agent's real chain: clerk, trust,
conductor, arbiter, player. Zero sounds, each refused with a reason, counted; and then the real order is obeyed."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from protocol.codec import encode, seal_document
from protocol.documents import PAYLOAD_TYPES, Command, DocumentKind, PlayOrder, StreamOpen, Targets
from protocol.envelope import open_envelope, seal
from protocol.errors import ProtocolError
from protocol.jsonsafe import dumps
from protocol.keys import Role, SigningKey
from protocol.messages import AckOutcome
from schedules.ladder import Priority
from schedules.model import Clip, Recorded
from tests.unit.agent.post import ACCEPTED, NOW, Post, alarm, sound
from tests.unit.agent.rehearsal import CLUSTER, clip
from tests.unit.protocol import district as d

FORGERIES = 1_000
COMMAND = PAYLOAD_TYPES[DocumentKind.COMMAND]


KEY_OF = {
    Priority.EMERGENCY_STORED: d.EMERGENCY,
    Priority.EMERGENCY_LIVE: d.EMERGENCY,
    Priority.DRILL: d.DRILL,
    Priority.PROGRAMME: d.PLAN,
}
classes = st.sampled_from(sorted(KEY_OF))
keys = st.sampled_from([d.PLAN, d.LIVE, d.EMERGENCY, d.DRILL, d.STRANGER, d.ROOT, d.AGENT])


def resealed(envelope: bytes, **changes: Any) -> bytes:
    return dumps(json.loads(envelope) | changes)


def with_body(command: Command, alter: Callable[[dict[str, Any]], object], *, sign: SigningKey | None = None) -> bytes:
    """The order with its body altered; under the old signature, or under ``sign``'s."""
    body = json.loads(encode(command))
    alter(body)
    if sign is not None:
        return seal(COMMAND, dumps(body), sign)
    order = command.order
    assert isinstance(order, PlayOrder)
    genuine = seal_document(command, KEY_OF[order.item.priority])
    return resealed(genuine, payload=base64.b64encode(dumps(body)).decode())


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """Bytes altered on the way."""
    real = bytearray(seal_document(alarm(draw(classes)), d.EMERGENCY))
    at = draw(st.integers(0, len(real) - 1))
    match draw(st.sampled_from(["flip", "cut", "insert", "end"])):
        case "flip":
            real[at] ^= 1 << draw(st.integers(0, 6))
        case "cut":
            del real[at : at + draw(st.integers(1, 60))]
        case "insert":
            real[at:at] = draw(st.binary(min_size=1, max_size=8))
        case _:
            del real[at:]
    return bytes(real)


@st.composite
def wrong_key(draw: st.DrawFn) -> bytes:
    """A key that may not sign this class; the whole table."""
    priority = draw(classes)
    key = draw(keys.filter(lambda key: key is not KEY_OF[priority]))
    return seal_document(alarm(priority), key)


@st.composite
def relabelled(draw: st.DrawFn) -> bytes:
    """A drill made an emergency, an emergency made a drill; under the old signature, or by the key at hand."""
    first, second = draw(st.permutations([Priority.DRILL, Priority.EMERGENCY_STORED]))
    key = KEY_OF[first]

    def relabel(body: dict[str, Any]) -> None:
        body["order"]["item"]["priority"] = int(second)

    return with_body(alarm(first), relabel, sign=draw(st.sampled_from([None, key])))


@st.composite
def unmarked(draw: st.DrawFn) -> bytes:
    """A drill that does not say so, first and last."""
    other = clip("other", 4)
    pieces: tuple[Clip, ...] = draw(
        st.sampled_from([(other,), (d.NOTICE, other), (other, d.NOTICE), (other, d.NOTICE, other)])
    )
    one = replace(sound(Priority.DRILL, NOW), content=Recorded(pieces))
    return seal_document(alarm(order=PlayOrder(one)), d.DRILL)


@st.composite
def stale(draw: st.DrawFn) -> bytes:
    """Expired, from the future, or out of its number's order."""
    priority = draw(classes)
    back = draw(st.timedeltas(timedelta(0), timedelta(days=300)))
    match draw(st.sampled_from(["expired", "future", "replayed", "term", "same"])):
        case "expired":
            issued = NOW - back - timedelta(minutes=30)
            expires = issued + timedelta(minutes=30)
            return seal_document(alarm(priority, issued=issued, expires=expires), KEY_OF[priority])
        case "future":
            issued = NOW + timedelta(minutes=11) + draw(st.timedeltas(timedelta(0), timedelta(hours=9)))
            return seal_document(
                alarm(priority, issued=issued, expires=issued + timedelta(minutes=5)), KEY_OF[priority]
            )
        case "replayed":
            return seal_document(alarm(priority, seq=draw(st.integers(1, ACCEPTED))), KEY_OF[priority])
        case "same":
            return seal_document(alarm(priority, seq=ACCEPTED, nonce=draw(st.just("aa" * 16))), KEY_OF[priority])
        case _:
            return seal_document(alarm(priority, term=draw(st.integers(2, 2**32 - 1))), KEY_OF[priority])


@st.composite
def astray(draw: st.DrawFn) -> bytes:
    """For somebody else."""
    priority = draw(classes)
    names = draw(st.lists(st.sampled_from(["cl_a", "cl_b", CLUSTER + "x", "CL_KRONGKLANG"]), min_size=1, unique=True))
    agents = draw(st.lists(st.sampled_from(["0" * 32, d.AGENT_ID[::-1]]), unique=True))
    targets = Targets(clusters=tuple(names), agents=tuple(agents))
    return seal_document(alarm(priority, targets=targets), KEY_OF[priority])


@st.composite
def odd_bodies(draw: st.DrawFn) -> bytes:
    """Under a good signature, what no honest hand writes: twice the same name, numbers beyond all bounds, nonsense."""
    priority = draw(classes)
    body = encode(alarm(priority))
    which = draw(st.sampled_from(["twice", "huge", "nan", "type", "life", "deep", "empty"]))
    numbers = st.sampled_from([b"1e400", b"9" * 400, b"-1", b"1.5", b"true", b'"1"', b"NaN", b"Infinity", b"null"])
    seq = f'"seq":{ACCEPTED + 1}'.encode()
    if which == "twice":
        odd = body.replace(seq, seq + b"," + seq)
    elif which in {"huge", "nan"}:
        odd = body.replace(seq, b'"seq":' + draw(numbers))
    elif which == "deep":
        odd = body.replace(seq, seq + b',"x":' + b"[" * 60 + b"]" * 60)
    elif which == "empty":
        odd = draw(st.sampled_from([b"{}", b"[]", b"null", b"", b'{"order":{}}']))
    elif which == "life":
        odd = dumps(json.loads(body) | {"expires": json.loads(body)["issued"] + 25 * 3_600_000_000})
    else:
        field = draw(st.sampled_from(["targets", "order", "nonce", "issued", "expires", "term"]))
        odd = dumps(json.loads(body) | {field: draw(st.sampled_from([None, 0, "", [], {}, -1, 2**64]))})
    return seal(COMMAND, odd, KEY_OF[priority])


@st.composite
def odd_envelopes(draw: st.DrawFn) -> bytes:
    """The wrapping: another type, no signature, the wrong number of them, of nobody, cut short."""
    priority = draw(classes)
    real = seal_document(alarm(priority), KEY_OF[priority])
    envelope = json.loads(real)
    (signature,) = envelope["signatures"]
    kinds = [kind for kind in DocumentKind if kind is not DocumentKind.COMMAND]
    random_sig = base64.b64encode(draw(st.binary(min_size=64, max_size=64))).decode()
    choices: list[bytes] = [
        resealed(real, payloadType=PAYLOAD_TYPES[draw(st.sampled_from(kinds))]),
        resealed(
            real, payloadType=draw(st.sampled_from(["", "none", "application/json", "application/vnd.loa.drill"]))
        ),
        resealed(real, signatures=[]),
        resealed(real, signatures=[signature] * draw(st.integers(2, 4))),
        resealed(real, signatures=[signature | {"sig": random_sig}]),
        resealed(real, signatures=[signature | {"sig": signature["sig"][: draw(st.integers(0, 80))]}]),
        resealed(real, signatures=[signature | {"keyid": draw(keys).fingerprint + "0"}]),
        resealed(real, signatures=[{"keyid": d.STRANGER.fingerprint, "sig": signature["sig"]}]),
        real.replace(b'"payloadType"', b'"payloadType":"x","payloadType"'),
    ]
    return draw(st.sampled_from(choices))


forgeries = st.one_of(
    bent(),
    wrong_key(),
    relabelled(),
    unmarked(),
    stale(),
    astray(),
    odd_bodies(),
    odd_envelopes(),
    st.binary(min_size=2, max_size=400),
)


def _is_whole(envelope: bytes) -> bool:
    """An altered envelope may still carry the very bytes that were signed (a blank between two tokens)."""
    try:
        parsed = open_envelope(envelope)
    except ProtocolError:
        return False
    return any(
        (parsed.payload, parsed.payload_type, parsed.signatures) == (one.payload, one.payload_type, one.signatures)
        for one in _genuine()
    )


@cache
def _genuine() -> list[Envelope]:
    return [open_envelope(seal_document(alarm(priority), d.EMERGENCY)) for priority in KEY_OF]


def test_a_thousand_forged_orders_make_no_sound() -> None:
    post = Post()
    codes: Counter[str] = Counter()

    @settings(
        max_examples=FORGERIES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(forgeries)
    def attack(envelope: bytes) -> None:
        if _is_whole(envelope):
            envelope = b"{}"
        answer = post.offer(envelope)
        assert answer.outcome is AckOutcome.REFUSED, envelope
        assert answer.code
        assert post.stage.conductor.idle
        codes[answer.code] += 1

    attack()
    assert sum(codes.values()) >= FORGERIES
    expected = {
        *("bad_signature", "unknown_key", "wrong_role", "wrong_type", "wrong_target", "expired", "not_yet_valid"),
        *("replayed", "term_not_rooted", "drill_unmarked", "duplicate_key", "bad_number", "bad_field", "unsigned"),
        *("too_many_signatures", "bad_envelope", "too_deep"),
    }
    assert expected <= set(codes), expected - set(codes)
    assert post.trust.counters == post.before
    reported = set(post.stage.events())
    assert {"wrong_role", "replayed", "drill_unmarked"} <= reported
    post.stage.run_for(900)
    assert post.stage.records() == []
    # And it was not deafened by any of it.
    assert post.offer(seal_document(alarm(start=post.stage.now), d.EMERGENCY)).outcome is not AckOutcome.REFUSED
    post.stage.run_for(3)
    assert post.stage.heard() == "bulletin forged"


@pytest.mark.parametrize("after_a_reboot", [False, True])
def test_the_same_order_again_sounds_once(*, after_a_reboot: bool) -> None:
    post = Post()
    real = seal_document(alarm(seconds=5), d.EMERGENCY)
    post.offer(real)
    post.stage.run_for(20)
    assert len(post.stage.records()) == 1
    if after_a_reboot:
        post.stage = post.stage.crash(off_for=5)
        post.stage.conductor.take(alarm(seconds=5))
    for _ in range(20):
        if not after_a_reboot:
            assert post.offer(real).code in {"already_have", "replayed"}
        post.stage.run_for(5)
    assert len(post.stage.records()) == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(priority=st.sampled_from(Priority), role=st.sampled_from(Role), stream=st.booleans())
def test_no_key_crosses_from_drill_to_emergency_or_back(priority: Priority, role: Role, *, stream: bool) -> None:
    """Every class, every role: what a drill key signs is a drill, and what an emergency key signs never is."""
    agent = d.new_agent()
    key = d.KEYS[role]
    document: Command | StreamOpen = d.play(priority)
    if stream:
        document = d.stream_open(priority, key)
    judge = agent.state.verify_stream_open if stream else agent.state.verify_command
    code = ""
    try:
        judge(seal_document(document, key), now=d.NOW + timedelta(seconds=5))
    except ProtocolError as error:
        code = error.code
    if code == "drill_unmarked":
        assert stream
        assert (role, priority) == (Role.DRILL, Priority.DRILL)
    elif code:
        assert code == "wrong_role"
    else:
        assert (role is Role.DRILL) == (priority is Priority.DRILL)
        assert (role is Role.EMERGENCY) == (priority >= Priority.EMERGENCY_STORED)
