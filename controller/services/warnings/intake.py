"""Where warnings come in, pushed or fetched: bounded, read, written down once, handed on.

Rules kept here:

1. What was answered as received is on the disk. Whatever comes twice is one warning, and the answer says so.
2. A source may bring :data:`PER_MINUTE` documents a minute and :data:`PER_HOUR` alerts an hour. What is beyond is
   refused with the time to wait, never half taken, and stands as a fault of the source.
3. A document that cannot be read is refused as a whole with the reader's code; an alert of it that cannot be is
   answered with its own, and the others are taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from controller.services.context import Clock
from controller.services.errors import InvalidError, ServiceError, TooManyError
from controller.services.warnings.book import Kept, WarningBook
from controller.services.warnings.model import SourceEntry, SourceKind
from controller.services.warnings.reader import WarningReader

#: Documents of one source within a minute.
PER_MINUTE: Final = 60
#: Alerts of one source within an hour. A busy national feed has a few hundred in force.
PER_HOUR: Final = 2_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How a source's warnings have been arriving since the controller started."""

    received: int = 0
    duplicates: int = 0
    refused: int = 0
    last_received: datetime | None = None
    fault_code: str = ""
    fault_detail: str = ""
    fault_at: datetime | None = None


@dataclass(slots=True)
class _Rate:
    """When documents and alerts came."""

    documents: deque[datetime] = field(default_factory=deque)
    alerts: deque[tuple[datetime, int]] = field(default_factory=deque)

    def wait(self, now: datetime) -> float:
        """Seconds until the next document may come; 0 = now."""
        while self.documents and self.documents[0] <= now - timedelta(minutes=1):
            self.documents.popleft()
        while self.alerts and self.alerts[0][0] <= now - timedelta(hours=1):
            self.alerts.popleft()
        waits = [0.0]
        if len(self.documents) >= PER_MINUTE:
            waits.append((self.documents[0] + timedelta(minutes=1) - now).total_seconds())
        if sum(count for _, count in self.alerts) >= PER_HOUR:
            waits.append((self.alerts[0][0] + timedelta(hours=1) - now).total_seconds())
        return max(waits)


class WarningIntake:
    """Takes documents. ``taken`` is called after anything new was written down."""

    def __init__(self, *, book: WarningBook, reader: WarningReader, clock: Clock, taken: Callable[[], None]) -> None:
        self._book = book
        self._reader = reader
        self._clock = clock
        self._taken = taken
        self._rates: dict[str, _Rate] = {}
        self._health: dict[str, SourceHealth] = {}

    @property
    def health(self) -> Mapping[str, SourceHealth]:
        """How each source's warnings have been arriving."""
        return self._health

    def forget(self, source_id: str) -> None:
        """A source was removed."""
        self._rates.pop(source_id, None)
        self._health.pop(source_id, None)

    async def take(self, source: SourceEntry, via: SourceKind, data: bytes) -> list[Kept]:
        """Take one document; one result for each alert in it.

        Raises:
            TooManyError: ``source_too_fast``: the source brings more than it may.
            InvalidError: the document cannot be read; the reader's code says why.
            BusyError, StoreBusyError: try again in a moment.
        """
        now = self._clock.now()
        rate = self._rates.setdefault(source.id, _Rate())
        wait = rate.wait(now)
        if wait > 0:
            refusal = TooManyError(
                f"{source.name} brings more warnings than it may; wait",
                retry_after=int(wait) + 1,
                code="source_too_fast",
            )
            self._fault(source, refusal, now)
            raise refusal
        rate.documents.append(now)
        try:
            readings = await self._reader.read(data, source.certificates, now=now)
            results = await self._book.keep(source.id, via, data, readings, now=now)
        except InvalidError as error:
            self._fault(source, error, now)
            raise
        self._count(source, results, rate, now)
        return results

    def _count(self, source: SourceEntry, results: Sequence[Kept], rate: _Rate, now: datetime) -> None:
        fresh = sum(one.code == "received" for one in results)
        known = sum(one.taken for one in results) - fresh
        health = self._health.get(source.id, SourceHealth())
        self._health[source.id] = replace(
            health,
            received=health.received + fresh,
            duplicates=health.duplicates + known,
            refused=health.refused + len(results) - fresh - known,
            last_received=now if fresh else health.last_received,
        )
        for one in results:
            if one.code == "duplicate_differs":
                _log.warning("warning_differs", source=source.id, warning=one.id, identifier=one.identifier[:100])
        if fresh:
            rate.alerts.append((now, fresh))
            self._taken()

    def _fault(self, source: SourceEntry, error: ServiceError, now: datetime) -> None:
        health = self._health.get(source.id, SourceHealth())
        self._health[source.id] = replace(
            health, refused=health.refused + 1, fault_code=error.code, fault_detail=error.detail, fault_at=now
        )
        _log.warning("warning_refused", source=source.id, code=error.code, detail=error.detail)
