"""Live bundles: framing, and the gate."""

from __future__ import annotations

import struct
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import DOMAIN, HEADER, MAX_PACKETS, Bundle, pack, unpack
from protocol.codec import seal_document
from protocol.errors import MalformedError, ProtocolError, TrustError
from protocol.gate import BundleGate
from protocol.keys import SIGNATURE_BYTES, SigningKey, verifies
from protocol.limits import MAX_BINARY
from schedules.instants import MediaUs
from schedules.ladder import Priority
from tests.unit.protocol import district as d
from tests.unit.protocol import strategies as some

LATER = d.NOW + timedelta(seconds=1)


@given(some.bundles(d.LIVE.key_id))
def test_framing_round_trip(bundle: Bundle) -> None:
    data = pack(bundle, d.LIVE)
    assert unpack(data) == bundle
    assert len(data) <= MAX_BINARY
    assert verifies(d.LIVE.public, data[-SIGNATURE_BYTES:], DOMAIN + data[:-SIGNATURE_BYTES])


def test_the_layout_is_the_documented_one() -> None:
    data = pack(d.bundle(seq=3, end=True, discontinuity=True), d.LIVE)
    assert HEADER.size == 52
    assert data[:4] == bytes([1, 1, 3, 1])
    assert struct.unpack_from(">I", data, 4)[0] == d.LIVE.key_id
    assert struct.unpack_from(">QQ", data, 8) == (d.TIMELINE, d.STREAM)
    assert struct.unpack_from(">IHH", data, 24) == (3, 400, 960)
    assert struct.unpack_from(">qQHH", data, 32) == (5_000_000, 0, 10, 0)
    assert struct.unpack_from(">H", data, 52)[0] == 40
    assert len(data) == 52 + 10 * 42 + 64


@given(st.binary(max_size=400))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        unpack(data)


@given(st.data())
def test_every_cut_is_refused(data: st.DataObject) -> None:
    whole = pack(d.bundle(), d.LIVE)
    with pytest.raises(MalformedError):
        unpack(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (0, b"\x02", "wrong_version"),
        (1, b"\x02", "bad_bundle"),
        (2, b"\x04", "bad_bundle"),
        (3, b"\x02", "bad_bundle"),
        (30, b"\x00\x01", "bad_bundle"),
        (32, b"\xff" * 8, "bad_bundle"),
        (48, b"\xff\xff", "bad_bundle"),
        (48, b"\x00\x00", "bad_bundle"),
        (48, b"\x00\x0b", "bad_bundle"),
        (50, b"\x00\x01", "bad_bundle"),
        (52, b"\xff\xff", "bad_bundle"),
        (52, b"\x00\x00", "bad_bundle"),
    ],
)
def test_odd_headers(at: int, value: bytes, code: str) -> None:
    data = bytearray(pack(d.bundle(), d.LIVE))
    data[at : at + len(value)] = value
    with pytest.raises(MalformedError) as caught:
        unpack(bytes(data))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "bundle",
    [
        d.bundle(packets=()),
        d.bundle(packets=(b"",)),
        d.bundle(packets=(bytes(1501),)),
        d.bundle(packets=(b"x",) * (MAX_PACKETS + 1)),
        d.bundle(packets=(bytes(1500),) * 44),
        d.bundle(frame_samples=441),
        d.bundle(seq=-1),
        d.bundle(seq=2**32),
        d.bundle(play_at=MediaUs(-1)),
        d.bundle(lead_ms=70_000),
        d.bundle(d.PLAN),
    ],
)
def test_what_does_not_fit_is_not_packed(bundle: Bundle) -> None:
    with pytest.raises(MalformedError):
        pack(bundle, d.LIVE)


def test_too_large() -> None:
    with pytest.raises(MalformedError) as caught:
        unpack(bytes(MAX_BINARY + 1))
    assert caught.value.code == "too_large"


class TestGate:
    @pytest.fixture
    def gate(self) -> BundleGate:
        agent = d.new_agent()
        return agent.state.gate(
            agent.take(agent.state.verify_stream_open(seal_document(d.stream_open(), d.LIVE), now=LATER))
        )

    def refuses(self, gate: BundleGate, code: str, data: bytes) -> None:
        with pytest.raises(ProtocolError) as caught:
            gate.accept(data, now=LATER)
        assert caught.value.code == code

    def test_lets_through_in_rising_order(self, gate: BundleGate) -> None:
        for seq in (0, 1, 2, 7):
            assert gate.accept(pack(d.bundle(seq=seq), d.LIVE), now=LATER).seq == seq
        for seq in (7, 6, 0):
            self.refuses(gate, "replayed", pack(d.bundle(seq=seq), d.LIVE))

    @pytest.mark.parametrize(
        ("bundle", "key", "code"),
        [
            (d.bundle(stream=5), d.LIVE, "wrong_stream"),
            (d.bundle(timeline=5), d.LIVE, "wrong_timeline"),
            (d.bundle(d.EMERGENCY), d.EMERGENCY, "unknown_key"),
            (d.bundle(d.STRANGER), d.STRANGER, "unknown_key"),
        ],
    )
    def test_only_what_was_opened(self, gate: BundleGate, bundle: Bundle, key: SigningKey, code: str) -> None:
        self.refuses(gate, code, pack(bundle, key))

    def test_a_forgery_does_not_move_the_counter(self, gate: BundleGate) -> None:
        forged = bytearray(pack(d.bundle(seq=2**32 - 1), d.LIVE))
        forged[-1] ^= 1
        self.refuses(gate, "bad_signature", bytes(forged))
        assert gate.accept(pack(d.bundle(seq=1), d.LIVE), now=LATER).seq == 1

    def test_a_document_signature_is_none_for_a_bundle(self, gate: BundleGate) -> None:
        signed = pack(d.bundle(), d.LIVE)[:-SIGNATURE_BYTES]
        self.refuses(gate, "bad_signature", signed + d.LIVE.sign(signed))

    def test_its_time_is_over(self, gate: BundleGate) -> None:
        with pytest.raises(TrustError) as caught:
            gate.accept(pack(d.bundle(), d.LIVE), now=d.stream_open().not_after)
        assert caught.value.code == "expired"

    def test_extension(self, gate: BundleGate) -> None:
        gate.accept(pack(d.bundle(seq=8), d.LIVE), now=LATER)
        longer = d.stream_open(seq=2, not_after=d.NOW + timedelta(hours=1))
        gate.extend(longer)
        assert gate.opened == longer
        self.refuses(gate, "replayed", pack(d.bundle(seq=8), d.LIVE))
        assert gate.accept(pack(d.bundle(seq=9), d.LIVE), now=d.stream_open().not_after).seq == 9
        with pytest.raises(TrustError, match="extension"):
            gate.extend(d.stream_open(Priority.EMERGENCY_LIVE, d.EMERGENCY, seq=3))

    def test_no_gate_for_a_key_that_may_not(self) -> None:
        state = d.new_agent().state
        with pytest.raises(TrustError, match="class"):
            state.gate(d.stream_open(Priority.EMERGENCY_LIVE, d.LIVE))
