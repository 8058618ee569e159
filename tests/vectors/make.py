"""Makes the golden vectors of the wire: ``python -m tests.vectors.make`` writes them beside this file.

Everything comes from fixed seeds, so a run that changes nothing in the protocol changes no byte here. A changed
vector is a changed wire: it needs a new version or a very good reason. An implementation in another language is right
when it produces the bytes marked ``encode`` and refuses, with these codes, what is marked ``refuse``.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from protocol import link, messages
from protocol.bundle import HEADER, pack
from protocol.clock import ClockFilter
from protocol.codec import encode, seal_document
from protocol.documents import (
    PAYLOAD_TYPES,
    CloseStreamOrder,
    Document,
    PlayOrder,
    ReleaseOrder,
    SilentTestOrder,
    StopOrder,
    Targets,
    WithdrawOrder,
    kind_of,
)
from protocol.enrolment import AgentCode, AgentToken, ControllerCode, Provisioning
from protocol.envelope import open_envelope
from protocol.errors import ProtocolError
from protocol.handshake import AgentHandshake, ControllerHandshake
from protocol.items import DayDocument, day_sha256, encode_day
from protocol.keys import SigningKey
from protocol.trust import TrustedState
from schedules.instants import to_unix_us
from schedules.ladder import Priority
from schedules.model import LateKind, LatePolicy, Relay
from tests.unit.protocol import district as d
from tests.unit.protocol.paths import MOBILE, World
from tests.unit.protocol.test_messages import EXAMPLES

HERE = Path(__file__).parent
LATER = d.NOW + timedelta(minutes=1)
CERTIFICATE = link.certificate_hash(b"a certificate in DER, as far as this vector is concerned")
AGENT_NONCE, CONTROLLER_NONCE = b"a" * 32, b"c" * 32
TOKEN = "q3nX-4vTzJ0yS_mWcR5b2A"

NAMES: dict[str, SigningKey] = {
    "root": d.ROOT,
    "next_root": d.NEXT_ROOT,
    "plan": d.PLAN,
    "live": d.LIVE,
    "emergency": d.EMERGENCY,
    "drill": d.DRILL,
    "stranger": d.STRANGER,
    "agent": d.AGENT,
}

WINDOW = d.item(
    Priority.RELAY,
    rule_id="pr_tiepsong01",
    title="Tiếp sóng VOV1",
    content=Relay("so_vov1000001", (d.item().content.clips[0],)),
    slot_end=d.item().start + timedelta(minutes=9),
    late=LatePolicy(LateKind.PLAY_FULL, timedelta(minutes=2)),
)

DOCUMENTS: list[tuple[str, Document, tuple[SigningKey, ...]]] = [
    ("root", d.successor(), (d.ROOT, d.NEXT_ROOT)),
    ("key_set", d.key_set(), (d.ROOT,)),
    ("settings", d.settings(), (d.PLAN,)),
    ("plan", d.plan(), (d.PLAN,)),
    ("stop everyone", d.command(), (d.PLAN,)),
    ("stop two clusters, by the emergency key", d.command(targets=Targets(clusters=("cl_a", "cl_b"))), (d.EMERGENCY,)),
    ("withdraw one occurrence", d.command(WithdrawOrder("pr_bantin0001", d.NOW), seq=2), (d.PLAN,)),
    ("play a programme", d.play(seq=3), (d.PLAN,)),
    ("play a relay's window", d.command(PlayOrder(WINDOW), seq=4), (d.PLAN,)),
    ("play a drill", d.play(Priority.DRILL, seq=5), (d.DRILL,)),
    ("play a stored emergency", d.play(Priority.EMERGENCY_STORED, seq=6), (d.EMERGENCY,)),
    (
        "repeat a stored emergency every two hours",
        d.command(PlayOrder(d.item(Priority.EMERGENCY_STORED), timedelta(hours=2), d.NOW + timedelta(hours=12)), seq=8),
        (d.EMERGENCY,),
    ),
    ("stop, and be mute for ten minutes", d.command(StopOrder(timedelta(minutes=10)), seq=9), (d.EMERGENCY,)),
    ("end the mute", d.command(ReleaseOrder(), seq=10), (d.PLAN,)),
    ("prove yourself without a sound", d.command(SilentTestOrder(), seq=11), (d.DRILL,)),
    ("close a stream", d.command(CloseStreamOrder(d.STREAM), seq=7), (d.PLAN,)),
    ("open a live announcement", d.stream_open(), (d.LIVE,)),
    (
        "open a relay",
        d.stream_open(Priority.RELAY, rule_id="pr_tiepsong01", recurrence=WINDOW.recurrence, seq=2),
        (d.LIVE,),
    ),
    ("open an emergency voice", d.stream_open(Priority.EMERGENCY_LIVE, d.EMERGENCY, seq=3), (d.EMERGENCY,)),
]


def _keys() -> Any:
    return {
        name: {
            "seed": key.seed.hex(),
            "public": key.public.hex(),
            "fingerprint": key.fingerprint,
            "key_id": key.key_id,
            "agent_id": key.fingerprint[:32],
        }
        for name, key in NAMES.items()
    }


def _documents() -> Any:
    rows = []
    for name, document, keys in DOCUMENTS:
        kind = kind_of(document)
        sealed = seal_document(document, *keys)
        rows.append(
            {
                "name": name,
                "kind": kind.value,
                "payload_type": PAYLOAD_TYPES[kind],
                "signed_by": [key.fingerprint for key in keys],
                "body": encode(document).decode(),
                "pae": open_envelope(sealed, signatures=len(keys)).pae().hex(),
                "envelope": sealed.decode(),
            }
        )
    return {"now": to_unix_us(LATER), "agent": d.AGENT_ID, "cluster": d.CLUSTER, "encode": rows}


def _days() -> Any:
    rows = []
    for day in (
        DayDocument(date(2026, 11, 22), ()),
        DayDocument(date(2026, 11, 22), (d.item(), WINDOW)),
    ):
        body = encode_day(day)
        occurrences = [item.occurrence_for(d.CLUSTER) for item in day.items]
        rows.append({"body": body.decode(), "sha256": day_sha256(body), "occurrences_at_cluster": occurrences})
    return {"cluster": d.CLUSTER, "encode": rows}


_HEADER_FIELDS = (
    *("version", "type", "flags", "codec", "key_id", "timeline", "stream", "seq", "lead_ms", "frame_samples"),
    *("play_at", "sample_index", "frames", "reserved"),
)


def _bundles() -> Any:
    rows = []
    for name, bundle, key in (
        ("200 ms of speech", d.bundle(), d.LIVE),
        ("after a gap", d.bundle(seq=2, discontinuity=True, sample_index=9600, play_at=5_200_000), d.LIVE),
        ("the end, empty", d.bundle(seq=3, end=True, packets=(), sample_index=19_200, play_at=5_400_000), d.LIVE),
        ("an emergency voice", d.bundle(d.EMERGENCY, seq=2**32 - 1, timeline=2**64 - 1), d.EMERGENCY),
    ):
        data = pack(bundle, key)
        header = dict(zip(_HEADER_FIELDS, HEADER.unpack_from(data), strict=True))
        wide = {"timeline": f"{bundle.timeline:016x}", "stream": f"{bundle.stream:016x}"}
        packets = [packet.hex() for packet in bundle.packets]
        rows.append({"name": name, "header": header | wide, "packets": packets, "frame": data.hex()})
    return {"encode": rows}


def _messages() -> Any:
    return {"encode": [messages.encode(message) for message in EXAMPLES]}


def _handshake() -> Any:
    key_set = seal_document(d.key_set(), d.ROOT)
    parties = {"root_public": d.ROOT.public, "key_set": key_set, "certificate": CERTIFICATE, "nonce": CONTROLLER_NONCE}
    state = TrustedState(d.AGENT_ID, d.ROOT.public)
    agent = AgentHandshake(d.AGENT, state, certificate=CERTIFICATE, nonce=AGENT_NONCE, software="vector")
    controller = ControllerHandshake(d.PLAN, **parties)  # type: ignore[arg-type]
    hello = agent.hello()
    challenge = controller.on_hello(hello)
    auth = agent.on_challenge(challenge, now=LATER).auth
    controller.on_auth(auth)
    parts = (AGENT_NONCE, CONTROLLER_NONCE, CERTIFICATE, d.AGENT.public)
    return {
        "agent_nonce": AGENT_NONCE.hex(),
        "controller_nonce": CONTROLLER_NONCE.hex(),
        "certificate": CERTIFICATE.hex(),
        "controller_signs": link.auth_words(link.CONTROLLER, *parts).hex(),
        "agent_signs": link.auth_words(link.AGENT, *parts).hex(),
        "encode": [messages.encode(each) for each in (hello, challenge, auth)],
    }


def _enrolment() -> Any:
    key_set = seal_document(d.key_set(), d.ROOT)
    code = ControllerCode(
        d.PLAN, root_public=d.ROOT.public, key_set=key_set, certificate=CERTIFICATE, nonce=CONTROLLER_NONCE
    )
    agent = AgentCode(d.AGENT, certificate=CERTIFICATE, nonce=AGENT_NONCE, software="vector")
    commit = agent.commit()
    nonce = code.on_commit(commit)
    reveal = agent.on_nonce(nonce, now=LATER)
    pending = code.on_reveal(reveal)
    token = AgentToken(d.AGENT, root=d.ROOT.fingerprint, token=TOKEN, certificate=CERTIFICATE, nonce=AGENT_NONCE)
    controller = ControllerHandshake(
        d.PLAN, root_public=d.ROOT.public, key_set=key_set, certificate=CERTIFICATE, nonce=CONTROLLER_NONCE
    )
    given = token.on_challenge(controller.on_hello(token.hello()), now=LATER)
    parts = (AGENT_NONCE, CONTROLLER_NONCE, CERTIFICATE, d.AGENT.public, d.ROOT.public)
    committed = link.commitment(AGENT_NONCE, d.AGENT.public)
    flow = (commit, nonce, reveal, pending, code.approve(d.CLUSTER))
    return {
        "digits": code.digits,
        "commitment": committed.hex(),
        "controller_signs": link.nonce_words(committed, *parts[1:]).hex(),
        "agent_signs": link.reveal_words(*parts).hex(),
        "agent_signs_with_token": link.token_words(*parts, token=TOKEN).hex(),
        "provisioning_file": Provisioning("https://192.0.2.7:8471", d.ROOT.fingerprint, (TOKEN,)).to_bytes().decode(),
        "encode": [messages.encode(each) for each in flow],
        "encode_token": messages.encode(given),
    }


def _clock() -> Any:
    world, clock = World(MOBILE, 11), ClockFilter()
    rows = []
    for at in world.starts(400):
        burst, end = world.burst(at)
        verdict = clock.update(burst)
        now = world.mono(end + 1e6)
        rows.append(
            {
                "burst": [[each.t0, each.t1, each.t2, each.t3] for each in burst],
                "verdict": verdict.value,
                "mono": now,
                "media": clock.to_media(now),
                "sigma_us": round(clock.sigma_us(now)),
                "ready": clock.ready(now),
            }
        )
    return {"note": "floating point: media may differ by 1, sigma_us by 1", "bursts": rows}


Judge = Callable[[TrustedState, bytes, datetime | None], object]


def _refusals() -> Any:
    """Envelopes an agent that accepted ``key_set``, ``plan`` 5 and ``command`` 5 must refuse, and with which code."""
    rows = []
    for name, method, sealed, now in _bad():
        agent = d.new_agent()
        agent.take(agent.state.verify_plan(seal_document(d.plan(seq=5), d.PLAN), now=LATER))
        agent.take(agent.state.verify_command(seal_document(d.command(seq=5), d.PLAN), now=LATER))
        try:
            getattr(agent.state, method)(sealed, now=now)
        except ProtocolError as error:
            code = error.code
        else:
            raise AssertionError(f"{name} was accepted")
        judged = None if now is None else to_unix_us(now)
        rows.append({"name": name, "judge": method, "now": judged, "code": code, "envelope": sealed.decode()})
    accepted = [seal_document(each, key).decode() for each, key in (
        (d.key_set(), d.ROOT),
        (d.plan(seq=5), d.PLAN),
        (d.command(seq=5), d.PLAN),
    )]  # fmt: skip
    return {"agent": d.AGENT_ID, "cluster": d.CLUSTER, "accepted_before": accepted, "refuse": rows}


def _bad() -> list[tuple[str, str, bytes, datetime | None]]:
    plan, command, opened = "verify_plan", "verify_command", "verify_stream_open"
    good = json.loads(seal_document(d.plan(seq=6), d.PLAN))
    payload = base64.b64encode(encode(d.plan(seq=7))).decode()
    late = d.plan().expires
    rogue = d.key_set(version=2, root_fingerprint=d.OTHER_ROOT.fingerprint)
    return [
        ("unsigned", plan, json.dumps(good | {"signatures": []}).encode(), LATER),
        ("signed twice", plan, seal_document(d.plan(seq=6), d.PLAN, d.LIVE), LATER),
        ("altered", plan, json.dumps(good | {"payload": payload}).encode(), LATER),
        ("another payload type", command, json.dumps(good).encode(), LATER),
        ("a stranger's key", plan, seal_document(d.plan(seq=6), d.STRANGER), LATER),
        ("the live key on a plan", plan, seal_document(d.plan(seq=6), d.LIVE), LATER),
        ("for another agent", plan, seal_document(d.plan(seq=6, agent_id="0" * 32), d.PLAN), LATER),
        ("an older plan", plan, seal_document(d.plan(seq=4), d.PLAN), LATER),
        ("the same plan again", plan, seal_document(d.plan(seq=5), d.PLAN), LATER),
        ("another plan of the same number", plan, seal_document(d.plan(seq=5, days=()), d.PLAN), LATER),
        ("an expired plan", plan, seal_document(d.plan(seq=6), d.PLAN), late),
        ("a term the root never set", plan, seal_document(d.plan(seq=6, term=2), d.PLAN), LATER),
        ("a replayed command", command, seal_document(d.command(seq=5), d.PLAN), LATER),
        ("a command for another cluster", command, seal_document(
            d.command(seq=6, targets=Targets(clusters=("cl_other",))), d.PLAN), LATER),
        ("an emergency by the plan key", command, seal_document(
            d.play(Priority.EMERGENCY_STORED, seq=6), d.PLAN), LATER),
        ("a drill by the emergency key", command, seal_document(d.play(Priority.DRILL, seq=6), d.EMERGENCY), LATER),
        ("a drill that does not say so", command, seal_document(d.command(PlayOrder(
            replace(d.item(), priority=Priority.DRILL)), seq=6), d.DRILL), LATER),
        ("a live drill", opened, seal_document(d.stream_open(Priority.DRILL, d.DRILL), d.DRILL), LATER),
        ("a silent test by the emergency key", command, seal_document(
            d.command(SilentTestOrder(), seq=6), d.EMERGENCY), LATER),
        ("a live emergency by the drill key", command, seal_document(
            d.play(Priority.EMERGENCY_LIVE, seq=6), d.DRILL), LATER),
        ("a programme without trusted time", command, seal_document(d.play(seq=6), d.PLAN), None),
        ("an emergency stream by the live key", opened, seal_document(
            d.stream_open(Priority.EMERGENCY_LIVE), d.LIVE), LATER),
        ("a stream whose bundles a stranger signs", opened, seal_document(
            d.stream_open(key=d.STRANGER), d.LIVE), LATER),
        ("a key set of another root", "verify_keyset", seal_document(rogue, d.OTHER_ROOT), LATER),
    ]  # fmt: skip


FILES: dict[str, Callable[[], Any]] = {
    "keys.json": _keys,
    "documents.json": _documents,
    "days.json": _days,
    "bundles.json": _bundles,
    "messages.json": _messages,
    "handshake.json": _handshake,
    "enrolment.json": _enrolment,
    "clock.json": _clock,
    "refusals.json": _refusals,
}


def render(make: Callable[[], Any]) -> str:
    """One file's text."""
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files."""
    for name, make in FILES.items():
        (HERE / name).write_text(render(make), encoding="utf-8")
    sys.stderr.write(f"{len(FILES)} files of vectors written to {HERE}\n")


if __name__ == "__main__":
    main()
