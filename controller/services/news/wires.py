"""Where the hub's changes come from: every memory of the controller that tells of its changes.

Rules kept here:

1. A listener here does a constant amount of work and never raises: some stand on the way of an emergency.
2. Boxes report all the time; what is told is a state that differs from the last one told (:meth:`Wires.look` finds
   those that changed by time alone: a report that grew old).
3. The places of orders, alerts and drills are looked up when the gathered change leaves, not when it is told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.services.alerts.board import Board
from controller.services.alerts.desk import AlertDesk
from controller.services.alerts.model import FAREWELL
from controller.services.alerts.templates import TemplateBook
from controller.services.catalogue import Catalogue
from controller.services.cluster_states import ClusterStates
from controller.services.context import Clock
from controller.services.directory import Change, Directory
from controller.services.dispatch import Courier, Dispatched
from controller.services.drills import DrillDesk
from controller.services.drills.model import Drill
from controller.services.errors import NotFoundError
from controller.services.fleet import FleetService
from controller.services.live import LiveDesk
from controller.services.news.hub import NewsHub
from controller.services.news.model import EVERYONE, Audience, Topic
from controller.services.news.press import Press
from controller.services.warnings.book import WarningBook
from controller.services.warnings.sources import WarningSources

#: How often states are looked through for what time alone changed.
LOOK_S: Final = 2.0
_AT_ONCE: Final = 100
_ORDERS: Final = 1_000

_OF_DIRECTORY: Final = {
    "area": Topic.AREA,
    "cluster": Topic.CLUSTER,
    "zone": Topic.ZONE,
    "agent": Topic.AGENT,
    "user": Topic.SESSION,
    "token": Topic.SESSION,
}
_OF_CATALOGUE: Final = {"recording": Topic.RECORDING, "source": Topic.SOURCE, "programme": Topic.PROGRAMME}


@dataclass(frozen=True, slots=True)
class Memories:
    """What is listened to."""

    directory: Directory
    catalogue: Catalogue
    fleet: FleetService
    states: ClusterStates
    alerts: AlertDesk
    templates: TemplateBook
    drills: DrillDesk
    live: LiveDesk
    courier: Courier
    warnings: WarningBook
    warning_sources: WarningSources
    clock: Clock


class Wires:
    """Listens from its making on. :meth:`look` is to be called every :data:`LOOK_S`."""

    def __init__(self, hub: NewsHub, memories: Memories) -> None:
        self._hub = hub
        self._m = m = memories
        self._marks: dict[str, tuple[object, ...]] = {}
        self._orders: OrderedDict[tuple[int, int], str] = OrderedDict()
        m.directory.subscribe(self._directory)
        m.catalogue.subscribe(self._catalogue)
        m.fleet.subscribe(self._box)
        m.fleet.watch_status(self._box)
        m.alerts.register.listeners.append(lambda alert: hub.tell(Topic.ALERT, alert.id))
        m.alerts.boards.listeners.append(lambda board: hub.tell(Topic.ALERT, board.name.removesuffix(FAREWELL)))
        m.alerts.notices.listeners.append(
            lambda notice: hub.tell(Topic.NOTICE, notice.id, Audience(users=frozenset({notice.user_id})))
        )
        m.templates.subscribe(lambda template_id: hub.tell(Topic.TEMPLATE, template_id))
        m.drills.book.listeners.append(lambda drill: hub.tell(Topic.DRILL, drill.id))
        m.live.listeners.append(
            lambda session: hub.tell(Topic.LIVE, session.billing.id, self._at(session.billing.clusters))
        )
        m.courier.order_listeners.append(self._order)
        m.courier.delivery_listeners.append(self._delivered)
        m.warnings.listeners.append(self._warning)
        hub.places.update(
            {
                Topic.BOX: self._cluster_place,
                Topic.ALERT: self._alert_place,
                Topic.DRILL: self._drill_place,
                Topic.ORDER: self._order_place,
                Topic.TEMPLATE: self._template_place,
            }
        )

    def details(self, press: Press) -> None:
        """Let events say more than ids where that spares a request: states of boxes, counts of boards."""
        press.details.update(
            {
                Topic.BOX: lambda ids: {"states": [state.as_dict() for state in self._m.states.some(ids)]},
                Topic.ALERT: self._alerts,
                Topic.DRILL: self._drills,
            }
        )

    async def look(self) -> None:
        """Find the clusters whose state changed by time alone."""
        if not self._hub.watched:
            return
        for number, cluster_id in enumerate(tuple(self._m.directory.clusters)):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            self._compare(cluster_id)

    # --- telling -----------------------------------------------------------------------------------------------

    def _directory(self, change: Change) -> None:
        topic = _OF_DIRECTORY.get(change.kind)
        if topic is not None:
            self._hub.tell(topic, change.id, Audience(change.areas, change.users))
        if change.kind == "cluster" and change.removed:
            self._marks.pop(change.id, None)
        elif change.kind == "agent" and self._hub.watched:
            entry = self._m.directory.agents.get(change.id)
            if entry is not None and entry.cluster_id is not None:
                self._compare(entry.cluster_id)

    def _catalogue(self, change: Change) -> None:
        self._hub.tell(_OF_CATALOGUE[change.kind], change.id, Audience(change.areas))

    def _box(self, agent_id: str) -> None:
        if self._hub.watched:
            entry = self._m.directory.agents.get(agent_id)
            if entry is not None and entry.cluster_id is not None:
                self._compare(entry.cluster_id)

    def _compare(self, cluster_id: str) -> None:
        cluster = self._m.directory.clusters.get(cluster_id)
        if cluster is None:
            return
        mark = self._m.states.of(cluster).mark
        if self._marks.get(cluster_id) != mark:
            self._marks[cluster_id] = mark
            self._hub.tell(Topic.BOX, cluster_id)

    def _order(self, order: Dispatched) -> None:
        for part in order.parts:
            self._orders[part.command.term, part.command.seq] = order.name
        while len(self._orders) > _ORDERS:
            self._orders.popitem(last=False)
        self._hub.tell(Topic.ORDER, order.name)

    def _delivered(self, number: tuple[int, int], _agent: str, _state: str, _code: str, _detail: str) -> None:
        name = self._orders.get(number)
        if name is not None:
            self._hub.tell(Topic.ORDER, name)

    def _warning(self, warning_id: str, source_id: str, clusters: Collection[str]) -> None:
        source = self._m.warning_sources.find(source_id)
        own = frozenset() if source is None else frozenset({source.area_id})
        self._hub.tell(Topic.WARNING, warning_id, Audience(own | self._areas(clusters)))

    # --- where things are --------------------------------------------------------------------------------------

    def _areas(self, clusters: Iterable[str]) -> frozenset[str]:
        known = self._m.directory.clusters
        return frozenset(known[each].area_id for each in clusters if each in known)

    def _at(self, clusters: Iterable[str]) -> Audience:
        return Audience(self._areas(clusters))

    def _cluster_place(self, cluster_id: str) -> Audience:
        return self._at((cluster_id,))

    def _alert_place(self, alert_id: str) -> Audience:
        alert = self._m.alerts.register.alerts.get(alert_id)
        return Audience() if alert is None else self._at(alert.clusters)

    def _drill_place(self, drill_id: str) -> Audience:
        try:
            drill = self._m.drills.book.get(drill_id)
        except NotFoundError:
            return Audience()
        return Audience(self._areas(drill.clusters), whole=True)

    def _order_place(self, name: str) -> Audience:
        order = self._m.courier.order(name)
        if order is None:
            return Audience()
        parts = [part.clusters for part in order.parts]
        if any(clusters is None for clusters in parts):
            return EVERYONE
        return self._at({each for clusters in parts for each in clusters or ()})

    def _template_place(self, template_id: str) -> Audience:
        entry = self._m.templates.entries.get(template_id)
        return Audience() if entry is None else Audience(frozenset({entry.area_id}))

    # --- more than ids -----------------------------------------------------------------------------------------

    def _alerts(self, ids: Sequence[str]) -> dict[str, Any]:
        boards = ((alert_id, self._m.alerts.board(alert_id)) for alert_id in ids)
        return {"boards": {alert_id: self._board(board) for alert_id, board in boards if board is not None}}

    def _board(self, board: Board) -> dict[str, Any]:
        counts = board.counts()
        return {
            "revision": board.revision,
            "total": sum(counts.values()),
            "sounded": board.sounded(),
            "red": len(board.red(self._m.clock.now())),
            "counts": {state: number for state, number in counts.items() if number},
        }

    def _drills(self, ids: Sequence[str]) -> dict[str, Any]:
        known = {drill.id: drill for drill in self._m.drills.book.all()}
        return {"boards": {each: self._results(known[each]) for each in ids if each in known}}

    def _results(self, drill: Drill) -> dict[str, Any]:
        results, now = tuple(drill.results.values()), self._m.clock.now()
        return {
            "total": len(results),
            "answered": sum(result.answered for result in results),
            "passed": sum(result.passed for result in results),
            "missing": len(drill.missing(now)),
            "over": drill.over(now),
        }


__all__ = ["LOOK_S", "Memories", "Wires"]
