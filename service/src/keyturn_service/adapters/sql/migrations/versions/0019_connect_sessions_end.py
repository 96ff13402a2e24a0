"""Connect sessions that ended long ago are found by their beginning (docs/adr/0062)."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version; sessions that there are count from now on.

    Their own moment stands in their document, which somebody may have written.
    """
    op.add_column("connect_sessions", sa.Column("created_at", sa.BigInteger(), nullable=True))
    there = sa.text("UPDATE connect_sessions SET created_at = :now")
    op.get_bind().execute(there, {"now": time.time_ns() // 1000})
    op.create_index("ix_connect_sessions_created_at", "connect_sessions", ["created_at"])
