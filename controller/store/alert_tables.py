"""Tables of alerts: templates with their versions, alerts, where each stands with each agent, notices to people.

The rules of :mod:`controller.store.tables` hold here, too. Alerts are given from memory and the journal of orders;
these rows follow.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Text, UniqueConstraint
from sqlmodel import Field

from controller.store.tables import Table


class AlertTemplate(Table, table=True):
    """A message that is kept ready. What it says is in its versions."""

    id: str = Field(primary_key=True)
    area_id: str = Field(foreign_key="area.id", index=True)
    state: str = "active"  # active | retired
    created_by: str
    created_at: datetime


class AlertTemplateVersion(Table, table=True):
    """One wording of a template; at most one version of a template is active."""

    __table_args__ = (UniqueConstraint("template_id", "version"),)
    id: int | None = Field(default=None, primary_key=True)
    template_id: str = Field(foreign_key="alerttemplate.id", index=True)
    version: int
    state: str = "draft"  # draft | active | retired
    spec: dict[str, Any] = Field(sa_type=JSON)
    frozen: dict[str, Any] | None = Field(default=None, sa_type=JSON)  # the approved bytes, from activation on
    created_by: str
    created_at: datetime
    activated_by: str | None = None
    activated_at: datetime | None = None


class AlertRow(Table, table=True):
    """An alert as it stood last; drained from the journal of orders."""

    id: str = Field(primary_key=True)
    state: str = Field(index=True)
    title: str
    category: str
    priority: int
    body: dict[str, Any] = Field(sa_type=JSON)
    composed_by: str
    composed_at: datetime = Field(index=True)
    given_at: datetime | None = None
    ended_at: datetime | None = None


class AlertRung(Table, table=True):
    """How far an alert (or drill) came with one agent."""

    __table_args__ = (UniqueConstraint("alert_id", "agent_id"),)
    id: int | None = Field(default=None, primary_key=True)
    alert_id: str = Field(index=True)
    agent_id: str
    cluster_id: str = Field(index=True)
    state: str
    code: str = ""
    times: dict[str, str] = Field(default_factory=dict, sa_type=JSON)  # state -> instant
    start_error_us: int | None = None


class Notice(Table, table=True):
    """Something a person must know, kept until they have seen it."""

    id: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="user.id", index=True)
    kind: str
    subject: str  # the alert's id, or what else it is about
    text: str = Field(sa_type=Text)
    at: datetime = Field(index=True)
    seen_at: datetime | None = None
