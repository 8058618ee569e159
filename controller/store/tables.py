"""Every table of the controller.

Rules kept here:

1. Instants are aware and stored in UTC (SQLModel's ``UTCDateTime`` refuses a naive one).
2. Ids of things people make are short random texts with a prefix (:mod:`controller.store.ids`); ids of what is
   content are SHA-256 in hex; an agent's id is made of its key.
3. What must not be lost when a parent goes refers to it without cascading: a delete that would orphan a row fails.
4. Tables do not validate (``table=True`` switches pydantic's checks off): services check before they build a row.

A change of anything here needs a migration in :mod:`controller.store.migrations`; a test compares the two.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, LargeBinary, MetaData, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

#: Named constraints: SQLite can only alter a table by rebuilding it, which needs the names.
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel):
    """Base of every table; carries the naming of constraints."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


# --- places -----------------------------------------------------------------------------------------------------


class Area(Table, table=True):
    """A node of the tree of places: province, commune, village, whatever ``kind`` says.

    ``None`` in a policy column means "as the nearest ancestor that says something".
    """

    id: str = Field(primary_key=True)
    parent_id: str | None = Field(default=None, foreign_key="area.id", index=True)
    name: str
    kind: str
    timezone: str | None = None
    quiet_begin: str | None = None  # local time, HH:MM
    quiet_end: str | None = None
    quiet_none: bool | None = None  # True: this subtree has no quiet hours
    max_item_s: int | None = None
    max_relay_s: int | None = None
    created_at: datetime


class Cluster(Table, table=True):
    """One loudspeaker cluster: a pole in a village."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)
    name: str
    latitude: float | None = None
    longitude: float | None = None
    languages: list[str] = Field(default_factory=list, sa_type=JSON)  # BCP 47, in the order of reading
    contact_name: str = ""
    contact_phone: str = ""
    gains: dict[str, float] = Field(default_factory=dict, sa_type=JSON)  # class name -> dB
    output_delay_ms: int = 0
    duck_db: float | None = None
    amplifier: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # {port, pin, lead_ms, tail_ms}
    state: str = "active"  # active | disabled
    created_at: datetime


class Zone(Table, table=True):
    """A named group of clusters across the tree ("Ven sông"), kept by the people of the area it belongs to."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)
    name: str
    clusters: list[str] = Field(default_factory=list, sa_type=JSON)  # ids; those that are gone no longer count
    created_at: datetime


class Agent(Table, table=True):
    """A box that sounds for a cluster, known by its key."""

    id: str = Field(primary_key=True)  # first 32 hex digits of SHA-256(public key)
    public_key: str  # hex
    cluster_id: str | None = Field(default=None, foreign_key="cluster.id", index=True)
    state: str = "pending"  # pending | approved | revoked
    software: str = ""
    enrolled_at: datetime
    approved_by: str | None = None
    last_seen: datetime | None = None
    last_status: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class ProvisioningToken(Table, table=True):
    """A one-time right to enrol, put on a card before it travels. Only its hash is kept."""

    hash: str = Field(primary_key=True)
    cluster_id: str | None = Field(default=None, foreign_key="cluster.id")
    created_by: str
    created_at: datetime
    expires: datetime
    used_by: str | None = None  # agent id
    used_at: datetime | None = None


# --- people -----------------------------------------------------------------------------------------------------


class User(Table, table=True):
    """Someone who may sign in. The row outlives the person's time at the desk: audit rows speak of it."""

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    display_name: str = ""
    password_hash: str
    must_change: bool = False
    disabled: bool = False
    created_at: datetime


class Grant(Table, table=True):
    """A role of a user over an area and everything below it; ``area_id`` None means everywhere."""

    __table_args__ = (UniqueConstraint("user_id", "role", "area_id"),)
    id: int | None = Field(default=None, primary_key=True)
    user_id: str = Field(foreign_key="user.id", index=True)
    role: str
    area_id: str | None = Field(default=None, foreign_key="area.id", index=True)


class Token(Table, table=True):
    """A signed-in session or a script's key. Only its hash is kept."""

    hash: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="user.id", index=True)
    label: str = ""
    created_at: datetime
    last_used: datetime
    idle_s: int  # unused for so long, it is gone
    expires: datetime  # gone at the latest
    sitting: bool = False  # a person signed in with it; otherwise it was made for a script
    second_factor: bool = False  # it was opened with one, or made in a session that was


class SecondFactor(Table, table=True):
    """The secret of a user's authenticator app, sealed. It counts when it is confirmed."""

    user_id: str = Field(primary_key=True, foreign_key="user.id")
    secret: str
    created_at: datetime
    confirmed_at: datetime | None = None
    last_step: int = Field(default=0, sa_type=BigInteger)  # the newest time step that opened a session


class RecoveryCode(Table, table=True):
    """What opens a session once instead of the app. Only its hash is kept; the row goes when it is used."""

    hash: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="user.id", index=True)


# --- sound ------------------------------------------------------------------------------------------------------


class Recording(Table, table=True):
    """A sound someone brought, and what became of it."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)
    title: str
    language: str | None = None
    original_name: str = ""
    sha256: str | None = Field(default=None, index=True)  # of the Ogg Opus made from it; None until ready
    frames: int | None = Field(default=None, sa_type=BigInteger)
    bytes: int | None = Field(default=None, sa_type=BigInteger)
    report: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: str = "processing"  # processing | ready | refused | archived
    created_by: str
    created_at: datetime


class Approval(Table, table=True):
    """A decision about exactly these bytes."""

    id: int | None = Field(default=None, primary_key=True)
    recording_id: str = Field(foreign_key="recording.id", index=True)
    sha256: str
    by: str
    at: datetime
    decision: str  # approved | rejected
    reason: str = ""


class Source(Table, table=True):
    """A radio stream that may be relayed."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)
    title: str
    url: str
    state: str = "active"  # active | archived
    created_by: str
    created_at: datetime


