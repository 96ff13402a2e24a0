"""How far chains of the audit were trimmed, and whose turn it is (docs/adr/0047, 0049)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "audit_trims",
        sa.Column("writer", sa.String(length=64), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
    )
    op.create_table(
        "audit_turns",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
    )
