"""A short mixed load with each run; `make fault-long` runs it for minutes, with longer pauses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.long.mixed_load import REPORT


def _load(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.long.mixed_load", "--seconds", "8"]
    command += ["--replicas", "3", "--orgs", "3", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(240)
def test_nothing_is_presented_twice_or_lost_under_a_mixed_load() -> None:
    """Paused replicas, clocks off by ten minutes, cut database connections: each had effect."""
    ended = _load()

    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(REPORT.read_text())
    assert told["tokens"] > 3, "more than each org's first one: sessions ended all the time"
    assert told["presentations"] >= told["tokens"]
    assert told["window"] == {"ended after the lease": 0, "presented twice": 0}
