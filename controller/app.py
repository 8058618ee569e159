"""The composition root of ``loa-controller serve``: the one place where everything meets.

Read it from :func:`running`: foundation, desk, air, boxes (the agents' listener), staff listener, in that order;
closed in reverse. Nothing else in the package makes its own collaborators.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from controller.air import Air, open_air
from controller.api.area_routes import AreaRoutes
from controller.api.audit_routes import AuditRoutes
from controller.api.cluster_routes import ClusterRoutes
from controller.api.console_routes import ConsoleRoutes
from controller.api.map_routes import MapRoutes
from controller.api.metrics import Metrics
from controller.api.openapi import openapi_document
from controller.api.routing import Route
from controller.api.second_factor_routes import SecondFactorRoutes
from controller.api.server import StaffListener, staff_application
from controller.api.service_routes import ServiceRoutes
from controller.api.session_routes import SessionRoutes
from controller.api.upkeep_routes import UpkeepRoutes
from controller.api.user_routes import UserRoutes
from controller.api.zone_routes import ZoneRoutes
from controller.boxes import Boxes, open_boxes
from controller.cap_desk import CapDesk, open_cap_desk
from controller.config import Config
from controller.foundation import Foundation, open_foundation
from controller.keys.certificates import CertificatePair, ensure_certificate
from controller.log_desk import make_audit
from controller.news_desk import NewsDesk, make_news_desk
from controller.services.accounts import AccountService
from controller.services.areas import AreaService
from controller.services.audit import ChainCheck
from controller.services.clusters import ClusterService
from controller.services.context import Clock, SystemClock
from controller.services.door_watch import WRITE_S, DoorWatch
from controller.services.health import Health
from controller.services.passwords import Passwords
from controller.services.second_factor import SecondFactors
from controller.services.sessions import Sessions
from controller.services.upkeep import Upkeep
from controller.services.zones import ZoneService
from controller.supervisor import Supervisor
from controller.web import ConsolePages

#: How often sessions are written down and dead ones removed.
_SWEEP_SECONDS = 300.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A controller that is up."""

    foundation: Foundation
    air: Air
    boxes: Boxes
    cap: CapDesk
    news: NewsDesk
    supervisor: Supervisor
    health: Health
    watch: DoorWatch
    staff_url: str
    staff_fingerprint: str | None  # of the certificate, when the staff listener has TLS
    first_admin: tuple[str, str] | None  # name and password, on the first start only
    document: Callable[[], dict[str, Any]]  # of the staff API, in OpenAPI

    async def wait(self, stop: asyncio.Event) -> None:
        """Until told to stop.

        Raises:
            GivenUpError: a background task cannot be kept alive.
        """
        stopped = asyncio.ensure_future(stop.wait())
        given_up = asyncio.ensure_future(self.supervisor.given_up())
        try:
            await asyncio.wait((stopped, given_up), return_when=asyncio.FIRST_COMPLETED)
            if given_up.done():
                given_up.result()
        finally:
            stopped.cancel()
            given_up.cancel()


