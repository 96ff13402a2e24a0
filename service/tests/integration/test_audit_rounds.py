"""A replica that was told where to exports checkpoints by itself, and looks after retention."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from keyturn.cli.outcome import DONE, FAILED, WRONG_USAGE, Outcome
from keyturn_service.adapters.checkpoints.directory import DirectoryArchive, newest_in
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.bootstrap import make_key_file, open_house
from keyturn_service.bootstrap_audit import make_checkpoint, see_audit_rounds, verify_audit
from keyturn_service.bootstrap_key_file import open_key_file
from keyturn_service.bootstrap_retention import checkpoint_key
from keyturn_service.cli.audit import audit
from keyturn_service.domain.checkpoint import SignedCheckpoint, read_checkpoint, written_checkpoint
from keyturn_service.settings import Settings, SettingsRefused, read_settings
from keyturn_service.use_cases.see_audit_rounds import RoundState

FAR = datetime(9000, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a replica that ran and ended."""
    data = tmp_path_factory.mktemp("audit") / "data"

    async def run() -> None:
        settings = read_settings(
            public_urls="https://connect.acme.example", data_dir=data, spool_accepts_loss=True
        )
        await make_key_file(settings)
        async with open_house(settings):
            pass

    asyncio.run(run())
    return data


@pytest.fixture
def ended(ran: Path, tmp_path: Path) -> Settings:
    """A copy of it, and a folder to export to."""
    (tmp_path / "exported").mkdir()
    return read_settings(
        public_urls="https://connect.acme.example",
        data_dir=shutil.copytree(ran, tmp_path / "data"),
        audit_export_dir=tmp_path / "exported",
    )


async def exported(settings: Settings, *, ahead: timedelta) -> datetime:
    """Keep a checkpoint of now, made by a clock that is ahead or behind; return when."""
    assert settings.audit_export_dir is not None
    made = (await make_checkpoint(settings)).checkpoint
    then = replace(made, made_at=made.made_at + ahead)
    database = Database(read_database_url(settings.database))
    key = await checkpoint_key(await open_key_file(settings), database)
    await database.close()
    signed = SignedCheckpoint(
        checkpoint=then, public_key=key.public_key, signature=key.sign(then.message())
    )
    archive = DirectoryArchive(settings.audit_export_dir)
    await archive.put(written_checkpoint(signed).encode(), made_at=then.made_at)
    return then.made_at


async def exported_three_days_ago(settings: Settings) -> datetime:
    """Keep a checkpoint of that time, and nonsense as an older one."""
    made_at = await exported(settings, ahead=timedelta(days=-3))
    assert settings.audit_export_dir is not None
    archive = DirectoryArchive(settings.audit_export_dir)
    await archive.put(b"an older one", made_at=made_at - timedelta(microseconds=1))
    return made_at


def carried_out(verb: str, *words: str, settings: Settings) -> Outcome:
    """Carry out a verb of `keyturn audit` in a process of its own: it says where logs go."""
    said = {
        "KEYTURN_PUBLIC_URLS": "https://connect.acme.example",
        "KEYTURN_DATA_DIR": str(settings.data_dir),
        "KEYTURN_AUDIT_EXPORT_DIR": str(settings.audit_export_dir),
    }
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as forked:
        return forked.submit(_carry_out, verb, words, said).result()


def _carry_out(verb: str, words: Sequence[str], settings: Mapping[str, str]) -> Outcome:
    os.environ.update(settings)
    outcome = audit.commands[verb].main(list(words), standalone_mode=False)
    assert isinstance(outcome, Outcome)
    return outcome


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
        while newest_in(folder, FAR) is None or any(
            one.age is None and one.state is RoundState.OK
            for one in await see_audit_rounds(settings)
        ):
            await asyncio.sleep(0)

    document = newest_in(folder, FAR)
    assert document is not None
    found = await verify_audit(settings, read_checkpoint(document), None)
    assert (found.bad, found.chains, found.unclosed) == (None, 1, 0)
    export, trim = await see_audit_rounds(settings)
    assert (export.turn.name, export.state) == ("export", RoundState.OK)
    assert trim.turn.name == "trim"
    assert export.age is not None
    assert export.age < timedelta(seconds=20)
    assert len(list(folder.iterdir())) == 1


