"""The database is exchanged for an older one under running replicas.

What the new one does not know was refreshed meanwhile: its refresh tokens are used up, and the
org ends the grant of whoever presents one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.support.forwarder import Forwarder, forwarding
from tests.support.postgres import Server, own_postgres, standby_of

from keyturn_service.bootstrap import open_house
from keyturn_service.bootstrap_audit import verify_audit
from keyturn_service.settings import read_settings

_PATIENCE: Final = 60.0
ORGS: Final = ("Northwind", "Larkfield", "Brightwater")


def _until(what: str, condition: Any) -> Any:
    """Wait until a condition gives something, and return that."""
    give_up = time.monotonic() + _PATIENCE
    while not (found := condition()):
        assert time.monotonic() < give_up, what
        threading.Event().wait(0.1)
    return found


def _refresh(world: CrashWorld, connection: str, refused: int | None = None) -> int:
    """Have a token refreshed, as soon as that can be; return the generation then."""
    if refused is None:
        refused = _until("a token", lambda: _served(world.token(connection)))["generation"]
    asked = {"rejected_generation": refused}
    return int(_until("a new token", lambda: _newer(world.token(connection, **asked), refused)))


def _served(answer: Any) -> dict[str, Any] | None:
    """Return what an answer says; nothing where one is to ask again."""
    if answer.status_code in {409, 503}:  # 409: another replica's journal has what comes next
        return None
    return dict(answer.raise_for_status().json())


def _newer(answer: Any, refused: int) -> int | None:
    """Return the generation of an answer; nothing where it is an older one than was refused."""
    found = (_served(answer) or {}).get("generation", 0)
    return found if found > refused else None


def _never_twice(world: CrashWorld) -> None:
    """See that the org met each refresh token once, and refused none."""
    refreshes = world.refreshes()
    presented = [entry["token_ref"] for entry in refreshes]
    assert len(presented) == len(set(presented))
    assert {entry["status"] for entry in refreshes} == {200}


def _types(world: CrashWorld, connection: str) -> list[str]:
    return [event["type"] for event in world.events(connection)]


@dataclass(frozen=True, kw_only=True)
class Two:
    """Two replicas that reach their database by an address that may change."""

    one: CrashWorld
    other: CrashWorld
    primary: Server
    standby: Server
    address: Forwarder
    database: str

    def stop_streaming(self) -> None:
        """Have the standby know what the primary does, and nothing from then on."""
        written = self.primary.value("SELECT pg_current_wal_lsn()::text")
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        _until("a standby that is there", lambda: self.standby.value(replayed))
        self.standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.execute("SELECT pg_reload_conf()")
        gone = "SELECT count(*) = 0 FROM pg_stat_wal_receiver"
        _until("a standby that lags", lambda: self.standby.value(gone))

    def fail_over(self, *, cut: bool) -> None:
        """Promote the standby, and lead new connections to it."""
        self.standby.execute("SELECT pg_promote()")
        self.address.switch(urlsplit(self.standby.url).port or 0, cut=cut)

    def look(self, statement: str) -> Any:
        """Look into the database that was promoted."""
        port = urlsplit(self.standby.url).port
        return self.standby.value(
            statement, f"postgresql://keyturn@127.0.0.1:{port}{self.database}"
        )


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Give two running replicas over a PostgreSQL with a standby."""
    with contextlib.ExitStack() as to_close:
        primary = to_close.enter_context(own_postgres())
        database = urlsplit(primary.create_database()).path
        address = to_close.enter_context(forwarding(urlsplit(primary.url).port or 0))
        url = f"postgresql://keyturn@127.0.0.1:{address.port}{database}"
        one = to_close.enter_context(crash_world(tmp_path, database_url=url))
        (tmp_path / "other").mkdir()
        other = second_replica(one, tmp_path / "other")
        for closing in (other.control.close, other.http.close, other.kill):
            to_close.callback(closing)
        standby = to_close.enter_context(standby_of(primary))
        for replica in (one, other):
            replica.start()
        yield Two(
            one=one,
            other=other,
            primary=primary,
            standby=standby,
            address=address,
            database=database,
        )


