"""Replicas that are really killed: each place of a refresh, times each fault, on one database.

A replica is a process of its own (`tests.fault.nursery`), put together as the product does it and
asked over HTTP; the org answers over HTTP, too. It comes up, delivers what the one before it left,
is asked for the connections that are not at rest yet, and is killed (SIGKILL) at the next place of
another connection's refresh. Which places there are is recorded first, for each fault. The judge
looks at the org, the database and the disks, as it does for schedules in process.

`python -m tests.fault.kills sqlite` or `postgresql` prints what was counted, and writes it to
`build/kills-<database>.json`; `--count N` plays all of it until there are N kills.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from service.tests.support import values
from service.tests.support.oracle import Oracle, Violation, Watched
from service.tests.support.snapshots import Looking, PostgresLooking, SqliteLooking
from service.tests.support.strict_org import Answering, StrictOrg
from tests.fault.asking import BACK_UP, PATIENCE, PUT_BACK, alone, execute, free_port, http
from tests.fault.http_org import HttpOrgs, RunningClock
from tests.fault.tally import BROKEN, KEPT, LOST, UNCERTAIN, Fault, never
from tests.support.postgres import Server, running_postgres

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.spool.directory import DirectorySpool
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.bootstrap import Parts, make_key_file, open_house
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.attempt import Attempt
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import AttemptId, ConnectionId, CustomerId, SpoolId
from keyturn_service.settings import Settings, read_settings
from keyturn_service.vault.envelope import Envelopes

DATABASES: Final = ("sqlite", "postgresql")
REPORTS: Final = "build/kills-{}.json"
_LEAP: Final = 130  # seconds that pass between two runs: longer than anybody waits for an org
_TURNS: Final = 10  # runs in which a connection has to come to rest
_LOST: Final = "reauthorization_required"


class Way(NamedTuple):
    """What goes wrong besides the kill: with the answer, and with storage."""

    fault: Fault
    storage: str = ""
    answer: Answering = Answering.WHOLE


WAYS: Final = (
    Way(Fault.NONE),
    Way(Fault.LOST, answer=Answering.LOST),
    Way(Fault.TRUNCATED, answer=Answering.CUT_IN_ACCESS),
    Way(Fault.TRUNCATED, answer=Answering.CUT_LATE),
    Way(Fault.DISK_FULL, storage="disk full"),
    Way(Fault.AWAY, storage="database away after the call"),
    Way(Fault.AWAY, storage="database away after the spool"),
    Way(Fault.COMMIT, storage="commit fails"),
    Way(Fault.COMMIT, storage="commit done, and not told"),
    Way(Fault.RESTORED),
    Way(Fault.DISK_GONE),
)
# Cut before the refresh token, it is as good as lost; it has a turn where there is more time.
MORE_WAYS: Final = (*WAYS, Way(Fault.TRUNCATED, answer=Answering.CUT_EARLY))


@dataclass
class Round(Watched):
    """One connection whose refresh is killed, and its org."""

    world: KillWorld
    name: str
    way: Way
    place: str | None
    turns: int = 0

    def __post_init__(self) -> None:
        """Begin with the grant that the customer gave."""
        self.connection_id = ConnectionId(f"con_{self.name}")
        self.org = StrictOrg(self.world.orgs.clock, name=self.name)
        self.oracle = Oracle(self, hashes=self.world.hashes)
        self.org.sees = self.oracle.presented
        self.world.orgs.by_name[self.name] = self.org

    async def look(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Look into the database."""
        assert self.world.looking is not None
        return await self.world.looking.look(statement, *given)

    async def intended(self) -> None:
        """Tell the judge which intents the database has."""
        rows = await self.look(
            "SELECT id, token_hash FROM attempts WHERE connection_id = ?", self.connection_id
        )
        for id_, token_hash in rows:
            self.oracle.intends(
                Attempt(
                    id=AttemptId(id_),
                    workspace_id=self.world.workspace,
                    connection_id=self.connection_id,
                    generation=0,
                    fence=0,
                    token_hash=token_hash,
                    spool_id=SpoolId(""),
                    started_at=self.world.orgs.clock.now(),
                    presented_again=False,
                    outcome=None,
                    spool_answered=False,
                    ended_at=None,
                )
            )


