"""Several replicas on one PostgreSQL, each with a road to it and a clock of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from tests.fault.crash_world import CrashWorld, free_ports
from tests.long.disturbances import DatabaseRoad, ReplicaClocks
from tools.world import BIN

from keyturn_service.settings import environment_of_child, read_settings

ORGS: Final = ("Northwind", "Larkfield", "Brightwater", "Northwind UAT")
_STOPS_WITHIN: Final = 15.0
_SOON: Final = 0.005


@dataclass(kw_only=True)
class MixedReplica:
    """One `keyturn serve`, or a program like it in which something is planted."""

    name: str
    settings: dict[str, Any]
    dev_world: dict[str, Any]
    road: DatabaseRoad
    log: Path
    plant: str | None = None
    stopped: bool = False
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.settings['port']}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    @property
    def spool_id(self) -> str:
        """The name of its spool, which attempts name."""
        return (Path(self.settings["data_dir"]) / "spool" / "id").read_text()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = self.settings | {"database_url": self.road.url}
        with self.log.open("a") as log:
            if self.plant is None:
                argv = [str(BIN / "keyturn"), "serve", "--json", "--dev-world-on-stdin"]
                first = self.dev_world
            else:
                argv = [sys.executable, "-m", "tests.long.planted_replica"]
                first = {"settings": settings, "dev_world": self.dev_world, "plant": self.plant}
            self.process = await asyncio.create_subprocess_exec(
                *argv,
                env=environment_of_child(read_settings(**settings)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(first).encode() + b"\n")
        await self.process.stdin.drain()
        if not await self.process.stdout.readline():
            raise RuntimeError(f"{self.name}: {self.log.read_text()[-2000:]}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal; it stops at once, or goes on."""
        os.kill(self.pid, number)
        self.stopped = number == signal.SIGSTOP

    def state(self) -> str:
        """Return the state of its process as the system has it: T where it is stopped."""
        said = Path(f"/proc/{self.pid}/stat").read_text()
        return said.rpartition(")")[2].split()[0]

    async def end(self) -> None:
        """Have it end, stopped or not."""
        if self.process is None or self.process.returncode is not None:
            return
        self.send(signal.SIGCONT)
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), _STOPS_WITHIN)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@dataclass(kw_only=True)
class MixedWorld:
    """The world, its replicas, a view into the database, and who connected which org."""

    crash: CrashWorld
    replicas: Sequence[MixedReplica]
    clocks: ReplicaClocks
    http: aiohttp.ClientSession
    database: asyncpg.Connection[Any]
    connections: dict[str, str] = field(default_factory=dict)
    ahead: timedelta = timedelta(0)

    @property
    def key(self) -> dict[str, str]:
        """The header that lets the vendor in."""
        return {"Authorization": f"Bearer {self.crash.api_key}"}

    async def control(self, method: str, path: str, **asked: Any) -> Any:
        """Call the simulator's control port."""
        async with self.http.request(
            method, f"{self.crash.said['control_url']}{path}", **asked
        ) as (answer):
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" else None

    async def advance(self, by: str) -> None:
        """Move the world's clock; the replicas are told when they ask."""
        said = await self.control("POST", "/clock", json={"advance": by})
        self.ahead = datetime.fromisoformat(said["now"]) - datetime.now(UTC)

    async def journal(self) -> list[dict[str, Any]]:
        """Return the refreshes that the orgs saw, in order."""
        said = await self.control("GET", "/journal?grant_type=refresh_token")
        return list(said["entries"])

    async def under_way(self, replica: MixedReplica) -> bool:
        """Tell whether a replica has an attempt under way."""
        asked = "SELECT count(*) FROM attempts WHERE outcome IS NULL AND spool_id = $1"
        return bool(await self.database.fetchval(asked, replica.spool_id))

    async def until_under_way(self, replica: MixedReplica, *, seconds: float) -> bool:
        """Wait until a replica has an attempt under way; tell whether that came."""
        give_up = time.monotonic() + seconds
        while not await self.under_way(replica):
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(_SOON)
        return True

    async def end_backends(self, count: int) -> int:
        """End sessions of the replicas at the database; return how many."""
        ended = await self.database.fetch(
            "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " ORDER BY random() LIMIT $1",
            count,
        )
        return sum(row["ended"] for row in ended)


@contextlib.asynccontextmanager
async def mixed_world(
    crash: CrashWorld, plants: Sequence[str | None], *, orgs: int
) -> AsyncIterator[MixedWorld]:
    """Give a world with a replica for each of `plants`, and so many connected orgs."""
    folder, database_url = crash.folder, crash.settings["database_url"]
    async with contextlib.AsyncExitStack() as to_close:
        clocks = ReplicaClocks(lambda: world.ahead)
        await to_close.enter_async_context(clocks.open())
        replicas = []
        ports = [
            crash.settings["port"],
            *free_ports(len(plants) - 1, besides=crash.settings["port"]),
        ]
        for number, (plant, port) in enumerate(zip(plants, ports, strict=True)):
            road = DatabaseRoad(database_url)
            await to_close.enter_async_context(road.open())
            name = f"replica-{number}"
            settings = crash.settings | {
                "public_urls": [f"http://127.0.0.1:{port}"],
                "data_dir": str(folder / name) if number else crash.settings["data_dir"],
                "key_file": str(Path(crash.settings["data_dir"]) / "keyturn.key"),
                "port": port,
            }
            replicas.append(
                MixedReplica(
                    name=name,
                    settings=settings,
                    dev_world=crash.dev_world | {"clock_url": clocks.url(name)},
                    road=road,
                    log=folder / f"{name}.log",
                    plant=plant,
                )
            )
        http = await to_close.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=40),
            )
        )
        database = await asyncpg.connect(database_url)
        to_close.push_async_callback(database.close)
        world = MixedWorld(
            crash=crash, replicas=replicas, clocks=clocks, http=http, database=database
        )
        for replica in replicas:
            to_close.push_async_callback(replica.end)
        await asyncio.gather(*(replica.start() for replica in replicas))
        for name in ORGS[:orgs]:
            org = next(org for org in crash.said["orgs"] if org["name"] == name)
            made = await asyncio.to_thread(crash.connect, name)
            world.connections[made] = org["org_id"]
        yield world