def test_no_connection_is_lost_by_a_standby_that_lags(two: Two) -> None:
    """What either replica refreshed meanwhile is put in force again, in whatever order.

    The old primary goes on, and so do the connections to it: only a new one tells.
    """
    one, other = two.one, two.other
    by_one, by_both, by_none = (one.connect(name) for name in ORGS)
    two.stop_streaming()
    _refresh(one, by_one)
    for replica in (one, other, one):
        _refresh(replica, by_both)
    known = {name: one.token(name).json()["generation"] for name in (by_one, by_both, by_none)}

    two.fail_over(cut=False)
    asked = [(replica, name) for replica in (other, one) for name in (by_one, by_both)]
    with ThreadPoolExecutor(len(asked)) as pool:
        found = list(pool.map(lambda ask: (ask[1], _refresh(ask[0], ask[1], known[ask[1]])), asked))

    assert all(generation > known[name] for name, generation in found)
    # Who was asked on an old connection has refreshed by the old primary: that is forgotten, too.
    noticed = "SELECT count(*) >= 2 FROM audit_events WHERE type = 'database.exchanged'"
    _until("that both notice", lambda: two.look(noticed))
    for replica, name in [*asked, (other, by_none)]:
        assert _refresh(replica, name, known[name]) > known[name]
    assert {one.connection(name)["state"] for name in known} == {"active"}
    _never_twice(one)
    assert _types(one, by_one).count("token.replayed") >= 1
    # Each of the three is in force again, or was left out for a newer one, on record (ADR 46).
    said = [event["detail"] for event in one.events(by_both) if event["type"] == "token.replayed"]
    left_out = sum(each.get("answers", each["generation"]) - each["generation"] for each in said)
    assert _types(one, by_both).count("token.stored") + left_out >= 3
    assert not {"token.replayed", "token.forgotten", "token.unaccounted"} & {*_types(one, by_none)}
    settings = read_settings(**one.settings, dev_world=one.dev_world)
    assert asyncio.run(verify_audit(settings, None, None)).bad is None


def test_only_what_no_journal_accounts_for_is_quarantined(two: Two) -> None:
    """The other replica's disk is gone: what it refreshed is known by who saw it, and not tried."""
    one, other = two.one, two.other
    lost, kept, untouched = (one.connect(name) for name in ORGS)
    two.stop_streaming()
    _refresh(other, lost)
    _refresh(one, kept)
    seen = one.token(lost).json()["generation"]
    spool = (Path(other.settings["data_dir"]) / "spool" / "id").read_text()
    other.kill()
    shutil.rmtree(other.settings["data_dir"])

    two.fail_over(cut=True)
    held = _until("a token of the one before", lambda: _served(one.token(lost)))
    assert held["generation"] < seen
    waits = one.token(untouched, rejected_generation=1)
    assert (waits.status_code, waits.json()["code"]) == (503, "store_unavailable")
    asyncio.run(_declare_lost(one, spool))

    assert _refresh(one, kept) > seen
    assert _refresh(one, untouched) > 1
    state = "uncertain"
    _until("a quarantine", lambda: one.connection(lost)["state"] == state)
    assert one.token(lost, rejected_generation=held["generation"]).status_code != 200
    assert {one.connection(name)["state"] for name in (kept, untouched)} == {"active"}
    assert _types(one, lost).count("token.unaccounted") == 1
    _never_twice(one)


async def _declare_lost(world: CrashWorld, spool_id: str) -> None:
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    async with open_house(settings, background=False) as house:
        assert await house.root_keys.forget_spool(spool_id, disk_is_gone=True)


def test_a_file_put_back_under_a_running_replica_is_noticed(tmp_path: Path) -> None:
    """On SQLite the file is another one: from the next statement on."""
    with crash_world(tmp_path) as world:
        world.start()
        connections = [world.connect(name) for name in ORGS[:2]]
        kept = Path(world.settings["data_dir"]) / "keyturn.sqlite"
        copy = kept.with_name("copy")
        with contextlib.closing(sqlite3.connect(kept)) as there:
            there.execute(f"VACUUM INTO '{copy}'")
        known = [_refresh(world, connections[0]), 1]

        for beside in kept.parent.glob("keyturn.sqlite-*"):
            beside.unlink()
        copy.replace(kept)
        found = [_refresh(world, *one) for one in zip(connections, known, strict=True)]

        assert all(after > before for after, before in zip(found, known, strict=True))
        assert {world.connection(one)["state"] for one in connections} == {"active"}
        assert _types(world, connections[0]).count("token.replayed") == 1
        assert "token.replayed" not in _types(world, connections[1])
        _never_twice(world)