@dataclass
class Counted:
    """What was done on one database, and how it ended."""

    kills: int = 0
    not_met: int = 0
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds_to_answer: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class KillWorld:
    """One vendor's service on one database, and what it takes to kill its only replica."""

    folder: Path
    orgs: HttpOrgs
    server: Server | None
    settings: dict[str, Any]
    dev_world: dict[str, Any]
    url: str
    counted: Counted = field(default_factory=Counted)
    api_key: str = ""
    workspace: Any = ""
    looking: Looking | None = None
    kept_open: PostgresLooking | None = None
    hashes: Any = None
    open: list[Round] = field(default_factory=list)
    nursery: asyncio.subprocess.Process | None = None
    pid: int | None = None
    seen: set[str] = field(default_factory=set)
    number: int = 0

    @functools.cached_property
    def read(self) -> Settings:
        """The replica's settings."""
        return read_settings(**self.settings, dev_world=self.dev_world)

    @contextlib.asynccontextmanager
    async def stores(self) -> AsyncIterator[tuple[Any, Stores]]:
        """Give the product's own stores, while no replica runs."""
        kept: list[Parts] = []

        def keep(parts: Parts) -> Parts:
            kept.append(parts)
            return parts

        async with open_house(self.read, background=False, between=keep) as house:
            yield house, kept[0].stores

    async def install(self) -> None:
        """Make key file, workspace, app and API key."""
        await make_key_file(self.read)
        async with self.stores() as (house, _):
            self.workspace = await house.new_workspace("Kills")
            made = await house.wiring.register_app(
                self.workspace,
                "test",
                name="Acme",
                namespace="acme",
                callback_urls=[f"{self.url}/oauth/callback"],
                return_origins=["http://127.0.0.1:9"],
                scopes=values.SCOPES,
                login_hosts=dict.fromkeys(
                    (Environment.PRODUCTION, Environment.SANDBOX), Origin(self.orgs.url)
                ),
                install_urls=None,
                allow_same_org=True,
            )
            self.app_id = made.id
            await house.wiring.put_consumer_credentials(
                self.workspace,
                made.id,
                "test",
                consumer_key="3MVG9.acme",
                consumer_secret=values.consumer_secret(),
            )
            _, self.api_key = await house.wiring.create_api_key(
                self.workspace, "test", name="test", rights=frozenset(Right), expires_at=None
            )
            self.hashes = house.wiring.hashes

    async def seeded(self, rounds: list[tuple[Way, str | None]]) -> list[Round]:
        """Keep a connection for each round, each with an access token that is over."""
        made = []
        async with self.stores() as (_, stores):
            for way, place in rounds:
                self.number += 1
                one = Round(self, f"round{self.number}", way, place)
                access, refresh = one.org.first
                now = self.orgs.clock.now()
                connection = values.connection(
                    id=one.connection_id,
                    workspace_id=self.workspace,
                    customer_id=CustomerId(one.name),
                    app_id=self.app_id,
                    login_url=Origin(self.orgs.url),
                    created_at=now,
                    authorized_at=now,
                )
                tokens = values.tokens(
                    access_token=AccessToken(access),
                    refresh_token=RefreshToken(refresh),
                    received_at=now - timedelta(hours=3),
                    expires_at=now - timedelta(hours=1),
                )
                assert await stores.tokens.add(connection, tokens)
                made.append(one)
        return made

    async def start(self) -> None:
        """Have a replica."""
        begun = time.monotonic()
        if self.nursery is None:
            with (self.folder / "replica.log").open("ab") as log:
                self.nursery = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.fault.nursery",
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                )  # fmt: skip
        given = {
            "settings": self.settings,
            "dev_world": self.dev_world,
            "arm": str(self.folder / "armed"),
        }
        assert self.nursery.stdin is not None
        self.nursery.stdin.write(json.dumps(given).encode() + b"\n")
        self.pid = (await self._said("pid"))["pid"]
        await self._said("urls")
        self.looking = await self._look()
        self.counted.seconds_to_answer.append(time.monotonic() - begun)

    async def _look(self) -> Looking:
        if self.server is None:
            return SqliteLooking(Path(self.read.data_dir) / "keyturn.sqlite")
        if self.kept_open is None:
            url = self.settings["database_url"]
            self.kept_open = await PostgresLooking.on(url, puts_back=False)
        return self.kept_open

    async def _look_away(self, *, wholly: bool = False) -> None:
        """Look no more; a connection to a PostgreSQL stays open, unless it is to go as well."""
        if self.looking is not None and self.looking is not self.kept_open:
            await self.looking.close()
        self.looking = None
        if wholly and self.kept_open is not None:
            await self.kept_open.close()
            self.kept_open = None

    async def _said(self, name: str) -> dict[str, Any]:
        assert self.nursery is not None
        assert self.nursery.stdout is not None
        while line := await asyncio.wait_for(self.nursery.stdout.readline(), PATIENCE):
            said = json.loads(line)
            if name in said:
                return dict(said)
            if "ended" in said:
                break
        raise RuntimeError((self.folder / "replica.log").read_text()[-3000:])

    async def killed(self) -> int:
        """Wait until the replica has ended; return by which signal."""
        status = (await self._said("ended"))["ended"]
        self.pid = None
        await self._look_away()
        return os.WTERMSIG(status)

    async def kill(self) -> None:
        """Kill the replica from outside."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGKILL)
        assert await self.killed() == signal.SIGKILL
        self.counted.kills += 1

    async def token(self, one: Round, *, rejected: int | None = None) -> dict[str, Any] | None:
        """Ask for an access token; None where the replica died on it."""
        body = b"" if rejected is None else json.dumps({"rejected_generation": rejected}).encode()
        path = f"/v1/connections/{one.connection_id}/access-token"
        status, said = 0, {}
        try:
            status, said = await http("POST", self.url, path, self.api_key, body)
        except (OSError, asyncio.IncompleteReadError, EOFError):
            return None
        if status == 200:
            await one.oracle.given(said["generation"])
        return said

    async def round(self, one: Round) -> None:
        """Start a replica, see that the others come to rest, and kill it in this one's refresh."""
        undo = await self.backup() if one.way.fault is Fault.RESTORED else None
        self.orgs.clock.advance(seconds=_LEAP)
        await self.start()
        for other in [*self.open]:
            await self._settle(other)
        rejected = None
        if undo is not None:
            before = await self.token(one)
            assert before is not None
            rejected = before["generation"]
        one.org.script.append(one.way.answer)
        answer = await self._armed(one, rejected=rejected)
        if answer is None:
            assert await self.killed() == signal.SIGKILL
            self.counted.kills += 1
        else:  # its place was not met, or there is none
            await self.kill()
            self.counted.not_met += one.place is not None
            one.place = None
        await self._afterwards(one, undo)
        self.open.append(one)

    async def _armed(self, one: Round, *, rejected: int | None) -> dict[str, Any] | None:
        arm, record = self.folder / "armed", self.folder / "places"
        record.unlink(missing_ok=True)
        plan = {"place": one.place, "fault": one.way.storage, "record": str(record)}
        beside = arm.with_suffix(".new")
        beside.write_text(json.dumps(plan))
        beside.rename(arm)
        try:
            return await self.token(one, rejected=rejected)
        finally:
            arm.unlink()

    async def _afterwards(self, one: Round, undo: Any) -> None:
        """Do to disk and database what this round has in store for them."""
        self.looking = await self._look()
        await one.intended()
        await self._disks(one)
        if one.way.fault is Fault.DISK_GONE:
            spool = self.read.spool
            aside = spool.with_name(f"{spool.name}-{one.name}")
            spool.rename(aside)
            one.oracle.moved(spool, aside)
            one.oracle.given_up.add(aside)
            async with self.stores() as (house, _):
                spool_id = (aside / "id").read_text()
                assert await house.root_keys.forget_spool(spool_id, disk_is_gone=True)
            # Nobody gives its lease back: it would end by itself, a minute later.
            await self.looking.look("UPDATE refresh_leases SET ends_at = 0")
        await self._look_away()
        if undo is not None:
            await undo()
            one.oracle.restored()

    async def _disks(self, one: Round) -> None:
        """Tell the judge which answers lie on the disk, as they lie there."""
        randomness = SystemRandomness()
        source = KeyFile.load(self.read.keys, randomness)
        envelopes = await Envelopes.for_this_run(source, randomness)
        spool = DirectorySpool.open(self.read.spool, envelopes, randomness, accepts_loss=True)
        try:
            for attempt_id in await spool.newest_first():
                if attempt_id in self.seen:
                    continue
                self.seen.add(attempt_id)
                answer = await spool.get(attempt_id)
                if answer is not None and answer.connection_id == one.connection_id:
                    one.oracle.spools(self.read.spool, answer)
        finally:
            spool.close()

    async def _settle(self, one: Round) -> None:
        """Ask for a connection that is not at rest yet, and judge it where it is."""
        one.turns += 1
        said = await self.token(one) or {}
        found = "SELECT state FROM connections WHERE id = ?"
        [(state,)] = await one.look(found, one.connection_id)
        over = said.get("access_token", "") not in {"", *one.org.access_tokens}
        if over or ("access_token" in said and state == ConnectionState.UNCERTAIN):
            said = await self.token(one, rejected=said["generation"]) or {}
        serves = said.get("access_token") in one.org.access_tokens
        if not (serves or said.get("code") == _LOST or one.turns == _TURNS):
            return
        self.open.remove(one)
        [(state,)] = await one.look(found, one.connection_id)
        await one.intended()
        uncertain = await one.count_events("token.outcome_unknown")
        try:
            await one.oracle.judge(
                ConnectionState(state), kept=await self._kept(one, serves=serves), serves=serves
            )
        except Violation as violation:
            self.orgs.violations.append(violation)
        for violation in self.orgs.violations:
            where = {"fault": str(one.way), "place": one.place, "round": one.name}
            self.counted.violations.append(f"{violation}: {json.dumps(where)}")
        end = UNCERTAIN if uncertain else KEPT
        if self.orgs.violations:
            end = BROKEN
            self.orgs.violations.clear()
        elif not serves:
            end = LOST
        if one.place is not None:
            self.counted.ends[end] += 1
            self.counted.cells[one.place, one.way.fault, end] += 1

    async def _kept(self, one: Round, *, serves: bool) -> str | None:
        """Return the refresh token that rests in the database, where it matters."""
        if serves:
            return None
        async with self.stores() as (_, stores):
            loaded = await stores.tokens.load(one.connection_id)
        token = None if loaded is None else loaded[1].refresh_token
        return None if token is None else token.reveal()

    async def rest(self) -> None:
        """Let all connections come to rest."""
        while self.open:
            self.orgs.clock.advance(seconds=_LEAP)
            await self.start()
            for other in [*self.open]:
                await self._settle(other)
            await self.kill()

    async def backup(self) -> Any:
        """Take a backup while nothing runs; return what puts it in the database's place."""
        await self.rest()
        if self.server is None:
            folder = Path(self.read.data_dir)
            copy = self.folder / "backup.sqlite"
            there = [*folder.glob("keyturn.sqlite*")]
            kept = {path.name: copy.with_name(f"backup-{path.name}") for path in there}
            for path in there:
                shutil.copy2(path, kept[path.name])

            async def put_back() -> None:
                for path in folder.glob("keyturn.sqlite*"):
                    path.unlink()
                for name, copied in kept.items():
                    copied.rename(folder / name)

            return put_back
        url = self.settings["database_url"]
        await execute(url, BACK_UP)

        async def read_back() -> None:
            assert self.server is not None
            await self._look_away(wholly=True)
            await alone(self.server.url, urlsplit(url).path[1:])
            await execute(url, PUT_BACK)

        return read_back

    async def close(self) -> None:
        """End what runs."""
        await self._look_away(wholly=True)
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        if self.nursery is not None:
            assert self.nursery.stdin is not None
            self.nursery.stdin.close()
            await self.nursery.wait()


