"""Connections that nobody uses, through ninety days of the org's clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.long.ninety_days import DAY, ninety_days

CONNECTIONS = 60
STEP = 4 * DAY  # a refresh is late by so much at most: 24 and 4 days are less than 30
SEVERAL = 3


def check(found: dict[str, Any], count: int) -> None:
    """See that each group fared as it should, by what the service says and by what the org says."""
    let_go, fixed = count // 10, count // 20
    kept = count - let_go - fixed
    ended = {"reauthorization_required": fixed}

    assert found["states"]["kept"] == {"active": kept}
    assert found["states"]["fixed"] == ended
    assert set(found["kept_asked_at_the_end"]) == {200}
    assert found["days_between"]["least"] >= found["policy_days"]["least"]
    assert found["longest_idle_days"] <= found["policy_days"]["most"]

    assert found["let_go_asked"] == {"before 30 days": 200, "after 30 days": 409}
    assert found["let_go_refreshed"] == 1  # the one that was asked for before 30 days were over
    assert found["let_go_asked_at_the_end"] == {409: let_go}

    assert found["fixed_told_30_7_1_days_ahead"] == fixed
    assert found["others_told"] == 0

    assert found["refreshes_the_service_stored"] == found["refreshes_the_org_made"]
    assert found["tokens_presented_twice"] == 0
    assert found["refusals_by_the_org"] == fixed + 1  # and the one let go that was asked for late


@pytest.mark.timeout(900)
def test_connections_live_through_ninety_days_that_nobody_uses_them(tmp_path: Path) -> None:
    """Kept alive and evenly so; let go, they die; a fixed end is announced, and comes.

    All were made in one moment. Refreshed in one step they would be at five times the mean.
    """
    found = ninety_days(tmp_path, CONNECTIONS, step=STEP, replicas=1)

    check(found, CONNECTIONS)
    assert found["a_step"]["most/mean"] < SEVERAL
