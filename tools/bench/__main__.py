"""Run the bench: reads beside the bare micro-service, proxied calls beside a bare relay."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.support.postgres import Server, running_postgres

from tools.bench.house import Bench, running_service, seed_bare
from tools.bench.programs import running

REPORT: Final = Path("build/bench.json")
CONCURRENCIES: Final = (1, 16, 64)
READS_FLOORS: Final = {16: 0.9, 64: 1.0}
PROXY_FLOORS: Final = {16: 0.5, 64: 0.5}
SYNC_PROBES: Final = 300
_WARM_UP: Final = 0.5  # seconds before answers count
_DISTINCT: Final = 2_000  # different requests that go round


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that takes load: where it is, and the requests that go to it in turn.

    The callers are spread over its ports.
    """

    name: str
    ports: tuple[int, ...]
    requests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one round brought."""

    rate: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both subjects at one number of connections: medians over the rounds, and their ratio."""

    what: str
    connections: int
    ours: Run
    bare: Run
    ratio: float
    lowest: float
    highest: float
    floor: float | None

    @property
    def held(self) -> bool:
        """Tell whether the ratio is what was promised."""
        return self.floor is None or self.ratio >= self.floor


def measure(subject: Subject, *, connections: int, seconds: float) -> Run:
    """Load a subject once, from a process of its own.

    Raises:
        RuntimeError: an answer was refused or lost: the figure would mean nothing.
    """
    asked = {
        "host": "127.0.0.1",
        "ports": subject.ports,
        "requests": subject.requests,
        "connections": connections,
        "warm_up": _WARM_UP,
        "seconds": seconds,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tools.bench.load"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(ended.stdout)
    if said["failures"] or not said["requests"]:
        raise RuntimeError(f"{subject.name}: {said['failures']} answers were not 200")
    return Run(
        rate=said["requests"] / said["seconds"], p50_ms=said["p50_ms"], p99_ms=said["p99_ms"]
    )


def compare(
    what: str,
    ours: Subject,
    bare: Subject,
    *,
    rounds: int,
    seconds: float,
    floors: dict[int, float],
) -> list[Comparison]:
    """Load both in turn, `rounds` times at each number of connections."""
    made = []
    for connections in CONCURRENCIES:
        pairs = []
        for number in range(rounds):
            order = (ours, bare) if number % 2 == 0 else (bare, ours)
            got = {
                one.name: measure(one, connections=connections, seconds=seconds) for one in order
            }
            pairs.append((got[ours.name], got[bare.name]))
        ratios = sorted(a.rate / b.rate for a, b in pairs)
        made.append(
            Comparison(
                what=what,
                connections=connections,
                ours=median([a for a, _ in pairs]),
                bare=median([b for _, b in pairs]),
                ratio=statistics.median(ratios),
                lowest=ratios[0],
                highest=ratios[-1],
                floor=floors.get(connections),
            )
        )
        show(made[-1])
    return made


def median(runs: Sequence[Run]) -> Run:
    """Return the medians over runs."""
    return Run(
        rate=statistics.median(run.rate for run in runs),
        p50_ms=statistics.median(run.p50_ms for run in runs),
        p99_ms=statistics.median(run.p99_ms for run in runs),
    )


def show(one: Comparison) -> None:
    """Print a comparison."""
    promised = "" if one.floor is None else f", at least {one.floor:.1f}"
    mark = "ok  " if one.held else "FAIL"
    print(
        f"{mark} {one.what:14} {one.connections:3} connections:"
        f" {one.ours.rate:7.0f}/s of {one.bare.rate:7.0f}/s = {one.ratio:.2f}"
        f" [{one.lowest:.2f} to {one.highest:.2f}]{promised};"
        f" p50 {one.ours.p50_ms:.2f} / {one.bare.p50_ms:.2f} ms,"
        f" p99 {one.ours.p99_ms:.2f} / {one.bare.p99_ms:.2f} ms",
        flush=True,
    )


def sync_milliseconds(folder: Path) -> tuple[float, float]:
    """Return median and 99th percentile of an appended page's `fdatasync` in a folder."""
    times = []
    with (folder / "probe").open("wb") as probe:
        for _ in range(SYNC_PROBES):
            probe.write(bytes(8192))
            probe.flush()
            begun = time.perf_counter()
            os.fdatasync(probe.fileno())
            times.append(1000 * (time.perf_counter() - begun))
    (folder / "probe").unlink()
    times.sort()
    return statistics.median(times), times[int(0.99 * len(times))]


def reads_of(bench: Bench, port: int, name: str, *, distinct: int = _DISTINCT) -> Subject:
    """Return the reads of an access token, each of another connection."""
    step = max(1, len(bench.connection_ids) // distinct)
    return Subject(
        name=name,
        ports=(port,),
        requests=tuple(
            f"POST /v1/connections/{one}/access-token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {bench.api_key}\r\nContent-Length: 0\r\n\r\n"
            for one in bench.connection_ids[::step]
        ),
    )


def calls_of(bench: Bench, port: int, name: str, before: str) -> Subject:
    """Return queries that are proxied; `before` is the path in front of Salesforce's."""
    step = max(1, len(bench.connection_ids) // _DISTINCT)
    path = "services/data/v68.0/query?q=SELECT+Id+FROM+Contact"
    return Subject(
        name=name,
        ports=(port,),
        requests=tuple(
            f"GET {before.format(id=one)}/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {bench.api_key}\r\nAccept: application/json\r\n\r\n"
            for one in bench.connection_ids[::step]
        ),
    )


def compare_all(asked: argparse.Namespace, postgres: Server, folder: Path) -> list[Comparison]:
    """Start everything, and compare what was asked for."""
    with contextlib.ExitStack() as stack:
        org = stack.enter_context(running("-m", "tools.bench.relay", "org"))["port"]
        bench = stack.enter_context(
            running_service(postgres, folder, count=asked.connections, org_port=org)
        )
        how = {"rounds": asked.rounds, "seconds": asked.seconds}
        made = []
        if asked.what in {"reads", "all"}:
            bare_url = postgres.create_database()
            asyncio.run(seed_bare(bare_url, bench))
            bare = stack.enter_context(running("-m", "tools.bench.bare", told=bare_url))["port"]
            made += compare(
                "reads",
                reads_of(bench, bench.port, "service"),
                reads_of(bench, bare, "bare"),
                floors=READS_FLOORS,
                **how,
            )
        if asked.what in {"proxied", "all"}:
            org_url = f"http://127.0.0.1:{org}"
            for name, which, floors in (
                ("proxied calls", (), PROXY_FLOORS),
                ("… raw relay", ("raw",), {}),
            ):
                program = running("-m", "tools.bench.relay", *which, told=org_url)
                relay = stack.enter_context(program)["port"]
                made += compare(
                    name,
                    calls_of(bench, bench.port, "service", "/v1/connections/{id}/salesforce"),
                    calls_of(bench, relay, "relay", ""),
                    floors=floors,
                    **how,
                )
        return made


def main() -> int:
    """Run the bench; the exit status says whether what is promised held."""
    arguments = argparse.ArgumentParser(prog="make bench")
    arguments.add_argument("what", nargs="?", choices=("reads", "proxied", "all"), default="all")
    arguments.add_argument("--connections", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=3.0)
    asked = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-bench-") as made,
        running_postgres(fsync=True) as postgres,
    ):
        folder = Path(made)
        sync, worst = sync_milliseconds(folder)
        print(
            f"{os.cpu_count()} cores; fdatasync of this disk: median {sync:.2f} ms,"
            f" p99 {worst:.2f} ms; PostgreSQL with fsync, audit on,"
            f" {asked.connections} connections kept; {asked.rounds} rounds in turn",
            flush=True,
        )
        comparisons = compare_all(asked, postgres, folder)
    REPORT.parent.mkdir(exist_ok=True)
    report = {
        "fdatasync_ms": {"median": sync, "p99": worst},
        "connections_kept": asked.connections,
        "comparisons": [asdict(one) | {"held": one.held} for one in comparisons],
    }
    REPORT.write_text(json.dumps(report, indent=1))
    promised = [one for one in comparisons if one.floor is not None]
    held = sum(one.held for one in promised)
    print(f"bench: {held} of {len(promised)} promises held; figures in {REPORT}")
    return 0 if held == len(promised) else 1


if __name__ == "__main__":
    sys.exit(main())
