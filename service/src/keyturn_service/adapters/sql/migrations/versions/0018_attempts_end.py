"""Attempts that ended long ago are found by their end (docs/adr/0060)."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_index("ix_attempts_ended_at", "attempts", ["ended_at"])
