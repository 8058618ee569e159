"""Tables of drills and tests: what was ordered, and what each box made of it. No row here is ever an alert.

The rules of :mod:`controller.store.tables` hold here, too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, UniqueConstraint
from sqlmodel import Field

from controller.store.tables import Table


class DrillRow(Table, table=True):
    """A drill, a monthly test or a silent test."""

    id: str = Field(primary_key=True)
    kind: str = Field(index=True)  # drill | test | silent
    title: str
    clusters: list[str] = Field(sa_type=JSON)
    words: dict[str, str] = Field(default_factory=dict, sa_type=JSON)  # language -> what was said between the notices
    numbers: list[list[int]] = Field(default_factory=list, sa_type=JSON)  # (term, seq) of its orders
    started_by: str
    start: datetime = Field(index=True)
    expires: datetime
    cancelled_at: datetime | None = None


class DrillResultRow(Table, table=True):
    """What one box made of one drill."""

    __table_args__ = (UniqueConstraint("drill_id", "agent_id"),)
    id: int | None = Field(default=None, primary_key=True)
    drill_id: str = Field(foreign_key="drillrow.id", index=True)
    agent_id: str = Field(index=True)
    cluster_id: str = Field(index=True)
    received_at: datetime | None = None
    verified_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    tested_at: datetime | None = None
    start_error_us: int | None = None
    code: str = ""
    checks: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # name -> [ok, detail]
