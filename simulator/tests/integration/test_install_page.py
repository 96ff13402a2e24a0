"""An admin installs Acme's package by its install link, in a browser without scripts."""

from collections.abc import Callable
from typing import Any

import pytest
from orgsim_caller import Caller
from orgsim_person import Person
from orgsim_program import OrgsimProgram
from packaging_calls import Vendor

LINK = "/packaging/installPackage.apexp?p0="


def link_of(sim: OrgsimProgram, host: str) -> str:
    """Return the install link of Acme's package at a host."""
    return f"{host}{LINK}{sim.app()['subscriber_version_id']}"


@pytest.mark.parametrize("face", ["plain", "tls", "names"])
def test_after_the_install_the_app_can_be_authorized(
    sim: OrgsimProgram, caller_of: Callable[..., Caller], face: str
) -> None:
    """Before it the org does not know the app; the link at the login host leads to the org."""
    caller, org = caller_of(face), sim.org("Stonebridge")
    refused = caller.authorize(org)
    assert refused["error"] == "OAUTH_EC_APP_NOT_FOUND"

    person = Person(caller).open(link_of(sim, caller.login_url)).log_in(org)
    assert person.url.startswith(f"{caller.org_url(org)}/packagingSetupUI/ipLanding.app?apvId=04t")
    assert "Acme Inc." in person.text
    assert "1.0.0.1" in person.text
    assert "Manage user data via APIs" in person.text
    person.submit(install_for="all")

    assert "done" in person.page.by_id
    assert "code" in caller.authorize(org)
    assert sim.org("Stonebridge")["package_installed"] is True


def test_the_link_of_a_my_domain_is_for_its_own_people(sim: OrgsimProgram, caller: Caller) -> None:
    """A link on the org's own address asks for a login there."""
    org = sim.org("Stonebridge")
    person = Person(caller).open(link_of(sim, caller.org_url(org)))
    assert person.url.startswith(caller.org_url(org))
    person.log_in(org).submit(install_for="admins")
    assert "done" in person.page.by_id


def test_a_login_that_is_there_already_is_not_asked_for_again(
    sim: OrgsimProgram, caller: Caller
) -> None:
    """Who is logged in at the login host comes to their own org, whatever org was meant."""
    org = sim.org("Stonebridge")
    person = Person(caller).open(caller.login_url).log_in(org)
    person.open(link_of(sim, caller.login_url))
    assert person.url.startswith(caller.org_url(org))
    assert "install" in person.page.by_id


def test_a_sandbox_installs_at_the_sandbox_login_host(sim: OrgsimProgram, caller: Caller) -> None:
    """Its people are not known at the other one."""
    org = sim.org("Northwind UAT")
    sim.change_policy(org, installed=False)
    person = Person(caller).open(link_of(sim, caller.login_url)).log_in(org)
    assert "error" in person.page.by_id
    person.open(link_of(sim, caller.sandbox_login_url)).log_in(org).submit(install_for="profiles")
    assert "done" in person.page.by_id
    assert sim.org("Northwind UAT")["package_installed"] is True


@pytest.mark.parametrize("role", ["standard", "integration"])
def test_only_an_admin_installs(sim: OrgsimProgram, caller: Caller, role: str) -> None:
    """Everybody else is told whom to ask, and nothing is installed."""
    org = sim.org("Stonebridge")
    person = Person(caller).open(link_of(sim, caller.login_url)).log_in(org, role)
    assert person.status == 403
    assert "contact the owner of the record or your administrator" in person.text
    assert sim.org("Stonebridge")["package_installed"] is False


@pytest.mark.parametrize("version", ["04t000000000000AAA", "04t", "", "nothing"])
def test_an_unknown_version_is_not_there(sim: OrgsimProgram, caller: Caller, version: str) -> None:
    """The org says that the package does not exist yet, or has been deleted."""
    org = sim.org("Stonebridge")
    person = Person(caller).open(f"{caller.login_url}{LINK}{version}").log_in(org)
    assert person.status == 404
    assert "does not yet exist or has been deleted" in person.text


def test_what_is_installed_already_is_said_to_be(sim: OrgsimProgram, caller: Caller) -> None:
    """The page offers an upgrade, and keeps what the admin has decided."""
    org = sim.org("Oakhollow")
    person = Person(caller).open(link_of(sim, caller.login_url)).log_in(org)
    assert "installed-already" in person.page.by_id
    person.submit(install_for="all")
    assert "done" in person.page.by_id
    assert sim.org("Oakhollow")["permitted_users"] == "pre_authorized"


