"""The frozen entries of the directory: what memory knows of an area, a cluster, an agent, a user, a session.

Each is made of its database row by ``of`` and replaced as a whole when the row changes. Rows themselves never leave a
transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from controller.services.context import RoleGrant
from controller.store import tables
from schedules.ladder import Priority
from schedules.model import Amplifier, QuietHours


@dataclass(frozen=True, slots=True)
class AreaEntry:
    """A node of the tree of places. ``quiet`` is None to inherit, ``"none"`` for no quiet hours at all."""

    id: str
    parent_id: str | None
    name: str
    kind: str
    timezone: str | None = None
    quiet: QuietHours | str | None = None
    max_item: timedelta | None = None
    max_relay: timedelta | None = None

    @classmethod
    def of(cls, row: tables.Area) -> AreaEntry:
        """The entry of a row."""
        quiet: QuietHours | str | None = None
        if row.quiet_none:
            quiet = "none"
        elif row.quiet_begin is not None and row.quiet_end is not None:
            quiet = QuietHours(time.fromisoformat(row.quiet_begin), time.fromisoformat(row.quiet_end))
        return cls(
            row.id,
            row.parent_id,
            row.name,
            row.kind,
            row.timezone,
            quiet,
            None if row.max_item_s is None else timedelta(seconds=row.max_item_s),
            None if row.max_relay_s is None else timedelta(seconds=row.max_relay_s),
        )


@dataclass(frozen=True, slots=True)
class ClusterEntry:
    """A loudspeaker cluster. ``gains`` are decibels by class, sorted by class."""

    id: str
    area_id: str
    name: str
    latitude: float | None = None
    longitude: float | None = None
    languages: tuple[str, ...] = ("vi",)
    contact_name: str = ""
    contact_phone: str = ""
    gains: tuple[tuple[Priority, float], ...] = ()
    output_delay_ms: int = 0
    amplifier: Amplifier = field(default_factory=Amplifier)
    state: str = "active"
    duck_db: float | None = None

    @property
    def active(self) -> bool:
        """Whether plans are made for it."""
        return self.state == "active"

    @classmethod
    def of(cls, row: tables.Cluster) -> ClusterEntry:
        """The entry of a row."""
        gains = tuple(sorted((Priority[name], db) for name, db in row.gains.items()))
        amplifier = Amplifier(
            row.amplifier.get("port", "none"),
            row.amplifier.get("pin"),
            timedelta(milliseconds=row.amplifier.get("lead_ms", 0)),
            timedelta(milliseconds=row.amplifier.get("tail_ms", 0)),
        )
        return cls(
            row.id,
            row.area_id,
            row.name,
            row.latitude,
            row.longitude,
            tuple(row.languages),
            row.contact_name,
            row.contact_phone,
            gains,
            row.output_delay_ms,
            amplifier,
            row.state,
            row.duck_db,
        )


@dataclass(frozen=True, slots=True)
class ZoneEntry:
    """A named group of clusters. ``clusters`` are the ids as they were said: see :meth:`Directory.members`."""

    id: str
    area_id: str
    name: str
    clusters: tuple[str, ...]

    @classmethod
    def of(cls, row: tables.Zone) -> ZoneEntry:
        """The entry of a row."""
        return cls(row.id, row.area_id, row.name, tuple(row.clusters))


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """An enrolled (or waiting, or revoked) box."""

    id: str
    public_key: bytes
    cluster_id: str | None
    state: str  # pending | approved | revoked

    @property
    def approved(self) -> bool:
        """Whether it may be spoken to."""
        return self.state == "approved"

    @classmethod
    def of(cls, row: tables.Agent) -> AgentEntry:
        """The entry of a row."""
        return cls(row.id, bytes.fromhex(row.public_key), row.cluster_id, row.state)


@dataclass(frozen=True, slots=True)
class UserEntry:
    """Someone who may sign in, with what they may do."""

    id: str
    name: str
    display_name: str
    disabled: bool
    grants: tuple[RoleGrant, ...] = ()
    must_change: bool = False
    second_factor: bool = False  # confirmed

    @classmethod
    def of(cls, row: tables.User, grants: tuple[RoleGrant, ...], *, second_factor: bool = False) -> UserEntry:
        """The entry of a row and of what belongs to it."""
        return cls(row.id, row.name, row.display_name, row.disabled, grants, row.must_change, second_factor)


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A signed-in session, known by the hash of its token."""

    hash: str
    user_id: str
    label: str
    created_at: datetime
    last_used: datetime
    idle: timedelta
    expires: datetime
    sitting: bool
    second_factor: bool

    @classmethod
    def of(cls, row: tables.Token) -> TokenEntry:
        """The entry of a row."""
        return cls(
            hash=row.hash,
            user_id=row.user_id,
            label=row.label,
            created_at=row.created_at,
            last_used=row.last_used,
            idle=timedelta(seconds=row.idle_s),
            expires=row.expires,
            sitting=row.sitting,
            second_factor=row.second_factor,
        )

    def alive(self, now: datetime) -> bool:
        """Neither expired nor left unused for too long."""
        return now < self.expires and now - self.last_used < self.idle
