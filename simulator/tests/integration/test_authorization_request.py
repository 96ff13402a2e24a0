"""The authorization endpoint: what it asks for, and the three ways in which it says no."""

from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

import pytest
from orgsim_caller import Page, challenge_of
from orgsim_program import user_of

POLICY = "content-security-policy"
BEFORE_THE_CLIENT_IS_TRUSTED = [
    ({"client_id": "3MVG9unknown"}, "invalid_client_id", "client identifier invalid"),
    (
        {"redirect_uri": "http://127.0.0.1:8765/callback/"},
        "redirect_uri_mismatch",
        "redirect_uri must match configuration",
    ),
    ({"redirect_uri": None}, "redirect_uri_missing", "redirect_uri not provided"),
    ({"code_challenge": None}, "invalid_request", "missing required code challenge"),
    ({"code_challenge_method": "plain"}, "invalid_request", "unsupported code challenge method"),
    ({"code_challenge": "short"}, "invalid_request", "invalid code challenge"),
    ({"response_type": "id_token"}, "unsupported_response_type", "response type not supported"),
]


@pytest.mark.parametrize(("changed", "error", "description"), BEFORE_THE_CLIENT_IS_TRUSTED)
def test_before_the_client_is_trusted_an_error_is_a_plain_body(caller, changed, error, description):
    """Form text without a type, and no redirect to anywhere."""
    answer = caller.authorize_answer(**changed)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "content-type" not in answer.headers
    assert parse_qs(answer.text) == {"error": [error], "error_description": [description]}


def test_the_status_of_a_plain_body_is_a_switch(sim, caller):
    """Some saw 200, some 400."""
    sim.switch(authorize_error_status=200)
    assert caller.authorize_answer(client_id="nobody").status_code == 200


def test_an_authorization_request_is_a_get(caller):
    """A POST is told so."""
    answer = caller.http.post(f"{caller.login_url}/services/oauth2/authorize")
    assert answer.status_code == 400
    assert parse_qs(answer.text)["error_description"] == ["must use HTTP GET"]


def test_a_challenge_without_method_is_s256(sim, caller):
    """Salesforce's own clients leave the method out."""
    told = caller.authorize(sim.org(), code_challenge_method=None)
    assert caller.exchange(told["code"]).status_code == 200


def test_denial_goes_to_the_callback_with_the_state(sim, caller):
    """The person pressed Deny."""
    assert caller.authorize(sim.org(), decision="deny") == {
        "error": "access_denied",
        "error_description": "end-user denied authorization",
        "state": "the-state",
    }


def test_a_scope_that_the_app_lacks_goes_to_the_callback(sim, caller):
    """No page is shown for it."""
    told = caller.authorize(sim.org(), scope="api pardot_api")
    assert told["error"] == "invalid_scope"


def test_an_org_without_the_package_refuses_its_own_admin(sim, caller):
    """The words are those of External Client Apps."""
    told = caller.authorize(sim.org("Stonebridge"))
    assert told["error"] == "OAUTH_EC_APP_NOT_FOUND"
    assert told["error_description"] == "External client app is not installed in this org"


def test_a_blocked_app_is_told_so(sim, caller):
    """An admin pressed Block."""
    sim.change_policy(sim.org(), blocked=True)
    assert caller.authorize(sim.org())["error"] == "OAUTH_APP_BLOCKED"


def test_who_is_not_pre_authorized_is_refused(sim, caller):
    """The org's admin decides who may use the app, the admin included."""
    told = caller.authorize(sim.org("Oakhollow"))
    assert told["error"] == "OAUTH_APP_ACCESS_DENIED"


def test_who_is_pre_authorized_is_not_asked(sim, caller):
    """No consent page stands between login and code."""
    org = sim.org("Oakhollow")
    person = user_of(org, "integration")
    assert person["pre_authorized"]
    assert "code" in caller.authorize(org, person, decision="deny")


def test_an_error_can_stay_on_a_page_of_the_org(sim, caller):
    """The client never hears of it; the reason stands in the address only."""
    sim.switch(access_denied_delivery="error_page")
    org = sim.org("Oakhollow")
    told = caller.authorize(org)
    assert told["error"] == "OAUTH_APP_ACCESS_DENIED"
    assert "state" not in told
    page = caller.http.get(
        f"{caller.org_url(org)}/setup/secur/RemoteAccessErrorPage.apexp", params=told
    )
    assert "OAUTH_APPROVAL_ERROR_GENERIC" in page.text
    assert told["error_description"] not in page.text


@pytest.mark.parametrize(
    ("state", "active", "error"), [("locked", True, "inactive_org"), ("active", False, None)]
)
def test_a_locked_org_is_told_and_a_deactivated_person_is_not(sim, caller, state, active, error):
    """An inactive person is refused at the login form."""
    org = sim.org("Larkfield")
    sim.change_org(org, state=state)
    sim.change_user(org, user_of(org), active=active)
    assert caller.authorize(org)["error"] == (error or "inactive_user")


