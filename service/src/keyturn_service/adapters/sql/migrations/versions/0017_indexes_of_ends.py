"""Deleted API keys are found by their records (docs/adr/0057), revocations by connection."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    ended = sa.text("type = 'api_key.deleted'")
    op.create_index(
        "ix_audit_events_key_ended",
        "audit_events",
        ["at"],
        postgresql_where=ended,
        sqlite_where=ended,
    )
    op.create_index("ix_revocations_connection_id", "revocations", ["connection_id"])
