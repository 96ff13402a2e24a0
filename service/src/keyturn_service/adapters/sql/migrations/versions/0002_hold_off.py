"""When the next attempt may be of use (docs/adr/0015)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.add_column("attempts", sa.Column("retry_at", sa.BigInteger(), nullable=True))
