"""`keyturn incident` says what happened, whatever fails on the way."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    NO_MOMENT,
    WORKSPACE,
    authorization,
    awaiting,
    grant,
    hash_of,
    pending,
)

from keyturn.cli.outcome import DONE, FAILED, WRONG_USAGE, Outcome
from keyturn_service.bootstrap import make_key_file, open_house
from keyturn_service.bootstrap_incident import incident_desk
from keyturn_service.cli.incident import _open, incident
from keyturn_service.domain.ids import ConnectionId, ConnectSessionId, CustomerId
from keyturn_service.ports import AuditUnavailable, StoreUnavailable
from keyturn_service.settings import Settings, read_settings
from keyturn_service.vault.errors import KeySourceRefused, KeySourceUnavailable

WAITING = ConnectSessionId("cs_waiting")
REASON = "a stolen laptop"
SCOPES = pytest.mark.parametrize("scope", [(), ("--workspace", WORKSPACE)], ids=["whole", "part"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a service with a connection and a grant that waits for its confirmation."""
    data = tmp_path_factory.mktemp("incident") / "data"
    asyncio.run(_fill(_settings(data)))
    return data


async def _fill(settings: Settings) -> None:
    async def nothing() -> Any:
        """Do nothing."""

    await make_key_file(settings)
    async with open_house(settings, background=False) as house:
        database: Any = house.stores.incidents.database
        base = Base(
            database=database,
            vault=house.vault,
            stores=house.stores,
            clock=house.clock,
            break_it=nothing,
            mend_it=nothing,
            dump=nothing,
        )
        await base.with_workspace()
        await base.with_connection()
        name = ConnectionId("con_waiting")
        session = awaiting(
            id=WAITING,
            link_hash=hash_of("link of the second"),
            authorization=authorization(state_hash=hash_of("state of the second")),
            connection_id=name,
        )
        new = pending(id=name, customer_id=CustomerId("initech"))
        await house.stores.connect_sessions.add(session)
        assert await house.stores.connect_sessions.await_confirmation(
            session, grant(session_id=WAITING, connection_id=name), new_connection=new
        )


