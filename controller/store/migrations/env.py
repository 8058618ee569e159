"""The environment of alembic: runs the migrations on the connection that the caller opened."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel import AutoString, UTCDateTime

from controller.store import alert_tables as _alert_tables  # noqa: F401 - registers its tables
from controller.store import drill_tables as _drill_tables  # noqa: F401 - registers its tables
from controller.store import live_tables as _live_tables  # noqa: F401 - registers its tables
from controller.store import warning_tables as _warning_tables  # noqa: F401 - registers its tables
from controller.store.tables import Table

connection: Connection = context.config.attributes["connection"]


def render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write SQLModel's own column types by their public names."""
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()"
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sqlmodel.UTCDateTime()"
    return False


context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=render,
)
with context.begin_transaction():
    context.run_migrations()
