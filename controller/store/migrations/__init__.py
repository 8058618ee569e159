"""Schema changes, run when the controller starts. Each is one transaction: a power cut leaves the old schema.

A test compares the tables of :mod:`controller.store.tables` with what the migrations make. To write the next one::

    python -m controller.store.migrations "what changes"
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from controller.store.errors import SchemaError

__all__ = ["alembic_config", "migrate", "revision_of"]


def alembic_config(connection: Connection | None = None) -> Config:
    """Settings of alembic for this package; ``connection`` is what its environment will use."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


async def migrate(url: URL | str) -> tuple[str | None, str]:
    """Bring the database to the newest schema; returns the revisions before and after.

    Raises:
        SchemaError: a newer version of the software made this database.
    """
    engine = _engine(make_url(url))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def revision_of(connection: Connection) -> str | None:
    """The schema revision of a database, None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision this version of the software makes."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise SchemaError("this installation lacks its migrations; install it again")
    return head


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    before, after = revision_of(connection), newest()
    try:
        if before != after:
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise SchemaError(
            f"the database has schema {before}, which this version does not know; install the version that made it"
        ) from error
    return before, after


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, poolclass=NullPool)
    engine = create_async_engine(url, poolclass=NullPool, connect_args={"isolation_level": None, "timeout": 10})
    # sqlite3 would commit before every DDL; begun by hand, a migration is one transaction. Foreign keys stay off here
    # (the default of a connection), because altering rebuilds tables.
    # WAL is a property of the file: from here on readers never wait for a writer.
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine
