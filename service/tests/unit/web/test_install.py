"""Where a connect page says that the package is installed."""

from __future__ import annotations

import pytest
from service.tests.support.values import LOGIN_URL, app, authorization, session

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_service.web.ui.install import install_steps

PATH = "/packaging/installPackage.apexp?p0=04t5g000000AbCdAAK"
PACKAGED = app(install_urls={kind: f"{host}{PATH}" for kind, host in LOGIN_HOSTS.items()})
MY_DOMAIN = Origin("https://globex.my.salesforce.com")
FACE_HOSTS = {
    Environment.PRODUCTION: Origin("http://127.0.0.1:41003"),
    Environment.SANDBOX: Origin("http://127.0.0.1:41005"),
}


def told(session, *, of=PACKAGED, hosts=LOGIN_HOSTS):
    """Return kind and URL of each step."""
    return [(step.kind, step.url) for step in install_steps(session, of, hosts)]


def test_an_app_without_a_package_has_no_step():
    """There is nothing to install."""
    assert told(session(), of=app()) == []


@pytest.mark.parametrize(
    ("environment", "kinds"),
    [
        (None, ["production", "sandbox"]),
        (Environment.SANDBOX, ["sandbox", "production"]),
    ],
)
def test_the_likeliest_environment_comes_first(environment, kinds):
    """It is the one that the vendor named; else most orgs are production orgs."""
    assert [kind for kind, _ in told(session(environment=environment))] == kinds


def test_an_environment_without_an_install_url_is_left_out():
    """A package may have been released for one kind of org only."""
    only = app(install_urls={Environment.SANDBOX: f"{LOGIN_HOSTS[Environment.SANDBOX]}{PATH}"})
    assert [kind for kind, _ in told(session(), of=only)] == ["sandbox"]


@pytest.mark.parametrize(
    "named",
    [
        session(login_url=MY_DOMAIN),
        session(authorization=authorization(login_url=MY_DOMAIN, environment=None)),
    ],
    ids=["by the vendor", "by the user"],
)
def test_a_my_domain_is_where_the_link_leads(named):
    """At a login host a browser would come to the org that it is logged in to."""
    assert told(named) == [("My Domain", f"{MY_DOMAIN}{PATH}")]


def test_what_was_tried_comes_before_what_was_named():
    """Who went to a sandbox wants to install there."""
    tried = authorization(
        login_url=LOGIN_HOSTS[Environment.SANDBOX], environment=Environment.SANDBOX
    )
    first = told(session(environment=Environment.PRODUCTION, authorization=tried))[0]
    assert first == ("sandbox", f"{LOGIN_HOSTS[Environment.SANDBOX]}{PATH}")


def test_a_login_host_is_that_of_the_face_and_other_hosts_stay():
    """A development world has login hosts of its own; a link elsewhere is the vendor's affair."""
    elsewhere = "https://packages.my.salesforce.com/install"
    mixed = app(
        install_urls={Environment.PRODUCTION: f"{LOGIN_URL}{PATH}", Environment.SANDBOX: elsewhere}
    )
    assert told(session(), of=mixed, hosts=FACE_HOSTS) == [
        ("production", f"http://127.0.0.1:41003{PATH}"),
        ("sandbox", elsewhere),
    ]


def test_the_letter_has_the_link_and_names_the_product():
    """It is all that an admin needs, and no right to connect."""
    (letter, _) = (step.letter for step in install_steps(session(), PACKAGED, LOGIN_HOSTS))
    assert letter.startswith("mailto:?subject=Please%20install%20the%20Acme%20for%20Salesforce")
    assert "installPackage.apexp%3Fp0%3D04t5g000000AbCdAAK" in letter
