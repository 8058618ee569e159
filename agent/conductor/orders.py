"""The orders in force, as the arbiter wants them.

Rules kept here:

1. Of STOP only the newest matters. Other orders are at most :data:`LIMIT`; beyond it the oldest that only silences
   goes first (the arbiter remembers what it did), then the oldest of all.
2. Without trusted time (only an emergency gets that far) an order's start is now, by the agent's own reading, and it
   is moved along when the clock is set. With trusted time its own times hold.
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
    by_own_clock: bool  # taken without trusted time: its times are the agent's own reading


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
                until = max(command.expires, now + _MINUTE)
                self._keep(_Standing(Stop(command.issued if late else now), until, not trusted))
            case WithdrawOrder(rule_id=rule_id, recurrence=recurrence):
                until = command.expires if trusted else now + _DAY
                self._keep(_Standing(Withdraw(now, rule_id, recurrence), until, not trusted))
            case PlayOrder(item=item):
                local = item if trusted else moved(item, now - item.start)
                self._keep(_Standing(PlayNow(max(now, local.start), local), local.expires, not trusted))

    def forget(self, now: datetime) -> None:
        """Drop what is over."""
        if any(one.until <= now for one in self._standing):
            self._standing = tuple(one for one in self._standing if one.until > now)

    def stepped(self, by: timedelta, now: datetime) -> None:
        """The wall clock was set: it moved by this much, and shows ``now``."""
        self._standing = tuple(_moved_along(one, by, now) for one in self._standing)

    def _keep(self, standing: _Standing) -> None:
        rest = self._standing
        if isinstance(standing.order, Stop):
            rest = tuple(one for one in rest if not isinstance(one.order, Stop))
        while len(rest) >= LIMIT:
            oldest = next((one for one in rest if not isinstance(one.order, PlayNow)), rest[0])
            rest = tuple(one for one in rest if one is not oldest)
        self._standing = (*rest, standing)


_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


def moved(item: Item, by: timedelta) -> Item:
    """The same item, earlier or later. Its identity stays."""
    slot_end = None if item.slot_end is None else item.slot_end + by
    return replace(item, start=item.start + by, expires=item.expires + by, slot_end=slot_end)


def _moved_along(standing: _Standing, by: timedelta, now: datetime) -> _Standing:
    order = standing.order
    if not standing.by_own_clock:
        # Its own times are true. Only "now" was taken from the old reading, and must not lie in the future.
        return replace(standing, order=replace(order, at=min(order.at, now)))
    if isinstance(order, PlayNow):
        order = replace(order, item=moved(order.item, by))
    return replace(standing, order=replace(order, at=order.at + by), until=standing.until + by)
