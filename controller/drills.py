"""Drills and tests, put together: the part of the composition root beside :mod:`controller.alarms`."""

from __future__ import annotations

from dataclasses import dataclass

from controller.foundation import Foundation
from controller.services.alerts.speech import Speaker
from controller.services.alerts.templates import TemplateBook
from controller.services.dispatch import Courier
from controller.services.drills import DrillBook, DrillCalendar, DrillDesk, DrillNotices, DrillTimes
from controller.services.fleet import FleetService
from controller.services.media_store import MediaStore
from controller.services.stock import StockShelf
from controller.supervisor import Supervisor

_WRITE_S = 1.0


@dataclass(frozen=True, slots=True)
class Drills:
    """The desk of drills and what belongs to it."""

    desk: DrillDesk
    calendar: DrillCalendar

    def start(self, supervisor: Supervisor) -> None:
        """Give the tasks to their owner."""
        supervisor.start("drill-notices", self.desk.notices.run)
        supervisor.every("drill-results", _WRITE_S, self.desk.book.write)

    def watch(self, fleet: FleetService) -> None:
        """From now on, hear what boxes tell."""
        fleet.watch_progress(self.desk.book.progress)


async def open_drills(
    base: Foundation,
    *,
    store: MediaStore,
    speaker: Speaker,
    templates: TemplateBook,
    courier: Courier,
    shelf: StockShelf,
) -> Drills:
    """Build everything about drills.

    Raises:
        StoreError: the database cannot be read.
    """
    config, clock = base.config, base.clock
    book = DrillBook(base.db, courier, clock)
    await book.load()
    desk = DrillDesk(
        book=book,
        notices=DrillNotices(speaker, store, base.directory, shelf),
        templates=templates,
        speaker=speaker,
        courier=courier,
        directory=base.directory,
        clock=clock,
    )
    times = DrillTimes(
        timezone=config.drill_timezone,
        silent_weekday=config.drill_silent_weekday,
        silent_hour=config.drill_silent_hour,
        monthly_day=config.drill_monthly_day,
        monthly_hour=config.drill_monthly_hour,
    )
    return Drills(desk, DrillCalendar(desk, base.directory, clock, times))
