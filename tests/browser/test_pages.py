"""Every page can be used by everybody: heard, narrow, in the dark, by keyboard, unframed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.browser.looks import faults_of
from tests.browser.pages import PAGES, Visitor, connect
from tests.support.browser import NARROW, Person
from tests.support.vendor import Vendor
from tools.world import World

from keyturn_core.salesforce.refusals import CATALOGUE

pytestmark = pytest.mark.takes(80)


@pytest.fixture
def visitor(open_browser: Callable[..., Person], vendor: Vendor, world: World) -> Visitor:
    """Somebody who comes to pages."""
    return Visitor(person=open_browser(), other=open_browser(), vendor=vendor, world=world)


@pytest.mark.parametrize("to_page", PAGES, ids=lambda to_page: to_page.__name__)
def test_a_page_is_for_everybody(to_page: Callable[[Visitor], None], visitor: Visitor) -> None:
    """Nothing serious for axe, no sideways scrolling at 375 pixels, the focus seen at all stops."""
    to_page(visitor)
    assert visitor.person.code == PAGES[to_page]
    assert faults_of(visitor.person, to_page.__name__) == []


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_a_result_page_tells_who_can_mend_it(code: str, person: Person) -> None:
    """Each failure of the catalogue fits a narrow window, and says who does what where."""
    person.resize(NARROW)
    person.open(f"{person.names['service']}/connect/result/{code}")
    assert person.code == code
    assert person.text("h1").strip()
    assert len(person.text(".remedy")) > len("What helps")
    assert "{product}" not in person.text("main")
    assert person.sideways() == 0


def test_no_other_site_can_frame_the_connect_page(visitor: Visitor) -> None:
    """Else it could be laid under something that one wants to click."""
    connect(visitor)
    url = visitor.person.page.url
    visitor.other.open("/login")
    visitor.other.page.evaluate(
        """url => new Promise(done => {
             const frame = document.createElement("iframe");
             frame.onload = done; frame.src = url; document.body.append(frame);
           })""",
        url,
    )
    refused = [said for said in visitor.other.complaints if "frame" in said.lower()]
    assert refused
    visitor.other.complaints.clear()


def test_no_other_site_can_send_the_form(visitor: Visitor) -> None:
    """A form on another site that posts to the link, in the browser that has the cookie."""
    connect(visitor)
    url = visitor.person.page.url
    page = visitor.person.page
    page.context.route(
        "https://app.acme.example/forged",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"""<form method="post" action="{url}"><button id="forged">x</button></form>""",
        ),
    )
    visitor.person.open("/forged")
    visitor.hands.press("forged")
    assert visitor.person.code == "form_refused"
