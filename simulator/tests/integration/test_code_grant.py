"""The token endpoint for authorization codes, and for grants that are not switched on."""

import base64

import pytest
from orgsim_caller import error_of
from orgsim_program import user_of

CODE_EXPIRED = ("invalid_grant", "expired authorization code")
TOKEN_EXPIRED = ("invalid_grant", "expired access/refresh token")


def test_a_code_serves_once(sim, caller):
    """The second time it is as good as expired; what the first gave lives on."""
    code = caller.authorize(sim.org())["code"]
    tokens = caller.exchange(code).json()
    assert error_of(caller.exchange(code)) == CODE_EXPIRED
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_a_second_use_of_a_code_may_kill_what_the_first_gave(sim, caller):
    """RFC 6749 asks for it; for Salesforce it is an open question."""
    sim.switch(code_reuse_revokes=True)
    code = caller.authorize(sim.org())["code"]
    tokens = caller.exchange(code).json()
    caller.exchange(code)
    assert error_of(caller.refresh(tokens["refresh_token"])) == TOKEN_EXPIRED


def test_a_code_lives_for_fifteen_minutes(sim, caller):
    """Just before it serves, from then on it does not."""
    early, late = (caller.authorize(sim.org())["code"] for _ in range(2))
    sim.advance("PT14M")
    assert caller.exchange(early).status_code == 200
    sim.advance("PT1M")
    assert error_of(caller.exchange(late)) == CODE_EXPIRED


@pytest.mark.parametrize("verifier", [None, "another-verifier-of-more-than-43-characters-000"])
def test_a_verifier_must_fit_its_challenge(sim, caller, verifier):
    """And a wrong one burns the code."""
    code = caller.authorize(sim.org())["code"]
    refused = caller.exchange(code, code_verifier=verifier)
    assert error_of(refused) == ("invalid_grant", "invalid code verifier")
    assert error_of(caller.exchange(code)) == CODE_EXPIRED


def test_whether_a_wrong_verifier_burns_the_code_is_a_switch(sim, caller):
    """So is the error's code."""
    sim.switch(wrong_verifier_burns_code=False, pkce_mismatch_error="invalid_request")
    code = caller.authorize(sim.org())["code"]
    assert error_of(caller.exchange(code, code_verifier="x" * 50))[0] == "invalid_request"
    assert caller.exchange(code).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"redirect_uri": "http://127.0.0.1:1/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": None}, "redirect_uri_mismatch"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_id": "3MVG9unknown"}, "invalid_client_id"),
        ({"client_assertion_type": "urn:x"}, "invalid_assertion_type"),
        ({"code": "aPrxunknown=="}, "invalid_grant"),
    ],
)
def test_a_code_is_bound_to_its_request(sim, caller, changed, error):
    """What differs is named, and the code is still there for its owner."""
    code = caller.authorize(sim.org())["code"]
    assert error_of(caller.exchange(changed.pop("code", code), **changed))[0] == error
    assert caller.exchange(code).status_code == 200


def test_a_code_of_another_app_is_not_known(sim, caller, caller_of):
    """As if it had expired."""
    code = caller.authorize(sim.org())["code"]
    assert error_of(caller_of(app="Scratch").exchange(code)) == CODE_EXPIRED


def test_a_code_serves_at_its_own_orgs_hosts_only(sim, caller):
    """The login host and the org's My Domain, no other."""
    code = caller.authorize(sim.org())["code"]
    for host in (caller.sandbox_login_url, caller.org_url(sim.org("Larkfield"))):
        assert error_of(caller.exchange(code, host)) == CODE_EXPIRED
    assert caller.exchange(code, caller.org_url(sim.org())).status_code == 200


