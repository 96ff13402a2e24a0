"""A replica whose spool's folders have what somebody else left there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from service.tests.support.fakes import CountedRandomness
from service.tests.support.replicas import Kitchen

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.spool.directory import DirectorySpool
from keyturn_service.vault.envelope import Envelopes


@pytest.mark.parametrize("part", ["undelivered", "delivered", "intents"])
async def test_what_is_not_ours_keeps_the_gate_of_no_replica_shut(
    kitchen: Kitchen, tmp_path: Path, part: str
) -> None:
    """It is no answer that cannot be read."""
    source = KeyFile("kek_one", {"kek_one": bytes(range(32))}, CountedRandomness("k"))
    envelopes = await Envelopes.for_this_run(source, CountedRandomness("e"))
    spool = DirectorySpool.open(tmp_path, envelopes, CountedRandomness("s"), accepts_loss=True)
    (tmp_path / part / "lost+found").mkdir()
    (tmp_path / part / os.fsdecode(b"K\xf6pie")).write_bytes(b"foreign")
    replica = await kitchen.replica(spool=spool)  # type: ignore[arg-type]

    try:
        await replica.deliver.recover()
        await replica.replay.recover()
    finally:
        spool.close()

    assert not replica.replay.is_blocked
