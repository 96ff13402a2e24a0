"""Every error that Salesforce documents reaches people and programs with cause and remedy.

Over HTTP, on each of the ways in which Salesforce reports errors: by redirect to the callback, on a
page or in a body of its own without any callback, and as JSON of the token endpoint, for a code
and for a refresh. What each is to be called stands in `refusal_table`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.acceptance.refusal_table import (
    AT_REFRESH,
    AT_TOKEN,
    BUSY_AT_REFRESH,
    BY_REDIRECT,
    CANNOT_OCCUR,
    DEAD,
    DRIVEN_ELSEWHERE,
    MENDED_BY,
    WITHOUT_CALLBACK,
    Said,
)
from tests.support.vendor import Vendor
from tools.walker import Walker
from tools.world import World, running_world

from keyturn_core.salesforce.catalogue import CATALOGUE

AUTHORIZE = {"path": "/services/oauth2/authorize"}
CODE = {"path": "/services/oauth2/token", "grant_type": "authorization_code"}
REFRESH = {"path": "/services/oauth2/token", "grant_type": "refresh_token"}

pytestmark = pytest.mark.takes(80)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own: its connections are refused again and again."""
    with running_world(log=tmp_path_factory.mktemp("errors") / "dev.log") as world:
        yield world


@pytest.fixture
def browser(vendor: Vendor) -> Iterator[Walker]:
    """A customer's browser."""
    with vendor.browser() as walker:
        yield walker


def _ids(said: Said) -> str:
    return f"{said.error}-{said.description}".replace(" ", "_")


def _refuse(
    vendor: Vendor, match: dict[str, str], said: Said | tuple[str, ...], delivery: str | None = None
) -> None:
    error, description = said[0], said[1]
    options = {"error": error, "description": description, "delivery": delivery}
    vendor.fault("oauth_error", match=match, options=options)


def _words(said: Said) -> str:
    return said.error if said.description is None else f"{said.error}: {said.description}"


def _see_how_it_failed(
    vendor: Vendor, browser: Walker, session: dict[str, Any], said: Said
) -> None:
    """Look at the person's page, the vendor's session and the audit."""
    assert (browser.status, browser.code) == (200, said.code)
    assert f"Salesforce said: {said.error}" in browser.text
    assert "?" not in browser.url
    stands = vendor.session(session["id"])
    problem = stands["problem"]
    assert (stands["status"], problem["code"]) == ("failed", said.code)
    assert (problem["who"], problem["remedy"]) == MENDED_BY[said.code]
    assert problem["where"]
    assert problem["detail"].endswith(f"Salesforce said: {_words(said)}")
    [event] = vendor.told(session["id"], "connect_session.failed")
    assert (event["problem"], event["said"]) == (said.code, _words(said))


@pytest.mark.parametrize("said", BY_REDIRECT, ids=_ids)
def test_a_refused_authorization(vendor: Vendor, browser: Walker, said: Said) -> None:
    """What comes with the browser to the callback is explained to person and vendor."""
    session = vendor.begin("brightwater")
    _refuse(vendor, AUTHORIZE, said, "redirect")

    vendor.to_login(browser, session)

    _see_how_it_failed(vendor, browser, session, said)


def test_errors_without_a_callback(vendor: Vendor) -> None:
    """Salesforce keeps the browser: the session ends by time, and says where the reason stands."""
    sessions = []
    for delivery, error, description in WITHOUT_CALLBACK:
        session = vendor.begin("brightwater")
        _refuse(vendor, AUTHORIZE, (error, description), delivery)
        with vendor.browser() as browser:
            vendor.to_login(browser, session)
            assert not browser.url.startswith(vendor.world.service_url), (delivery, error)
            assert browser.status == (400 if delivery == "body" else 200)
        assert vendor.session(session["id"])["status"] == "authorizing"
        sessions.append(session["id"])

    vendor.advance("PT16M")

    for session_id in sessions:
        stands = vendor.session(session_id)
        problem = stands["problem"]
        assert (stands["status"], problem["code"]) == ("expired", "session_expired")
        assert (problem["who"], problem["remedy"]) == ("user", "retry")
        assert "send it to the vendor" in problem["detail"]


@pytest.mark.parametrize("said", AT_TOKEN, ids=_ids)
def test_a_refused_code(vendor: Vendor, browser: Walker, said: Said) -> None:
    """What the token endpoint says to a code reaches the person who is waiting, and the vendor."""
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    _refuse(vendor, CODE, said)

    browser.submit("oaapprove")

    _see_how_it_failed(vendor, browser, session, said)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("maintenance_page", {}),
        ("status", {"status": 502, "body": "html"}),
        ("lost_answer", {}),
        ("truncated_answer", {"bytes": 30}),
        ("connection_reset", {}),
    ],
)
def test_a_code_without_an_answer_of_use(
    vendor: Vendor, browser: Walker, name: str, options: dict[str, Any]
) -> None:
    """No JSON, or none that is whole: it is Salesforce's, it passes, and nothing is connected."""
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    vendor.fault(name, match=CODE, **({"options": options} if options else {}))

    browser.submit("oaapprove")

    assert browser.code == "salesforce_unavailable"
    problem = vendor.session(session["id"])["problem"]
    assert (problem["code"], problem["who"]) == ("salesforce_unavailable", "salesforce")
    assert [one["customer_id"] for one in _connections(vendor) if one["state"] == "active"].count(
        "brightwater"
    ) == 0


