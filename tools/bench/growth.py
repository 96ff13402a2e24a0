"""How the service does as it grows: a thousand to a million connections, and four replicas.

`python -m tools.bench.growth` keeps each number of connections in a database of its own on one
PostgreSQL with `fsync`, with one replica each, and loads them in turn, so that they share the
machine's good and bad minutes. Reads go round 2,000 connections, as those of the bench do, or all
over: to a connection that was not asked about lately. The sweep refreshes connections that the
idle guardian finds due, all at once, at an org that answers at once. Then four replicas share one
of the databases.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
from tests.support.postgres import Server, running_postgres

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.ids import read_user_id
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.domain.connection import KEPT_BY
from keyturn_service.settings import Settings
from tools.bench.__main__ import Run, Subject, measure, median, reads_of, sync_milliseconds
from tools.bench.house import Bench, free_port, multiply, seed, seed_bare, serving, settings_of
from tools.bench.programs import running

REPORT: Final = Path("build/growth.json")
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
KEPT_SHARE: Final = 0.9  # of the reads at the fewest connections
REPLICAS: Final = 4
_READERS: Final = 16  # of each replica
_SHARED: Final = 10_000  # connections that four replicas share
_ALL_OVER: Final = 40_000  # connections that are asked about in turn, twice what is remembered
_GIVE_UP: Final = 600.0  # seconds
_POOL: Final = 16  # of each of four bare services


@dataclass(frozen=True, kw_only=True)
class Grown:
    """What was measured at one number of connections; medians over the rounds."""

    connections: int
    reads: Run
    share: float
    """Of the reads at the fewest connections, in the same round."""
    all_over: Run
    swept: float
    """Connections refreshed in a second."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What replicas of one database did together, beside as many bare services; medians."""

    replicas: int
    reads: Run
    bare: Run
    ratio: float
    swept: float


@dataclass(frozen=True, kw_only=True)
class Served:
    """A database of a size, and the replica that serves it."""

    settings: Settings
    bench: Bench

    @property
    def reads(self) -> Subject:
        """The reads that go round some connections."""
        return reads_of(self.bench, self.bench.port, f"{len(self.bench.connection_ids)}")

    def all_over(self) -> Subject:
        """Reads of connections that were hardly asked about lately, if there are many."""
        ids = self.bench.connection_ids
        chosen = random.sample(ids, min(len(ids), _ALL_OVER))
        bench = replace(self.bench, connection_ids=tuple(chosen))
        return reads_of(bench, bench.port, "all over", distinct=_ALL_OVER)


def _seeded(postgres: Server, folder: Path, size: int, org_url: Origin) -> tuple[Settings, Bench]:
    folder.mkdir()
    settings = settings_of(postgres, folder)
    begun = time.monotonic()
    _, api_key = asyncio.run(seed(settings, count=1, org_url=org_url))
    ids = asyncio.run(multiply(settings, size))
    print(f"{size:9} connections kept in {time.monotonic() - begun:.0f} s", flush=True)
    bench = Bench(port=settings.port, api_key=api_key, connection_ids=tuple(ids))
    return settings, bench


async def sweep(settings: Settings, count: int) -> float:
    """Have the idle guardian find `count` connections due; return how many it refreshed a second.

    Raises:
        RuntimeError: it did not refresh them all.
    """
    base = await asyncpg.connect(settings.database_url)
    try:
        now = datetime.now(UTC)
        longest = to_micros(now - KEPT_BY - timedelta(hours=1))
        found = await base.fetch("SELECT id FROM connections ORDER BY md5(id) LIMIT $1", count)
        ids = [row["id"] for row in found]
        # A user of its own for each: real customers do not share one.
        users = [read_user_id(f"0055g{number:010}") for number in range(len(ids))]
        await base.execute(
            "UPDATE connections c SET last_refreshed_at = $3, due_at = $4, user_id = given.user_id"
            " FROM unnest($1::text[], $2::text[]) AS given(id, user_id) WHERE c.id = given.id",
            ids,
            users,
            longest,
            to_micros(now),
        )
        asked = (
            "SELECT count(*) AS done, max(last_refreshed_at) - min(last_refreshed_at) AS took"
            " FROM connections WHERE id = ANY($1) AND last_refreshed_at > $2"
        )
        give_up = time.monotonic() + _GIVE_UP
        while (seen := await base.fetchrow(asked, ids, longest))["done"] < len(ids):
            if time.monotonic() > give_up:
                raise RuntimeError(f"{seen['done']} of {len(ids)} were refreshed")
            await asyncio.sleep(0.5)
    finally:
        await base.close()
    return float((len(ids) - 1) / (seen["took"] / 1_000_000))


def grow(asked: argparse.Namespace, served: Mapping[int, Served], rounds: int) -> list[Grown]:
    """Load every size in turn, and let each sweep."""
    hot: dict[int, list[Run]] = {size: [] for size in served}
    cold: dict[int, list[Run]] = {size: [] for size in served}
    for _ in range(rounds):
        for size in random.sample(list(served), len(served)):
            how = {"connections": _READERS, "seconds": asked.seconds}
            hot[size].append(measure(served[size].reads, **how))
            cold[size].append(measure(served[size].all_over(), **how))
    fewest = hot[min(served)]
    made = []
    for size, one in served.items():
        shares = [here.rate / there.rate for here, there in zip(hot[size], fewest, strict=True)]
        made.append(
            Grown(
                connections=size,
                reads=median(hot[size]),
                share=statistics.median(shares),
                all_over=median(cold[size]),
                swept=asyncio.run(sweep(one.settings, min(size, asked.due))),
            )
        )
        _show_grown(made[-1])
    return made


