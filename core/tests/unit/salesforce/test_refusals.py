"""What each documented error means: the tables of Salesforce's documentation as data.

Sources: Salesforce Help, "OAuth Authorization Flow Errors"; release notes of Summer '24; the
server's own list of codes as Salesforce's Mobile SDK publishes it.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.refusals import (
    CATALOGUE,
    RefusalClass,
    assertion_refusal,
    authorization_refusal,
    in_salesforces_words,
    token_refusal,
)

NOT_PREAUTHORIZED = (
    "refresh_token scope is required and the connected app should be installed and preauthorized"
)
AUTHORIZE = [
    ("invalid_client_id", "client identifier invalid", "client_unknown"),
    ("redirect_uri_mismatch", "redirect_uri must match configuration", "redirect_uri_refused"),
    ("redirect_uri_missing", "redirect_uri not provided", "redirect_uri_refused"),
    ("unsupported_response_type", "response type not supported", "request_malformed"),
    ("invalid_request", "HTTPS required", "request_malformed"),
    ("invalid_request", "must use HTTP GET", "request_malformed"),
    ("invalid_request", "out-of-band not supported", "request_malformed"),
    ("invalid_request", "missing required code challenge", "code_challenge_missing"),
    ("invalid_scope", "the requested scope is not allowed", "scope_refused"),
    ("invalid_scope", "requested scope is invalid, unknown, or malformed", "scope_refused"),
    ("access_denied", "end-user denied authorization", "access_denied"),
    ("access-denied", "end-user denied authorization", "access_denied"),
    ("immediate_unsuccessful", "immediate unsuccessful", "login_required"),
    ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "app_blocked"),
    (
        "OAUTH_APP_ACCESS_DENIED",
        "user is not admin approved to access this app",
        "user_not_authorized",
    ),
    (
        "OAUTH_EC_APP_NOT_FOUND",
        "External client app is not installed in this org",
        "app_not_installed",
    ),
    (
        "OAUTH_AUTHORIZATION_BLOCKED",
        "Cross-org OAuth flows are not supported for this external client app",
        "app_is_local",
    ),
    ("invalid_client", "app must be installed into org", "app_not_installed"),
    (
        "OAUTH_APPROVAL_ERROR_GENERIC",
        "An unexpected error has occured during authentication. Please try again.",
        "approval_error",
    ),
    ("invalid_grant", "invalid user credentials", "authentication_failure"),
    ("invalid_grant", "IP restricted or invalid login hours", "ip_restricted"),
    ("inactive_user", "user is inactive", "user_inactive"),
    ("inactive_org", "org is locked, closed, or suspended", "org_inactive"),
    ("rate_limit_exceeded", "number of logins exceeded", "login_rate_exceeded"),
    ("server_error", None, "salesforce_unavailable"),
    ("service_unavailable", None, "salesforce_unavailable"),
    ("system_down", None, "salesforce_unavailable"),
    ("unknown_error", "retry your request", "salesforce_unavailable"),
]

TOKEN = [
    ("invalid_grant", "authentication failure", "authentication_failure"),
    ("invalid_grant", "expired access/refresh token", "grant_revoked"),
    ("invalid_grant", "token validity expired", "grant_expired"),
    ("invalid_grant", "token request is already being processed", "refresh_busy"),
    ("invalid_grant", "inactive user", "user_inactive"),
    ("inactive_user", None, "user_inactive"),
    ("invalid_grant", "inactive organization", "org_inactive"),
    ("inactive_org", None, "org_inactive"),
    ("invalid_grant", "ip restricted", "ip_restricted"),
    ("invalid_grant", "invalid login hours", "login_hours"),
    ("invalid_grant", "user hasn't approved this consumer", "user_not_approved"),
    ("invalid_grant", "audience is invalid", "audience_invalid"),
    ("invalid_grant", "Audience validation failed", "audience_invalid"),
    ("invalid_grant", "invalid assertion", "assertion_invalid"),
    ("invalid_grant", "no client credentials user enabled", "no_run_as_user"),
    ("invalid_grant", "request not supported on this domain", "domain_not_supported"),
    ("invalid_grant", "invalid code verifier", "code_verifier_invalid"),
    (
        "invalid_app_access",
        "user is not admin approved to access this app",
        "user_not_authorized",
    ),
    ("invalid_app_access", None, "user_not_authorized"),
    ("invalid_client_id", "client identifier invalid", "client_unknown"),
    ("invalid_client_id", None, "client_unknown"),
    ("invalid_client", "invalid client credentials", "client_refused"),
    ("invalid_client", "client identifier invalid", "client_unknown"),
    ("invalid_client", "app must be installed into org", "app_not_installed"),
    (
        "invalid_request",
        NOT_PREAUTHORIZED,
        "refresh_scope_missing",
    ),
    ("invalid_request", "missing required code challenge", "code_challenge_missing"),
    ("invalid_request", "must use HTTP POST", "request_malformed"),
    ("invalid_request", "HTTPS required", "request_malformed"),
    ("invalid_request", None, "request_malformed"),
    ("redirect_uri_mismatch", "redirect_uri must match configuration", "redirect_uri_refused"),
    ("unsupported_grant_type", "grant type not supported", "flow_disabled"),
    ("oauth_flow_disabled", None, "flow_disabled"),
    ("oauth_policy_not_found", None, "app_policy_missing"),
    ("ecapp_policy_not_found", None, "app_policy_missing"),
    ("invalid_distribution_state", None, "app_is_local"),
    ("app_not_found", None, "app_not_installed"),
    ("app_blocked", None, "app_blocked"),
    ("fail_close_app_blocked", None, "app_blocked"),
    ("installation_error", None, "app_not_installed"),
    ("invalid_assertion_type", None, "assertion_invalid"),
    ("invalid_basic_auth_header", None, "client_refused"),
    ("bad_jti_claim", None, "assertion_invalid"),
    ("invalid_dpop_proof", None, "dpop_refused"),
    ("use_dpop_nonce", None, "dpop_refused"),
    ("invalid_scope", "the requested scope is not allowed", "scope_refused"),
    ("rate_limit_exceeded", "login rate exceeded", "login_rate_exceeded"),
    ("rate_limit_exceeded", "number of logins exceeded", "login_rate_exceeded"),
    ("invalid_grant", "login rate exceeded", "login_rate_exceeded"),
    ("unknown_error", "retry your request", "salesforce_unavailable"),
    ("server_error", None, "salesforce_unavailable"),
    ("service_unavailable", None, "salesforce_unavailable"),
    ("system_down", None, "salesforce_unavailable"),
    ("slow_down", None, "salesforce_unavailable"),
    ("invalid_token", None, "grant_revoked"),
    ("unsupported_token_type", None, "request_malformed"),
    ("invalid_session_level", None, "session_level"),
    ("immediate_unsuccessful", None, "login_required"),
    ("login_error", None, "authentication_failure"),
    ("invalid_otp", None, "authentication_failure"),
    ("otp_error", None, "authentication_failure"),
    ("unsupported_response_type", None, "request_malformed"),
    ("redirect_uri_missing", None, "redirect_uri_refused"),
    ("access_denied", None, "access_denied"),
]

# What says more than the error beside it, which older and newer orgs do not agree about.
DESCRIPTIONS = [
    ("user is inactive", "user_inactive"),
    ("org is locked, closed, or suspended", "org_inactive"),
    ("user is not admin approved to access this app", "user_not_authorized"),
    ("External client app is not installed in this org", "app_not_installed"),
    (
        "Cross-org OAuth flows are not supported for this external client app",
        "app_is_local",
    ),
    ("this app is blocked by admin", "app_blocked"),
    ("login rate exceeded", "login_rate_exceeded"),
    ("number of logins exceeded", "login_rate_exceeded"),
    ("HTTPS required", "request_malformed"),
    ("must use HTTP GET", "request_malformed"),
    ("must use HTTP POST", "request_malformed"),
    ("out-of-band not supported", "request_malformed"),
]

# The server's own list, less the codes of flows that are never asked for here: device flow,
# dynamic registration, attestation of mobile apps, headless login; and less `invalid_grant`,
# which says nothing without its description.
SERVERS_OWN = """
    access_denied app_blocked app_not_found bad_jti_claim ecapp_policy_not_found
    fail_close_app_blocked immediate_unsuccessful installation_error invalid_app_access
    invalid_assertion_type invalid_basic_auth_header invalid_dpop_proof invalid_client
    invalid_client_id invalid_distribution_state invalid_otp invalid_request
    invalid_scope invalid_session_level invalid_token login_error oauth_flow_disabled
    oauth_policy_not_found otp_error redirect_uri_missing redirect_uri_mismatch server_error
    service_unavailable slow_down system_down unknown_error unsupported_grant_type
    unsupported_response_type unsupported_token_type use_dpop_nonce
