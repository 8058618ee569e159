"""Hours of boxes: folded, kept across a restart, let go in the end, shown to who may read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from controller.services.context import SYSTEM, Actor
from controller.services.directory import AgentEntry, ClusterEntry, Directory
from controller.services.entries import AreaEntry
from controller.services.errors import ForbiddenError
from controller.services.fleet import FleetService
from controller.services.health_history import KEPT, HealthHistory
from controller.services.play_records import PlayRecordBook
from controller.store import Database, sqlite_url, tables
from protocol.messages import Status
from protocol.telemetry import ClockState, Health, OutputState
from tests.unit.controller.desk import fresh_database
from tests.unit.controller.test_cluster_states import HandClock, Silent

BOX = "a" * 32


class NoKeeper:
    """Starts nothing: tests call what is due."""

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None: ...

    def every(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None: ...


class House:
    """A history with one box."""

    def __init__(self, db: Database, clock: HandClock) -> None:
        self.db, self.clock = db, clock
        self.directory = Directory()
        self.directory.put_area(AreaEntry("ar_a", None, "A", "xã"))
        self.directory.put_cluster(ClusterEntry("cl_a", "ar_a", "1"))
        self.directory.put_agent(AgentEntry(BOX, b"", "cl_a", "approved"))
        self.fleet = FleetService(db, self.directory, clock, PlayRecordBook(db, clock), Silent())
        self.history = HealthHistory(db, self.directory, self.fleet, clock)

    async def says(self, temperature: float | None, *, disk: int = 900) -> None:
        health = Health(
            uptime_s=1, clock=ClockState.READY, output=OutputState.OK, temperature_c=temperature, disk_free_mb=disk
        )
        await self.fleet.status(BOX, Status(at=self.clock.at, health=health))


async def _open(folder: Path, clock: HandClock) -> Database:
    path = await fresh_database(folder)
    db = Database(sqlite_url(str(path)), now=clock.now)
    async with db.transaction(SYSTEM) as tx:
        now = clock.now()
        for row in (
            tables.Area(id="ar_a", name="A", kind="xã", created_at=now),
            tables.Cluster(id="cl_a", area_id="ar_a", name="1", created_at=now),
            tables.Agent(id=BOX, public_key="00", cluster_id="cl_a", state="approved", enrolled_at=now),
        ):
            tx.session.add(row)
            await tx.session.flush()
        tx.audit("area.create", "ar_A")
    return db


async def test_an_hour_keeps_the_worst_and_survives_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    db = await _open(tmp_path, clock)
    start = clock.at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    clock.at = start
    house = House(db, clock)
    await house.history.open(NoKeeper())
    await house.says(40.0)
    await house.says(55.5, disk=700)
    clock.at = start + timedelta(minutes=1)
    await house.says(None, disk=800)
    await house.history.write()

    again = House(db, clock)
    await again.history.open(NoKeeper())
    clock.at = start + timedelta(minutes=2)
    await again.says(41.0)
    (hour,) = await again.history.of_cluster(SYSTEM, "cl_a", start)
    assert (hour.hour, hour.heard, hour.temperature_c, hour.disk_free_mb) == (start, 3, 55.5, 700)
    await again.history.close()

    clock.at = start + timedelta(hours=1)
    await again.says(30.0)
    await again.history.write()
    hours = await again.history.of_cluster(SYSTEM, "cl_a", start)
    assert [(hour.heard, hour.temperature_c) for hour in hours] == [(3, 55.5), (1, 30.0)]

    clock.at = start + KEPT + timedelta(minutes=90)
    await again.history.write()
    assert await again.history.of_cluster(SYSTEM, "cl_a", start) == []
    await db.close()


async def test_who_may_not_read_the_cluster_sees_no_hours(tmp_path: Path) -> None:
    clock = HandClock()
    db = await _open(tmp_path, clock)
    house = House(db, clock)
    with pytest.raises(ForbiddenError):
        await house.history.of_cluster(Actor("us_x", "x"), "cl_a", clock.at)
    await db.close()
