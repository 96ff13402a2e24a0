"""Where an install leads, of an app whose vendor named no start page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.vendor import Vendor
from tools.world import World, running_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own: an app is added to it."""
    with running_world(log=tmp_path_factory.mktemp("installed") / "dev.log") as world:
        yield world


def test_where_the_vendor_named_no_start_page_the_browser_is_told_what_comes_next(
    vendor: Vendor,
) -> None:
    """A page of ours says so; an app that is not there is nobody's."""
    kept = vendor.api.get(f"/v1/apps/{vendor.world.line['app_id']}").json()
    copied = ("callback_urls", "return_origins", "scopes")
    app = {"name": "Another", **{name: kept[name] for name in copied}}
    made = vendor.api.post("/v1/apps", json=app).raise_for_status().json()
    installed = f"{vendor.world.service_url}/connect/installed"
    with vendor.browser() as admin:
        admin.get(f"{installed}/{made['id']}")
        assert (admin.status, admin.code) == (200, "installed")
        assert "press Connect to Salesforce" in admin.text
        admin.get(f"{installed}/app_none")
        assert (admin.status, admin.code) == (404, "not_found")