def test_basic_authentication_serves_as_well(sim, caller):
    """And a broken header is named."""
    key, secret = caller.app["consumer_key"], caller.app["consumer_secret"]
    form = {
        "grant_type": "authorization_code",
        "code": caller.authorize(sim.org())["code"],
        "redirect_uri": caller.redirect_uri,
        "code_verifier": "a-verifier-of-at-least-forty-three-characters-0123456789",
    }
    url = f"{caller.login_url}/services/oauth2/token"
    broken = caller.http.post(url, data=form, headers={"Authorization": "Basic ?"})
    assert error_of(broken)[0] == "invalid_basic_auth_header"
    words = base64.b64encode(f"{key}:{secret}".encode()).decode()
    right = caller.http.post(url, data=form, headers={"Authorization": f"Basic {words}"})
    assert right.status_code == 200


def test_there_is_no_refresh_token_without_its_scope(sim, caller):
    """Only what was asked for is granted."""
    tokens = caller.connect(sim.org(), scope="api id")
    assert "refresh_token" not in tokens
    assert "id_token" not in tokens
    assert set(tokens["scope"].split()) == {"api", "id"}


def test_a_user_has_five_approvals_of_an_app(sim, caller):
    """The sixth pushes the oldest out, with its access token; other people's stay."""
    org = sim.org()
    other = caller.connect(org, user_of(org, "standard"))
    held = [caller.connect(org) for _ in range(6)]
    assert error_of(caller.refresh(held[0]["refresh_token"])) == TOKEN_EXPIRED
    assert caller.call(held[0]["access_token"]).status_code == 401
    assert caller.call(held[1]["access_token"]).status_code == 200
    for tokens in (*held[1:], other):
        assert caller.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("wanted", ["xml", "urlencoded"])
def test_the_format_of_an_answer_can_be_chosen(sim, caller, wanted):
    """`format` wins over `Accept`."""
    code = caller.authorize(sim.org())["code"]
    answer = caller.exchange(code, format=wanted)
    assert wanted in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-store"


def test_each_token_answer_has_a_request_id_of_its_own(sim, caller):
    """Refused or not."""
    code = caller.authorize(sim.org())["code"]
    answers = [caller.exchange(code), caller.exchange(code)]
    ids = {answer.headers["sfdc-request-id"] for answer in answers}
    assert [answer.status_code for answer in answers] == [200, 400]
    assert [len(one) for one in ids] == [32, 32]


def test_a_token_request_is_a_post(caller):
    """A GET is told so."""
    answer = caller.http.get(f"{caller.login_url}/services/oauth2/token")
    assert error_of(answer) == ("invalid_request", "must use HTTP POST")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"grant_type": "nonsense"}, ("unsupported_grant_type", "grant type not supported")),
        ({"grant_type": None}, ("unsupported_grant_type", "grant type not supported")),
        (
            {"grant_type": "client_credentials"},
            ("invalid_grant", "request not supported on this domain"),
        ),
        ({"grant_type": "password"}, ("invalid_grant", "authentication failure")),
        ({"grant_type": "device", "code": "x"}, ("unsupported_grant_type", None)),
    ],
)
def test_other_grants_answer_as_an_org_that_has_not_switched_them_on(caller, form, told):
    """Each in its own words."""
    error, description = error_of(caller.token(**form))
    assert error == told[0]
    assert told[1] in (None, description)


def test_client_credentials_are_not_enabled_at_a_my_domain(sim, caller):
    """There the host is right."""
    answer = caller.token(caller.org_url(sim.org()), grant_type="client_credentials")
    assert error_of(answer)[0] == "unsupported_grant_type"


def test_a_login_rate_holds_for_a_user(sim, caller):
    """So many an hour, then none until the hour is over."""
    sim.switch(logins_per_hour=3)
    tokens = caller.connect(sim.org())  # the login page and the exchange
    tokens = caller.refresh(tokens["refresh_token"]).json()
    assert error_of(caller.refresh(tokens["refresh_token"]))[0] == "rate_limit_exceeded"
    sim.advance("PT1H")
    assert caller.refresh(tokens["refresh_token"]).status_code == 200