@asynccontextmanager
async def running(
    config: Config, clock: Clock | None = None, passwords: Passwords | None = None
) -> AsyncIterator[Running]:
    """Open a controller; it serves while the block lasts. Tests give their own clock and cheaper password hashes.

    Raises:
        FoundationError, VaultError, StoreError, ListenError: it cannot start; the message says what to do.
    """
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(open_foundation(config, clock or SystemClock(), passwords))
        supervisor = Supervisor()
        stack.push_async_callback(supervisor.close)
        health, metrics = Health(supervisor.states), Metrics()
        desk = _desk(base)
        supervisor.every("sessions", _SWEEP_SECONDS, desk.sessions.sweep_quietly)
        supervisor.every("door-watch", WRITE_S, desk.watch.write)
        stack.push_async_callback(desk.watch.write)
        stack.push_async_callback(desk.upkeep.close)
        metrics.counts("loa_door_refused", "What was refused at the staff's door.", "code", desk.watch.refused)
        health.add("orders-journal", lambda: base.journal.fault)

        air = await stack.enter_async_context(open_air(base))
        boxes = await stack.enter_async_context(open_boxes(base, air, supervisor, health, metrics))
        air.start(supervisor, health)
        desk.zones.used_by.append(air.catalogue.programmes_in)
        cap = await stack.enter_async_context(open_cap_desk(base, air.alarms, air.drills.desk))
        cap.start(supervisor, health, metrics)
        news = make_news_desk(base, air, boxes, cap)
        news.start(supervisor)

        audit = make_audit(base, air, cap)
        check = ChainCheck(audit, base.directory)
        stack.push_async_callback(check.close)

        routes: list[Route] = [
            *news.routes(base),
            *desk.routes(base),
            *air.routes(base),
            *boxes.routes(),
            *cap.routes(base),
            *AuditRoutes(audit, check).table(),
            *ConsolePages().table(),
        ]

        def document() -> dict[str, Any]:
            return openapi_document(routes)

        routes += ServiceRoutes(health, metrics, document).table()

        tls, fingerprint = _staff_tls(config, base.clock)
        cap.at_door(tls)
        app = staff_application(tuple(routes), desk.sessions.actor_of, metrics.observe, desk.watch.note)
        listener = StaffListener(app, tls)
        await listener.open(*config.staff_address)
        stack.push_async_callback(listener.close)
        stack.callback(boxes.listening.close)  # before the listener: what never ends would hold it up
        stack.callback(news.hub.close)
        # Last: a password that is made and then lost to a port that is taken would lock everyone out.
        first_admin = await desk.accounts.ensure_admin()
        health.ready = True
        url = f"{'https' if tls else 'http'}://{_shown(config.staff_address[0])}:{listener.port}"
        agents = f"{'https' if config.agent_tls else 'http'}://{_shown(config.agent_address[0])}:{boxes.port}"
        _log.info("controller is up", staff=url, agents=agents, root=base.vault.root_fingerprint[:16])
        yield Running(
            base, air, boxes, cap, news, supervisor, health, desk.watch, url, fingerprint, first_admin, document
        )
        health.ready = False


@dataclass(frozen=True, slots=True)
class _Desk:
    """Use-cases around people and places."""

    accounts: AccountService
    second_factors: SecondFactors
    sessions: Sessions
    areas: AreaService
    clusters: ClusterService
    zones: ZoneService
    watch: DoorWatch
    upkeep: Upkeep

    def routes(self, base: Foundation) -> tuple[Route, ...]:
        """Their operations."""
        directory = base.directory
        return (
            *SessionRoutes(self.sessions, self.accounts, directory).table(),
            *ConsoleRoutes(self.sessions, directory, base.config.demo_logins).table(),
            *SecondFactorRoutes(self.second_factors, self.accounts).table(),
            *UserRoutes(self.accounts).table(),
            *AreaRoutes(self.areas, directory).table(),
            *ClusterRoutes(self.clusters, directory).table(),
            *ZoneRoutes(self.zones, directory).table(),
            *MapRoutes(base.config.data).table(),
            *UpkeepRoutes(self.upkeep).table(),
        )


def _desk(base: Foundation) -> _Desk:
    db, directory, clock = base.db, base.directory, base.clock
    watch = DoorWatch(db, clock)
    accounts = AccountService(db, directory, clock, base.passwords)
    second_factors = SecondFactors(db, directory, clock, accounts, base.sealer)
    return _Desk(
        accounts,
        second_factors,
        Sessions(db, directory, clock, base.passwords, second_factors, suspect=watch.note),
        AreaService(db, directory, clock),
        ClusterService(db, directory, clock),
        ZoneService(db, directory, clock),
        watch,
        Upkeep(base.config, db, directory, base.vault, clock),
    )


def _staff_tls(config: Config, clock: Clock) -> tuple[ssl.SSLContext | None, str | None]:
    if not config.staff_tls:
        return None, None
    if config.staff_certificate is not None and config.staff_key is not None:
        pair = CertificatePair(config.staff_certificate, config.staff_key)
    else:
        pair = ensure_certificate(config.tls_folder, "staff", [config.staff_address[0]], now=clock.now())
    return pair.server_context(), pair.fingerprint()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
