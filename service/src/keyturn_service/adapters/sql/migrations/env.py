"""How Alembic runs here: on the connection that it is handed."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from keyturn_service.adapters.sql.tables import metadata


def plain_types(kind: str, item: Any, _: object) -> str | Literal[False]:
    """Write our own types as what they rest on: a migration does not change with our code."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    version_table="schema_version",
    render_item=plain_types,
)
with context.begin_transaction():
    context.run_migrations()
