"""The orders in force, as the arbiter wants them.

Rules kept here:

1. Of STOP only the newest matters. Other orders are at most :data:`LIMIT`; beyond it the oldest that only silences
   goes first (the arbiter remembers what it did), then the oldest of the lowest class: no crowd displaces an emergency.
2. Without trusted time (only an emergency gets that far) an order's start is now, by the agent's own reading, and it
   is moved along when the clock is set. With trusted time its own times hold.
3. An order is forgotten when nothing of it can sound any more.
4. A repeated order is told to the arbiter round by round: the one whose time it is, and the next. A round is an
   occurrence of its own (``recurrence`` moved with it), so none is heard twice, and what an extension or a reboot
   brings back is known by name. Rounds that were over before the order came are not told.
5. STOP, and a withdrawal of the whole rule, end the rounds that have not begun, also after a reboot. STOP ends what
   was ordered before it and has not begun either: an order waits, where a plan's item is merely ahead.
6. What was ordered after a STOP is not stopped by it, even if both came late and its start lies before the STOP took
   effect here: it then begins a moment after that. The numbers tell which was first, not the clocks.
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

#: Rounds of one order that the arbiter knows at a time.
ROUNDS_TOLD = 2

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """The command an item came with."""

    term: int
    seq: int


@dataclass(frozen=True, slots=True)
class _Standing:
    """``order``: of a repeated one the first round. ``last``: rounds start before it. ``floor``: none before it."""

    order: Order
    until: datetime
    by_own_clock: bool  # taken without trusted time: its times are the agent's own reading
    reference: Reference
    every: timedelta | None = None
    last: datetime | None = None
    floor: datetime | None = None

    def rounds(self, now: datetime) -> tuple[Order, ...]:
        """What the arbiter is told ``now``."""
        if not isinstance(self.order, PlayNow):
            return (self.order,)
        if self.every is None or self.last is None:
            return (self._raised(self.order.item),)
        first = self.order.item
        told: list[Order] = []
        number = max(0, (now - first.start) // self.every)
        while len(told) < ROUNDS_TOLD and first.start + number * self.every < self.last:
            item = round_of(first, number, self.every)
            told.append(self._raised(item))
            number += 1
        return tuple(told)

    def _raised(self, item: Item) -> PlayNow:
        assert isinstance(self.order, PlayNow)  # noqa: S101 - its callers have looked
        if self.floor is not None and item.start < self.floor < item.expires:
            item = replace(item, start=self.floor)
        return PlayNow(max(self.order.at, item.start), item)

    def cut(self, at: datetime) -> _Standing:
        """The same without the rounds that start after ``at``."""
        if not isinstance(self.order, PlayNow):
            return self
        if self.order.item.start > at:  # it counts as due at that very instant, so that it ends there, with a record
            return replace(self, order=PlayNow(at, replace(self.order.item, start=at)), every=None, last=None)
        return self if self.last is None else replace(self, last=min(self.last, at + _MOMENT))


def round_of(first: Item, number: int, every: timedelta) -> Item:
    """Round ``number`` of a repeated item. It never outlives the start of the next."""
    by = number * every
    item = moved(first, by)
    return replace(item, recurrence=first.recurrence + by, expires=min(item.expires, item.start + every))


@dataclass(frozen=True, slots=True)
class Barred:
    """What of orders the arbiter has ended for good, as it remembers over a boot."""

    stopped_at: datetime | None = None
    withdrawn: frozenset[str] = frozenset()  # whole rules

    def stops(self, item: Item) -> bool:
        """Whether the STOP took effect here after the item's start."""
        return self.stopped_at is not None and item.start <= self.stopped_at


