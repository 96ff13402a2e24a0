"""Where the vendor's product begins to connect (docs/adr/0026)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.add_column("apps", sa.Column("start_url", sa.Text(), nullable=True))
