"""Writes the next migration from the difference between tables and migrations (for developers)."""

from __future__ import annotations

import sys

from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from controller.store.migrations import alembic_config


def main() -> None:
    """``python -m controller.store.migrations MESSAGE [REVISION]``."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        config = alembic_config(connection)
        command.upgrade(config, "head")
        command.revision(
            config,
            message=sys.argv[1],
            autogenerate=True,
            rev_id=sys.argv[2] if len(sys.argv) > 2 else None,  # noqa: PLR2004
        )


if __name__ == "__main__":
    main()
