"""A replica that was told where to exports checkpoints by itself, and looks after retention."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyturn_service.adapters.checkpoints.directory import newest_in
from keyturn_service.bootstrap import make_key_file, open_house
from keyturn_service.bootstrap_audit import audit_turns, verify_audit
from keyturn_service.domain.checkpoint import read_checkpoint
from keyturn_service.settings import SettingsRefused, read_settings


async def test_a_replica_exports_a_checkpoint_that_holds(tmp_path: Path) -> None:
    """Signed by the installation's own key; how it went is told."""
    folder = tmp_path / "exported"
    folder.mkdir()
    settings = read_settings(
        public_urls="https://connect.acme.example",
        data_dir=tmp_path / "data",
        spool_accepts_loss=True,
        audit_export_dir=folder,
        audit_keep_days=30,
    )
    await make_key_file(settings)

    async with open_house(settings), asyncio.timeout(20):
        while newest_in(folder) is None or len(await audit_turns(settings)) < 2:
            await asyncio.sleep(0)

    document = newest_in(folder)
    assert document is not None
    found = await verify_audit(settings, read_checkpoint(document), None)
    assert (found.bad, found.chains, found.unclosed) == (None, 1, 0)
    turns = {turn.name: turn for turn in await audit_turns(settings)}
    assert set(turns) == {"export", "trim"}
    assert turns["export"].succeeded_at is not None
    assert len(list(folder.iterdir())) == 1


def test_nothing_is_removed_that_is_not_exported() -> None:
    """The settings are refused, and say which one is missing."""
    with pytest.raises(SettingsRefused, match="audit_export_dir"):
        read_settings(public_urls="https://connect.acme.example", audit_keep_days=30)
