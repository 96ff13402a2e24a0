"""Ten thousand grants, two replicas, one of them killed half-way."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.long.revoke_all import revoke_all

GRANTS = 10_000
KILLED = -9
AT_ONCE = 16


@pytest.mark.timeout(3600)
def test_ten_thousand_grants_are_all_ended_though_a_replica_is_killed_half_way(
    tmp_path: Path,
) -> None:
    """None twice; asked again is what was under way when it was killed, and nothing else."""
    found = revoke_all(tmp_path, GRANTS)

    assert found["killed_with"] == KILLED
    assert found["told"] == {"waiting": 0, "revoked": GRANTS, "admin": 0, "failed": 0}
    assert (found["ended_by_the_org"], found["ended_twice"]) == (GRANTS, 0)
    assert found["asked_twice"] <= AT_ONCE
    print(found)