@pytest.mark.parametrize("said", AT_REFRESH, ids=_ids)
def test_a_refused_refresh(vendor: Vendor, said: Said) -> None:
    """The vendor hears at the next call what happened, who mends it, and whether to wait."""
    connection = _renewed(vendor, "northwind", "Northwind")
    generation = _generation(vendor, connection)
    since = vendor.next_entry()
    _refuse(vendor, REFRESH, said)

    refused = _ask_for_another(vendor, connection, generation)

    problem = refused.json()
    dead = said.code in DEAD
    expected = (409, "reauthorization_required") if dead else (503, "org_unavailable")
    assert (refused.status_code, problem["code"]) == expected
    assert problem["reason"] == said.code
    assert (problem["who"], problem["remedy"]) == MENDED_BY[said.code]
    assert problem["where"]
    assert dead or int(refused.headers["retry-after"]) == problem["retry_after"] >= 1
    stands = vendor.connection(connection["id"])
    assert stands["state"] == ("reauthorization_required" if dead else "active")
    assert stands["problem"]["code"] == said.code
    assert _ask_for_another(vendor, connection, generation).json()["reason"] == said.code
    assert len(vendor.journal(grant_type="refresh_token", since=since)) == 1, "held off"
    events = vendor.api.get(
        "/v1/audit-events",
        params={"connection_id": connection["id"], "type": "token.refused", "limit": 200},
    ).json()["data"]
    assert _words(said) in [event["detail"]["said"] for event in events]


def test_a_refresh_that_is_under_way_elsewhere(vendor: Vendor) -> None:
    """Salesforce is busy with it: nobody presents again, and the caller is told to come back."""
    active = [one for one in vendor.world.line["connections"] if one["environment"] == "production"]
    orgs = {org["org_id"]: org["name"] for org in vendor.world.orgs()}
    pairs = [(one["customer_id"], orgs[one["org_id"]]) for one in active][: len(BUSY_AT_REFRESH)]
    connections = [_renewed(vendor, *pair) for pair in pairs]
    generations = [_generation(vendor, connection) for connection in connections]
    since = vendor.next_entry()
    for connection, text in zip(connections, sorted(BUSY_AT_REFRESH), strict=True):
        match = {**REFRESH, "org_id": connection["org_id"]}
        _refuse(vendor, match, ("invalid_grant", text))

    with ThreadPoolExecutor(len(connections)) as pool:
        asking = pool.map(_ask_for_another, [vendor] * len(connections), connections, generations)
        answers = list(asking)

    for connection, answer in zip(connections, answers, strict=True):
        assert (answer.status_code, answer.json()["code"]) == (503, "org_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert vendor.connection(connection["id"])["state"] == "active"
        assert "token.busy" in vendor.events(connection["id"])
    assert len(vendor.journal(grant_type="refresh_token", since=since)) == len(connections)


def test_every_code_of_the_catalogue_is_driven_by_a_test() -> None:
    """A new code without a way to meet it fails here."""
    met = {said.code for said in (*BY_REDIRECT, *AT_TOKEN)} | {"refresh_busy", "unknown_refusal"}

    assert met == set(MENDED_BY)
    assert set(CATALOGUE) == met | set(DRIVEN_ELSEWHERE) | set(CANNOT_OCCUR)


@pytest.mark.parametrize("code", sorted(DRIVEN_ELSEWHERE))
def test_what_is_driven_elsewhere_is_there(code: str) -> None:
    """The table's words are kept by tests of those names."""
    file, _, name = DRIVEN_ELSEWHERE[code].partition("::")
    text = Path(__file__).with_name(file).read_text()

    assert f"def {name}" in text
    assert f'"{code}"' in text or file == "test_documented_errors.py"


def test_every_error_that_the_simulator_knows_is_in_the_table(vendor: Vendor) -> None:
    """Two readings of the documents, kept apart, come to the same list."""
    listed = vendor.control.get("/faults").json()["documented_errors"]
    by_delivery = {
        (delivery, one["error"], one["description"])
        for one in listed
        for delivery in one["deliveries"]
    }

    assert by_delivery == {
        *WITHOUT_CALLBACK,
        *(("redirect", said.error, said.description) for said in BY_REDIRECT),
        *(("json", said.error, said.description) for said in AT_TOKEN),
    }


def _connections(vendor: Vendor) -> list[dict[str, Any]]:
    return list(vendor.api.get("/v1/connections", params={"limit": 200}).json()["data"])


def _renewed(vendor: Vendor, customer_id: str, org_name: str) -> dict[str, Any]:
    """Reauthorize the customer's connection: a fresh generation that nothing holds off."""
    [known] = [
        one
        for one in _connections(vendor)
        if one["customer_id"] == customer_id and one["state"] != "revoked"
    ]
    return vendor.connect(customer_id, vendor.org(org_name), connection_id=known["id"])


def _generation(vendor: Vendor, connection: dict[str, Any]) -> int:
    """Return the generation in force."""
    return int(vendor.token(connection["id"]).raise_for_status().json()["generation"])


def _ask_for_another(
    vendor: Vendor, connection: dict[str, Any], generation: int
) -> httpx2.Response:
    """Say that Salesforce refused the access token of a generation."""
    return vendor.token(connection["id"], rejected_generation=generation)
