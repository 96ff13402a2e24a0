"""The mixed load for minutes, with pauses longer than a lease, and in the window of design 5.1."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.long.mixed_load import REPORT

SECONDS = os.environ.get("SECONDS_OF_LOAD", "600")


@pytest.mark.timeout(1800)
def test_nothing_is_presented_twice_or_lost_in_minutes_of_mixed_load() -> None:
    """The replica that slept in the window presented late, which is on record and counted."""
    command = [sys.executable, "-m", "tests.long.mixed_load", "--seconds", SECONDS]

    ended = subprocess.run([*command, "--long-pauses"], capture_output=True, text=True, check=False)

    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(REPORT.read_text())
    assert told["found open by another replica"] > 0
    assert told["window"]["ended after the lease"] > 0


@pytest.mark.timeout(300)
def test_a_fence_that_is_missing_is_found() -> None:
    """It can fail: replicas that all have the lease at once are found out in seconds."""
    command = [sys.executable, "-m", "tests.long.mixed_load", "--seconds", "15"]

    ended = subprocess.run(
        [*command, "--plant", "no_fencing"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1, ended.stderr
    assert "times without a decision" in ended.stdout
