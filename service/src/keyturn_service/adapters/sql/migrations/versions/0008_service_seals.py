"""The seal of the whole service (docs/adr/0040)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "service_seals",
        sa.Column("sealed_at", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("taken_off_at", sa.BigInteger(), nullable=True),
        sa.Column("on", sa.Boolean(), nullable=True),
        sa.UniqueConstraint("on", name="uq_service_seals_on"),
    )