def _show_grown(one: Grown) -> None:
    print(
        f"{one.connections:9} connections: {one.reads.rate:6.0f} reads/s, {one.share:.2f} of the"
        f" fewest's; all over {one.all_over.rate:6.0f}/s; p99 {one.reads.p99_ms:.2f} /"
        f" {one.all_over.p99_ms:.2f} ms; {one.swept:.0f} refreshed a second",
        flush=True,
    )


@contextlib.contextmanager
def _replicas(settings: Settings, org_url: Origin, count: int) -> Iterator[tuple[int, ...]]:
    """Serve one database by several replicas; give their ports."""
    with contextlib.ExitStack() as stack:
        ports = []
        for number in range(count):
            data_dir = settings.data_dir / f"replica-{number}"
            data_dir.mkdir()
            port = free_port()
            own = {
                "port": port,
                "data_dir": data_dir,
                "key_file": settings.data_dir / "keyturn.key",
            }
            stack.enter_context(serving(settings.model_copy(update=own), org_url))
            ports.append(port)
        yield tuple(ports)


def share(
    asked: argparse.Namespace, postgres: Server, settings: Settings, bench: Bench, org_url: Origin
) -> Shared:
    """Load four replicas of one database and four bare services of another in turn."""
    with contextlib.ExitStack() as stack:
        bare_url = postgres.create_database()
        asyncio.run(seed_bare(bare_url, bench))
        bare_ports = [
            stack.enter_context(running("-m", "tools.bench.bare", f"{_POOL}", told=bare_url))[
                "port"
            ]
            for _ in range(REPLICAS)
        ]
        ports = stack.enter_context(_replicas(settings, org_url, REPLICAS))
        ours = replace(reads_of(bench, bench.port, "replicas"), ports=ports)
        bare = replace(reads_of(bench, bare_ports[0], "bare"), ports=tuple(bare_ports))
        pairs = []
        for number in range(asked.rounds):
            order = (ours, bare) if number % 2 == 0 else (bare, ours)
            how = {"connections": _READERS * REPLICAS, "seconds": asked.seconds}
            got = {one.name: measure(one, **how) for one in order}
            pairs.append((got["replicas"], got["bare"]))
        return Shared(
            replicas=REPLICAS,
            reads=median([a for a, _ in pairs]),
            bare=median([b for _, b in pairs]),
            ratio=statistics.median(a.rate / b.rate for a, b in pairs),
            swept=asyncio.run(sweep(settings, min(asked.due, len(bench.connection_ids)))),
        )


def measure_all(
    asked: argparse.Namespace, postgres: Server, folder: Path
) -> tuple[list[Grown], Shared]:
    """Seed all sizes, load them in turn, and then let replicas share one."""
    with running("-m", "tools.bench.relay", "org") as org:
        org_url = Origin(f"http://127.0.0.1:{org['port']}")
        seeded = {
            size: _seeded(postgres, folder / f"{size}", size, org_url)
            for size in (*asked.sizes, *([] if _SHARED in asked.sizes else [_SHARED]))
        }
        with contextlib.ExitStack() as stack:
            served = {}
            for size in asked.sizes:
                settings, bench = seeded[size]
                stack.enter_context(serving(settings, org_url))
                served[size] = Served(settings=settings, bench=bench)
            grown = grow(asked, served, asked.rounds)
        shared = share(asked, postgres, *seeded[_SHARED], org_url)
    print(
        f"{shared.replicas} replicas: {shared.reads.rate:.0f} reads/s of"
        f" {shared.bare.rate:.0f}/s = {shared.ratio:.2f}; {shared.swept:.0f} refreshed a second",
        flush=True,
    )
    return grown, shared


def main() -> int:
    """Measure, print, keep the figures; the exit status says whether what is promised held."""
    arguments = argparse.ArgumentParser(prog="python -m tools.bench.growth")
    arguments.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--due", type=int, default=1_000, help="connections that a sweep finds")
    asked = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-bench-") as made,
        running_postgres(fsync=True) as postgres,
    ):
        folder = Path(made)
        sync, worst = sync_milliseconds(folder)
        load = os.getloadavg()[0]
        print(
            f"{os.cpu_count()} cores, load {load:.1f}; fdatasync of this disk:"
            f" median {sync:.2f} ms, p99 {worst:.2f} ms; PostgreSQL with fsync, audit on;"
            f" {_READERS} readers a replica",
            flush=True,
        )
        grown, shared = measure_all(asked, postgres, folder)
    REPORT.parent.mkdir(exist_ok=True)
    report = {
        "load": load,
        "fdatasync_ms": {"median": sync, "p99": worst},
        "grown": [asdict(one) for one in grown],
        "shared": asdict(shared),
    }
    REPORT.write_text(json.dumps(report, indent=1))
    held = all(one.share >= KEPT_SHARE for one in grown)
    print(f"growth: reads {'kept' if held else 'LOST'}, at least {KEPT_SHARE:.1f}; see {REPORT}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
