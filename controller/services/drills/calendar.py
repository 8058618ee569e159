"""When the regular tests are due: silent ones every week, an audible one every month where that is wanted.

Rules kept here:

1. What is due follows from the calendar and from the last one that was ordered; nothing else is remembered. One that
   was missed because the controller was off is made up for within :data:`LATE`, then it waits for the next.
2. A test that cannot be ordered now (quiet hours, a locked database) is tried again at the next look, within the same
   bound; why it failed is said (:attr:`DrillCalendar.fault`).

Not here: what a test is (:mod:`controller.services.drills.desk`), waking up (:mod:`controller.services.arming`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from controller.services.alerts.model import Where
from controller.services.arming import Due
from controller.services.context import SYSTEM, Clock
from controller.services.directory import Directory
from controller.services.drills.desk import DrillDesk
from controller.services.drills.model import DrillDraft, DrillKind
from controller.services.errors import ServiceError
from controller.services.orders import Scope

#: A regular test that was missed is made up for so long after its hour.
LATE: Final = timedelta(hours=6)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DrillTimes:
    """When, in local time. ``silent_weekday`` 0 is Monday; None, and ``monthly_day`` 0: never."""

    timezone: str = "Asia/Ho_Chi_Minh"
    silent_weekday: int | None = 2
    silent_hour: int = 9
    monthly_day: int = 0
    monthly_hour: int = 10


class DrillCalendar:
    """Implements :class:`controller.services.arming.DueSource`."""

    def __init__(self, desk: DrillDesk, directory: Directory, clock: Clock, times: DrillTimes) -> None:
        self._desk = desk
        self._directory = directory
        self._clock = clock
        self._times = times
        self._born = clock.now()
        #: Why the last regular test could not be ordered; None when it was.
        self.fault: str | None = None

    def due(self, now: datetime, until: datetime) -> Sequence[Due]:
        """The regular tests that are due before ``until``, and those that are overdue."""
        found = []
        for kind, slots in ((DrillKind.SILENT, self._silent(now)), (DrillKind.TEST, self._monthly(now))):
            last = self._last(kind)
            at = next((slot for slot in slots if slot > last and slot > now - LATE), None)
            if at is not None and at < until and self._directory.clusters:
                found.append(Due(f"drill.{kind}.{at:%Y%m%dT%H%M}", at, partial(self._order, kind)))
        return found

    def _last(self, kind: DrillKind) -> datetime:
        ordered = [drill.start for drill in self._desk.book.all() if drill.kind is kind]
        return max([self._born, *ordered])

    def _silent(self, now: datetime) -> list[datetime]:
        weekday = self._times.silent_weekday
        if weekday is None:
            return []
        monday = self._today(now) - timedelta(days=self._today(now).weekday())
        days = [monday + timedelta(days=weekday + 7 * week) for week in (-1, 0, 1)]
        return [self._at(day, self._times.silent_hour) for day in days]

    def _monthly(self, now: datetime) -> list[datetime]:
        if self._times.monthly_day == 0:
            return []
        first = self._today(now).replace(day=1)
        months = [first, (first + timedelta(days=32)).replace(day=1)]
        return [
            self._at(month + timedelta(days=self._times.monthly_day - 1), self._times.monthly_hour) for month in months
        ]

    def _today(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self._times.timezone)).date()

    def _at(self, day: date, hour: int) -> datetime:
        return datetime.combine(day, time(hour), ZoneInfo(self._times.timezone)).astimezone(UTC)

    async def _order(self, kind: DrillKind) -> None:
        draft = DrillDraft(Where(Scope(everywhere=True)), kind)
        try:
            drill = await self._desk.start(SYSTEM, draft)
        except ServiceError as error:
            self.fault = f"the regular {kind} test could not be ordered: {error.detail}"
            _log.warning("regular_test_failed", kind=kind.value, code=error.code, reason=error.detail)
            return
        self.fault = None
        _log.info("regular_test_ordered", kind=kind.value, drill=drill.id, boxes=len(drill.results))
