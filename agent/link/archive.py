"""What the disk holds, verified again: the first thing a booting agent does.

A document that does not verify any more is left out and reported; the rest still counts. Only damaged counters stop
the agent from believing anything: then it must be enrolled again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import structlog

from agent.cache.pins import Pins
from agent.cache.state import KeptOrder, Key, StateStore
from agent.errors import StorageError
from agent.link.office import InForce, items_of
from protocol.counters import Counters
from protocol.documents import PlanManifest, Settings, day_sha256
from protocol.errors import MalformedError, ProtocolError
from protocol.trust import TrustedState
from schedules.model import Item

log = structlog.get_logger("agent.archive")


@dataclass(frozen=True, slots=True)
class Shelves:
    """The raw contents of an agent's database."""

    values: dict[Key, bytes] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    orders: tuple[KeptOrder, ...] = ()
    progress: dict[str, str] = field(default_factory=dict)
    plays: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Archive:
    """What of it may be believed. ``complaints``: codes and words of what was left out."""

    trust: TrustedState
    in_force: InForce
    items: tuple[Item, ...]
    kept: dict[bytes, KeptOrder]
    key_set: bytes | None
    complaints: tuple[tuple[str, str], ...]


def read_shelves(store: StateStore) -> Shelves:
    """Everything at once. Blocking."""
    return Shelves(store.read(), store.documents(), tuple(store.orders()), store.progress(), store.plays())


def restore(agent_id: str, pins: Pins, shelves: Shelves) -> Archive:
    """Verify everything.

    Raises:
        StorageError: ``counters_lost``.
    """
    complaints: list[tuple[str, str]] = []
    counters = _counters(shelves.values, pins.counters)
    root = bytes.fromhex(shelves.values.get(Key.ROOT, b"").decode() or pins.root_public.hex())
    key_set = shelves.values.get(Key.KEY_SET)
    try:
        trust = TrustedState(agent_id, root, counters, key_set, cluster_id=pins.cluster_id)
    except ProtocolError as error:
        complaints.append((error.code, f"the key set on the disk does not verify: {error.detail}"))
        key_set = None
        trust = TrustedState(agent_id, root, counters, cluster_id=pins.cluster_id)
    settings = _settings(trust, shelves, complaints)
    plan, items = _plan(trust, shelves, complaints)
    kept = {order.envelope: order for order in shelves.orders}
    return Archive(trust, InForce(settings, plan), items, kept, key_set, tuple(complaints))


def _counters(values: dict[Key, bytes], pinned: Counters) -> Counters:
    text = values.get(Key.COUNTERS)
    if text is None:
        return pinned
    try:
        counters = Counters.from_dict(json.loads(text))
    except (ValueError, MalformedError) as error:
        message = "the counters on the disk are damaged; enrol this agent again with an empty data directory"
        raise StorageError("counters_lost", message) from error
    for kind, mark in pinned.marks.items():  # the later of the two places
        counters = counters.advanced(kind, mark)
    return counters


def _settings(trust: TrustedState, shelves: Shelves, complaints: list[tuple[str, str]]) -> Settings | None:
    envelope = shelves.values.get(Key.SETTINGS)
    if envelope is None:
        return None
    try:
        return trust.restore_settings(envelope)
    except ProtocolError as error:
        complaints.append((error.code, f"the settings on the disk do not verify: {error.detail}"))
        return None


def _plan(
    trust: TrustedState, shelves: Shelves, complaints: list[tuple[str, str]]
) -> tuple[PlanManifest | None, tuple[Item, ...]]:
    envelope = shelves.values.get(Key.PLAN)
    if envelope is None:
        return None, ()
    try:
        plan = trust.restore_plan(envelope)
        for day in plan.days:
            if not _same(shelves.documents.get(day.sha256), day.sha256):
                complaints.append(("day_altered", f"the day {day.date} on the disk is not what the plan names"))
                return None, ()
        return plan, items_of(plan, shelves.documents)
    except ProtocolError as error:
        complaints.append((error.code, f"the plan on the disk does not verify: {error.detail}"))
        return None, ()


def _same(body: bytes | None, sha256: str) -> bool:
    return body is not None and day_sha256(body) == sha256
