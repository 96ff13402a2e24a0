"""jsforce, unmodified, as a plain confidential client of an org."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.vendor import Vendor

NODE = Path(".venv/bin/node").absolute()
WALK = Path(__file__).parent / "jsforce_walk.mjs"


@pytest.fixture(scope="module")
def walked(vendor: Vendor) -> dict[str, Any]:
    """What jsforce met on its walk."""
    simulator = vendor.world.line["simulator"]
    app = next(app for app in simulator["apps"] if app["name"] == "Scratch")
    org = vendor.org("Larkfield")
    user = vendor.user(org, "admin")
    given = {
        "login_url": simulator["login_url"],
        "consumer_key": app["consumer_key"],
        "consumer_secret": app["consumer_secret"],
        "redirect_uri": app["callback_urls"][0],
        "username": user["username"],
        "password": user["password"],
    }
    ended = subprocess.run(
        [NODE, WALK],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return dict(json.loads(ended.stdout.splitlines()[-1])) | {"org_id": org["org_id"]}


def test_it_authorizes_by_code_with_pkce(walked: dict[str, Any]) -> None:
    """The code is exchanged, and a refresh token comes with the access token."""
    assert walked["organizationId"] == walked["identity"] == walked["org_id"]
    assert walked["hasRefreshToken"] is True


def test_it_queries_and_describes(walked: dict[str, Any]) -> None:
    """Records, describe, limits; errors by their code."""
    assert walked["queried"] == 5
    assert walked["described"] == "Opportunity"
    assert walked["limits"] > 0
    assert walked["refused"] == "INVALID_FIELD"


def test_it_changes_records_and_collections(walked: dict[str, Any]) -> None:
    """One by one, and several in one call where one is refused."""
    assert walked["created"] is True
    assert walked["changed"] == "Changed by jsforce"
    assert walked["collection"] == [True, True, False]


def test_it_refreshes_by_itself_and_takes_the_rotated_token(walked: dict[str, Any]) -> None:
    """A dead session makes it refresh; the answer holds a new refresh token."""
    assert walked["refreshed"] is True
    assert walked["rotated"] is True
    assert walked["queriedAfterRefresh"] == 1