class Orders:
    """A short list with its rules."""

    def __init__(self) -> None:
        self._standing: tuple[_Standing, ...] = ()
        self._past: tuple[_Standing, ...] = ()
        self._stop: Reference | None = None  # the newest STOP
        self._told: tuple[Order, ...] = ()

    @property
    def all(self) -> tuple[Order, ...]:
        """What the arbiter is told, as of the last :meth:`forget` or :meth:`take`."""
        return self._told

    @property
    def items(self) -> tuple[Item, ...]:
        """The items that orders brought, whose sounds are needed."""
        return tuple(one.order.item for one in self._standing if isinstance(one.order, PlayNow))

    def reference(self, rule_id: str, recurrence: datetime) -> Reference | None:
        """The command that brought the occurrence; None for what is planned."""
        for one in (*self._standing, *self._past):  # its record may come a moment after its end
            if isinstance(one.order, PlayNow) and _is_round(rule_id, recurrence, one):
                return one.reference
        return None

    def take(self, command: Command, now: datetime, *, trusted: bool, barred: Barred = Barred()) -> None:
        """Add the order of a verified command. ``now``: the agent's wall time, trusted or not."""
        name = Reference(command.term, command.seq)
        match command.order:
            case StopOrder():
                # A STOP that just came means everything until now, whatever two clocks say. One that was long on
                # its way means what was due when it was given, and not what began since.
                late = trusted and now - command.issued > FRESH
                at = command.issued if late else now
                until = max(command.expires, now + _MINUTE)
                self._standing = tuple(one.cut(at) for one in self._standing)
                self.recall_stop(name)
                self._keep(_Standing(Stop(at), until, not trusted, name))
            case WithdrawOrder(rule_id=rule_id, recurrence=recurrence):
                until = command.expires if trusted else now + _DAY
                if recurrence is None:
                    self._standing = tuple(one.cut(now) if _of_rule(one, rule_id) else one for one in self._standing)
                self._keep(_Standing(Withdraw(now, rule_id, recurrence), until, not trusted, name))
            case PlayOrder() as play:
                self._take_play(play, now, name, trusted=trusted, barred=barred)
        self._tell(now)

    def _take_play(self, play: PlayOrder, now: datetime, name: Reference, *, trusted: bool, barred: Barred) -> None:
        by = timedelta(0) if trusted else now - play.item.start
        local = moved(play.item, by) if by else play.item
        until, last = local.expires, None
        if play.every is not None and play.until is not None:
            last = play.until + by
            until = max(until, last + min(play.every, local.expires - local.start))
        standing = _Standing(PlayNow(max(now, local.start), local), until, not trusted, name, play.every, last)
        if local.rule_id in barred.withdrawn:
            standing = standing.cut(now)
        elif barred.stopped_at is not None:
            before = self._stop is not None and name < self._stop
            after = self._stop is not None and name > self._stop
            if before or (barred.stops(local) and not after):
                standing = standing.cut(barred.stopped_at)
            elif barred.stops(local):
                standing = replace(standing, floor=barred.stopped_at + _MOMENT)
        same = (local.rule_id, local.recurrence)
        known = next((one for one in self._standing if _identity(one) == same), None)
        if known is not None and isinstance(known.order, PlayNow):  # extended: it came when the first order came
            order = replace(standing.order, at=min(known.order.at, standing.order.at))
            if not known.by_own_clock:
                standing = replace(standing, order=order)
            self._standing = tuple(one for one in self._standing if one is not known)
        self._keep(standing)

    def forget(self, now: datetime) -> None:
        """Drop what is over, and go on to the rounds whose time it is."""
        if any(one.until <= now for one in self._standing):
            self._past = (*(one for one in self._standing if one.until <= now), *self._past)[:LIMIT]
            self._standing = tuple(one for one in self._standing if one.until > now)
        self._tell(now)

    def recall_stop(self, name: Reference) -> None:
        """There was a STOP of this number, maybe before a boot."""
        self._stop = name if self._stop is None else max(self._stop, name)

    def drop(self, order: Order) -> None:
        """It cannot be decided on: as if it had never come (its rounds with it)."""
        item = order.item if isinstance(order, PlayNow) else None

        def is_it(one: _Standing) -> bool:
            if item is None or not isinstance(one.order, PlayNow):
                return one.order == order
            return _is_round(item.rule_id, item.recurrence, one)

        self._standing = tuple(one for one in self._standing if not is_it(one))
        self._told = tuple(told for told in self._told if told != order)

    def stepped(self, by: timedelta, now: datetime) -> None:
        """The wall clock was set: it moved by this much, and shows ``now``."""
        self._standing = tuple(_moved_along(one, by, now) for one in self._standing)
        self._tell(now)

    def _tell(self, now: datetime) -> None:
        told = tuple(order for one in self._standing for order in one.rounds(now))
        if told != self._told:
            self._told = told

    def _keep(self, standing: _Standing) -> None:
        rest = self._standing
        if isinstance(standing.order, Stop):
            rest = tuple(one for one in rest if not isinstance(one.order, Stop))
        while len(rest) >= LIMIT:
            least = min(rest, key=_importance)  # of equals the first, which is the oldest
            rest = tuple(one for one in rest if one is not least)
        self._standing = (*rest, standing)


def _identity(standing: _Standing) -> tuple[str, datetime] | None:
    item = standing.order.item if isinstance(standing.order, PlayNow) else None
    return None if item is None else (item.rule_id, item.recurrence)


def _importance(standing: _Standing) -> int:
    """What only silences has been acted on already; of sounds the lowest class goes first."""
    return standing.order.item.priority if isinstance(standing.order, PlayNow) else 0


def _of_rule(standing: _Standing, rule_id: str) -> bool:
    return isinstance(standing.order, PlayNow) and standing.order.item.rule_id == rule_id


def _is_round(rule_id: str, recurrence: datetime, standing: _Standing) -> bool:
    assert isinstance(standing.order, PlayNow)  # noqa: S101 - its callers have looked
    first, every = standing.order.item, standing.every
    if rule_id != first.rule_id:
        return False
    by = recurrence - first.recurrence
    return by == timedelta(0) if every is None else by >= timedelta(0) and by % every == timedelta(0)


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
    last = None if standing.last is None else standing.last + by
    floor = None if standing.floor is None else standing.floor + by
    order = replace(order, at=order.at + by)
    return replace(standing, order=order, until=standing.until + by, last=last, floor=floor)
