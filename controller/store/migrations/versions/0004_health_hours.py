"""How boxes fared, hour by hour.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "healthhour",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("hour", sqlmodel.UTCDateTime(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("temperature_c", sa.Float(), nullable=True),
        sa.Column("disk_free_mb", sa.Integer(), nullable=True),
        sa.Column("sync_error_us", sa.BigInteger(), nullable=True),
        sa.Column("rtt_us", sa.BigInteger(), nullable=True),
        sa.Column("under_voltage", sa.Boolean(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_healthhour_agent_id_agent")),
        sa.PrimaryKeyConstraint("agent_id", "hour", name=op.f("pk_healthhour")),
    )
    with op.batch_alter_table("healthhour", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_healthhour_hour"), ["hour"], unique=False)


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("healthhour", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_healthhour_hour"))
    op.drop_table("healthhour")
