"""A plan as it is made: compiled, encoded, by reference. Pure.

Rules kept here: each distinct day is encoded once and shared by every cluster that has it; a day without items is not
listed; a cluster whose day is too large for the wire keeps its former plan and is named.

Not here: when it is made and for whom it is signed (:mod:`controller.services.planning`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from schedules.compiler import CompiledPlan, DayPlan, compile_plan

from controller.services.rulebook import Gap
from protocol.documents import DayReference, day_sha256, encode_day
from protocol.errors import ProtocolError
from schedules.model import ClusterSettings, Item, Relay
from schedules.rules import Rule


@dataclass(frozen=True, slots=True)
class Window:
    """A relay that is to be carried: one occurrence, and where."""

    rule_id: str
    recurrence: datetime
    title: str
    priority: int
    source_id: str
    start: datetime
    end: datetime
    clusters: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One day as agents fetch it."""

    reference: DayReference | None  # None: the day has no items
    body: bytes


@dataclass(slots=True)
class MadePlan:
    """The result of one compilation: days by cluster as references, and the bytes behind them."""

    compiled: CompiledPlan
    settings: Mapping[str, ClusterSettings]
    days: dict[str, tuple[DayReference, ...]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    unencodable: dict[str, str] = field(default_factory=dict)  # cluster -> why it keeps its former plan
    gaps: Mapping[str, tuple[Gap, ...]] = field(default_factory=dict)


def make_plan(
    rules: Sequence[Rule],
    settings: Mapping[str, ClusterSettings],
    span: tuple[date, int],
    gaps: Mapping[str, tuple[Gap, ...]],
) -> MadePlan:
    """Compile and encode. Meant for a thread: it touches nothing shared."""
    compiled = compile_plan(rules, tuple(settings.values()), first_day=span[0], days=span[1])
    plan = MadePlan(compiled, settings, gaps=gaps)
    seen: dict[int, _Encoded] = {}
    shared: dict[tuple[int, ...], tuple[DayReference, ...]] = {}
    for cluster_id, days in compiled.days.items():
        key = tuple(id(day) for day in days)
        try:
            if key not in shared:
                shared[key] = _references(days, seen, plan.bodies)
            plan.days[cluster_id] = shared[key]
        except ProtocolError as error:
            plan.unencodable[cluster_id] = error.detail
    return plan


def relay_windows(plan: MadePlan, after: datetime, before: datetime) -> tuple[Window, ...]:
    """Relays that sound somewhere between two instants."""
    found: dict[tuple[str, datetime], tuple[Item, set[str]]] = {}
    for cluster_id, days in plan.compiled.days.items():
        for day in days:
            for item in day.items:
                if isinstance(item.content, Relay) and item.start < before and item.nominal_end > after:
                    found.setdefault((item.rule_id, item.recurrence), (item, set()))[1].add(cluster_id)
    return tuple(_window(item, clusters) for item, clusters in found.values())


def _references(
    days: Sequence[DayPlan], seen: dict[int, _Encoded], bodies: dict[str, bytes]
) -> tuple[DayReference, ...]:
    """The days of one cluster by reference; each distinct day is encoded once."""
    found: list[DayReference] = []
    for day in days:
        encoded = seen.get(id(day))
        if encoded is None:
            encoded = seen[id(day)] = _encode(day)
        if encoded.reference is not None:
            bodies[encoded.reference.sha256] = encoded.body
            found.append(encoded.reference)
    return tuple(found)


def _encode(day: DayPlan) -> _Encoded:
    if not day.items:
        return _Encoded(None, b"")
    body = encode_day(day)
    return _Encoded(DayReference(day.date, day_sha256(body), len(body)), body)


def _window(item: Item, clusters: set[str]) -> Window:
    source_id = item.content.source_id if isinstance(item.content, Relay) else ""
    return Window(
        item.rule_id,
        item.recurrence,
        item.title,
        int(item.priority),
        source_id,
        item.start,
        item.nominal_end,
        frozenset(clusters),
    )