class Programme(Table, table=True):
    """A rule of the schedule: what, where, when, and what happens when it cannot be as planned."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)
    title: str
    priority: int
    rrule: str | None = None
    dtstart: str  # local, YYYY-MM-DDTHH:MM:SS
    timezone: str
    exdates: list[str] = Field(default_factory=list, sa_type=JSON)
    rdates: list[str] = Field(default_factory=list, sa_type=JSON)
    moved: dict[str, str] = Field(default_factory=dict, sa_type=JSON)  # recurrence -> new local start
    replaced: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # recurrence -> content
    content: dict[str, Any] = Field(sa_type=JSON)
    targets: dict[str, list[str]] = Field(sa_type=JSON)  # {areas: [...], clusters: [...]}
    late: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    after_preempt: str = "resume"
    overrun: str = "let_finish"
    slot_s: int | None = None
    max_delay_s: int = 0
    state: str = "active"  # active | withdrawn | ended
    version: int = 1
    created_by: str
    created_at: datetime


# --- what was told to agents, and what they said ----------------------------------------------------------------


class Document(Table, table=True):
    """Bytes that agents fetch by hash: day documents of the plan."""

    sha256: str = Field(primary_key=True)
    body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime


class PlanIssue(Table, table=True):
    """One signed manifest that was offered to one agent."""

    __table_args__ = (UniqueConstraint("agent_id", "term", "seq"),)
    id: int | None = Field(default=None, primary_key=True)
    agent_id: str = Field(foreign_key="agent.id", index=True)
    cluster_id: str = Field(index=True)
    term: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    envelope: bytes = Field(sa_type=LargeBinary)
    days: dict[str, str] = Field(default_factory=dict, sa_type=JSON)  # date -> sha256
    issued: datetime
    expires: datetime
    acked_at: datetime | None = None
    ack_outcome: str | None = None


class CommandRow(Table, table=True):
    """An order that was given; drained from the command journal, so it may appear a moment after it acted."""

    __table_args__ = (UniqueConstraint("term", "seq"),)
    id: int | None = Field(default=None, primary_key=True)
    term: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    kind: str
    actor: str
    body: dict[str, Any] = Field(sa_type=JSON)
    journal_hash: str
    issued: datetime
    expires: datetime | None = None
    idempotency_key: str | None = Field(default=None, index=True)


class Delivery(Table, table=True):
    """Where one signed document stands with one agent."""

    __table_args__ = (UniqueConstraint("agent_id", "kind", "term", "seq"),)
    id: int | None = Field(default=None, primary_key=True)
    agent_id: str = Field(foreign_key="agent.id", index=True)
    kind: str  # plan | settings | command | stream_open | key_set
    term: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    state: str  # sent | accepted | refused
    code: str = ""
    detail: str = ""
    at: datetime


class PlayRecordRow(Table, table=True):
    """What an agent says it played. The pair (agent, journal, seq) makes "exactly once" a constraint."""

    __table_args__ = (UniqueConstraint("agent_id", "journal", "seq"),)
    id: int | None = Field(default=None, primary_key=True)
    agent_id: str = Field(foreign_key="agent.id", index=True)
    journal: str
    seq: int = Field(sa_type=BigInteger)
    cluster_id: str | None = Field(default=None, index=True)
    occurrence_id: str = Field(index=True)
    rule_id: str | None = Field(default=None, index=True)
    recurrence: datetime | None = None
    title: str = ""
    priority: int
    outcome: str  # played | partial | missed | skipped | refused | stopped | withdrawn
    planned_start: datetime | None = Field(default=None, index=True)
    started: datetime | None = None
    ended: datetime | None = None
    start_error_us: int | None = Field(default=None, sa_type=BigInteger)
    frames: int = Field(default=0, sa_type=BigInteger)
    silence_frames: int = Field(default=0, sa_type=BigInteger)
    code: str = ""
    stream: str | None = None
    received_at: datetime


class HealthHour(Table, table=True):
    """How one box fared in one hour: the worst of what it told. Kept for two weeks."""

    agent_id: str = Field(primary_key=True, foreign_key="agent.id")
    hour: datetime = Field(primary_key=True, index=True)
    minutes: int = Field(default=0, sa_type=BigInteger)  # bit n: it was heard in minute n
    temperature_c: float | None = None  # highest
    disk_free_mb: int | None = None  # least
    sync_error_us: int | None = Field(default=None, sa_type=BigInteger)  # largest
    rtt_us: int | None = Field(default=None, sa_type=BigInteger)  # largest
    under_voltage: bool = False
    faults: int = 0  # most at once


class SecurityEvent(Table, table=True):
    """Something refused that honest parties do not send."""

    id: int | None = Field(default=None, primary_key=True)
    agent_id: str | None = Field(default=None, index=True)
    code: str
    detail: str = Field(default="", sa_type=Text)
    at: datetime = Field(index=True)


# --- the books --------------------------------------------------------------------------------------------------


class Audit(Table, table=True):
    """One row of the hash-chained log (:mod:`controller.store.audit`)."""

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: str  # ISO 8601, UTC, microseconds: exactly the text that is hashed
    actor: str
    action: str = Field(index=True)
    subject: str = Field(index=True)
    details: str = Field(sa_type=Text)  # canonical JSON: exactly the text that is hashed
    prev_hash: str
    hash: str


class Counter(Table, table=True):
    """A number that only rises (sequence numbers of signed documents, the audit head)."""

    name: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)
