"""Codes of the rows that say who may do what (docs/adr/0053)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version; the service fills the codes in the same transaction."""
    for table in ("api_keys", "proxy_sessions"):
        mac = sa.Column("mac", sa.LargeBinary(length=32), nullable=False, server_default="")
        op.add_column(table, mac)
