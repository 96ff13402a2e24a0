"""A replica is killed at each place of a refresh, with each fault, on both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fault.kills import DATABASES, REPORTS, WAYS

EACH = 150  # kills on each database: three hundred on both


@pytest.mark.takes(100)
@pytest.mark.timeout(900)  # half a second each, when nothing runs beside
@pytest.mark.parametrize("database", DATABASES)
def test_a_kill_at_each_place_of_a_refresh_loses_no_connection(database: str) -> None:
    """All that could be kept is kept, and each place and fault is counted, or it says why not."""
    command = [sys.executable, "-m", "tests.fault.kills", database]

    played = subprocess.run(command, capture_output=True, text=True, check=False)

    print(played.stdout)
    assert played.returncode == 0, played.stdout + played.stderr[-3000:]
    told = json.loads(Path(REPORTS.format(database)).read_text())
    assert told["violations"] == []
    assert told["kills"] >= told["at_a_place"] >= EACH
    assert {fault for row in told["table"].values() for fault in row} == {w.fault for w in WAYS}
    assert [never for never in told["never"] if not never["why"]] == []
