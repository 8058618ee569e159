"""alembic's environment: runs the migrations on the connection that the caller opened."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from controller.store.tables import Table

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