"""
NEVER_ASKED_FOR = """
    authorization_pending app_attest_failed app_attest_failed_retry client_blocked
    client_blocked_retry exceeded_registration_limit failed_registration invalid_expid
    registration_error unsupported_expid
"""

CLASSES = {
    RefusalClass.BUSY: "refresh_busy",
    RefusalClass.TRANSIENT: "salesforce_unavailable",
    RefusalClass.DEAD_GRANT: (
        "grant_revoked grant_expired user_inactive org_inactive user_not_approved"
    ),
    RefusalClass.ADMIN: (
        "user_not_authorized app_blocked app_not_installed ip_restricted login_hours "
        "app_policy_missing no_run_as_user user_not_preauthorized session_level approval_error"
    ),
    RefusalClass.OUR_FAULT: (
        "client_unknown client_refused redirect_uri_refused scope_refused flow_disabled "
        "audience_invalid code_challenge_missing dpop_refused domain_not_supported app_is_local "
        "assertion_invalid code_verifier_invalid request_malformed authentication_failure "
        "certificate_refused refresh_scope_missing"
    ),
    RefusalClass.RATE: "login_rate_exceeded",
    RefusalClass.UNKNOWN: "unknown_refusal",
    RefusalClass.CONNECT: "access_denied login_required code_replayed",
}


@pytest.mark.parametrize(("error", "description", "code"), AUTHORIZE)
def test_each_documented_error_of_authorize_has_its_entry(error, description, code):
    """Error and description as Salesforce writes them."""
    assert authorization_refusal(error, description) is CATALOGUE[code]


@pytest.mark.parametrize(("error", "description", "code"), TOKEN)
@pytest.mark.parametrize("refresh", [False, True])
def test_each_documented_error_of_the_token_endpoint_has_its_entry(
    error, description, code, refresh
):
    """Whatever the grant; only one description differs by it."""
    assert token_refusal(error, description, refresh=refresh) is CATALOGUE[code]


@pytest.mark.parametrize(("refresh", "code"), [(True, "refresh_busy"), (False, "code_replayed")])
def test_an_expired_code_is_a_used_one_or_on_a_refresh_a_busy_token(refresh, code):
    """Older orgs said so of two refreshes at once."""
    refusal = token_refusal("invalid_grant", "expired authorization code", refresh=refresh)

    assert refusal is CATALOGUE[code]


# What differs where no person is there: everything else means what it means to other grants.
ASSERTIONS = [
    ("invalid_client", "invalid client credentials", "certificate_refused"),
    ("invalid_client", None, "certificate_refused"),
    ("invalid_client_id", "client identifier invalid", "client_unknown"),
    ("invalid_grant", "audience is invalid", "audience_invalid"),
    ("invalid_grant", "Audience validation failed", "audience_invalid"),
    ("invalid_grant", "invalid assertion", "assertion_invalid"),
    ("invalid_grant", "expired authorization code", "assertion_invalid"),
    ("invalid_grant", "user hasn't approved this consumer", "user_not_preauthorized"),
    ("invalid_app_access", "user is not admin approved to access this app", "user_not_authorized"),
    ("invalid_request", NOT_PREAUTHORIZED, "refresh_scope_missing"),
    ("invalid_grant", "inactive user", "user_inactive"),
    ("inactive_user", None, "user_inactive"),
    ("invalid_grant", "inactive organization", "org_inactive"),
    ("app_blocked", "this app is blocked by admin", "app_blocked"),
    ("invalid_client", "app must be installed into org", "app_not_installed"),
    ("rate_limit_exceeded", "login rate exceeded", "login_rate_exceeded"),
    ("invalid_grant", "ip restricted", "ip_restricted"),
    ("unsupported_grant_type", "grant type not supported", "flow_disabled"),
    ("unknown_error", "retry your request", "salesforce_unavailable"),
    ("invalid_grant", None, "unknown_refusal"),
]


@pytest.mark.parametrize(("error", "description", "code"), ASSERTIONS)
def test_each_refusal_of_an_assertion_has_its_entry(error, description, code):
    """Nobody can be told to approve where nobody sits before a browser."""
    assert assertion_refusal(error, description) is CATALOGUE[code]


@pytest.mark.parametrize(
    ("code", "who", "place"),
    [
        ("user_not_preauthorized", "admin", "Admin approved users are pre-authorized"),
        ("user_not_authorized", "admin", "Policies > App Policies"),
        ("user_inactive", "admin", "Setup > Users"),
        ("certificate_refused", "vendor", "Use digital signatures"),
        ("client_unknown", "vendor", "consumer-credentials"),
        ("audience_invalid", "vendor", "environment"),
        ("refresh_scope_missing", "vendor", "OAuth Scopes"),
    ],
)
def test_each_refusal_of_an_assertion_names_person_and_place(code, who, place):
    """The step that is missing, whose it is, and where in Setup."""
    assert CATALOGUE[code].who == who
    assert place in CATALOGUE[code].where


@pytest.mark.parametrize("error", SERVERS_OWN.split())
def test_every_code_of_the_servers_own_list_is_known(error):
    """Without its description, which Salesforce may leave out or change."""
    assert token_refusal(error, None, refresh=True).code != "unknown_refusal"
    assert token_refusal(error, "Something new", refresh=True).code != "unknown_refusal"


@pytest.mark.parametrize("error", [*NEVER_ASKED_FOR.split(), "invalid_grant", "", "no_such_error"])
def test_what_nobody_documented_here_is_unknown(error):
    """Nothing is guessed: `invalid_grant` alone may mean a dead grant or a busy one."""
    for refusal in (
        token_refusal(error, None, refresh=True),
        token_refusal(error, "Something new", refresh=False),
        authorization_refusal(error, None),
    ):
        assert refusal is CATALOGUE["unknown_refusal"]


@pytest.mark.parametrize(
    "said",
    [
        "inactive user",
        "Inactive User",
        "  inactive user ",
        "inactive user.",
        "INACTIVE USER.",
    ],
)
def test_case_spaces_and_a_full_stop_say_nothing(said):
    """Salesforce's own texts differ by these."""
    assert token_refusal("invalid_grant", said, refresh=True).code == "user_inactive"


