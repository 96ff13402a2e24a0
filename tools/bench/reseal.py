"""Re-sealing: a million sealed token sets are put under a new data key while they are read.

`python -m tools.bench.reseal --sets 1000000` starts PostgreSQL with `fsync` and one replica,
rotates the workspace's data key by the command, and waits until the replica has sealed everything
anew, with reads going on, whose rate is measured before and meanwhile. `--alone` does it once more
without reads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from tests.support.postgres import Server, running_postgres

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.tables import connections, token_sets
from keyturn_service.bootstrap import open_house
from keyturn_service.settings import Settings, environment_of_child
from tools.bench.__main__ import Run, Subject, measure, reads_of, sync_milliseconds
from tools.bench.house import Bench, seed, serving, settings_of
from tools.bench.programs import running
from tools.world import BIN

REPORT: Final = Path("build/reseal.json")
_DUMMY_TOKEN: Final = b"not-a-real-token-" + b"x" * 95
_AT_ONCE: Final = 20_000
_READERS: Final = 16
_SLICE: Final = 5.0  # seconds of one measure of reads
_GIVE_UP: Final = 1_800.0


@dataclass(frozen=True, kw_only=True)
class Resealed:
    """One pass: how many rows it sealed anew, in how many seconds, and the reads meanwhile."""

    sets: int
    seconds: float
    reads: Run | None

    @property
    def rate(self) -> float:
        """Token sets a second; each has two sealed values."""
        return self.sets / self.seconds


async def multiply(settings: Settings, sets: int) -> list[str]:
    """Make `sets` connections of the one that is there, each with sealed tokens of its own."""
    async with open_house(settings, background=False) as house:
        base = await asyncpg.connect(settings.database_url)
        try:
            [template] = await base.fetch("SELECT * FROM connections")
            ids = [template["id"], *(f"con_copy{n:015}" for n in range(1, sets))]
            others = [c.name for c in connections.columns if c.name not in {"id", "customer_id"}]
            await base.execute(
                f"INSERT INTO connections (id, customer_id, {', '.join(others)})"  # noqa: S608 - ours
                f" SELECT 'con_copy' || lpad(n::text, 15, '0'), 'customer-' || n,"
                f" {', '.join(others)} FROM connections, generate_series(1, $1) AS n",
                sets - 1,
            )
            [kept] = await base.fetch("SELECT received_at, expires_at FROM token_sets")
            workspace_id = template["workspace_id"]
            for begin in range(1, sets, _AT_ONCE):
                records = []
                for one in ids[begin : begin + _AT_ONCE]:
                    where = (workspace_id, one, 1)
                    access = await house.vault.seal(_DUMMY_TOKEN, places.access_token(*where))
                    refresh = await house.vault.seal(_DUMMY_TOKEN, places.refresh_token(*where))
                    records.append((one, 1, access, refresh, *kept))
                await base.copy_records_to_table(
                    token_sets.name,
                    records=records,
                    columns=[column.name for column in token_sets.columns],
                )
            await base.execute("VACUUM ANALYZE")
        finally:
            await base.close()
    return ids


def rotate(settings: Settings) -> None:
    """Rotate the data keys by the command."""
    subprocess.run(
        [str(BIN / "keyturn"), "keys", "rotate-data", "--json"],
        env={**os.environ, **environment_of_child(settings)},
        check=True,
        capture_output=True,
    )


def passes(settings: Settings) -> list[Any]:
    """Return the passes, as the database has them."""

    async def look() -> list[Any]:
        base = await asyncpg.connect(settings.database_url)
        try:
            return list(await base.fetch("SELECT * FROM resealings ORDER BY number"))
        finally:
            await base.close()

    return asyncio.run(look())


def reseal(settings: Settings, sets: int, reads: Subject | None) -> Resealed:
    """Rotate, and wait until everything is sealed anew, while `reads` are read.

    Raises:
        RuntimeError: a read failed, or something was not sealed anew.
    """
    number = len(passes(settings)) + 1
    rotate(settings)
    give_up = time.monotonic() + _GIVE_UP
    runs = []
    while len(found := passes(settings)) < number or found[-1]["ended_at"] is None:
        if time.monotonic() > give_up:
            raise RuntimeError(f"not done: {dict(found[-1]) if found else 'not begun'}")
        if reads is None:
            time.sleep(0.5)
        else:
            runs.append(measure(reads, connections=_READERS, seconds=_SLICE))
    done = found[-1]
    if done["resealed"] < sets or done["refused"]:
        raise RuntimeError(f"not everything was sealed anew: {dict(done)}")
    seconds = (done["ended_at"] - done["begun_at"]) / 1_000_000
    return Resealed(sets=done["resealed"], seconds=seconds, reads=_median(runs) if runs else None)


def _median(runs: list[Run]) -> Run:
    return Run(
        rate=statistics.median(run.rate for run in runs),
        p50_ms=statistics.median(run.p50_ms for run in runs),
        p99_ms=statistics.median(run.p99_ms for run in runs),
    )


def measure_all(
    postgres: Server, folder: Path, sets: int, *, alone: bool
) -> tuple[Run, list[Resealed]]:
    """Seed, serve and re-seal; return the reads before, and each pass."""
    settings = settings_of(postgres, folder)
    with running("-m", "tools.bench.relay", "org") as org:
        org_url = Origin(f"http://127.0.0.1:{org['port']}")
        begun = time.monotonic()
        _, api_key = asyncio.run(seed(settings, count=1, org_url=org_url))
        ids = asyncio.run(multiply(settings, sets))
        print(f"{sets} sets sealed and kept in {time.monotonic() - begun:.0f} s", flush=True)
        with serving(settings, org_url):
            bench = Bench(port=settings.port, api_key=api_key, connection_ids=tuple(ids))
            subject = reads_of(bench, bench.port, "service")
            before = measure(subject, connections=_READERS, seconds=_SLICE)
            _show("before", None, before)
            made = []
            for reads in (subject, None) if alone else (subject,):
                made.append(reseal(settings, sets, reads))
                _show("re-sealed", made[-1], made[-1].reads)
    return before, made


def _show(what: str, done: Resealed | None, reads: Run | None) -> None:
    words = [what]
    if done is not None:
        words.append(f"{done.sets} sets in {done.seconds:.1f} s, {done.rate:.0f} a second")
    if reads is not None:
        words.append(
            f"{_READERS} readers: {reads.rate:.0f} reads a second,"
            f" p50 {reads.p50_ms:.2f} ms, p99 {reads.p99_ms:.2f} ms"
        )
    print("; ".join(words), flush=True)


def main() -> int:
    """Measure, print, and keep the figures."""
    arguments = argparse.ArgumentParser(prog="python -m tools.bench.reseal")
    arguments.add_argument("--sets", type=int, default=100_000)
    arguments.add_argument("--alone", action="store_true")
    asked = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-bench-") as made,
        running_postgres(fsync=True) as postgres,
    ):
        folder = Path(made)
        median, worst = sync_milliseconds(folder)
        load = os.getloadavg()[0]
        print(
            f"{os.cpu_count()} cores, load {load:.1f}; fdatasync of this disk: median"
            f" {median:.2f} ms, p99 {worst:.2f} ms; PostgreSQL with fsync, audit on",
            flush=True,
        )
        before, resealed = measure_all(postgres, folder, asked.sets, alone=asked.alone)
    REPORT.parent.mkdir(exist_ok=True)
    report = {
        "load": load,
        "fdatasync_ms": {"median": median, "p99": worst},
        "reads_before": asdict(before),
        "resealed": [asdict(one) | {"rate": one.rate} for one in resealed],
    }
    REPORT.write_text(json.dumps(report, indent=1))
    print(f"figures in {REPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
