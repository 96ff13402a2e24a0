"""Incidents, and the grants that they end (docs/adr/0042)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("workspace_id", sa.String(64), nullable=True),
        sa.Column("app_id", sa.String(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "incident_grants",
        sa.Column(
            "incident_id",
            sa.String(64),
            sa.ForeignKey("incidents.id", name="fk_incident_grants_incident_id"),
            primary_key=True,
        ),
        sa.Column("connection_id", sa.String(64), primary_key=True),
        sa.Column("workspace_id", sa.String(64), nullable=False),
        sa.Column("login_url", sa.Text(), nullable=False),
        sa.Column("was", sa.String(32), nullable=False),
        sa.Column("problem", sa.String(64), nullable=True),
        sa.Column("authorized_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tried_with", sa.String(64), nullable=True),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("because", sa.String(32), nullable=True),
        sa.Column("access_token_ended", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_incident_grants_due_at", "incident_grants", ["due_at"])
    op.create_index("ix_incident_grants_connection_id", "incident_grants", ["connection_id"])