def test_the_newest_checkpoint_of_a_folder_is_taken_and_its_age_told(ended: Settings) -> None:
    """Names sort by time; that it is three days old says that the export does not go."""
    assert ended.audit_export_dir is not None
    made_at = asyncio.run(exported_three_days_ago(ended))
    (ended.audit_export_dir / "audit-9.json").write_text("not one")

    said = carried_out("verify", "--against", str(ended.audit_export_dir), settings=ended)

    assert said.status == DONE, said
    assert f"holds the checkpoint of {made_at.isoformat()}" in said.text
    (warning,) = said.warnings
    assert "72 hours old" in warning


def test_what_export_and_retention_failed_on_is_told(ended: Settings) -> None:
    """With exit status 1, and with the age of the last one."""
    with closing(sqlite3.connect(ended.data_dir / "keyturn.sqlite")) as connection:
        connection.execute(
            "INSERT INTO audit_turns (name, due_at, succeeded_at, problem)"
            " VALUES ('export', 0, 0, 'the folder is away')"
        )
        connection.commit()

    said = carried_out("status", settings=ended)

    assert said.status == FAILED
    assert said.problem is not None
    assert said.problem.code == "audit_round_failed"
    assert re.search(
        r"last exported: 1970-\S+, \d{8} minutes ago; failed since: the folder is away", said.text
    )


def test_what_nobody_does_any_more_is_late(ended: Settings) -> None:
    """Nothing says why: no replica runs, or the folder hangs."""
    with closing(sqlite3.connect(ended.data_dir / "keyturn.sqlite")) as connection:
        connection.execute("INSERT INTO audit_turns VALUES ('export', 0, 0, NULL)")
        connection.commit()

    said = carried_out("status", settings=ended)

    assert said.status == FAILED
    assert said.problem is not None
    assert said.problem.code == "audit_round_late"


def test_nothing_is_removed_that_is_not_exported() -> None:
    """The settings are refused, and say which one is missing."""
    with pytest.raises(SettingsRefused, match="KEYTURN_AUDIT_EXPORT_DIR"):
        read_settings(public_urls="https://connect.acme.example", audit_keep_days=30)


def test_a_folder_without_a_checkpoint_is_none_to_verify_against(tmp_path: Path) -> None:
    """It may be the wrong one, or somebody emptied it."""
    (tmp_path / "readme.txt").write_text("not one")

    said = audit.commands["verify"].main(["--against", str(tmp_path)], standalone_mode=False)

    assert said.status == WRONG_USAGE
    assert "no exported checkpoint" in said.text


def test_a_checkpoint_of_a_clock_that_was_ahead_hides_no_later_one(ended: Settings) -> None:
    """What the later one vouches for is missed; the one ahead is named, and what to do."""
    folder = str(ended.audit_export_dir)
    asyncio.run(exported(ended, ahead=timedelta(days=365)))
    asyncio.run(exported(ended, ahead=timedelta(minutes=9)))

    whole = carried_out("verify", "--against", folder, settings=ended)
    with closing(sqlite3.connect(ended.data_dir / "keyturn.sqlite")) as connection:
        connection.execute("DELETE FROM audit_events")
        connection.commit()
    cut = carried_out("verify", "--against", folder, settings=ended)

    assert (whole.status, cut.status) == (DONE, FAILED)
    assert "holds the checkpoint of" in whole.text
    (warning,) = whole.warnings
    assert warning.startswith(max(path.name for path in Path(folder).iterdir()))
    assert "move them elsewhere" in warning
    assert cut.warnings == whole.warnings


def test_a_named_checkpoint_of_a_clock_that_was_ahead_says_so(ended: Settings) -> None:
    """It is held against, as it was asked for; alone in a folder it is none to verify against."""
    made_at = asyncio.run(exported(ended, ahead=timedelta(days=365)))
    assert ended.audit_export_dir is not None
    (file,) = ended.audit_export_dir.iterdir()

    said = [
        carried_out("verify", option, str(file), settings=ended)
        for option in ("--against", "--checkpoint")
    ]
    alone = carried_out("verify", "--against", str(ended.audit_export_dir), settings=ended)

    for outcome in said:
        assert outcome.status == DONE
        assert made_at.isoformat() in outcome.warnings[0]
        assert "a clock was wrong" in outcome.warnings[0]
    assert alone.status == WRONG_USAGE
    assert file.name in alone.text
