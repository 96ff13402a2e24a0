"""Every error that Salesforce documents can be asked for, and arrives as its sources say."""

from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from orgsim.surfaces.oauth.documented import DOCUMENTED

AT_AUTHORIZE = [
    pytest.param(known, delivery, id=f"{known.error}-{delivery}-{known.description}")
    for known in DOCUMENTED
    if known.endpoint == "authorize"
    for delivery in known.deliveries
]
AT_TOKEN = [
    pytest.param(known, id=f"{known.error}-{known.description}")
    for known in DOCUMENTED
    if known.endpoint == "token"
]


def _set(sim, known, delivery, path):
    options = {"error": known.error, "description": known.description, "delivery": delivery}
    sim.fault("oauth_error", match={"path": path}, options=options)


def _said(known):
    text = {} if known.description is None else {"error_description": known.description}
    return {"error": known.error, **text}


@pytest.mark.parametrize(("known", "delivery"), AT_AUTHORIZE)
def test_an_authorization_is_refused_on_the_way_that_was_seen(sim, caller, known, delivery):
    """As a body before any login, on a page of Salesforce's own, or at the callback with state."""
    _set(sim, known, delivery, "/services/oauth2/authorize")
    answer = caller.authorize_answer()

    if delivery == "body":
        assert (answer.status_code, answer.headers.get("content-type")) == (400, None)
        assert dict(parse_qsl(answer.text)) == _said(known)
        return
    target = urlsplit(answer.headers["location"])
    told = dict(parse_qsl(target.query))
    if delivery == "error_page":
        assert (target.path, told) == (
            "/setup/secur/RemoteAccessErrorPage.apexp",
            _said(known),
        )
    else:
        assert answer.headers["location"].startswith(caller.redirect_uri)
        assert told == {**_said(known), "state": "the-state"}


@pytest.mark.parametrize("known", AT_TOKEN)
def test_a_token_request_is_refused_in_json(sim, caller, known):
    """Error and description, no more; the journal says which fault it was."""
    _set(sim, known, None, "/services/oauth2/token")
    answer = caller.http.post(f"{caller.login_url}/services/oauth2/token", data={"code": "dummy"})

    assert (answer.status_code, answer.json()) == (400, _said(known))
    assert sim.journal(path="/services/oauth2/token")[-1]["fault"] == "oauth_error"


@pytest.mark.parametrize(
    "options",
    [
        {"error": "made_up"},
        {"error": "access_denied", "description": "made up"},
        {
            "error": "access_denied",
            "description": "end-user denied authorization",
            "delivery": "body",
        },
    ],
)
def test_an_error_that_nobody_documents_cannot_be_asked_for(sim, options):
    """A fault is a claim about Salesforce, and has a source or is refused."""
    asked = {"name": "oauth_error", "options": options}
    answer = httpx2.post(f"{sim.line['control_url']}/faults", json=asked, trust_env=False)

    assert answer.status_code == 409
    assert "documents no such error" in answer.json()["detail"]


def test_the_control_port_lists_each_error_once_with_its_source(sim):
    """Testers need not read this program to know what they may ask for."""
    listed = httpx2.get(f"{sim.line['control_url']}/faults", trust_env=False).json()
    errors = listed["documented_errors"]

    keys = [(one["endpoint"], one["error"], one["description"]) for one in errors]
    assert len(keys) == len(set(keys)) == len(DOCUMENTED)
    assert {one["source"] for one in errors} <= {"help", "notes", "sdk", "seen", "unsure"}
