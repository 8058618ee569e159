"""A plan as it is made: compiled, encoded, by reference. Pure.

Rules kept here: each distinct day is encoded once and shared by every cluster that has it; a day without items is not
listed; a cluster whose day is too large for the wire keeps its former plan and is named.

Not here: when it is made and for whom it is signed (:mod:`controller.services.planning`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from controller.services.rulebook import Gap
from protocol.documents import DayReference, day_sha256, encode_day
from protocol.errors import ProtocolError
from schedules.compiler import CompiledPlan, DayPlan, compile_plan, recompile
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
class EncodedDay:
    """One day as agents fetch it."""

    day: DayPlan
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
    windows: tuple[Window, ...] = ()
    encoded: dict[int, EncodedDay] = field(default_factory=dict)  # by identity of the day, which is kept with it


def make_plan(
    rules: Sequence[Rule],
    settings: Mapping[str, ClusterSettings],
    span: tuple[date, int],
    gaps: Mapping[str, tuple[Gap, ...]],
    before: MadePlan | None,
    *,
    pause: Callable[[], None] = lambda: None,
) -> MadePlan:
    """Compile and encode, taking over what did not change since ``before``. Meant for a thread, one call at a time.

    ``pause`` is called every now and then: it holds still while something is more urgent.
    """
    clusters, (first_day, days_wanted) = tuple(settings.values()), span
    if before is None:
        compiled = compile_plan(rules, clusters, first_day=first_day, days=days_wanted, pause=pause)
    else:
        compiled = recompile(before.compiled, rules, clusters, first_day=first_day, days=days_wanted, pause=pause)
    plan = MadePlan(compiled, settings, gaps=gaps, windows=_windows(compiled, pause))
    known = {} if before is None else before.encoded
    shared: dict[tuple[int, ...], tuple[DayReference, ...]] = {}
    for cluster_id, days in compiled.days.items():
        pause()
        key = tuple(id(day) for day in days)
        try:
            if key not in shared:
                shared[key] = _references(days, plan, known)
            plan.days[cluster_id] = shared[key]
        except ProtocolError as error:
            plan.unencodable[cluster_id] = error.detail
    return plan


def _windows(compiled: CompiledPlan, pause: Callable[[], None]) -> tuple[Window, ...]:
    """Every relay of the plan, with its clusters; each distinct day is looked through once."""
    relays: dict[int, tuple[Item, ...]] = {}
    found: dict[tuple[str, datetime], tuple[Item, set[str]]] = {}
    for cluster_id, days in compiled.days.items():
        pause()
        for day in days:
            items = relays.get(id(day))
            if items is None:
                items = relays[id(day)] = tuple(each for each in day.items if isinstance(each.content, Relay))
            for item in items:
                found.setdefault((item.rule_id, item.recurrence), (item, set()))[1].add(cluster_id)
    return tuple(_window(item, clusters) for item, clusters in found.values())


def _references(days: Sequence[DayPlan], plan: MadePlan, known: Mapping[int, EncodedDay]) -> tuple[DayReference, ...]:
    """The days of one cluster by reference; each distinct day is encoded once, also from plan to plan."""
    found: list[DayReference] = []
    for day in days:
        encoded = plan.encoded.get(id(day))
        if encoded is None:
            former = known.get(id(day))
            encoded = former if former is not None and former.day is day else _encode(day)
            plan.encoded[id(day)] = encoded
        if encoded.reference is not None:
            plan.bodies[encoded.reference.sha256] = encoded.body
            found.append(encoded.reference)
    return tuple(found)


def _encode(day: DayPlan) -> EncodedDay:
    if not day.items:
        return EncodedDay(day, None, b"")
    body = encode_day(day)
    return EncodedDay(day, DayReference(day.date, day_sha256(body), len(body)), body)


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
