"""What the console looks at live, put together: states, the hub of changes and its wires.

The part of the composition root on top of everything else: it listens to all of it and nothing stands on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.air import Air
from controller.api.event_routes import EventRoutes
from controller.api.grid_routes import GridRoutes
from controller.api.routing import Route
from controller.api.state_routes import StateRoutes
from controller.boxes import Boxes
from controller.cap_desk import CapDesk
from controller.foundation import Foundation
from controller.services.cluster_states import ClusterStates
from controller.services.grid import GridService
from controller.services.news import NewsHub, Press, Wires
from controller.services.news.wires import LOOK_S, Memories
from controller.services.reasons import Reasons
from controller.services.today import TodayService
from controller.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class NewsDesk:
    """Everything about what changes now."""

    hub: NewsHub
    press: Press
    wires: Wires
    states: ClusterStates
    grid: GridService
    today: TodayService

    def routes(self, base: Foundation) -> tuple[Route, ...]:
        """Operations of the staff API. They come before ``/clusters/{cluster_id}``, which would take their paths."""
        return (
            *EventRoutes(self.hub, self.press, base.directory, base.clock).table(),
            *StateRoutes(self.states, base.clock).table(),
            *GridRoutes(self.grid, self.today, base.directory).table(),
        )

    def start(self, supervisor: Supervisor) -> None:
        """Give the tasks to their owner."""
        supervisor.start("news", self.hub.run)
        supervisor.every("news-look", LOOK_S, self.wires.look)


def make_news_desk(base: Foundation, air: Air, boxes: Boxes, cap: CapDesk) -> NewsDesk:
    """Listen to everything from now on."""
    alarms, clock = air.alarms, base.clock
    reasons = Reasons(air.planner, air.courier, alarms.desk.register, air.live, clock)
    states = ClusterStates(base.directory, boxes.fleet, reasons, clock)
    hub = NewsHub(clock.mono_us)
    press = Press(hub, base.directory, clock.mono_us)
    wires = Wires(
        hub,
        Memories(
            directory=base.directory,
            catalogue=air.catalogue,
            fleet=boxes.fleet,
            states=states,
            alerts=alarms.desk,
            templates=alarms.book,
            drills=air.drills.desk,
            live=air.live,
            courier=air.courier,
            warnings=cap.book,
            warning_sources=cap.sources,
            clock=clock,
        ),
    )
    wires.details(press)
    grid = GridService(
        directory=base.directory, catalogue=air.catalogue, rulebook=air.rulebook, states=states, clock=clock
    )
    today = TodayService(
        reports=air.reports,
        grid=grid,
        states=states,
        reasons=reasons,
        views=boxes.views,
        alerts=alarms.desk,
        holds=air.holds,
        clock=clock,
    )
    return NewsDesk(hub, press, wires, states, grid, today)
