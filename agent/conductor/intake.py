"""What the arbiter is told: the plan, the orders and the streams, without what is set aside.

Rules kept here:

1. What the arbiter could not bear, and what killed this program, is told neither by a new plan nor after a boot.
2. A STOP does not stop a stream that was opened after the STOP was given, however late both came (for stored sound see
   :mod:`agent.conductor.orders`).

Not here: how the culprit is found (:mod:`agent.conductor.quarantine`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from agent.conductor.orders import Orders
from agent.conductor.quarantine import Findings, Quarantine
from agent.conductor.streams import LiveStreams
from agent.watch import Watch
from schedules.arbiter import LiveSource, Order, PlayNow
from schedules.instants import MonoUs
from schedules.model import Item

_MOMENT = timedelta(microseconds=1)


class Intake:
    """One agent's."""

    def __init__(self, orders: Orders, streams: LiveStreams, watch: Watch) -> None:
        self._all = orders
        self._streams = streams
        self._watch = watch
        self.quarantine = Quarantine()
        #: When the newest STOP of this run was issued.
        self.stop_given: datetime | None = None

    def items(self, items: tuple[Item, ...], cluster_id: str) -> tuple[Item, ...]:
        """A plan's items, without what is set aside; the same object when nothing is."""
        banned = self.quarantine.banned
        return tuple(one for one in items if one.occurrence_for(cluster_id) not in banned) if banned else items

    def orders(self, cluster_id: str) -> tuple[Order, ...]:
        """The orders, without what is set aside."""
        banned, known = self.quarantine.banned, self._all.all
        if not banned:
            return known
        return tuple(
            order
            for order in known
            if not isinstance(order, PlayNow) or order.item.occurrence_for(cluster_id) not in banned
        )

    def live(self, now_us: MonoUs, now: datetime, stopped_at: datetime | None) -> tuple[LiveSource, ...]:
        """The open streams. ``stopped_at``: when the last STOP took effect here."""
        found = self._streams.sources(now_us, now)
        if stopped_at is None or self.stop_given is None:
            return found
        return tuple(self._after(source, self.stop_given, stopped_at) for source in found)

    def _after(self, source: LiveSource, given: datetime, stopped_at: datetime) -> LiveSource:
        stream = self._streams.get(source.stream_id)
        late = stream is not None and stream.gate.opened.opened > given and source.opened_at <= stopped_at
        return replace(source, opened_at=stopped_at + _MOMENT) if late else source

    def set_aside(self, found: Findings, cluster_id: str, error: Exception) -> None:
        """Leave out from now on what the arbiter cannot bear, and say so."""
        for order in found.orders:
            self._all.drop(order)
        for item in (*found.items, *(one.item for one in found.orders if isinstance(one, PlayNow))):
            self.quarantine.ban(item.occurrence_for(cluster_id))
            self._tell(item.title or item.rule_id, error)
        for source in found.live:
            self._streams.close(source.stream_id)
            self._tell(f"stream {source.stream_id:016x}", error)

    def _tell(self, what: str, error: Exception) -> None:
        self._watch.report("quarantined", f"{what} cannot be decided on and is set aside: {error}")