def _settings(data: Path) -> Settings:
    return read_settings(
        public_urls="https://connect.acme.example", data_dir=data, spool_accepts_loss=True
    )


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def changed(data: Path, *statements: str) -> None:
    """Change the database behind the service's back."""
    with closing(sqlite3.connect(data / "keyturn.sqlite", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(data: Path, asked: str) -> list[tuple[Any, ...]]:
    """Look into it."""
    with closing(sqlite3.connect(data / "keyturn.sqlite")) as connection:
        return connection.execute(asked).fetchall()


def refuse(data: Path, change: str, when: str = "1") -> None:
    """Have the database refuse a change."""
    refusing = f"CREATE TRIGGER refusing BEFORE {change} WHEN {when}"
    changed(data, f"{refusing} BEGIN SELECT RAISE(ABORT, 'refused'); END")


def refuse_record(data: Path, type_: str) -> None:
    """Have the database refuse a record of the audit."""
    refuse(data, "INSERT ON audit_events", f"NEW.type = '{type_}'")


def run(data: Path, *words: str) -> Outcome:
    """Run the command in a process of its own, as it is."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as forked:
        return forked.submit(_carry_out, words, str(data)).result()


def _carry_out(words: Sequence[str], data: str) -> Outcome:
    os.environ |= {
        "KEYTURN_PUBLIC_URLS": "https://connect.acme.example",
        "KEYTURN_DATA_DIR": data,
    }
    outcome = incident.main(list(words), standalone_mode=False)
    assert isinstance(outcome, Outcome)
    return outcome


def opened(data: Path, *scope: str) -> Outcome:
    """Open an incident."""
    return run(data, "open", "--reason", REASON, *scope)


def stopped(data: Path) -> bool:
    """Whether the connection serves no more because of an incident."""
    [(problem,)] = rows(data, f"SELECT problem FROM connections WHERE id = '{CONNECTION}'")  # noqa: S608 - ours
    return bool(problem == "revoked_in_incident")


def test_all_goes_well_and_nothing_is_warned_of(data: Path) -> None:
    """What waits for its confirmation is ended with the rest."""
    said = opened(data)

    assert (said.status, said.warnings) == (DONE, ())
    result: Any = said.result
    assert (result["new"], result["data_keys_rotated"], result["unconfirmed"]) == (True, 1, [])
    assert result["grants"]["waiting"] == 1
    assert stopped(data)
    assert rows(data, "SELECT reason FROM revocations") == [("unconfirmed",)]


@SCOPES
def test_a_planted_session_stops_nothing(data: Path, scope: tuple[str, ...]) -> None:
    """Its own grant is ended too."""
    changed(data, "UPDATE connect_sessions SET document = '{}'")

    said = opened(data, *scope)

    assert (said.status, said.warnings) == (DONE, ())
    assert stopped(data)
    assert rows(data, "SELECT reason FROM revocations") == [("unconfirmed",)]


@SCOPES
def test_a_session_that_cannot_be_ended_is_named_and_stops_nothing(
    data: Path, scope: tuple[str, ...]
) -> None:
    """The incident is open, and its data keys are rotated."""
    refuse(data, "UPDATE ON connect_sessions")

    said = opened(data, *scope)

    assert said.status == DONE
    [warning] = said.warnings
    assert warning.startswith("1 grants that waited for their confirmation are not ended yet: ")
    assert WAITING in warning
    result: Any = said.result
    assert (result["unconfirmed"], result["data_keys_rotated"]) == ([WAITING], 1)
    assert stopped(data)


@SCOPES
def test_what_is_listed_is_told_though_that_has_no_record(
    data: Path, scope: tuple[str, ...]
) -> None:
    """The command does not say that nothing was done, and the data keys are rotated."""
    refuse_record(data, "incident.grants_listed")

    said = opened(data, *scope)

    assert (said.status, said.problem) == (DONE, None)
    result: Any = said.result
    assert said.text.startswith(f"Opened: {result['id']}")
    assert result["data_keys_rotated"] == 1
    [warning] = said.warnings
    assert "no record" in warning
    assert stopped(data)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KeySourceRefused("encrypt is not allowed"), "refused (encrypt is not allowed)"),
        (KeySourceUnavailable(), "the key source does not answer"),
        (StoreUnavailable(), "the database does not answer"),
        (AuditUnavailable(), "the audit cannot be written"),
        (KeyError("odd"), "KeyError, see the log"),
    ],
)
async def test_data_keys_that_cannot_be_rotated_are_a_warning(
    data: Path, error: Exception, why: str
) -> None:
    """Whatever is in the way; how many were is not made up."""

    class Refused:
        """Data keys that cannot be rotated."""

        async def rotate(self, *_given: Any, **_named: Any) -> None:
            raise error

    async with incident_desk(_settings(data)) as desk:
        refused: Any = Refused()
        said = await _open(replace(desk, data_keys=refused), REASON, None, None, False)

    assert said.status == DONE
    [warning] = said.warnings
    assert warning.startswith("not all data keys were rotated: ")
    assert why in warning
    result: Any = said.result
    assert result["data_keys_rotated"] is None
    assert stopped(data)


@SCOPES
def test_without_a_record_nothing_is_listed_and_that_is_said(
    data: Path, scope: tuple[str, ...]
) -> None:
    """The whole service is sealed all the same."""
    refuse_record(data, "incident.opened")

    said = opened(data, *scope)

    assert (said.status, said.problem and said.problem.code) == (FAILED, "audit_unavailable")
    done = "Nothing was done" if scope else "Use is stopped, and nothing else was done"
    assert said.text.startswith(f"{done}: ")
    assert not stopped(data)
    assert rows(data, "SELECT id FROM incidents") == []
    assert len(rows(data, "SELECT * FROM service_seals")) == (0 if scope else 1)


class Away:
    """Incidents in a database of which one call goes wrong."""

    def __init__(self, incidents: Any, call: str, *, done: bool) -> None:
        self._incidents, self._call, self._done = incidents, call, done

    def __getattr__(self, name: str) -> Any:
        """Return the call."""
        call = getattr(self._incidents, name)

        async def away(*given: Any) -> Any:
            if self._done:
                await call(*given)
            raise StoreUnavailable

        return away if name == self._call else call


async def test_a_database_that_goes_away_after_it_leaves_it_open(data: Path) -> None:
    """How far it is is not known, and its id is told."""
    async with incident_desk(_settings(data)) as desk:
        incidents: Any = Away(desk.incidents, "progress", done=False)
        said = await _open(replace(desk, incidents=incidents), REASON, None, None, False)

    assert said.status == DONE
    result: Any = said.result
    assert (result["done"], result["grants"]) == (None, None)
    assert said.text.startswith(f"Opened: {result['id']}, the whole service")
    assert len(said.warnings) == 1
    assert stopped(data)


@pytest.mark.parametrize("done", [True, False])
async def test_a_database_that_goes_away_in_it_leaves_it_unknown(data: Path, done: bool) -> None:  # noqa: FBT001 - a parameter
    """Neither is said; a second run goes on where the first one stopped."""
    async with incident_desk(_settings(data)) as desk:
        incidents: Any = Away(desk.incidents, "open", done=done)
        opening = replace(desk.open, incidents=incidents)
        said = await _open(replace(desk, open=opening), REASON, None, None, False)
        again = await _open(desk, REASON, None, None, False)

    assert (said.status, said.problem and said.problem.code) == (FAILED, "store_unavailable")
    assert "not known" in said.text
    result: Any = again.result
    assert (again.status, result["new"], result["grants"]["waiting"]) == (DONE, not done, 1)


def _with_a_grant_ended(data: Path) -> None:
    opened(data)
    changed(
        data,
        "UPDATE incident_grants SET outcome = 'revoked', because = 'refresh_token', due_at = NULL",
    )


def test_an_audit_that_ends_in_a_report_is_told_apart_from_one_that_was_away(data: Path) -> None:
    """Links may have been made by then; no evidence is there either way."""
    _with_a_grant_ended(data)
    out = data.parent / "evidence"
    asked = ("report", "--out", str(out))
    refuse_record(data, "incident.reported")
    before = run(data, *asked)
    changed(data, "DROP TRIGGER refusing")
    refuse_record(data, "connect_session.created")

    amid = run(data, *asked)

    assert [one.problem and one.problem.code for one in (before, amid)] == ["audit_unavailable"] * 2
    assert "no evidence was read and no link was made" in before.text
    assert "links that were made until then are in no file" in amid.text
    assert not out.exists()


def test_a_report_names_what_cannot_be_read(data: Path) -> None:
    """All else is in it."""
    _with_a_grant_ended(data)
    changed(data, "UPDATE connections SET scopes = 'odd'")

    said = run(data, "report", "--out", str(data.parent / "evidence"))

    assert said.status == DONE
    result: Any = said.result
    assert (result["left_out"], result["connections"]) == ([CONNECTION], 0)
    assert CONNECTION in said.warnings[0]


def test_evidence_is_of_the_incident_that_lists_a_grant(data: Path) -> None:
    """Not of one that was opened again, after all was ended."""
    _with_a_grant_ended(data)
    changed(data, "DELETE FROM token_sets")
    first: Any = run(data, "status").result
    again: Any = opened(data).result
    assert again["new"]

    said: Any = run(data, "report", "--no-links", "--out", str(data.parent / "evidence")).result
    asked = ("report", "--no-links", "--incident", again["id"])
    empty: Any = run(data, *asked, "--out", str(data.parent / "empty")).result

    assert said["id"] == first["incidents"][0]["id"] != again["id"]
    assert (said["connections"], empty["connections"]) == (1, 0)


def test_a_workspace_may_be_named(data: Path) -> None:
    """By its name or its id; one that is not there is told from those that are."""
    name = "Acme alone"
    changed(data, f"UPDATE workspaces SET name = '{name}' WHERE id = '{WORKSPACE}'")  # noqa: S608 - ours

    named, unknown = (
        run(data, "open", "--dry-run", "--reason", REASON, "--workspace", one)
        for one in (name, "Nobody")
    )

    assert named.status == DONE
    assert unknown.status == WRONG_USAGE
    assert unknown.problem is not None
    assert f"{name} ({WORKSPACE})" in unknown.problem.title


def test_a_seal_and_a_workspace_with_odd_moments_are_in_nobodys_way(data: Path) -> None:
    """Whoever put them there: grants are ended, and the seal is told and comes off."""
    changed(
        data,
        f"INSERT INTO workspaces VALUES ('ws_odd', 'odd', {NO_MOMENT})",  # noqa: S608 - ours
        f"INSERT INTO service_seals (reason, \"on\", sealed_at) VALUES ('odd', 1, {NO_MOMENT})",  # noqa: S608 - ours
    )

    said = opened(data)

    assert (said.status, said.warnings) == (DONE, ())
    assert stopped(data)
    sealed = [run(data, command).result for command in ("status", "unseal", "status")]
    assert [one["sealed"] for one in sealed] == [True, False, False]


@pytest.mark.parametrize("command", ["open", "seal"])
def test_a_reason_is_words(command: str) -> None:
    """An empty one says nothing to whoever reads it later."""
    with pytest.raises(click.BadParameter, match="say why"):
        incident.commands[command].make_context(command, ["--reason", " "])