@pytest.mark.parametrize("error", ["APP_BLOCKED", " app_blocked\n", "App_Blocked"])
def test_the_error_itself_is_compared_the_same_way(error):
    """Authorize writes capitals, the token endpoint does not."""
    assert authorization_refusal(error, None).code == "app_blocked"


def test_a_description_is_compared_whole():
    """Part of one may be anything, an echoed token for one."""
    for said in ("user inactive user", "inactive use", "inactive user: 005"):
        assert token_refusal("invalid_grant", said, refresh=True).code == "unknown_refusal"


def test_the_description_says_more_than_the_error():
    """`invalid_client` with the text of a missing app is about the app."""
    refusal = token_refusal("server_error", "inactive organization", refresh=True)

    assert refusal.code == "org_inactive"


@pytest.mark.parametrize(("description", "code"), DESCRIPTIONS)
def test_a_description_is_known_beside_an_error_that_is_not(description, code):
    """An org may answer `invalid_grant`, or with a code of its own."""
    for error in ("invalid_grant", "no_such_error"):
        assert token_refusal(error, description, refresh=True) is CATALOGUE[code]
        assert authorization_refusal(error, description) is CATALOGUE[code]


@pytest.mark.parametrize(
    ("refusal_class", "code"),
    [(kind, code) for kind, codes in CLASSES.items() for code in codes.split()],
)
def test_each_refusal_has_the_class_that_the_state_machine_goes_by(refusal_class, code):
    """Dead grants stop, admins are shown what to do, what passes is retried."""
    assert CATALOGUE[code].refusal_class is refusal_class


