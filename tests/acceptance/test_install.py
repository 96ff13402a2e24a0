"""An org without the package: its admin installs it by the link, and then it can be connected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.vendor import Vendor
from tools.walker import Walker


@pytest.fixture
def org(vendor: Vendor) -> Iterator[Mapping[str, Any]]:
    """An org without the package, which it does not have afterwards either."""
    org = vendor.org("Stonebridge")
    yield org
    acme = vendor.world.line["simulator"]["apps"][0]["consumer_key"]
    path = f"/orgs/{org['org_id']}/apps/{acme}"
    vendor.control.patch(path, json={"installed": False}).raise_for_status()


def install(vendor: Vendor, org: Mapping[str, Any], link: str) -> Walker:
    """Install by a link, as the org's admin with a browser of their own; return the browser."""
    admin = vendor.browser()
    admin.get(link)
    vendor.log_in(admin, org)
    admin.submit("install", install_for="all")
    assert admin.has("done")
    return admin


def test_a_user_sends_the_link_on_and_goes_on_after_the_install(
    vendor: Vendor, org: Mapping[str, Any]
) -> None:
    """The page has the link from the start; after the install the same page connects."""
    session = vendor.begin("stonebridge")
    with vendor.browser() as user:
        user.get(session["url"])
        link = user.link("install-link")
        assert link == vendor.world.line["simulator"]["install_urls"]["production"]
        with install(vendor, org, link) as admin:
            admin.stop_before = vendor.return_url
            admin.follow_link("done")
            assert admin.stopped_at == vendor.return_url
        user.submit("installed", environment="production")
        vendor.log_in(user, org)
        code = vendor.consent(user)
    connection = vendor.confirm(session["id"], code)
    assert (connection["state"], connection["org_id"]) == ("active", org["org_id"])
    vendor.let_go(connection["id"])


def test_install_first_then_connect(vendor: Vendor, org: Mapping[str, Any]) -> None:
    """Nothing but the install is needed before Connect."""
    install(vendor, org, vendor.world.line["simulator"]["install_urls"]["production"]).http.close()
    connection = vendor.connect("stonebridge", org)
    assert connection["org_name"] == "Stonebridge"
    vendor.let_go(connection["id"])


def test_after_a_my_domain_the_link_leads_to_that_org(
    vendor: Vendor, org: Mapping[str, Any]
) -> None:
    """At the login host a browser would come to the org that it is logged in to."""
    session = vendor.begin("stonebridge", my_domain=org["my_domain_url"])
    with vendor.browser() as user:
        user.get(session["url"])
        link = user.link("install-link")
    assert link.startswith(f"{org['my_domain_url']}/packaging/installPackage.apexp?p0=04t")
    install(vendor, org, link).http.close()


def test_who_connects_again_is_not_asked_to_install(vendor: Vendor) -> None:
    """The package is there; else there would be no connection."""
    kept = vendor.world.line["connections"][0]
    session = vendor.begin(kept["customer_id"], connection_id=kept["id"])
    with vendor.browser() as user:
        user.get(session["url"])
        assert not user.has("install-link")
        assert user.has("connect")
