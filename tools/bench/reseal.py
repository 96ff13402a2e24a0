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
from keyturn_service.settings import Settings, environment_of_child
from tools.bench.__main__ import Run, Subject, measure, median, reads_of, sync_milliseconds
from tools.bench.house import Bench, multiply, seed, serving, settings_of
from tools.bench.programs import running
from tools.world import BIN

REPORT: Final = Path("build/reseal.json")
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
    return Resealed(sets=done["resealed"], seconds=seconds, reads=median(runs) if runs else None)


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
        sync, worst = sync_milliseconds(folder)
        load = os.getloadavg()[0]
        print(
            f"{os.cpu_count()} cores, load {load:.1f}; fdatasync of this disk: median"
            f" {sync:.2f} ms, p99 {worst:.2f} ms; PostgreSQL with fsync, audit on",
            flush=True,
        )
        before, resealed = measure_all(postgres, folder, asked.sets, alone=asked.alone)
    REPORT.parent.mkdir(exist_ok=True)
    report = {
        "load": load,
        "fdatasync_ms": {"median": sync, "p99": worst},
        "reads_before": asdict(before),
        "resealed": [asdict(one) | {"rate": one.rate} for one in resealed],
    }
    REPORT.write_text(json.dumps(report, indent=1))
    print(f"figures in {REPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
