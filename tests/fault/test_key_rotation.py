"""Keys of both layers are rotated under running replicas, by the command, on both databases."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from sqlalchemy import insert, select
from tests.fault.crash_world import CrashWorld, crash_world, reading_at, second_replica
from tests.support.postgres import Server, running_postgres
from tools.world import BIN

from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.tables import connections, resealings, token_sets
from keyturn_service.bootstrap import open_house
from keyturn_service.settings import read_settings
from keyturn_service.vault.data_key_rotation import DataKeyRotation
from keyturn_service.vault.place import Place
from keyturn_service.vault.resealing import SETTLES, Reseal
from keyturn_service.vault.root_keys import RootKeys, StillNeeded

_T = TypeVar("_T")
DATA_KEYS = 600  # more than a batch: a run can be killed between two
SETS = 2_500  # more than two batches: a replica can be killed between two


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CrashWorld]:
    """A world with a database of its own."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("server").create_database()
    with crash_world(tmp_path, database_url=url) as world:
        yield world


def _command(world: CrashWorld, *arguments: str) -> subprocess.Popen[str]:
    settings = {name: value for name, value in world.settings.items() if value != ""}
    given = {f"KEYTURN_{name.upper()}": str(value) for name, value in settings.items()}
    given["KEYTURN_PUBLIC_URLS"] = world.url
    return subprocess.Popen(
        [str(BIN / "keyturn"), "keys", *arguments, "--json"],
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _keys(world: CrashWorld, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Run `keyturn keys`; return its result, or its problem where it is to fail."""
    said, _ = (running := _command(world, *arguments)).communicate(timeout=60)
    assert running.returncode == status, said
    answer = json.loads(said)
    return dict(answer["result"] if status == 0 else answer["problem"])


def _beside(world: CrashWorld, work: Callable[[RootKeys], Awaitable[_T]]) -> _T:
    """Do something about the keys as a command does, without the seconds that it takes to start."""

    async def working() -> _T:
        settings = read_settings(**world.settings, dev_world=world.dev_world)
        async with open_house(settings, background=False) as house:
            return await work(house.root_keys)

    return asyncio.run(working())


def _needs(world: CrashWorld) -> dict[str, int]:
    standing = _beside(world, lambda root_keys: root_keys.standing())
    return {need.key.id: need.data_keys for need in standing.keys}


async def _many_token_sets(world: CrashWorld, connection: str) -> list[str]:
    """Keep copies of a connection, each with sealed tokens of its own; return their ids."""
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    others = [column.name for column in connections.columns if column.name != "id"]
    async with open_house(settings, background=False) as house:
        database = Database(read_database_url(settings.database))
        try:
            async with database.write() as writing:
                found = await writing.execute(
                    select(connections).where(connections.c.id == connection)
                )
                kept = dict(found.mappings().one())
            copies, sets = [], []
            for number in range(SETS):
                copies.append({name: kept[name] for name in others} | {"id": f"con_{number:05}"})
                copies[-1]["due_at"] = None
                where = (kept["workspace_id"], f"con_{number:05}", 1)
                sets.append(
                    {
                        "connection_id": f"con_{number:05}",
                        "generation": 1,
                        "access_token": await house.vault.seal(b"a", places.access_token(*where)),
                        "refresh_token": await house.vault.seal(b"r", places.refresh_token(*where)),
                        "received_at": kept["authorized_at"],
                        "expires_at": kept["authorized_at"] + timedelta(hours=1),
                    }
                )
            async with database.write() as writing:
                await writing.execute(insert(connections), copies)
                await writing.execute(insert(token_sets), sets)
        finally:
            await database.close()
    return [copy["id"] for copy in copies]


def _data_keys(world: CrashWorld, work: Callable[[DataKeyRotation], Awaitable[_T]]) -> _T:
    """Do something about the data keys as a command does."""

    async def working() -> _T:
        settings = read_settings(**world.settings, dev_world=world.dev_world)
        async with open_house(settings, background=False) as house:
            return await work(house.data_keys)

    return asyncio.run(working())


def _pass(world: CrashWorld, until: Callable[[Any], bool]) -> Any:
    """Wait until the pass that seals anew is so far; return it, and who goes it."""

    async def looking() -> Any:
        database = Database(read_database_url(read_settings(**world.settings).database))
        try:
            give_up, pause = time.monotonic() + 60, threading.Event()
            while True:
                async with database.read() as reading:
                    asked = select(resealings).order_by(resealings.c.number.desc())
                    row = (await reading.execute(asked)).first()
                if row is not None and until(row):
                    return row
                assert time.monotonic() < give_up, row
                pause.wait(0.05)
        finally:
            await database.close()

    return asyncio.run(looking())


def _spool_of(replica: CrashWorld) -> str:
    return (Path(replica.settings["data_dir"]) / "spool" / "id").read_text().strip()


def _refusal(world: CrashWorld, key_id: str, *, backups_are_gone: bool = True) -> str:
    with pytest.raises(StillNeeded) as refused:
        _beside(
            world,
            lambda root_keys: root_keys.destroy(key_id, backups_are_gone=backups_are_gone),
        )
    return str(refused.value)


async def _seal_for_many_workspaces(world: CrashWorld) -> list[tuple[Place, bytes]]:
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    places = [
        Place(workspace_id=f"ws_{number}", table="apps", row="a", column="consumer_secret")
        for number in range(DATA_KEYS)
    ]
    async with open_house(settings, background=False) as house:
        return [(place, await house.vault.seal(b"value", place)) for place in places]


async def _open_all(world: CrashWorld, sealed: list[tuple[Place, bytes]]) -> None:
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    async with open_house(settings, background=False) as house:
        for place, value in sealed:
            assert await house.vault.open(value, place) == b"value"


@contextmanager
def _all_replicas(world: CrashWorld) -> Iterator[list[CrashWorld]]:
    """Start three more on PostgreSQL; SQLite has one."""
    replicas = [world]
    with ExitStack() as ending:
        for number in range(3 if world.settings["database_url"] else 0):
            folder = world.folder / f"replica-{number}"
            folder.mkdir()
            replica = second_replica(world, folder)
            ending.callback(replica.http.close)
            ending.callback(replica.control.close)
            ending.callback(replica.kill)
            replica.start()
            replicas.append(replica)
        yield replicas


@pytest.mark.takes(40)
@pytest.mark.timeout(300)
def test_a_rotation_under_load_costs_no_read(world: CrashWorld) -> None:
    """Rotated, re-wrapped, killed half-way and run twice at once; and a replica starts anew."""
    world.start()
    connection = world.connect("Northwind")
    sealed = asyncio.run(_seal_for_many_workspaces(world))
    with _all_replicas(world) as replicas:
        [first] = _needs(world)
        with reading_at(replicas, connection) as answers:
            second = _keys(world, "rotate")["active"]
            killed = _command(world, "rewrap")
            assert killed.stderr is not None
            assert any(" data keys" in line for line in killed.stderr), "it said nothing"
            killed.send_signal(signal.SIGKILL)
            killed.communicate()

            between = _needs(world)
            assert between[first] > 0
            assert between[second] > 0
            both = [_command(world, "rewrap") for _ in range(2)]
            for running in both:
                said, _ = running.communicate(timeout=60)
                assert running.returncode == 0, said
            assert _needs(world)[first] == 0
            third = _beside(world, lambda root_keys: root_keys.rotate())
            _beside(world, lambda root_keys: root_keys.rewrap())
            connected = world.connect("Larkfield")  # a running replica seals
        assert set(answers) == {200}
        assert len(answers) > 10 * len(replicas)

        asyncio.run(_open_all(world, sealed))
        assert {first, second, third} == set(_needs(world))
        world.stop()
        world.start()
        assert world.token(connection).status_code == 200
        assert world.token(connected).status_code == 200


def test_a_key_that_a_stopped_replicas_spool_needs_is_not_destroyed(world: CrashWorld) -> None:
    """It is named; only when that spool is declared lost, the key can go."""
    world.start()
    connection = world.connect("Northwind")
    world.advance("PT3H")
    assert world.token(connection).status_code == 200
    world.stop()
    world.start()  # says what lies on its spool now
    world.kill()
    [first] = _needs(world)
    assert "active key" in _refusal(world, first)
    _beside(world, lambda root_keys: root_keys.rotate())
    assert "data keys need it; run `keyturn keys rewrap`" in _refusal(world, first)
    _beside(world, lambda root_keys: root_keys.rewrap())

    refused = _keys(world, "destroy", first, "--backups-are-gone", status=1)

    [old] = [key for key in _keys(world, "status")["keys"] if key["id"] == first]
    [spool] = old["spools"]
    assert spool == (Path(world.settings["data_dir"]) / "spool" / "id").read_text().strip()
    assert old["spooled_answers"] >= 1
    assert refused["code"] == "key_still_needed"
    assert spool in refused["title"]
    assert _beside(world, lambda root_keys: root_keys.forget_spool(spool, disk_is_gone=True))
    assert "say --backups-are-gone" in _refusal(world, first, backups_are_gone=False)
    _beside(world, lambda root_keys: root_keys.destroy(first, backups_are_gone=True))
    assert first not in (Path(world.settings["data_dir"]) / "keyturn.key").read_text()
    world.start()
    assert world.token(connection).status_code == 200


@pytest.mark.takes(40)
@pytest.mark.timeout(300)
def test_a_rotation_of_data_keys_under_load_costs_no_read(world: CrashWorld) -> None:
    """The replica that seals anew is killed half-way; the others go on, and no read fails.

    Each read opens a token set that its replica has not opened before. A refresh in the middle
    keeps what it brought. At last the old key is destroyed.
    """
    world.start()
    connection = world.connect("Northwind")
    copies = asyncio.run(_many_token_sets(world, connection))
    with _all_replicas(world) as replicas, ExitStack() as reading:
        answers = {
            _spool_of(one): reading.enter_context(
                reading_at([one], *copies[number * SETS // 4 :], pause=0.01)
            )
            for number, one in enumerate(replicas)
        }
        [made] = _data_keys(world, lambda rotation: rotation.rotate()).made.values()
        half = _pass(world, lambda row: row.resealed > 0)
        [busy] = [one for one in replicas if _spool_of(one) == half.owner]
        busy.kill()

        assert half.resealed < SETS
        assert _pass(world, lambda _: True).ended_at is None
        if busy is world and len(replicas) == 1:
            busy.start()
        [other, *_] = [one for one in replicas if one is not busy] or [busy]
        assert other.token(connection, rejected_generation=1).json()["generation"] == 2
        done = _pass(world, lambda row: row.ended_at is not None)
        gone = _data_keys(world, lambda rotation: rotation.destroy()).gone
        reading.close()

        assert (done.number, done.refused) == (half.number, 0)
        assert done.resealed >= SETS
        assert len(gone) == 1
        assert set(answers.pop(half.owner)) == {200, 0}
        assert {status for one in answers.values() for status in one} <= {200}
        assert sum(map(len, answers.values())) >= 100 * len(answers)
        busy.start()
        connected = world.connect("Larkfield")
        for one in (connection, connected):
            assert {replica.token(one).status_code for replica in replicas} == {200}
        assert made not in gone


def _reseal(world: CrashWorld) -> None:
    """Seal everything anew as a replica does in the background."""

    async def working() -> None:
        settings = read_settings(**world.settings, dev_world=world.dev_world)
        async with open_house(settings, background=False) as house:
            keys = house.data_keys
            reseal = Reseal(
                vault=house.vault,
                rows=keys.rows,
                audit=keys.audit,
                clock=house.clock,
                waiting=keys.waiting,
            )
            await reseal()
            await keys.waiting.sleep(SETTLES)
            await reseal()

    asyncio.run(working())


def test_an_answer_on_a_stopped_replicas_spool_opens_after_its_data_keys_are_gone(
    world: CrashWorld,
) -> None:
    """Spools have keys of their own: it is delivered, and sealed under the new key."""
    world.start(kill_at="tokens.replace:before")
    connection = world.connect("Northwind")
    world.arm.touch()
    world.advance("PT3H")
    with pytest.raises(httpx2.TransportError):
        world.token(connection)
    assert world.wait_until_dead() == -signal.SIGKILL
    world.arm.unlink()
    since = world.next_entry()

    assert _keys(world, "rotate-data", "--workspace", "Crash")["retired"] == 1
    _reseal(world)
    said = _keys(world, "status")["data_keys"]
    assert (said["in_use"], said["resealing"]["refused"]) == (1, 0)
    assert said["resealing"]["resealed"] >= 1
    assert _keys(world, "destroy-data")["destroyed"] == [one["id"] for one in said["retired"]]

    world.start()
    assert world.token(connection).json()["generation"] == 2
    assert world.refreshes(since) == []
