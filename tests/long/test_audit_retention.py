"""A process is killed while it removes old records of the audit from PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from tests.fault.trimming import trim_with_kills
from tests.support.postgres import running_postgres


def test_who_is_killed_while_he_trims_leaves_a_whole_audit(tmp_path: Path) -> None:
    """As with SQLite, where `make fault` looks each time."""
    with running_postgres() as server:
        trim_with_kills(server.create_database(), tmp_path)
