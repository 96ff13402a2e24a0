"""When something is to be done for a connection by itself (docs/adr/0039)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version; every connection that there is gets looked at once."""
    op.add_column("connections", sa.Column("warned_at", sa.BigInteger(), nullable=True))
    op.add_column("connections", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE connections SET due_at = created_at")
    op.create_index("ix_connections_due_at", "connections", ["due_at"])