def test_whatever_the_endpoints_say_is_classed():
    """No documented error is without a place in the table above."""
    classed = {code for codes in CLASSES.values() for code in codes.split()}

    assert {code for _, _, code in (*AUTHORIZE, *TOKEN)} <= classed
    serving = {code for code, entry in CATALOGUE.items() if entry.refusal_class == "serving"}
    assert not serving & classed


@given(error=st.text(), description=st.none() | st.text(), refresh=st.booleans())
def test_any_error_has_an_entry(error, description, refresh):
    """Nothing that an org says raises."""
    assert token_refusal(error, description, refresh=refresh) in CATALOGUE.values()
    assert assertion_refusal(error, description) in CATALOGUE.values()
    assert authorization_refusal(error, description) in CATALOGUE.values()


@pytest.mark.parametrize(
    ("error", "description", "shown"),
    [
        ("access_denied", "end-user denied authorization", None),
        ("invalid_grant", "IP restricted or invalid login hours", None),
        ("OAUTH_EC_APP_NOT_FOUND", "External client app is not installed in this org", None),
        ("invalid_grant", "expired access/refresh token", None),
        ("server_error", None, "server_error"),
        ("something_new", "never seen before", "something_new: never seen before"),
        ("invalid_token", "invalid token: 00D5g0!AQ.dummy", "invalid_token: invalid token: […]"),
        ("", "see https://evil.example/x now", "[…]: see […] now"),
        ("5Aep861.dummy", "", "[…]"),
    ],
)
def test_salesforces_words_are_shown_as_far_as_they_can_be(error, description, shown):
    """A documented description whole; of any other its plain words, no token and no address."""
    assert in_salesforces_words(error, description) == shown or (
        shown is None and in_salesforces_words(error, description) == f"{error}: {description}"
    )


@given(error=st.text(), description=st.text())
def test_nothing_long_or_odd_is_ever_shown(error, description):
    """Whatever an answer or a browser brings: plain words of no more than 33 characters."""
    shown = in_salesforces_words(error, f"x1 {description}")

    assert len(shown) < 400
    assert all(len(word) <= 34 for word in shown.split())
    assert not any(letter.isdigit() or letter in '<>&"/\\@\n' for letter in shown)


@pytest.mark.parametrize("description", [said for _, said, *_ in (*AUTHORIZE, *TOKEN) if said])
def test_every_known_description_means_something_wherever_it_comes(description):
    """A browser may bring what only the token endpoint says, and the other way round."""
    told = authorization_refusal("invalid_grant", description)

    assert told is CATALOGUE[told.code]
    assert token_refusal("invalid_grant", description, refresh=False) is told