def test_an_approval_is_remembered_until_consent_is_asked_for(sim, caller):
    """The second time nobody is asked, unless the request wants it."""
    org = sim.org()
    caller.connect(org)
    assert "code" in caller.authorize(org, decision="deny")
    assert caller.authorize(org, decision="deny", prompt="consent")["error"] == "access_denied"


@pytest.mark.parametrize("face", ["plain", "names"])
def test_a_form_may_lead_wherever_the_callback_leads(caller_of, face):
    """A browser holds the app's redirects, too, against the policy of the page with the form."""
    caller = caller_of(face)
    page = caller.authorize_answer()
    while "location" in page.headers:
        page = caller.http.get(urljoin(str(page.url), page.headers["location"]))
    policy = dict(rule.strip().split(" ", 1) for rule in page.headers[POLICY].split(";"))
    assert {"'self'", f"{urlsplit(caller.redirect_uri).scheme}:"} <= set(
        policy["form-action"].split()
    )


def test_immediate_shows_no_page(sim, caller):
    """Without a login it fails at once; after an approval it succeeds at once."""
    org = sim.org()
    here = caller.org_url(org)
    refused = caller.authorize_answer(here, immediate="true").headers["location"]
    assert "error=immediate_unsuccessful" in refused
    caller.connect(org, host=here)
    granted = caller.authorize_answer(here, immediate="true").headers["location"]
    assert granted.startswith(caller.redirect_uri + "?code=")


def test_an_app_may_have_switched_pkce_off(sim, caller_of):
    """Salesforce's command line sends no challenge."""
    caller = caller_of(app="PlatformCLI")
    unproven = {"code_challenge": None, "code_challenge_method": None}
    code = caller.authorize(sim.org(), **unproven)["code"]
    answer = caller.exchange(code, code_verifier=None, client_secret=None)
    assert answer.status_code == 200


def _login_page(caller, **asked):
    answer = caller.authorize_answer(**asked)
    return caller.http.get(answer.headers["location"])


def test_a_wrong_password_shows_the_form_again(sim, caller):
    """With a sentence, and nothing of the password."""
    page = _login_page(caller)
    fields = Page(page.text).hidden | {"username": user_of(sim.org())["username"], "pw": "wrong"}
    again = caller.http.post(urljoin(str(page.url), "/"), data=fields)
    assert again.status_code == 200
    assert {"error", "username", "password", "Login"} <= Page(again.text).by_id.keys()
    assert "wrong" not in again.text


def test_the_production_login_host_does_not_know_sandbox_users(sim, caller):
    """And a My Domain knows its own users only."""
    person = user_of(sim.org("Northwind UAT"))
    for host in (caller.login_url, caller.org_url(sim.org("Larkfield"))):
        answer = caller.http.post(
            f"{host}/", data={"username": person["username"], "pw": person["password"]}
        )
        assert "error" in Page(answer.text).by_id


def test_a_hint_fills_the_login_form(caller):
    """`login_hint` is the username."""
    page = Page(_login_page(caller, login_hint="ada@example.test").text)
    assert page.by_id["username"]["value"] == "ada@example.test"


@pytest.mark.parametrize(
    "start", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_login_leads_nowhere_else(sim, caller, start):
    """Only to paths of this site."""
    person, here = user_of(sim.org()), caller.org_url(sim.org())
    answer = caller.http.post(
        f"{here}/",
        data={"username": person["username"], "pw": person["password"], "startURL": start},
    )
    assert answer.headers["location"] == f"{here}/home"


def test_a_decision_counts_only_from_a_form_that_was_shown(sim, caller):
    """Another site's form has not the token."""
    org = sim.org()
    here = caller.org_url(org)
    answer = caller.authorize_answer(here)
    source = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["startURL"].split("=")[1]
    person = user_of(org)
    caller.http.post(f"{here}/", data={"username": person["username"], "pw": person["password"]})
    forged = caller.http.post(
        f"{here}/setup/secur/RemoteAccessAuthorizationPage.apexp",
        data={"source": source, "token": "guessed", "decision": "allow"},
    )
    assert forged.status_code == 403
    assert "location" not in forged.headers


def test_pages_cannot_be_framed_or_kept(caller):
    """Headers say so."""
    headers = _login_page(caller).headers
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("face", "secure"), [("plain", False), ("tls", True), ("names", True)])
def test_the_login_cookie_fits_its_face(sim, caller_of, face, secure):
    """Ports share cookies, so that each program's has a name of its own there."""
    caller = caller_of(face)
    person, here = user_of(sim.org()), caller.org_url(sim.org())
    answer = caller.http.post(
        f"{here}/", data={"username": person["username"], "pw": person["password"]}
    )
    cookie = answer.headers["set-cookie"]
    assert ("Secure" in cookie) is secure
    assert "HttpOnly" in cookie
    assert cookie.startswith("sid=") is (face == "names")


def test_the_code_is_marked_and_bound_to_what_was_sent(sim, caller):
    """It needs decoding, as Salesforce's do."""
    code = caller.authorize(sim.org(), code_challenge=challenge_of("v" * 60))["code"]
    assert code.startswith("aPrx")
    assert code.endswith("==")
    assert sim.line["canary"] in code
    assert caller.exchange(code, code_verifier="v" * 60).status_code == 200
