"""Why a cluster sounds what it says it sounds: the programme, order, alert, drill or live session behind it.

A box names what sounds by an occurrence's hash or a stream's number; what was planned, ordered or opened is in memory
here. What is found is remembered, what is not found for :data:`_DOUBT_US`. And why a cluster is silent in the middle of
its plan: a STOP ended that there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from controller.services.alerts.register import AlertRegister
from controller.services.context import Clock
from controller.services.dispatch import Courier
from controller.services.live import LiveDesk
from controller.services.planning import Planner
from protocol.documents import PlayOrder
from protocol.telemetry import SoundingState
from schedules.ladder import Priority
from schedules.model import MAX_RELAY, Item, occurrence_id

_KEPT: Final = 50_000
_DOUBT_US: Final = 30_000_000
#: How long what was learned of STOPs stands: a look at every cluster asks once, not once for each.
_STOPS_US: Final = 1_000_000
#: A box may start an order a little before its own clock says it is time.
_EARLY: Final = timedelta(seconds=5)


class ReasonKind(StrEnum):
    """What is behind a sound."""

    PROGRAMME = "programme"
    ORDER = "order"  # play now; its id is the rule a withdrawal names
    ALERT = "alert"
    DRILL = "drill"
    LIVE = "live"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """What is behind a sound; ``id`` None: its kind is known, and nothing of it is remembered here."""

    kind: ReasonKind
    id: str | None = None
    recurrence: datetime | None = None  # of a programme


class Reasons:
    """Finds them."""

    def __init__(
        self, planner: Planner, courier: Courier, register: AlertRegister, live: LiveDesk, clock: Clock
    ) -> None:
        self._planner = planner
        self._courier = courier
        self._register = register
        self._live = live
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[Reason, int | None]] = OrderedDict()
        self._stops: dict[datetime, frozenset[str] | None] = {}  # clusters stopped since; None: everyone
        self._stops_us: int | None = None  # when they were learned

    def of(self, cluster_id: str, sounding: SoundingState) -> Reason:
        """Why it sounds there."""
        name = sounding.occurrence_id or f"{sounding.stream or 0:016x}"
        known = self._known.get((cluster_id, name))
        now = self._clock.mono_us()
        if known is not None and (known[1] is None or now < known[1]):
            return known[0]
        found = self._find(cluster_id, sounding)
        if found.id is None:
            found = Reason(_kind_of(sounding.priority))
        self._known[cluster_id, name] = found, None if found.id is not None else now + _DOUBT_US
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    def cut_off(self, cluster_id: str) -> Item | None:
        """What its plan has for now, and a STOP ended there."""
        now = self._clock.now()
        if not self._stopped(cluster_id, now - MAX_RELAY):
            return None
        on = (item for item in self._planner.items_of(cluster_id) if item.start <= now < item.nominal_end)
        return next((item for item in on if self._stopped(cluster_id, item.start)), None)

    def _stopped(self, cluster_id: str, since: datetime) -> bool:
        """Whether a cluster was told to STOP then or later."""
        at = self._clock.mono_us()
        if self._stops_us is None or at - self._stops_us >= _STOPS_US:
            self._stops, self._stops_us = {}, at
        if since not in self._stops:
            self._stops[since] = self._courier.stopped_since(since)
        stopped = self._stops[since]
        return stopped is None or cluster_id in stopped

    def of_rule(self, rule_id: str, recurrence: datetime | None = None) -> Reason:
        """What a rule of an item belongs to."""
        if rule_id.startswith("now_"):
            return Reason(ReasonKind.ORDER, rule_id)
        if rule_id.startswith("dr_"):
            return Reason(ReasonKind.DRILL, rule_id)
        alert_id = rule_id.rpartition("_")[0]
        if alert_id in self._register.alerts:
            return Reason(ReasonKind.ALERT, alert_id)
        return Reason(ReasonKind.PROGRAMME, rule_id, recurrence)

    def _find(self, cluster_id: str, sounding: SoundingState) -> Reason:
        if sounding.stream is not None:
            session = self._live.carrying(sounding.stream)
            if session is not None:
                billing = session.billing
                if billing.alert_id is not None:
                    return Reason(ReasonKind.ALERT, billing.alert_id)
                return Reason(ReasonKind.LIVE, billing.id)
        for rule_id, recurrence in self._candidates(cluster_id, sounding):
            if occurrence_id(rule_id, recurrence, cluster_id) == sounding.occurrence_id:
                return self.of_rule(rule_id, recurrence)
        return Reason(ReasonKind.UNKNOWN)

    def _candidates(self, cluster_id: str, sounding: SoundingState) -> Iterator[tuple[str, datetime]]:
        """Occurrences of its class that may have begun by now, the likely ones first."""
        if sounding.priority <= Priority.PRIORITY_BULLETIN:
            latest = sounding.since + _EARLY
            begun = [
                item
                for item in self._planner.items_of(cluster_id)
                if item.start <= latest and item.priority == sounding.priority
            ]
            for item in sorted(begun, key=_start, reverse=True):
                yield item.rule_id, item.recurrence
        for sent in reversed(self._courier.followed()):
            order = sent.command.order
            if (
                isinstance(order, PlayOrder)
                and int(order.item.priority) == sounding.priority
                and (sent.clusters is None or cluster_id in sent.clusters)
            ):
                yield order.item.rule_id, order.item.recurrence
                if order.every is not None:
                    number = max(0, (sounding.since - order.item.start) // order.every)
                    for each in (number, number + 1):  # it may have begun just before its round by another clock
                        yield order.item.rule_id, order.item.recurrence + each * order.every


def _start(item: Item) -> datetime:
    return item.start


def _kind_of(priority: int) -> ReasonKind:
    """What a class alone tells."""
    if priority >= Priority.EMERGENCY_STORED:
        return ReasonKind.ALERT
    if priority >= Priority.DRILL:
        return ReasonKind.DRILL
    return ReasonKind.PROGRAMME if priority in {Priority.PROGRAMME, Priority.RELAY} else ReasonKind.UNKNOWN