async def play(folder: Path, server: Server | None, *, count: int) -> Counted:
    """Record the places that each fault leaves, and kill a replica at each of them."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with HttpOrgs(RunningClock()) as orgs:
        hosts = dict.fromkeys((Environment.PRODUCTION, Environment.SANDBOX), orgs.url)
        world = KillWorld(
            folder=folder,
            orgs=orgs,
            server=server,
            url=url,
            settings={
                "public_urls": [url],
                "data_dir": str(folder / "data"),
                "database_url": "" if server is None else server.create_database(),
                "spool_accepts_loss": True,
                "port": port,
            },
            dev_world={
                "clock_url": orgs.url,
                "loopback": [orgs.url],
                "login_hosts": {url: hosts},
                "mark": values.CANARY,
            },
        )
        await world.install()
        try:
            await _all(world, count=count)
        finally:
            await world.close()
    return world.counted


async def _all(world: KillWorld, *, count: int) -> None:
    ways = MORE_WAYS if count else WAYS
    places: dict[Way, list[str]] = {}
    for one in await world.seeded([(way, None) for way in ways]):
        await world.round(one)
        places[one.way] = (world.folder / "places").read_text().split("\n")[:-1]
    await world.rest()
    for way, met in places.items():
        world.counted.places[f"{way.fault}: {way.storage or way.answer}"] = met
    rounds = [(way, place) for way in ways for place in places[way]]
    rounds *= max(1, -(-count // len(rounds)))
    for one in await world.seeded(rounds):
        await world.round(one)
    await world.rest()


def told(database: str, counted: Counted, seconds: float) -> dict[str, Any]:
    """Return it as the report has it."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for (place, fault, end), number in sorted(counted.cells.items()):
        table.setdefault(place, {}).setdefault(fault, {})[end] = number
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = sorted(counted.seconds_to_answer)
    return {
        "database": database,
        "kills": counted.kills,
        "at_a_place": sum(counted.ends.values()),
        "place_not_met": counted.not_met,
        "seconds": round(seconds),
        "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in used)),
        "seconds_to_answer": round(answer[len(answer) // 2], 2),
        "ends": dict(counted.ends),
        "table": table,
        "never": never(table),
        "places": counted.places,
        "violations": counted.violations,
    }


def main() -> int:
    """Play, print, and write the report; 1 where a rule did not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("database", choices=DATABASES)
    parser.add_argument("--count", type=int, default=0, help="kills; all places once at least")
    asked = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keyturn-kills-") as name, contextlib.ExitStack() as to:
        server = None
        if asked.database == "postgresql":
            server = to.enter_context(running_postgres(fsync=True))
        counted = asyncio.run(play(Path(name), server, count=asked.count))
    report = told(asked.database, counted, time.monotonic() - begun)
    path = Path(REPORTS.format(asked.database))
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    for violation in counted.violations[:20]:
        print(violation)
    ends = ", ".join(f"{number} {end}" for end, number in counted.ends.most_common())
    print(f"{asked.database}: {ends}")
    print(
        f"kills: {counted.kills} by SIGKILL, {report['at_a_place']} at a place of a refresh, in"
        f" {report['seconds']} s ({report['cpu_seconds']} s of a core),"
        f" {len(counted.violations)} violations"
    )
    return 1 if counted.violations or not counted.ends else 0


if __name__ == "__main__":
    sys.exit(main())
