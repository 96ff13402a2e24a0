"""An org without the package: its admin installs it by the link, and then it can be connected."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.vendor import Vendor
from tools.walker import Walker

pytestmark = pytest.mark.takes(60)


@pytest.fixture
def org(vendor: Vendor) -> Iterator[Mapping[str, Any]]:
    """An org without the package, which it does not have afterwards either."""
    org = vendor.org("Stonebridge")
    yield org
    vendor.calm()  # the Dev Hub is to know of the uninstall at once
    acme = vendor.world.line["simulator"]["apps"][0]["consumer_key"]
    path = f"/orgs/{org['org_id']}/apps/{acme}"
    vendor.control.patch(path, json={"installed": False}).raise_for_status()
    vendor.until(lambda: not _is_seen(vendor, org))


def _is_seen(vendor: Vendor, org: Mapping[str, Any]) -> bool:
    """Tell whether connect pages see the package there; what they saw is told for seconds."""
    session = vendor.begin("stonebridge", my_domain=org["my_domain_url"])
    with vendor.browser() as user:
        user.get(session["url"])
        return not user.has("install-link")


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


def sight(user: Walker, session: Mapping[str, Any], **named: str) -> str:
    """Return what the script of an open connect page is told."""
    answer = user.http.get(f"{session['url']}/install", params=named)
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.raise_for_status().json()["sight"])


def test_the_page_goes_on_once_the_dev_hub_knows(vendor: Vendor, org: Mapping[str, Any]) -> None:
    """It is told nothing while the Dev Hub lags; then it has no install step any more."""
    vendor.fault("subscriber_lag", times=0, options={"delay": "PT5M"})
    session = vendor.begin("stonebridge", my_domain=org["my_domain_url"])
    with vendor.browser() as user:
        user.get(session["url"])
        assert sight(user, session) == "not_seen"
        install(vendor, org, user.link("install-link")).http.close()
        user.submit("look")
        assert user.has("install-link")
        vendor.advance("PT6M")
        vendor.until(lambda: sight(user, session) == "seen")
        user.get(session["url"])
        assert not user.has("install-link")
        user.submit("connect")
        vendor.log_in(user, org)
        connection = vendor.confirm(session["id"], vendor.consent(user))
    assert connection["org_id"] == org["org_id"]
    vendor.let_go(connection["id"])


def test_the_org_that_is_typed_is_looked_at(vendor: Vendor, org: Mapping[str, Any]) -> None:
    """By button or by script, and no org's answer is another's; other hosts are not asked."""
    there, without = vendor.org("Brightwater"), org
    session = vendor.begin("brightwater")
    with vendor.browser() as user:
        user.get(session["url"])
        assert sight(user, session) == "org_unknown"
        assert sight(user, session, my_domain="https://evil.example") == "org_unknown"
        for typed_org, seen in ((without, False), (there, True)):
            my_domain = typed_org["my_domain_url"]
            typed = {"environment": "my_domain", "my_domain": my_domain}
            assert sight(user, session, my_domain=my_domain) == ("seen" if seen else "not_seen")
            user.submit("look", **typed)
            assert user.has("install-link") is not seen
            assert my_domain in user.text


def test_a_page_that_has_ended_looks_no_more(vendor: Vendor) -> None:
    """Another browser is told nothing either, nor who guesses links."""
    session = vendor.begin("brightwater", my_domain=vendor.org("Brightwater")["my_domain_url"])
    with vendor.browser() as user, vendor.browser() as other:
        assert sight(other, session) == "over"
        user.get(session["url"])
        other.get(session["url"])
        assert sight(other, session) == "seen"
        user.submit("connect")
        assert sight(user, session) == "seen"
        assert sight(other, session) == "over"
        assert sight(user, {"url": f"{session['url'][:-4]}none"}) == "over"
        vendor.advance("PT31M")
        assert sight(user, session) == "over"


def test_many_pages_are_one_question_to_the_dev_hub(vendor: Vendor, org: Mapping[str, Any]) -> None:
    """However often they look."""
    hub = vendor.world.line["simulator"]["dev_hub"]["org_id"]
    begun = vendor.next_entry()
    sessions = [vendor.begin("stonebridge", my_domain=org["my_domain_url"]) for _ in range(5)]
    started = time.monotonic()
    with vendor.browser() as user:
        for session in sessions:
            user.get(session["url"])
            assert [sight(user, session) for _ in range(3)] == ["not_seen"] * 3
    assert vendor.journal(path="/services/data/*", org_id=hub)
    asked = vendor.journal(path="/services/data/*", org_id=hub, since=begun)
    replicas = len(vendor.world.line["service_urls"])
    most = replicas * (2 + (time.monotonic() - started) / 5)  # one at once, then one in 5 s
    assert len(asked) <= most + replicas  # and one for the package of the version


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


def test_after_the_install_the_browser_comes_back_to_its_open_page(
    vendor: Vendor, org: Mapping[str, Any]
) -> None:
    """Who installs themselves need not look for the page they came from."""
    del org
    session = vendor.begin("stonebridge")
    with vendor.browser() as user, vendor.browser() as admin:
        user.get(session["url"])
        user.get(installed_url(vendor))
        assert user.url == session["url"]
        admin.stop_before = start_url(vendor)
        admin.get(installed_url(vendor))
        assert admin.stopped_at == start_url(vendor)
        vendor.advance("PT31M")
        user.stop_before = start_url(vendor)
        user.get(installed_url(vendor))
        assert user.stopped_at == start_url(vendor)


def installed_url(vendor: Vendor) -> str:
    """Return the post-install URL that a package of the app would have."""
    return f"{vendor.world.service_url}/connect/installed/{vendor.world.line['app_id']}"


def start_url(vendor: Vendor) -> str:
    """Return where connecting begins in the product."""
    return str(vendor.api.get(f"/v1/apps/{vendor.world.line['app_id']}").json()["start_url"])
