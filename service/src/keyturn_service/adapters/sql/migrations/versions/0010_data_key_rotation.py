"""Data keys that are retired, and the passes that seal anew what they sealed (docs/adr/0044)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.add_column("data_keys", sa.Column("retired_at", sa.BigInteger(), nullable=True))
    op.add_column("data_keys", sa.Column("unneeded_since", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_data_keys_retired",
        "data_keys",
        ["id"],
        postgresql_where=sa.text("retired_at IS NOT NULL"),
        sqlite_where=sa.text("retired_at IS NOT NULL"),
    )
    op.create_table(
        "resealings",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("goes_on", sa.Boolean(), nullable=True),
        sa.Column("key_ids", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("table_name", sa.String(length=64), nullable=True),
        sa.Column("last_row", sa.Text(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("looked", sa.BigInteger(), nullable=False),
        sa.Column("resealed", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("needed", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_resealings"),
        sa.UniqueConstraint("goes_on", name="uq_resealings_goes_on"),
    )
