"""The golden vectors: bytes that may not change, checked here without the code that made them as well."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol import messages
from protocol.bundle import unpack
from protocol.codec import decode, encode
from protocol.documents import DocumentKind
from protocol.errors import ProtocolError
from protocol.items import decode_day, encode_day
from schedules.instants import from_unix_us
from tests.unit.protocol import district as d
from tests.vectors.make import FILES, HERE, LATER, render


def load(name: str) -> Any:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(FILES))
def test_the_generator_still_makes_these_bytes(name: str) -> None:
    assert render(FILES[name]) == (HERE / name).read_text(encoding="utf-8"), (
        f"tests/vectors/{name} differs from what the code makes: the wire changed. "
        "If that is meant: python -m tests.vectors.make"
    )


def test_keys_by_hand() -> None:
    for name, row in load("keys.json").items():
        public = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(row["seed"])).public_key().public_bytes_raw()
        digest = hashlib.sha256(public).digest()
        assert row["public"] == public.hex(), name
        assert row["fingerprint"] == digest.hex()
        assert row["key_id"] == struct.unpack(">I", digest[:4])[0]
        assert row["agent_id"] == digest.hex()[:32]


def _publics() -> dict[str, Ed25519PublicKey]:
    return {
        row["fingerprint"]: Ed25519PublicKey.from_public_bytes(bytes.fromhex(row["public"]))
        for row in load("keys.json").values()
    }


def test_envelopes_by_hand() -> None:
    """DSSE as its specification writes it, with nothing of ours."""
    publics = _publics()
    for row in load("documents.json")["encode"]:
        body, kind = row["body"].encode(), row["payload_type"].encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
        assert row["pae"] == pae.hex()
        envelope = json.loads(row["envelope"])
        assert base64.b64decode(envelope["payload"]) == body
        assert [each["keyid"] for each in envelope["signatures"]] == row["signed_by"]
        for each in envelope["signatures"]:
            publics[each["keyid"]].verify(base64.b64decode(each["sig"]), pae)
        assert encode(decode(DocumentKind(row["kind"]), body)) == body


def test_bundles_by_hand() -> None:
    publics = {row["key_id"]: row["fingerprint"] for row in load("keys.json").values()}
    for row in load("bundles.json")["encode"]:
        data = bytes.fromhex(row["frame"])
        signed, signature = data[:-64], data[-64:]
        head = row["header"]
        _publics()[publics[head["key_id"]]].verify(signature, b"loa-bundle-1\0" + signed)
        wide = (int(head["timeline"], 16), int(head["stream"], 16))
        made = struct.pack(
            ">BBBBIQQIHHqQHH",
            *(head[name] for name in ("version", "type", "flags", "codec", "key_id")),
            *wide,
            *(head[name] for name in ("seq", "lead_ms", "frame_samples", "play_at", "sample_index", "frames")),
            0,
        )
        packets = [bytes.fromhex(packet) for packet in row["packets"]]
        assert signed == made + b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
        assert list(unpack(data).packets) == packets


def test_days_by_hand() -> None:
    vectors = load("days.json")
    for row in vectors["encode"]:
        assert hashlib.sha256(row["body"].encode()).hexdigest() == row["sha256"]
        day = decode_day(row["body"].encode())
        assert encode_day(day).decode() == row["body"]
        for item, occurrence in zip(json.loads(row["body"])["items"], row["occurrences_at_cluster"], strict=True):
            seconds, micros = divmod(item["recurrence"], 1_000_000)
            stamp = f"{_utc(seconds)}.{micros:06d}Z"
            text = "\x1f".join(("loa-occurrence-1", item["rule"], stamp, vectors["cluster"]))
            assert hashlib.sha256(text.encode()).hexdigest() == occurrence


def _utc(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))


def test_messages() -> None:
    for text in load("messages.json")["encode"]:
        assert messages.encode(messages.decode(text)) == text


def test_proofs_by_hand() -> None:
    vectors, keys = load("handshake.json"), load("keys.json")
    publics = _publics()
    parts = "".join((vectors["agent_nonce"], vectors["controller_nonce"], vectors["certificate"]))
    tail = bytes.fromhex(parts + keys["agent"]["public"])
    _, challenge, auth = (json.loads(text) for text in vectors["encode"])
    for role, words, key, message in (
        (b"controller\0", "controller_signs", "plan", challenge),
        (b"agent\0\0\0\0\0\0", "agent_signs", "agent", auth),
    ):
        signed = b"loa-auth-1\0" + role + tail
        assert vectors[words] == signed.hex()
        publics[keys[key]["fingerprint"]].verify(bytes.fromhex(message["signature"]), signed)


def test_digits_by_hand() -> None:
    vectors, shared, keys = load("enrolment.json"), load("handshake.json"), load("keys.json")
    nonces = bytes.fromhex(shared["agent_nonce"] + shared["controller_nonce"] + shared["certificate"])
    publics = bytes.fromhex(keys["agent"]["public"] + keys["root"]["public"])
    digest = hashlib.sha256(b"loa-enrol-1\0code\0\0\0\0\0\0\0" + nonces + publics).digest()
    digits = f"{struct.unpack('>Q', digest[:8])[0] % 10**8:08d}"
    assert vectors["digits"] == f"{digits[:4]} {digits[4:]}"
    agent = bytes.fromhex(shared["agent_nonce"] + keys["agent"]["public"])
    assert vectors["commitment"] == hashlib.sha256(b"loa-enrol-1\0commit\0\0\0\0\0" + agent).hexdigest()


def test_refusals() -> None:
    vectors = load("refusals.json")
    codes = set()
    for row in vectors["refuse"]:
        agent = d.new_agent()
        state = agent.state
        agent.take(state.verify_plan(vectors["accepted_before"][1], now=LATER))
        agent.take(state.verify_command(vectors["accepted_before"][2], now=LATER))
        now = None if row["now"] is None else from_unix_us(row["now"])
        with pytest.raises(ProtocolError) as caught:
            getattr(state, row["judge"])(row["envelope"], now=now)
        assert caught.value.code == row["code"], row["name"]
        codes.add(row["code"])
    assert len(codes) >= 13
