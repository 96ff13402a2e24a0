"""Connections whose user has logged in too often are found by user (docs/adr/0054)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_index(
        "ix_connections_login_rate",
        "connections",
        ["org_id", "user_id"],
        postgresql_where=sa.text("problem = 'login_rate_exceeded'"),
        sqlite_where=sa.text("problem = 'login_rate_exceeded'"),
    )
