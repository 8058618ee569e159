"""What must never sound, tried against the whole chain of an agent: trust, gate, streams, player. With real keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio.playout import LiveChunk
from protocol.bundle import Bundle, pack, unpack
from protocol.codec import seal_document
from protocol.documents import DocumentKind, KeySet, StreamOpen, Targets
from protocol.errors import ProtocolError
from protocol.keys import OnlineKey, Role, SigningKey, agent_id_of, fingerprint
from protocol.trust import TrustedState
from schedules.instants import MediaUs
from schedules.ladder import Priority
from tests.unit.agent.rehearsal import T0, Rehearsal
from tests.unit.agent.test_live import TIMELINE, Studio, studio

ROOT, LIVE, EMERGENCY, DRILL, PLAN, STRANGER = (SigningKey.from_seed(bytes([n]) * 32) for n in range(1, 7))
ROLES = {LIVE: Role.LIVE, EMERGENCY: Role.EMERGENCY, DRILL: Role.DRILL, PLAN: Role.PLAN}
AGENT, CLUSTER = agent_id_of(b"a" * 32), "cl_here"
STREAM, OTHER = 5, 6


def trust() -> TrustedState:
    """An agent that pinned the root and knows one key for each role."""
    first, last = T0 - timedelta(days=1), T0 + timedelta(days=400)
    keys = tuple(OnlineKey.of(key.public, frozenset({role}), first, last) for key, role in ROLES.items())
    document = KeySet(fingerprint(ROOT.public), 1, 1, first, last, keys)
    fresh = TrustedState(AGENT, ROOT.public, cluster_id=CLUSTER)
    verified = fresh.verify_keyset(seal_document(document, ROOT), now=T0)
    fresh.commit(verified)
    return fresh


def opening(agent: Rehearsal, key: SigningKey = LIVE, **changes: object) -> bytes:
    document = StreamOpen(
        stream=STREAM,
        timeline=TIMELINE,
        priority=Priority.COMMUNE_LIVE,
        key_id=key.key_id,
        opened=agent.now,
        not_after=agent.now + timedelta(minutes=10),
        targets=Targets(clusters=(CLUSTER,)),
        title="the chair speaks",
        term=1,
        seq=1,
    )
    return seal_document(replace(document, **changes), key)  # type: ignore[arg-type]


class Booth:
    """A stream that was opened as it must be, and what of it reached the player."""

    def __init__(self) -> None:
        self.live: Studio = studio()
        agent = self.live.agent
        state = trust()
        document = state.verify_stream_open(opening(agent), now=agent.now).document
        agent.streams.open(document, state.gate(document), now=agent.now, trusted=True)
        stream = agent.streams.get(STREAM)
        assert stream is not None
        self.stream = stream
        self.reached: list[LiveChunk] = []
        feed = stream.feed.push

        def push(chunk: LiveChunk) -> None:
            self.reached.append(chunk)
            feed(chunk)

        stream.feed.push = push  # type: ignore[method-assign]
        self.live.begin_in(0.5)
        self.begin = self.live.play_at
        self.good = [self.genuine(number, end=number == 11) for number in range(12)]

    def genuine(self, number: int, key: SigningKey = LIVE, **changes: int) -> bytes:
        at = MediaUs(self.begin + number * 200_000)
        packets = (b"\xf8\xff\xfe",) * 10
        bundle = Bundle(key.key_id, TIMELINE, STREAM, number, 500, 960, at, number * 9600, packets)
        return pack(replace(bundle, **changes), key)  # type: ignore[arg-type]

    def push(self, data: bytes) -> None:
        self.live.agent.streams.push(data, now=self.live.agent.now)


ATTACKS = (
    "twice",
    "older",
    "flipped",
    "timeline",
    "target",
    "unopened",
    "stranger",
    "role",
    "renamed",
    "cut",
    "longer",
)


def attack(booth: Booth, how: str, number: int, place: int) -> bytes:  # noqa: PLR0911 - a table of attacks
    """One frame that must not sound."""
    good = booth.good[number]
    ahead = number + 1
    match how:
        case "twice" | "older":
            return booth.good[number if how == "twice" else max(0, number - 1 - place % 3)]
        case "flipped":
            at = place % len(good)
            return good[:at] + bytes([good[at] ^ (1 << place % 8)]) + good[at + 1 :]
        case "timeline":
            return booth.genuine(ahead, timeline=TIMELINE + 1)
        case "target" | "unopened":
            return booth.genuine(ahead, stream=OTHER + (how == "unopened"))
        case "stranger" | "role":
            return booth.genuine(ahead, STRANGER if how == "stranger" else (EMERGENCY, DRILL, PLAN)[place % 3])
        case "renamed":
            forged = bytearray(booth.genuine(ahead, STRANGER))
            forged[4:8] = LIVE.key_id.to_bytes(4, "big")
            return bytes(forged)
        case "cut":
            return good[: place % len(good)]
        case _:
            return good + b"\0"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(ATTACKS), st.integers(0, 10_000)), max_size=4), min_size=12, max_size=12
    )
)
def test_only_what_is_genuine_new_and_in_order_reaches_the_player(plan: list[list[tuple[str, int]]]) -> None:
    booth = Booth()
    agent = booth.live.agent
    for number, attacks in enumerate(plan):
        booth.push(booth.good[number])
        for how, place in attacks:
            booth.push(attack(booth, how, number, place))
        agent.conductor.step()
        agent.run_for(0.2)
    wanted = [unpack(each) for each in booth.good]
    assert [(chunk.play_at, chunk.packets) for chunk in booth.reached] == [(one.play_at, one.packets) for one in wanted]
    agent.run_for(4)
    (record,) = agent.records()
    assert record.frames == 12 * 9600
    assert record.stream == STREAM
    told = {code for code in agent.events() if code.startswith("bundle_")}
    assert bool(told) == any(plan)


@given(st.permutations(range(8)))
@settings(max_examples=30, deadline=None)
def test_out_of_order_only_what_rises_is_taken(order: list[int]) -> None:
    booth = Booth()
    rising, last = [], -1
    for number in order:
        booth.push(booth.good[number])
        if number > last:
            rising.append(number)
            last = number
    assert [chunk.sample_index // 9600 for chunk in booth.reached] == rising


@pytest.mark.parametrize(
    ("key", "changes", "code"),
    [
        (LIVE, {"priority": Priority.EMERGENCY_LIVE}, "wrong_role"),
        (LIVE, {"priority": Priority.DRILL}, "wrong_role"),
        (PLAN, {}, "wrong_role"),
        (DRILL, {"priority": Priority.EMERGENCY_LIVE}, "wrong_role"),
        (STRANGER, {}, "unknown_key"),
        (LIVE, {"key_id": EMERGENCY.key_id}, None),
        (LIVE, {"targets": Targets(clusters=("cl_elsewhere",))}, "wrong_target"),
        (LIVE, {"targets": Targets(agents=("f" * 32,))}, "wrong_target"),
        (LIVE, {"not_after": T0 - timedelta(minutes=1), "opened": T0 - timedelta(minutes=2)}, "expired"),
    ],
)
def test_a_stream_that_may_not_be_opened_is_not(key: SigningKey, changes: dict[str, object], code: str | None) -> None:
    agent = Rehearsal()
    with pytest.raises(ProtocolError) as refused:
        trust().verify_stream_open(opening(agent, key, **changes), now=agent.now)
    assert code is None or refused.value.code == code


def test_the_same_opening_again_is_no_new_stream() -> None:
    agent, state = Rehearsal(), trust()
    envelope = opening(agent)
    state.commit(state.verify_stream_open(envelope, now=agent.now))
    with pytest.raises(ProtocolError):
        state.verify_stream_open(envelope, now=agent.now)
    assert state.counters.get(DocumentKind.STREAM_OPEN) is not None
