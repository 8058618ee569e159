from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from controller.store import sqlite_url
from controller.store.errors import SchemaError
from controller.store.migrations import alembic_config, migrate, newest
from controller.store.tables import Table
from tests.unit.controller.desk import fresh_database


async def test_tables_and_migrations_make_the_same_schema(tmp_path: Path) -> None:
    path = await fresh_database(tmp_path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = await fresh_database(tmp_path)
    assert await migrate(sqlite_url(str(path))) == (newest(), newest())


async def test_down_and_up_again(tmp_path: Path) -> None:
    path = await fresh_database(tmp_path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    engine.dispose()
    assert await migrate(sqlite_url(str(path))) == (None, newest())


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = await fresh_database(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="9999"):
        await migrate(sqlite_url(str(path)))
