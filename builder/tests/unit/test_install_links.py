"""Where a version is installed."""

from __future__ import annotations

from keyturn_builder.install_links import install_links

VERSION = "04t5g0000000001AAA"


def test_links_are_for_production_sandboxes_and_a_my_domain() -> None:
    """The last avoids the session of another org."""
    assert install_links(VERSION) == {
        "production": f"https://login.salesforce.com/packaging/installPackage.apexp?p0={VERSION}",
        "sandbox": f"https://test.salesforce.com/packaging/installPackage.apexp?p0={VERSION}",
        "my_domain": "https://<MyDomain>.my.salesforce.com/packaging/installPackage.apexp"
        f"?p0={VERSION}",
    }


def test_a_world_of_ones_own_has_login_hosts_of_its_own() -> None:
    """As the service's app names them."""
    links = install_links(VERSION, {"production": "http://127.0.0.1:41003/"})
    assert links["production"].startswith("http://127.0.0.1:41003/packaging/")
    assert links["sandbox"].startswith("https://test.salesforce.com/")
