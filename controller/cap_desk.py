"""Warnings, put together: what sources bring, what people decide, and our own alerts as CAP.

The part of the composition root on top of the alert desk, which it sends through.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from controller.alarms import Alarms
from controller.api.cap_routes import CapRoutes
from controller.api.metrics import Metrics
from controller.api.routing import Route
from controller.api.warning_metrics import WarningCollector
from controller.api.warning_routes import WarningRoutes
from controller.feeds import AddressPolicy
from controller.feeds.cap_feed import CapFeed
from controller.foundation import Foundation
from controller.services.alerts import AlertDesk
from controller.services.drills import DrillDesk
from controller.services.health import Health
from controller.services.warnings import (
    CapPublisher,
    SourceEntry,
    WarningBook,
    WarningDesk,
    WarningHandler,
    WarningIntake,
    WarningReader,
    WarningSources,
)
from controller.services.warnings.doors import ClientDoor
from controller.services.warnings.polling import Feed, WarningPolls
from controller.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class CapDesk:
    """Everything about warnings."""

    sources: WarningSources
    book: WarningBook
    reader: WarningReader
    intake: WarningIntake
    handler: WarningHandler
    desk: WarningDesk
    polls: WarningPolls
    publisher: CapPublisher

    def routes(self, base: Foundation) -> tuple[Route, ...]:
        """Operations of the staff API."""
        return (
            *WarningRoutes(
                self.desk, self.sources, polls=lambda: self.polls.states, health=lambda: self.intake.health
            ).table(),
            *CapRoutes(
                sources=self.sources,
                intake=self.intake,
                publisher=self.publisher,
                clock=base.clock,
                public=base.config.cap_public,
            ).table(),
        )

    def start(self, supervisor: Supervisor, health: Health, metrics: Metrics) -> None:
        """Give the tasks to their owner."""
        supervisor.start("warnings", self.handler.run)
        supervisor.start("warning-feeds", self.polls.run)
        supervisor.start("cap-publisher", self.publisher.run)
        health.add("warnings", lambda: self.reader.fault)
        health.add("warning-sources", self._demoted)
        health.add("cap", lambda: self.publisher.fault)
        metrics.registry.register(
            WarningCollector(
                book=self.book,
                intake=self.intake,
                sources=self.sources,
                polls=self.polls,
                publisher=self.publisher,
            )
        )

    def at_door(self, tls: ssl.SSLContext | None) -> None:
        """Let sources show client certificates at a listener."""
        if tls is not None:
            ClientDoor(tls, self.sources)

    def _demoted(self) -> str | None:
        names = [source.name for source in self.sources.all() if source.demoted]
        if not names:
            return None
        return f"warnings of {', '.join(names)} are not automatic any more; see: loa-controller warning source list"


@asynccontextmanager
async def open_cap_desk(base: Foundation, alarms: Alarms, drills: DrillDesk) -> AsyncIterator[CapDesk]:
    """Build it on the open desks of alerts and drills; its tasks begin with :meth:`CapDesk.start`.

    Raises:
        StoreError: the database cannot be read.
    """
    db, directory, clock, config, alerts = base.db, base.directory, base.clock, base.config, alarms.desk
    policy = AddressPolicy(allow_private=config.allow_private_sources)
    sources = WarningSources(db=db, directory=directory, policy=policy, clock=clock)
    async with db.read() as session:
        await sources.load(session)
    book, reader = WarningBook(db), WarningReader()
    await book.load()
    handler = WarningHandler(
        book=book,
        sources=sources,
        reader=reader,
        alerts=alerts,
        notices=alarms.notices,
        directory=directory,
        clock=clock,
    )
    intake = WarningIntake(book=book, reader=reader, clock=clock, taken=handler.poke)

    def feed_of(source: SourceEntry, state: Mapping[str, Any]) -> Feed:
        return CapFeed(source.url or "", policy, state=state)

    polls = WarningPolls(db=db, sources=sources, intake=intake, make=feed_of, clock=clock)
    await polls.load()
    publisher = _publisher(base, alerts)
    for listeners in (alerts.on_issued, alerts.on_extended, alerts.on_cancelled):
        listeners += [handler.alert_changed, publisher.alert_changed]
    drills.listeners.append(publisher.drill_changed)
    desk = WarningDesk(book=book, sources=sources, alerts=alerts, directory=directory, clock=clock)
    try:
        yield CapDesk(sources, book, reader, intake, handler, desk, polls, publisher)
    finally:
        reader.close()


def _publisher(base: Foundation, alerts: AlertDesk) -> CapPublisher:
    return CapPublisher(
        db=base.db,
        alerts=alerts,
        directory=base.directory,
        clock=base.clock,
        folder=base.config.keys_folder,
        sender=base.config.cap_sender or f"loa-{base.vault.root_fingerprint[:16]}",
    )
