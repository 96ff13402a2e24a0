"""Claims by the database's clock, and presentations that nobody answered (docs/adr/0052)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version.

    A claim said nothing of a presentation, so none is taken over: what an admin may have to look
    at is then named, and not called ended.
    """
    op.execute("ALTER TABLE incident_grants RENAME COLUMN claims TO unanswered")
    op.execute("UPDATE incident_grants SET unanswered = 0")
    for table in ("revocations", "incident_grants", "connections"):
        claimed_until = sa.Column(
            "claimed_until", sa.BigInteger(), nullable=False, server_default="0"
        )
        op.add_column(table, claimed_until)
