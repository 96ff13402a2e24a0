"""Key-encryption keys that nothing may be wrapped under any more (docs/adr/0055)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version."""
    op.create_table(
        "destroyed_root_keys",
        sa.Column("key_id", sa.String(length=128), nullable=False),
        sa.Column("destroyed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_destroyed_root_keys"),
    )
