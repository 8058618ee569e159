"""How every box fared, hour by hour, for two weeks: small enough to keep, enough to see what creeps.

Rules kept here:

1. A report folds into its hour: the worst value of each gauge, and a bit for each minute in which the box was heard.
   Folding the same report twice changes nothing.
2. The hour that runs is in memory and written every :data:`_WRITE_S`; a restart goes on with what was written.
3. Hours older than :data:`KEPT` go. 10 000 boxes are 3.4 million rows at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, delete, select

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.fleet import FleetService
from controller.services.keeping import Keeper
from controller.store import Database, tables
from protocol.messages import Status

KEPT: Final = timedelta(days=14)
_WRITE_S: Final = 300.0
_AT_ONCE: Final = 500
_ROW = tables.HealthHour
_Number = TypeVar("_Number", int, float)
_GAUGES: Final = ("minutes", "temperature_c", "disk_free_mb", "sync_error_us", "rtt_us", "under_voltage", "faults")


@dataclass(slots=True)
class HealthHour:
    """One hour of one box; None: it told nothing of that."""

    agent_id: str
    hour: datetime
    minutes: int = 0  # bit n: heard in minute n
    temperature_c: float | None = None
    disk_free_mb: int | None = None
    sync_error_us: int | None = None
    rtt_us: int | None = None
    under_voltage: bool = False
    faults: int = 0

    @property
    def heard(self) -> int:
        """In how many of its 60 minutes the box was heard."""
        return self.minutes.bit_count()

    def fold(self, status: Status, at: datetime) -> None:
        """Take a report in."""
        health = status.health
        self.minutes |= 1 << at.minute
        self.temperature_c = _most(self.temperature_c, health.temperature_c)
        self.disk_free_mb = _least(self.disk_free_mb, health.disk_free_mb)
        self.sync_error_us = _most(self.sync_error_us, None if status.sync is None else status.sync.error_p95_us)
        self.rtt_us = _most(self.rtt_us, health.clock_rtt_us)
        self.under_voltage = self.under_voltage or bool(health.under_voltage)
        self.faults = max(self.faults, len(status.faults))


class HealthHistory:
    """Keeps it."""

    def __init__(self, db: Database, directory: Directory, fleet: FleetService, clock: Clock) -> None:
        self._db = db
        self._directory = directory
        self._fleet = fleet
        self._clock = clock
        self._hours: dict[tuple[str, datetime], HealthHour] = {}
        self._changed: set[tuple[str, datetime]] = set()

    async def open(self, keeper: Keeper) -> None:
        """Go on with the hour that runs, and begin to listen."""
        async with self._db.read() as session:
            rows = await session.exec(select(_ROW).where(col(_ROW.hour) == _hour_of(self._clock.now())))
            for row in rows:
                self._hours[row.agent_id, row.hour] = _entry(row)
        self._fleet.watch_status(self._heard)
        keeper.every("health-history", _WRITE_S, self.write)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.write()

    async def write(self) -> None:
        """Bring the database up to date, and let go of what is over."""
        now = self._clock.now()
        changed, self._changed = sorted(self._changed), set()
        dialect = postgresql if self._db.url.get_backend_name() == "postgresql" else sqlite
        insert = dialect.insert(_ROW)
        statement = insert.on_conflict_do_update(
            index_elements=["agent_id", "hour"], set_={name: insert.excluded[name] for name in _GAUGES}
        )
        for begin in range(0, len(changed), _AT_ONCE):
            rows = [asdict(self._hours[key]) for key in changed[begin : begin + _AT_ONCE]]
            async with self._db.telemetry() as session:
                await (await session.connection()).execute(statement, rows)
        async with self._db.telemetry() as session:
            await session.exec(delete(_ROW).where(col(_ROW.hour) < now - KEPT))
        for key in [key for key in self._hours if key[1] < _hour_of(now) and key not in self._changed]:
            del self._hours[key]

    async def of_cluster(self, actor: Actor, cluster_id: str, since: datetime) -> list[HealthHour]:
        """The hours of a cluster's boxes since an instant, oldest first; the one that runs included.

        Raises:
            NotFoundError, ForbiddenError: there is no such cluster, or it may not be read.
        """
        cluster = self._directory.cluster(cluster_id)
        self._directory.require(actor, Permission.READ, cluster.area_id)
        agents = self._directory.agents_of([cluster_id])
        async with self._db.read() as session:
            wanted = select(_ROW).where(col(_ROW.agent_id).in_(agents), col(_ROW.hour) >= _hour_of(since))
            found = {(row.agent_id, row.hour): _entry(row) for row in await session.exec(wanted)}
        found |= {key: hour for key, hour in self._hours.items() if key[0] in agents and key[1] >= _hour_of(since)}
        return [found[key] for key in sorted(found, key=lambda key: (key[1], key[0]))]

    def _heard(self, agent_id: str) -> None:
        status = self._fleet.box(agent_id).status
        if status is None:
            return
        now = self._clock.now()
        key = agent_id, _hour_of(now)
        hour = self._hours.get(key)
        if hour is None:
            hour = self._hours[key] = HealthHour(*key)
        hour.fold(status, now)
        self._changed.add(key)


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _entry(row: tables.HealthHour) -> HealthHour:
    own: dict[str, Any] = {name: getattr(row, name) for name in _GAUGES}
    return HealthHour(row.agent_id, row.hour, **own)


def _most(*values: _Number | None) -> _Number | None:
    return max(_known(values), default=None)


def _least(*values: _Number | None) -> _Number | None:
    return min(_known(values), default=None)


def _known(values: Iterable[_Number | None]) -> list[_Number]:
    return [value for value in values if value is not None]
