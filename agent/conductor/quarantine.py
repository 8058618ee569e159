"""What kills the agent is set aside, so that the rest is heard: emergencies above all.

Rules kept here:

1. The arbiter is a pure function. When it raises, what it was given is searched for the one thing without which it
   does not: an item of the plan, an order, a live source. That is set aside for good. Should it be the memory itself,
   that is begun anew, with everything stopped that was due until now, so that nothing is heard twice.
2. A sound that kills the whole process (a decoder's fault) leaves its name on the disk, written when it is armed and
   taken away once it has sounded :data:`SAFE_US`. The second start in a row that ends that way sets it aside; an
   emergency gets five, because a box whose power gives way under the horns must not lose it.
3. At most :data:`REMEMBERED` names are kept; the oldest is forgotten first.

Not here: who tells (:mod:`agent.conductor.conductor`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from agent.conductor.stage import Act
from schedules.arbiter import LiveSource, Order, Situation, State, advance
from schedules.instants import MonoUs
from schedules.model import Item

#: Deaths in a row after which a sound is not tried again.
DEATHS = 2
DEATHS_EMERGENCY = 5

#: A sound that was heard this long did not kill anybody.
SAFE_US = 10_000_000

REMEMBERED = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Findings:
    """What must be left out so that the arbiter answers; ``state_lost``: its memory is no good."""

    items: tuple[Item, ...] = ()
    orders: tuple[Order, ...] = ()
    live: tuple[LiveSource, ...] = ()
    state_lost: bool = False


def search(state: State, situation: Situation, now: datetime) -> Findings | None:
    """Find what makes the arbiter raise; None when it is none of its inputs."""

    def works(items: Sequence[Item], orders: Sequence[Order], live: Sequence[LiveSource], past: State = state) -> bool:
        try:
            advance(past, situation.updated(items=tuple(items), orders=tuple(orders), live=tuple(live)), now)
        except Exception:  # noqa: BLE001 - whatever it raises is what is searched for
            return False
        return True

    items, orders, live = situation.items, situation.orders, situation.live
    if not works((), (), ()):
        fresh = renewed(now)
        return Findings(state_lost=True) if works(items, orders, live, fresh) else None
    bad_live = _bad(live, lambda some: works((), (), some))
    good_live = [one for one in live if one not in bad_live]
    bad_orders = _bad(orders, lambda some: works((), some, good_live))
    good_orders = [one for one in orders if one not in bad_orders]
    bad_items = _bad(items, lambda some: works(some, good_orders, good_live))
    return Findings(bad_items, bad_orders, bad_live)


def renewed(now: datetime) -> State:
    """A memory that knows nothing but that all that was due until ``now`` is over."""
    return State(at=now, stopped_at=now)


def _bad(things: Sequence[T], works: Callable[[Sequence[T]], bool]) -> tuple[T, ...]:
    """Those without which the rest works, found by halving."""
    if works(things):
        return ()
    if len(things) == 1:
        return tuple(things)
    middle = len(things) // 2
    first = _bad(things[:middle], works)
    second = _bad(things[middle:], works)
    return (*first, *second) or tuple(things)  # good by halves and bad together: none of it is to be trusted


@dataclass(slots=True)
class _Risk:
    deaths: int
    emergency: bool


@dataclass(slots=True)
class Quarantine:
    """The names set aside, and those under suspicion."""

    _banned: dict[str, None] = field(default_factory=dict)
    _risks: dict[str, _Risk] = field(default_factory=dict)
    _live: set[str] = field(default_factory=set)  # under suspicion in this process
    _changed: bool = False

    def restore(self, data: bytes) -> tuple[str, ...]:
        """From the disk; answers what is newly set aside because the last process died of it.

        Raises:
            ValueError: it cannot be read; nothing is set aside then.
        """
        try:
            plain = json.loads(data)
            self._banned = dict.fromkeys(str(name) for name in plain["banned"])
            self._risks = {str(name): _Risk(int(count), bool(loud)) for name, (count, loud) in plain["risks"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a quarantine: {error!r}") from error
        guilty = tuple(
            name
            for name, risk in self._risks.items()
            if risk.deaths >= (DEATHS_EMERGENCY if risk.emergency else DEATHS)
        )
        for name in guilty:
            self.ban(name)
        return guilty

    def ban(self, name: str) -> None:
        """Set it aside."""
        self._banned[name] = None
        self._risks.pop(name, None)
        while len(self._banned) > REMEMBERED:
            del self._banned[next(iter(self._banned))]
        self._changed = True

    @property
    def banned(self) -> frozenset[str]:
        """The occurrences that are set aside."""
        return frozenset(self._banned)

    def watch(self, acts: Sequence[Act], now: MonoUs) -> None:
        """Look at what is armed or sounding: note what is new, forget what is safe or gone."""
        present: dict[str, bool] = {}
        for act in acts:
            if act.sounding.item is not None:
                safe = act.started_at is not None and now - act.started_at >= SAFE_US
                name = act.key[0]
                present[name] = present.get(name, False) or safe
        for name, act in {act.key[0]: act for act in acts if act.key[0] in present}.items():
            if not present[name] and name not in self._live:
                risk = self._risks.setdefault(name, _Risk(0, act.sounding.priority.crosses_quiet_hours))
                risk.deaths += 1
                self._live.add(name)
                self._changed = True
        for name in [name for name in self._live if present.get(name, True)]:
            self._live.discard(name)
            self._changed |= self._risks.pop(name, None) is not None
        while len(self._risks) > REMEMBERED:
            del self._risks[next(iter(self._risks))]

    def next_look(self, acts: Sequence[Act], now: MonoUs) -> MonoUs | None:
        """When something will have become safe."""
        instants = [act.started_at + SAFE_US for act in acts if act.key[0] in self._live and act.started_at is not None]
        return MonoUs(min(at for at in instants if at > now)) if any(at > now for at in instants) else None

    def changes(self) -> bytes | None:
        """What is to be written, or None."""
        if not self._changed:
            return None
        self._changed = False
        risks = {name: (risk.deaths, risk.emergency) for name, risk in self._risks.items()}
        return json.dumps({"banned": list(self._banned), "risks": risks}).encode()
