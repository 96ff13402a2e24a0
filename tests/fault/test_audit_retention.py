"""A process is killed while it removes old records of the audit; the next one goes on."""

from __future__ import annotations

from pathlib import Path

from tests.fault.trimming import trim_with_kills


def test_who_is_killed_while_he_trims_leaves_a_whole_audit(tmp_path: Path) -> None:
    """Whatever was removed has its mark, and the next one removes the rest."""
    trim_with_kills(f"sqlite:///{tmp_path / 'keyturn.sqlite'}", tmp_path)
