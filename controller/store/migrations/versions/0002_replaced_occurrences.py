"""Single occurrences of a programme may have a sound of their own.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("programme", schema=None) as batch_op:
        batch_op.add_column(sa.Column("replaced", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("programme", schema=None) as batch_op:
        batch_op.drop_column("replaced")
