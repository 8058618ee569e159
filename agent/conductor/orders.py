"""The orders in force, as the arbiter wants them.

Rules kept here:

1. Of STOP only the newest matters. Other orders are at most :data:`LIMIT`; beyond it the oldest that only silences
   goes first (the arbiter remembers what it did), then the oldest of all.
2. An order's times are brought onto the agent's clock when it is taken: without trusted time (only an emergency
   gets that far) its start is now, and when the clock is stepped later, the orders are moved with it.
3. An order is forgotten when nothing of it can sound any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protocol.documents import Command, PlayOrder, StopOrder, WithdrawOrder
from schedules.arbiter import Order, PlayNow, Stop, Withdraw
from schedules.model import Item

LIMIT = 64

#: A STOP younger than this is taken to mean "until now".
FRESH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Standing:
    order: Order
    until: datetime


class Orders:
    """A short list with its rules."""

    def __init__(self) -> None:
        self._standing: tuple[_Standing, ...] = ()

    @property
    def all(self) -> tuple[Order, ...]:
        """What the arbiter is told. The same object as long as nothing changed."""
        return tuple(one.order for one in self._standing)

    @property
    def items(self) -> tuple[Item, ...]:
        """The items that orders brought, whose sounds are needed."""
        return tuple(one.order.item for one in self._standing if isinstance(one.order, PlayNow))

    def take(self, command: Command, now: datetime, *, trusted: bool) -> None:
        """Add the order of a verified command. ``now``: the agent's wall time, trusted or not."""
        match command.order:
            case StopOrder():
                # A STOP that just came means everything until now, whatever two clocks say. One that was long on
                # its way means what was due when it was given, and not what began since.
                late = trusted and now - command.issued > FRESH
                self._keep(Stop(command.issued if late else now), max(command.expires, now + timedelta(minutes=1)))
            case WithdrawOrder(rule_id=rule_id, recurrence=recurrence):
                self._keep(Withdraw(now, rule_id, recurrence), command.expires if trusted else now + _DAY)
            case PlayOrder(item=item):
                local = item if trusted else moved(item, now - item.start)
                self._keep(PlayNow(max(now, local.start), local), local.expires)

    def forget(self, now: datetime) -> None:
        """Drop what is over."""
        if any(one.until <= now for one in self._standing):
            self._standing = tuple(one for one in self._standing if one.until > now)

    def shift(self, by: timedelta) -> None:
        """The wall clock was stepped by this much."""
        self._standing = tuple(_Standing(_shifted(one.order, by), one.until + by) for one in self._standing)

    def _keep(self, order: Order, until: datetime) -> None:
        rest = self._standing
        if isinstance(order, Stop):
            rest = tuple(one for one in rest if not isinstance(one.order, Stop))
        while len(rest) >= LIMIT:
            oldest = next((one for one in rest if not isinstance(one.order, PlayNow)), rest[0])
            rest = tuple(one for one in rest if one is not oldest)
        self._standing = (*rest, _Standing(order, until))


_DAY = timedelta(days=1)


def moved(item: Item, by: timedelta) -> Item:
    """The same item, earlier or later. Its identity stays."""
    slot_end = None if item.slot_end is None else item.slot_end + by
    return replace(item, start=item.start + by, expires=item.expires + by, slot_end=slot_end)


def _shifted(order: Order, by: timedelta) -> Order:
    match order:
        case PlayNow(at=at, item=item):
            return PlayNow(at + by, moved(item, by))
        case Stop(at=at):
            return Stop(at + by)
        case Withdraw(at=at, rule_id=rule_id, recurrence=recurrence):
            return Withdraw(at + by, rule_id, recurrence)
