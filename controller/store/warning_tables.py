"""Tables of warnings (CAP): whom they come from, what came and what became of it; our own alerts as others read them.

The rules of :mod:`controller.store.tables` hold here, too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field

from controller.store.tables import Table


class WarningSource(Table, table=True):
    """Someone whose warnings are taken: a met service's feed, a disaster office that pushes."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)  # they speak for it and everything below it
    name: str
    kind: str  # push | poll
    url: str | None = None  # of the feed
    interval_s: int = 120  # between two looks at a feed that does not say how often
    certificates: list[str] = Field(default_factory=list, sa_type=JSON)  # PEM: what their XML signatures must lead to
    client_certificates: list[str] = Field(default_factory=list, sa_type=JSON)  # PEM: who may push by mutual TLS
    policy: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    geocodes: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)  # [{name, value, areas}]
    templates: dict[str, str] = Field(default_factory=dict, sa_type=JSON)  # event or event code -> emergency template
    enabled: bool = True
    demoted_at: datetime | None = None  # since then nothing of theirs is automatic
    demoted_why: str = ""
    state: str = "active"  # active | removed
    created_by: str
    created_at: datetime


class WarningToken(Table, table=True):
    """A source's right to push. Only its hash is kept."""

    hash: str = Field(primary_key=True)
    source_id: str = Field(foreign_key="warningsource.id", index=True)
    label: str = ""
    created_by: str
    created_at: datetime


class WarningDocument(Table, table=True):
    """The bytes as they came; one document may hold several alerts."""

    sha256: str = Field(primary_key=True)
    body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime


class WarningRow(Table, table=True):
    """One alert of one source, and one more where a signed one came after one that proved nothing.

    The constraint makes "duplicates once" hold whatever arrives at the same time.
    """

    __table_args__ = (
        UniqueConstraint("source_id", "sender", "identifier", "sent", "proven", name="uq_warning_identity"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    source_id: str = Field(foreign_key="warningsource.id", index=True)
    document: str = Field(foreign_key="warningdocument.sha256", index=True)
    part: int = 0  # which alert of the document
    via: str  # push | poll
    sender: str = Field(index=True)
    identifier: str = Field(index=True)
    sent: str  # ISO 8601 in UTC: part of the identity
    sent_at: datetime
    content: str  # SHA-256 of what it says: two sources may pass on the same alert
    status: str
    msg_type: str
    scope: str
    event: str = ""
    headline: str = Field(default="", sa_type=Text)
    severity: str = ""
    urgency: str = ""
    certainty: str = ""
    languages: list[str] = Field(default_factory=list, sa_type=JSON)
    expires: datetime | None = None
    signature: str  # none | valid | invalid | untrusted
    proven: bool = False  # the signature was valid when it came
    quarantine: bool = False
    flags: list[str] = Field(default_factory=list, sa_type=JSON)
    references: list[list[str]] = Field(default_factory=list, sa_type=JSON)  # [sender, identifier, sent]
    reading: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    clusters: list[str] = Field(default_factory=list, sa_type=JSON)
    state: str = Field(index=True)  # see services.warnings.model.State
    reasons: list[str] = Field(default_factory=list, sa_type=JSON)  # codes: why it got no further by itself
    proposal: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    rule: str = ""  # the automatic rule it was issued by
    alert_id: str | None = Field(default=None, index=True)
    superseded_by: str | None = None
    reason: str = Field(default="", sa_type=Text)  # of a refusal, in the decider's words
    decided_by: str | None = None
    decided_at: datetime | None = None
    received_at: datetime = Field(index=True)


class WarningReference(Table, table=True):
    """That one message speaks of another: of which it may not have been received yet."""

    id: int | None = Field(default=None, primary_key=True)
    warning: str = Field(foreign_key="warningrow.id", index=True)  # who refers
    source_id: str = Field(index=True)
    sender: str
    identifier: str = Field(index=True)
    sent: str


class WarningPoll(Table, table=True):
    """Where a feed stands: validators, what was seen, when it is asked next. Written by a machine, not audited."""

    source_id: str = Field(primary_key=True, foreign_key="warningsource.id")
    state: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    next_at: datetime
    tried_at: datetime | None = None
    succeeded_at: datetime | None = None
    failures: int = 0
    code: str = ""
    detail: str = Field(default="", sa_type=Text)


class PublishedAlert(Table, table=True):
    """One CAP message about one of our own alerts, signed, exactly as others read it."""

    __table_args__ = (UniqueConstraint("alert_id", "version"),)
    seq: int | None = Field(default=None, primary_key=True)
    identifier: str = Field(unique=True)
    alert_id: str = Field(index=True)
    version: int  # 1 = Alert, then each Update or Cancel
    msg_type: str
    status: str
    title: str
    sent: datetime = Field(index=True)
    expires: datetime | None = None
    body: bytes = Field(sa_type=LargeBinary)