def test_a_form_that_was_not_shown_to_the_admin_installs_nothing(
    sim: OrgsimProgram, caller: Caller
) -> None:
    """Another site may send an admin's browser; it cannot know the token of the form."""
    org = sim.org("Stonebridge")
    person = Person(caller).open(link_of(sim, caller.login_url)).log_in(org)
    person.submit(install_for="all", token="forged")
    assert person.status == 403
    assert sim.org("Stonebridge")["package_installed"] is False


def test_for_whom_has_to_be_chosen(sim: OrgsimProgram, caller: Caller) -> None:
    """A form without the choice comes back with a word about it."""
    org = sim.org("Stonebridge")
    person = Person(caller).open(link_of(sim, caller.login_url)).log_in(org)
    person.submit(install_for="everybody")
    assert person.status == 422
    assert "error" in person.page.by_id
    assert sim.org("Stonebridge")["package_installed"] is False


POST_INSTALL = (
    "http://127.0.0.1:9/settings",
    "https://127.0.0.1:9/settings",
    "https://app.acme.example/settings",
)


@pytest.mark.parametrize(("face", "at"), [("plain", 0), ("tls", 1), ("names", 2)])
def test_done_leads_to_the_post_install_url_on_the_callers_face(face: str, at: int) -> None:
    """The vendor's own page is next; where there is none, the org's home page is."""
    given: list[Any] = [part for url in POST_INSTALL for part in ("--post-install-url", url)]
    with OrgsimProgram(*given) as sim, Caller(sim, face) as caller:
        person = Person(caller).open(link_of(sim, caller.login_url)).log_in(sim.org("Stonebridge"))
        person.submit(install_for="all")
        assert person.page.by_id["done"]["href"] == POST_INSTALL[at]


@pytest.fixture
def built(sim: OrgsimProgram, caller_of: Callable[..., Caller]) -> Vendor:
    """Give an org that the world's first package has left, and a vendor who builds another."""
    sim.change_policy(sim.org(), installed=False)
    return Vendor(caller_of(app="Scratch"))


def test_a_version_of_the_hub_is_installed_by_its_link_and_upgraded_by_the_next_one(
    sim: OrgsimProgram, caller: Caller, built: Vendor
) -> None:
    """The page tells what the version asks for; its own post-install URL is behind Done."""
    package_id = built.package().json()["id"]
    first = built.version(package_id)
    later = built.version(package_id, number="1.1.0.NEXT")
    for version in (first, later):
        built.promote(version)
    person = Person(caller).open(f"{caller.login_url}{LINK}{first}").log_in(sim.org())
    assert "Acme Dev Hub" in person.text
    person.submit(install_for="all")
    assert person.page.by_id["done"]["href"] == "https://acme.example/installed"
    person.open(f"{caller.login_url}{LINK}{later}")
    assert "other-version" in person.page.by_id
    person.submit(install_for="all")
    assert "done" in person.page.by_id
    person.open(f"{caller.login_url}{LINK}{first}").submit(install_for="all")
    assert person.status == 422
    assert "later version" in person.text


def test_a_version_with_a_key_tells_nothing_before_it(
    sim: OrgsimProgram, caller: Caller, built: Vendor
) -> None:
    """The wrong key is asked for again; the right one shows the page, and installs."""
    version = built.released(InstallKey="open sesame")
    person = Person(caller).open(f"{caller.login_url}{LINK}{version}").log_in(sim.org())
    assert "Acme Dev Hub" not in person.text
    person.submit(key="a guess", install_for="all")
    assert person.status == 422
    person.submit(key="open sesame")
    assert "Acme Dev Hub" in person.text
    person.submit(install_for="all")
    assert "done" in person.page.by_id


def test_the_first_package_and_a_built_one_of_its_namespace_keep_each_other_out(
    sim: OrgsimProgram, caller: Caller, built: Vendor
) -> None:
    """Two packages cannot own one namespace in an org."""
    version = built.released()
    person = Person(caller).open(f"{caller.login_url}{LINK}{version}").log_in(sim.org())
    person.submit(install_for="all")
    person.open(link_of(sim, caller.login_url)).submit(install_for="all")
    assert person.status == 422
    assert "namespace" in person.text
