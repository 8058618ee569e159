"""What the tests of the controller's foundation share: a clock that stands still, a small database, cheap hashes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from argon2 import PasswordHasher

from controller.keys.sealing import Sealer
from controller.services.accounts import AccountService
from controller.services.alerts.tones import ensure_tones
from controller.services.areas import AreaService
from controller.services.audit import AuditService
from controller.services.chimes import ensure_chimes
from controller.services.clusters import ClusterService
from controller.services.context import SYSTEM, Actor, Role, RoleGrant
from controller.services.directory import Directory
from controller.services.media_store import MediaStore
from controller.services.passwords import Passwords
from controller.services.second_factor import SecondFactors
from controller.services.sessions import Sessions
from controller.services.zones import ZoneService
from controller.store import Database, sqlite_url
from controller.store.migrations import migrate
from schedules.instants import MonoUs

START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class StillClock:
    """A clock that moves only when told."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def mono_us(self) -> MonoUs:
        return MonoUs((self.at - START) // timedelta(microseconds=1))

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


@cache
def _template() -> Path:
    """A migrated, empty database, made once a run."""
    path = Path(mkdtemp(prefix="loa-test-")) / "template.db"
    asyncio.run(migrate(sqlite_url(str(path))))
    return path


@cache
def _house_sounds() -> Path:
    """The chimes and signals that a first start makes, made once a run."""
    store = MediaStore(Path(mkdtemp(prefix="loa-test-")))
    store.open()
    asyncio.run(ensure_chimes(store))
    asyncio.run(ensure_tones(store))
    return store.media


async def house_sounds(folder: Path) -> None:
    """Put them into a test's own data folder: making them takes a second of computing each time."""
    await asyncio.to_thread(lambda: shutil.copytree(_house_sounds(), folder / "media"))


async def fresh_database(folder: Path) -> Path:
    """A migrated, empty database file of a test's own."""

    def copy() -> Path:
        folder.mkdir(exist_ok=True, mode=0o700)
        return Path(shutil.copy(_template(), folder / "loa.db"))

    return await asyncio.to_thread(copy)


@dataclass(frozen=True, slots=True)
class Desk:
    """Every service of the foundation on one small database."""

    clock: StillClock
    db: Database
    directory: Directory
    accounts: AccountService
    second_factors: SecondFactors
    sessions: Sessions
    areas: AreaService
    clusters: ClusterService
    zones: ZoneService
    audit: AuditService
    folder: Path

    async def user(self, name: str, *grants: tuple[Role, str | None]) -> Actor:
        """A user with these roles, signed in."""
        held = tuple(RoleGrant(role, area) for role, area in grants)
        entry, password = await self.accounts.create(SYSTEM, name=name, display_name="", password=None, grants=held)
        return (await self.sessions.login(entry.name, password or "", address="::1")).actor


@asynccontextmanager
async def open_desk(folder: Path, *, busy: timedelta = timedelta(seconds=2)) -> AsyncIterator[Desk]:
    """A desk on a database in ``folder``, made when it is not there."""
    path = folder / "loa.db"
    if not path.exists():
        await fresh_database(folder)
    clock, directory, passwords = StillClock(), Directory(), Passwords(CHEAP)
    db = Database(sqlite_url(str(path)), now=clock.now, busy_timeout=busy)
    try:
        async with db.read() as session:
            await directory.load(session)
        accounts = AccountService(db, directory, clock, passwords)
        second_factors = SecondFactors(db, directory, clock, accounts, Sealer(bytes(32)))
        yield Desk(
            clock,
            db,
            directory,
            accounts,
            second_factors,
            Sessions(db, directory, clock, passwords, second_factors),
            AreaService(db, directory, clock),
            ClusterService(db, directory, clock),
            ZoneService(db, directory, clock),
            AuditService(db, directory),
            folder,
        )
    finally:
        passwords.close()
        await db.close()
