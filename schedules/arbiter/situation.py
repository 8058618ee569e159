"""What the arbiter is told: the plan, live sources, orders, and what this cluster can do right now.

Rules kept here:

1. A situation is a value. Whoever holds the inputs makes a new one when any of them changes
   (:meth:`Situation.updated` keeps the sorted agenda when the plan did not change).
2. One occurrence is in the agenda once; a second item with the same identity is ignored.

Not here: what follows from it (:mod:`schedules.arbiter.engine`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from schedules.instants import Frames, require_utc
from schedules.ladder import Priority
from schedules.model import Clip, ClusterSettings, Content, Item, Recorded


@dataclass(frozen=True, slots=True)
class LiveSource:
    """One open live stream, as its signed stream-open told.

    ``rule_id`` and ``recurrence`` bind it to a relay item of the plan; without them it sounds by itself at its
    own class. ``healthy`` is the link's verdict: an unhealthy source gives way (to a fallback, or to a lower class)
    until it is healthy again.
    """

    stream_id: int
    priority: Priority
    opened_at: datetime
    not_after: datetime
    rule_id: str | None = None
    recurrence: datetime | None = None
    healthy: bool = True

    def __post_init__(self) -> None:
        require_utc(self.opened_at)
        require_utc(self.not_after)
        if (self.rule_id is None) != (self.recurrence is None):
            raise ValueError("a live source is bound by rule and recurrence together, or not at all")

    @property
    def occurrence_id(self) -> str:
        """The name of an unbound source in events and play records."""
        return f"stream-{self.stream_id:016x}"


@dataclass(frozen=True, slots=True)
class Stop:
    """Everything that was due or open at ``at`` is silent for good; what starts later goes on normally."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Withdraw:
    """From ``at`` on, one occurrence of a rule (or, without ``recurrence``, all of them) does not sound."""

    at: datetime
    rule_id: str
    recurrence: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlayNow:
    """Sound ``item`` from its first sample, from ``at`` on. Not held back by untrusted time.

    The order stays in the situation until the item is over; its ``at`` and its item's times are on the same
    clock as the arbiter's ``now``.
    """

    at: datetime
    item: Item


Order = Stop | Withdraw | PlayNow


@dataclass(frozen=True, slots=True)
class Entry:
    """An item with what the arbiter asks of it again and again."""

    item: Item
    occurrence_id: str
    total: Frames | None  # None for a relay, which has no length of its own
    ordered: bool  # by PlayNow, not by the plan
    content: str  # a fingerprint of what sounds

    @staticmethod
    def of(item: Item, cluster_id: str, *, ordered: bool = False) -> Entry:
        """The entry for ``item`` at one cluster."""
        total = item.content.frames if isinstance(item.content, Recorded) else None
        return Entry(item, item.occurrence_for(cluster_id), total, ordered, _fingerprint(item.content))


def _fingerprint(content: Content) -> str:
    """Tells whether a new plan means the same sound. Not a signature: the plan around it is signed."""
    if isinstance(content, Recorded):
        text = ",".join(p.sha256 if isinstance(p, Clip) else str(p.frames) for p in content.pieces)
    else:
        text = content.source_id
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Agenda:
    """The plan's items sorted by start, so that a step looks at what is near and not at the whole horizon."""

    entries: tuple[Entry, ...]
    starts: tuple[datetime, ...]
    by_id: dict[str, Entry]
    longest: timedelta  # from start to expiry, over all items

    @staticmethod
    def of(items: tuple[Item, ...], cluster_id: str) -> Agenda:
        """Sort the items; of two with one identity the first given is kept."""
        by_id: dict[str, Entry] = {}
        for item in items:
            entry = Entry.of(item, cluster_id)
            by_id.setdefault(entry.occurrence_id, entry)
        entries = tuple(sorted(by_id.values(), key=lambda e: (e.item.start, e.item.recurrence, e.item.rule_id)))
        longest = max((e.item.expires - e.item.start for e in entries), default=timedelta(0))
        return Agenda(entries, tuple(e.item.start for e in entries), by_id, longest)

    def started_between(self, after: datetime, until: datetime) -> tuple[Entry, ...]:
        """Entries with ``after <= start <= until``."""
        return self.entries[bisect_left(self.starts, after) : bisect_right(self.starts, until)]

    def next_start(self, after: datetime) -> datetime | None:
        """The first start strictly later than ``after``."""
        index = bisect_right(self.starts, after)
        return self.starts[index] if index < len(self.starts) else None


class SituationChanges(TypedDict, total=False):
    """What :meth:`Situation.updated` takes."""

    settings: ClusterSettings
    items: tuple[Item, ...]
    live: tuple[LiveSource, ...]
    orders: tuple[Order, ...]
    ready_from: datetime
    missing: frozenset[str]
    time_trusted: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a decision depends on, except the past (:class:`~schedules.arbiter.state.State`) and ``now``.

    ``ready_from`` is the instant since which the agent can sound without a break: raise it to the present after a
    boot, a suspend or a step of the wall clock, so that what lies between is judged as absence, not as played.
    ``missing`` names clips (SHA-256) that are not in the cache. With ``time_trusted`` false nothing of the plan starts.
    """

    settings: ClusterSettings
    items: tuple[Item, ...] = ()
    live: tuple[LiveSource, ...] = ()
    orders: tuple[Order, ...] = ()
    ready_from: datetime = field(kw_only=True)
    missing: frozenset[str] = frozenset()
    time_trusted: bool = True
    agenda: Agenda = field(init=False, repr=False, compare=False)
    ordered: dict[str, Entry] = field(init=False, repr=False, compare=False)  # by occurrence
    _agenda: Agenda | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        require_utc(self.ready_from)
        agenda = self._agenda or Agenda.of(self.items, self.settings.cluster_id)
        object.__setattr__(self, "agenda", agenda)
        object.__setattr__(self, "_agenda", None)
        cluster = self.settings.cluster_id
        items = [order.item for order in self.orders if isinstance(order, PlayNow)]
        entries = [Entry.of(item, cluster, ordered=True) for item in items]
        object.__setattr__(self, "ordered", {entry.occurrence_id: entry for entry in entries})

    def updated(self, **changes: Unpack[SituationChanges]) -> Situation:
        """A copy with some inputs changed; cheap when the plan is the same object and the cluster the same."""
        same_plan = changes.get("items", self.items) is self.items
        same_cluster = changes.get("settings", self.settings).cluster_id == self.settings.cluster_id
        return replace(self, **changes, _agenda=self.agenda if same_plan and same_cluster else None)
