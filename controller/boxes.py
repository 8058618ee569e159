"""The boxes, put together: fleet, enrolment, play records and the listener they connect to.

The part of the composition root on top of :mod:`controller.air`: the desk's briefings are what a box is told when it
connects, and the listener is plugged into the desk once it is open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from controller.air import Air
from controller.api import sync_metrics
from controller.api.agent_routes import AgentRoutes
from controller.api.health_routes import HealthRoutes
from controller.api.listening_routes import ListeningRoutes
from controller.api.metrics import Metrics
from controller.api.routing import Route
from controller.config import Config
from controller.foundation import Foundation
from controller.gateway import Gateway, GatewayConfig, VaultIdentity
from controller.gateway.metrics import register
from controller.keys.certificates import CertificatePair, ensure_certificate
from controller.services.context import Clock
from controller.services.enrolment import EnrolmentService
from controller.services.fleet import FleetService
from controller.services.fleet_views import FleetViews
from controller.services.health import Health
from controller.services.health_history import HealthHistory
from controller.services.listening import ListeningDesk, ListeningTickets
from controller.services.play_records import PlayRecordBook
from controller.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Boxes:
    """Everything about agents."""

    records: PlayRecordBook
    fleet: FleetService
    enrolment: EnrolmentService
    views: FleetViews
    gateway: Gateway
    listening: ListeningDesk
    tickets: ListeningTickets
    history: HealthHistory
    clock: Clock
    agents_url: str | None  # where agents find us from outside

    def routes(self) -> tuple[Route, ...]:
        """Operations of the staff API."""
        return (
            *AgentRoutes(self.enrolment, self.views, self.agents_url).table(),
            *ListeningRoutes(self.listening, self.tickets).table(),
            *HealthRoutes(self.history, self.clock).table(),
        )

    @property
    def port(self) -> int:
        """Where agents connect."""
        return self.gateway.port


@asynccontextmanager
async def open_boxes(
    base: Foundation, air: Air, supervisor: Supervisor, health: Health, metrics: Metrics
) -> AsyncIterator[Boxes]:
    """Open the agents' listener; from then on orders and plans reach them.

    Raises:
        ListenError: the listener cannot be opened as configured.
    """
    db, directory, clock = base.db, base.directory, base.clock
    records = PlayRecordBook(db, clock)
    fleet = FleetService(db, directory, clock, records, air.briefer, leads=air.leads)
    enrolment = EnrolmentService(db, directory, clock, root_fingerprint=base.vault.root_fingerprint)
    gateway = Gateway(
        _listener(base.config, clock),
        directory=directory,
        events=fleet,
        enrolment=enrolment,
        identity=VaultIdentity(base.vault),
        content=air.content,
        media=base.media_clock,
        clock=clock,
    )
    listening = ListeningDesk(
        directory=directory,
        catalogue=air.catalogue,
        carriers=air.carriers,
        taps=gateway.taps,
        online=gateway.online,
        db=db,
    )
    history = HealthHistory(db, directory, fleet, clock)
    boxes = Boxes(
        records,
        fleet,
        enrolment,
        FleetViews(db, directory, fleet, records),
        gateway,
        listening,
        ListeningTickets(clock),
        history,
        clock,
        base.config.agent_url,
    )
    records.open(supervisor)
    enrolment.open(supervisor)
    await fleet.open(supervisor)
    await history.open(supervisor)
    air.alarms.watch(fleet)
    air.drills.watch(fleet)
    try:
        await gateway.open(supervisor)
        health.add("announcement", lambda: gateway.fault)
        register(metrics.registry, gateway, fleet)
        sync_metrics.register(metrics.registry, fleet)
        air.gateway.plug(gateway)
        yield boxes
    finally:
        listening.close()
        air.gateway.unplug()
        await gateway.close()
        enrolment.close()
        records.close()
        await history.close()
        await fleet.close()


def _listener(config: Config, clock: Clock) -> GatewayConfig:
    host, port = config.agent_address
    return GatewayConfig(
        host=host,
        port=port,
        tls=_certificate(config, clock),
        advertise_on=(config.announce_interfaces or None) if config.announce else (),
    )


def _certificate(config: Config, clock: Clock) -> CertificatePair | None:
    if not config.agent_tls:
        return None
    if config.agent_certificate is not None and config.agent_key is not None:
        return CertificatePair(config.agent_certificate, config.agent_key)
    return ensure_certificate(config.tls_folder, "agent", [config.agent_address[0]], now=clock.now())
