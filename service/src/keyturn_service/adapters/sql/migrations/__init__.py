"""Migrations of the database, by Alembic: one chain for SQLite and PostgreSQL.

`make migration TITLE="…"` writes a new one from what changed in `tables`; read it before you
commit it. A migration that was released is never changed.
"""
