"""The intents of a spool in a folder: what was begun and has no answer yet."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from service.tests.support import values
from service.tests.support.fakes import CountedRandomness

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.spool import directory
from keyturn_service.adapters.spool.directory import DirectorySpool
from keyturn_service.domain.ids import AttemptId
from keyturn_service.vault.envelope import Envelopes

KEYS = {"kek_one": bytes(range(32))}
START = values.START
ONE = AttemptId("att_one")
ANSWER = values.spooled(
    status=200, body=b"canary-1", complete=True, generation=7, token_hash=b"\x00\x01 keyed hash"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the spool is to be."""
    return tmp_path / "spool"


@asynccontextmanager
async def spool_in(folder: Path, *, seed: str = "one") -> AsyncIterator[DirectorySpool]:
    """Start a process and end it: its spool meanwhile."""
    source = KeyFile("kek_one", KEYS, CountedRandomness(f"keys {seed}"))
    envelopes = await Envelopes.for_this_run(source, CountedRandomness(f"envelopes {seed}"))
    spool = DirectorySpool.open(folder, envelopes, CountedRandomness(seed), accepts_loss=True)
    try:
        yield spool
    finally:
        spool.close()


async def test_an_intent_is_there_until_its_answer_is(folder: Path) -> None:
    """It is none: only who asks for intents is told, in every later run."""
    nothing = replace(ANSWER, status=None, body=b"", complete=False)
    async with spool_in(folder) as spool:
        await spool.intend(nothing)

    async with spool_in(folder, seed="two") as spool:
        assert await spool.intents() == [ONE]
        assert await spool.intent(ONE) == nothing
        assert await spool.get(ONE) is None
        assert await spool.undelivered() == []
        assert await spool.newest_first() == []
        assert (await spool.key_needs())["kek_one"] == 1

        await spool.put(ANSWER)

        assert await spool.intents() == []
        assert await spool.intent(ONE) is None
        assert await spool.get(ONE) == ANSWER


async def test_an_answer_is_counted_under_its_own_key(folder: Path, tmp_path: Path) -> None:
    """A rotation was taken up while it was awaited: its intent was sealed under the key before."""
    source = KeyFile.create(tmp_path / "keyturn.key", CountedRandomness("file"))
    envelopes = await Envelopes.for_this_run(source, CountedRandomness("envelopes"))
    spool = DirectorySpool.open(folder, envelopes, CountedRandomness("s"), accepts_loss=True)

    async def take_up() -> None:
        await spool.renew_key(await spool.key_needs())

    first = source.active_key_id
    await spool.intend(replace(ANSWER, status=None, body=b"", complete=False))
    second = source.rotate(now=ANSWER.received_at)
    await take_up()
    await spool.put(ANSWER)
    third = source.rotate(now=ANSWER.received_at)
    await take_up()

    assert await spool.key_needs() == {second: 1, third: 0}
    assert first not in await spool.key_needs()
    spool.close()


async def test_an_intent_whose_token_did_not_leave_is_forgotten(folder: Path) -> None:
    """A second time changes nothing; neither does a file that goes while one looks."""
    async with spool_in(folder) as spool:
        await spool.intend(ANSWER)
        await spool.not_sent(ONE)
        await spool.not_sent(ONE)

        assert await spool.intents() == []


@pytest.mark.parametrize("accepts_loss", [True, False])
async def test_a_disk_that_takes_no_intent_is_told_of(folder: Path, *, accepts_loss: bool) -> None:
    """Unless its loss was accepted: there an intent is worth as little as an answer."""
    async with spool_in(folder) as spool:
        spool._accepts_loss = accepts_loss
        (folder / "intents").rmdir()

        with contextlib.nullcontext() if accepts_loss else pytest.raises(FileNotFoundError):
            await spool.intend(ANSWER)


async def test_an_intent_is_purged_when_it_is_old(folder: Path) -> None:
    """No backup is left that would not know of it."""
    async with spool_in(folder) as spool:
        await spool.intend(ANSWER)

        assert await spool.purge(ANSWER.received_at) == 0
        assert await spool.purge(ANSWER.received_at + timedelta(seconds=1)) == 1
        assert await spool.intents() == []


async def test_a_file_from_before_hashes_were_kept_has_none(folder: Path) -> None:
    """It is an answer all the same."""
    async with spool_in(folder) as spool:
        said = {"status": 200, "complete": True, "received_at": START.isoformat()}
        place = directory._place(ONE, ANSWER.workspace_id, ANSWER.generation)
        sealed = spool._envelopes.seal(json.dumps(said).encode() + b"\n" + ANSWER.body, place)
        await spool.put(ANSWER)
        path = folder / "undelivered" / ONE
        head = path.read_bytes().partition(b"\n")[0]
        path.write_bytes(head + b"\n" + sealed)

        assert await spool.get(ONE) == replace(ANSWER, received_at=START, token_hash=b"")


@pytest.mark.parametrize("part", ["undelivered", "intents"])
async def test_a_file_that_cannot_be_read_is_not_taken_for_none(folder: Path, part: str) -> None:
    """A bad sector: what is in it is not known, and neither is its key; the others' keys are."""
    async with spool_in(folder) as spool:
        await spool.put(replace(ANSWER, attempt_id=AttemptId("att_two")))
        (folder / part / ONE).mkdir()  # not even root can read that as a file

        with pytest.raises(IsADirectoryError):
            await (spool.get(ONE) if part == "undelivered" else spool.intent(ONE))
        assert await spool.key_needs() == {"kek_one": 1}
