"""Which database this is, and whose journals were replayed into it (docs/adr/0046)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "database_epochs",
        sa.Column("one", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "spool_replays",
        sa.Column("spool_id", sa.String(length=64), primary_key=True),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("replayed", sa.Boolean(), nullable=False),
    )
