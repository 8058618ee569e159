"""A root, online keys, an agent and its documents, from fixed seeds: what the protocol's tests talk about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from protocol.bundle import Bundle
from protocol.codec import seal_document
from protocol.counters import Counters
from protocol.documents import (
    Command,
    DayReference,
    Order,
    PlanManifest,
    PlayOrder,
    RootSuccessor,
    Settings,
    StockClip,
    StockKind,
    StopOrder,
    StreamOpen,
    Targets,
)
from protocol.keys import KeySet, OnlineKey, Role, SigningKey, agent_id_of
from protocol.trust import TrustedState, Verified
from schedules.instants import Frames, MediaUs
from schedules.ladder import Priority
from schedules.model import Approval, Clip, ClusterSettings, Item, Pause, Recorded

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
YEAR = timedelta(days=400)
CLUSTER = "cl_tarut00002"


def seeded(name: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(name.encode()).digest())


ROOT = seeded("root 1")
NEXT_ROOT = seeded("root 2")
OTHER_ROOT = seeded("a rogue's root")
PLAN = seeded("plan")
LIVE = seeded("live")
EMERGENCY = seeded("emergency")
DRILL = seeded("drill")
STRANGER = seeded("stranger")
AGENT = seeded("agent")
AGENT_ID = agent_id_of(AGENT.public)
KEYS = {Role.PLAN: PLAN, Role.LIVE: LIVE, Role.EMERGENCY: EMERGENCY, Role.DRILL: DRILL}

STREAM = 0xA1A2A3A4A5A6A7A8
TIMELINE = 0x0102030405060708
EVERYONE = Targets(everyone=True)


def online(role: Role, key: SigningKey | None = None, **changes: Any) -> OnlineKey:
    return replace(
        OnlineKey.of((key or KEYS[role]).public, frozenset({role}), NOW - timedelta(days=1), NOW + YEAR), **changes
    )


def key_set(**changes: Any) -> KeySet:
    keys = tuple(online(role) for role in Role)
    return replace(KeySet(ROOT.fingerprint, 1, 1, NOW - timedelta(days=1), NOW + YEAR, keys), **changes)


def successor(**changes: Any) -> RootSuccessor:
    return replace(RootSuccessor(2, ROOT.fingerprint, NEXT_ROOT.public, NOW), **changes)


#: What every drill begins and ends with here, and an emergency message.
NOTICE = Clip("d1" * 32, Frames(48_000 * 4))
STOCK = (
    StockClip(NOTICE.sha256, NOTICE.frames, 12_000, StockKind.DRILL_NOTICE),
    StockClip("cd" * 32, Frames(48_000 * 60), 180_000),
)


def settings(**changes: Any) -> Settings:
    cluster = ClusterSettings(
        CLUSTER, "Asia/Ho_Chi_Minh", gains=((Priority.PROGRAMME, -6.0),), languages=("vi", "bru"), duck_db=-20.0
    )
    return replace(Settings(AGENT_ID, 1, 1, NOW, NOW + YEAR, cluster, STOCK), **changes)


def plan(**changes: Any) -> PlanManifest:
    days = tuple(DayReference(date(2026, 11, 22) + timedelta(days=n), f"{n:064x}", 700 + n) for n in range(7))
    value = PlanManifest(AGENT_ID, CLUSTER, 1, 1, NOW, NOW + timedelta(days=8), "ab" * 32, days)
    return replace(value, **changes)


def item(priority: Priority = Priority.PROGRAMME, **changes: Any) -> Item:
    clip = Clip("cd" * 32, Frames(48_000 * 60), Approval("us_officer0001", NOW - timedelta(hours=3)))
    chime = Clip("ef" * 32, Frames(96_000))
    first, last = (NOTICE, NOTICE) if priority is Priority.DRILL else (chime, chime)
    content = Recorded((first, clip, Pause(Frames(48_000 * 30)), clip, last))
    start = NOW + timedelta(hours=1)
    value = Item("pr_bantin0001", start, "Bản tin xã Tà Rụt", priority, start, start + timedelta(minutes=10), content)
    return replace(value, **changes)


def command(order: Order | None = None, **changes: Any) -> Command:
    value = Command(1, 1, NOW, NOW + timedelta(minutes=30), "0f" * 16, EVERYONE, order or StopOrder())
    return replace(value, **changes)


def play(priority: Priority = Priority.PROGRAMME, **changes: Any) -> Command:
    return command(PlayOrder(item(priority)), **changes)


def stream_open(priority: Priority = Priority.COMMUNE_LIVE, key: SigningKey = LIVE, **changes: Any) -> StreamOpen:
    not_after = NOW + timedelta(minutes=10)
    value = StreamOpen(STREAM, TIMELINE, priority, key.key_id, NOW, not_after, EVERYONE, "Phát trực tiếp", 1, 1)
    return replace(value, **changes)


def bundle(key: SigningKey = LIVE, **changes: Any) -> Bundle:
    packets = tuple(bytes([0x78, n]) * 20 for n in range(10))
    value = Bundle(key.key_id, TIMELINE, STREAM, 1, 400, 960, MediaUs(5_000_000), 0, packets)
    return replace(value, **changes)


@dataclass
class Agent:
    """An agent that persists in memory and starts again from there."""

    state: TrustedState
    key_set: bytes | None = None

    def take(self, verified: Verified[Any]) -> Any:
        self.state.commit(verified)
        if isinstance(verified.document, KeySet):
            self.key_set = verified.envelope
        return verified.document

    def reboot(self) -> Agent:
        counters = Counters.from_dict(self.state.counters.to_dict())
        notices = self.state.drill_notices
        state = TrustedState(AGENT_ID, self.state.root_public, counters, self.key_set, drill_notices=notices)
        return Agent(state, self.key_set)


def new_agent() -> Agent:
    """An agent that has just been enrolled and got its first key set."""
    notices = frozenset({NOTICE.sha256})
    agent = Agent(TrustedState(AGENT_ID, ROOT.public, cluster_id=CLUSTER, drill_notices=notices))
    agent.take(agent.state.verify_keyset(seal_document(key_set(), ROOT), now=NOW))
    return agent
