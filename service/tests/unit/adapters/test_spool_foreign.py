"""A spool in a folder, and what somebody else left there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from service.tests.support import values
from service.tests.support.fakes import CountedRandomness
from structlog.testing import capture_logs

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.spool.directory import DirectorySpool
from keyturn_service.domain.ids import AttemptId
from keyturn_service.vault.envelope import Envelopes

PARTS = ("undelivered", "delivered", "intents")
ANSWER = values.spooled(status=200, body=b"canary-1", complete=True)


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[DirectorySpool]:
    """Return a spool in a folder of a disk."""
    source = KeyFile("kek_one", {"kek_one": bytes(range(32))}, CountedRandomness("k"))
    envelopes = await Envelopes.for_this_run(source, CountedRandomness("e"))
    made = DirectorySpool.open(tmp_path, envelopes, CountedRandomness("s"), accepts_loss=True)
    yield made
    made.close()


def leave(part: Path) -> None:
    """Leave what is not ours: folders, a name of another encoding, an editor's copy, a link."""
    (part / "lost+found").mkdir()
    (part / "att_folder").mkdir()
    for name in (os.fsdecode(b"att_K\xf6pie"), ".att_one.swp", "att_one~", "att_one.new", "notes"):
        (part / name).write_bytes(b"foreign")
    (part / "loop").symlink_to(part / "loop")


async def test_what_is_not_ours_is_listed_nowhere_and_left_where_it_is(
    spool: DirectorySpool, tmp_path: Path
) -> None:
    """However old it is; what lies behind it is found."""
    for part in PARTS:
        leave(tmp_path / part)
    await spool.put(ANSWER)
    await spool.intend(replace(ANSWER, attempt_id=AttemptId("att_two")))

    assert await spool.undelivered() == await spool.newest_first() == ["att_one"]
    assert await spool.intents() == ["att_two"]
    assert (await spool.key_needs())["kek_one"] == 2
    assert await spool.purge(values.START + timedelta(days=9999)) == 1
    for part in PARTS:
        assert (tmp_path / part / "lost+found").is_dir()
        assert (tmp_path / part / "notes").is_file()


async def test_what_is_not_ours_is_said_once(spool: DirectorySpool, tmp_path: Path) -> None:
    """For each name, which may be of any encoding."""
    (tmp_path / "undelivered" / os.fsdecode(b"K\xf6pie")).write_bytes(b"foreign")

    with capture_logs() as logs:
        await spool.undelivered()
        await spool.newest_first()

    assert logs == [
        {
            "event": "spool_entry_foreign",
            "log_level": "warning",
            "path": f"{tmp_path}/undelivered/K\\xf6pie",
        }
    ]


@pytest.mark.parametrize(
    "name",
    [
        "att_ZkYw6dDRyCcuyP8FCYG7QqVd4",
        "att_ZkYw6dDRyCcuyP8FCYG7QqVd4_12",
        "cs_ZkYw6dDRyCcuyP8FCYG7QqVd4",
        "cs_ZkYw6dDRyCcuyP8FCYG7QqVd4.00ff00ff00ff00ff",
        "cs_ZkYw6dDRyCcuyP8FCYG7QqVd4.00ff00ff00ff00ff_3",
        "con_ZkYw6dDRyCcuyP8FCYG7QqVd4_7_1764403200",
    ],
)
async def test_whatever_has_a_name_of_ours_is_listed(
    spool: DirectorySpool, tmp_path: Path, name: str
) -> None:
    """Attempts, exchanges and what derives from them, of earlier releases too; though damaged."""
    for part in PARTS:
        (tmp_path / part / name).write_bytes(b"damaged")

    assert await spool.undelivered() == await spool.newest_first() == [name]
    assert await spool.intents() == [name]
    damaged = await spool.get(AttemptId(name))
    assert damaged is not None
    assert damaged.status is None
