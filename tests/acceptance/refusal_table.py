"""What Salesforce may say, what Keyturn calls it, and who is to mend it.

Written from Salesforce's documents and reports, not from the catalogue: a code of ours or an error
of the simulator's that is missing here fails a test. No tests live here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Said(NamedTuple):
    """An error with its description, and the code that it is told by."""

    error: str
    description: str | None
    code: str


# Who can mend it, and how: what the vendor's program and the customer's person are told.
MENDED_BY: Final[Mapping[str, tuple[str, str]]] = {
    "access_denied": ("user", "retry"),
    "app_blocked": ("admin", "ask_admin"),
    "app_is_local": ("vendor", "reconfigure"),
    "app_not_installed": ("admin", "ask_admin"),
    "app_policy_missing": ("admin", "ask_admin"),
    "approval_error": ("admin", "ask_admin"),
    "assertion_invalid": ("vendor", "reconfigure"),
    "audience_invalid": ("vendor", "reconfigure"),
    "authentication_failure": ("vendor", "reconfigure"),
    "client_refused": ("vendor", "reconfigure"),
    "client_unknown": ("vendor", "reconfigure"),
    "code_challenge_missing": ("vendor", "reconfigure"),
    "code_replayed": ("user", "retry"),
    "code_verifier_invalid": ("vendor", "reconfigure"),
    "domain_not_supported": ("vendor", "reconfigure"),
    "dpop_refused": ("vendor", "reconfigure"),
    "flow_disabled": ("vendor", "reconfigure"),
    "grant_expired": ("user", "reauthorize"),
    "grant_revoked": ("user", "reauthorize"),
    "ip_restricted": ("admin", "ask_admin"),
    "login_hours": ("admin", "ask_admin"),
    "login_rate_exceeded": ("vendor", "retry"),
    "login_required": ("user", "retry"),
    "no_run_as_user": ("admin", "ask_admin"),
    "org_inactive": ("admin", "reauthorize"),
    "redirect_uri_refused": ("vendor", "reconfigure"),
    "refresh_busy": ("salesforce", "retry"),
    "refresh_scope_missing": ("vendor", "reconfigure"),
    "request_malformed": ("vendor", "reconfigure"),
    "salesforce_unavailable": ("salesforce", "retry"),
    "scope_refused": ("vendor", "reconfigure"),
    "session_level": ("admin", "ask_admin"),
    "unknown_refusal": ("operator", "report"),
    "user_inactive": ("admin", "reauthorize"),
    "user_not_approved": ("user", "reauthorize"),
    "user_not_authorized": ("admin", "ask_admin"),
}
# A refresh that is refused so ends the connection; any other leaves it as it was.
DEAD: Final = frozenset(
    {"grant_expired", "grant_revoked", "org_inactive", "user_inactive", "user_not_approved"}
)
_GENERIC: Final = "An unexpected error has occured during authentication. Please try again."
_REFRESH_SCOPE: Final = (
    "refresh_token scope is required and the connected app should be installed and preauthorized"
)
_NOT_APPROVED: Final = "user is not admin approved to access this app"
_NOT_INSTALLED: Final = "External client app is not installed in this org"
_LOCAL: Final = "Cross-org OAuth flows are not supported for this external client app"

# The browser comes back to the callback with it.
BY_REDIRECT: Final = (
    Said("OAUTH_APPROVAL_ERROR_GENERIC", _GENERIC, "approval_error"),
    Said("OAUTH_APP_ACCESS_DENIED", _NOT_APPROVED, "user_not_authorized"),
    Said("OAUTH_APP_BLOCKED", "this app is blocked by admin", "app_blocked"),
    Said("OAUTH_AUTHORIZATION_BLOCKED", _LOCAL, "app_is_local"),
    Said("OAUTH_EC_APP_NOT_FOUND", _NOT_INSTALLED, "app_not_installed"),
    Said("access-denied", "end-user denied authorization", "access_denied"),
    Said("access_denied", "end-user denied authorization", "access_denied"),
    Said("immediate_unsuccessful", "immediate unsuccessful", "login_required"),
    Said("inactive_org", "org is locked, closed, or suspended", "org_inactive"),
    Said("inactive_user", "user is inactive", "user_inactive"),
    Said("invalid_client", "app must be installed into org", "app_not_installed"),
    Said("invalid_grant", "IP restricted or invalid login hours", "ip_restricted"),
    Said("invalid_grant", "invalid user credentials", "authentication_failure"),
    Said("invalid_scope", "requested scope is invalid, unknown, or malformed", "scope_refused"),
    Said("invalid_scope", "the requested scope is not allowed", "scope_refused"),
    Said("rate_limit_exceeded", "number of logins exceeded", "login_rate_exceeded"),
    Said("server_error", None, "salesforce_unavailable"),
    Said("service_unavailable", None, "salesforce_unavailable"),
    Said("system_down", None, "salesforce_unavailable"),
    Said("unknown_error", "retry your request", "salesforce_unavailable"),
    Said("unsupported_response_type", "response type not supported", "request_malformed"),
)  # fmt: skip

# It ends on a page or a download of Salesforce's: nobody comes back.
WITHOUT_CALLBACK: Final = (
    ("body", "invalid_client_id", "client identifier invalid"),
    ("body", "invalid_request", "HTTPS required"),
    ("body", "invalid_request", "missing required code challenge"),
    ("body", "invalid_request", "must use HTTP GET"),
    ("body", "invalid_request", "out-of-band not supported"),
    ("body", "redirect_uri_mismatch", "redirect_uri must match configuration"),
    ("body", "redirect_uri_missing", "redirect_uri not provided"),
    ("body", "unsupported_response_type", "response type not supported"),
    ("error_page", "OAUTH_APPROVAL_ERROR_GENERIC", _GENERIC),
    ("error_page", "OAUTH_APP_ACCESS_DENIED", _NOT_APPROVED),
    ("error_page", "OAUTH_APP_BLOCKED", "this app is blocked by admin"),
    ("error_page", "OAUTH_AUTHORIZATION_BLOCKED", _LOCAL),
    ("error_page", "OAUTH_EC_APP_NOT_FOUND", _NOT_INSTALLED),
    ("error_page", "invalid_client", "app must be installed into org"),
    ("error_page", "unknown_error", "retry your request"),
)

# JSON of the token endpoint, as it is meant when a code is exchanged.
AT_TOKEN: Final = (
    Said("app_blocked", None, "app_blocked"),
    Said("app_not_found", None, "app_not_installed"),
    Said("bad_jti_claim", None, "assertion_invalid"),
    Said("ecapp_policy_not_found", None, "app_policy_missing"),
    Said("fail_close_app_blocked", None, "app_blocked"),
    Said("inactive_org", "org is locked, closed, or suspended", "org_inactive"),
    Said("inactive_user", "user is inactive", "user_inactive"),
    Said("installation_error", None, "app_not_installed"),
    Said("invalid_app_access", _NOT_APPROVED, "user_not_authorized"),
    Said("invalid_assertion_type", None, "assertion_invalid"),
    Said("invalid_basic_auth_header", None, "client_refused"),
    Said("invalid_client", "app must be installed into org", "app_not_installed"),
    Said("invalid_client", "client identifier invalid", "client_unknown"),
    Said("invalid_client", "invalid client credentials", "client_refused"),
    Said("invalid_client_id", "client identifier invalid", "client_unknown"),
    Said("invalid_distribution_state", None, "app_is_local"),
    Said("invalid_dpop_proof", None, "dpop_refused"),
    Said("invalid_grant", "Audience validation failed", "audience_invalid"),
    Said("invalid_grant", "audience is invalid", "audience_invalid"),
    Said("invalid_grant", "authentication failure", "authentication_failure"),
    Said("invalid_grant", "expired access/refresh token", "grant_revoked"),
    Said("invalid_grant", "expired authorization code", "code_replayed"),
    Said("invalid_grant", "inactive organization", "org_inactive"),
    Said("invalid_grant", "inactive user", "user_inactive"),
    Said("invalid_grant", "invalid assertion", "assertion_invalid"),
    Said("invalid_grant", "invalid code verifier", "code_verifier_invalid"),
    Said("invalid_grant", "invalid login hours", "login_hours"),
    Said("invalid_grant", "ip restricted", "ip_restricted"),
    Said("invalid_grant", "no client credentials user enabled", "no_run_as_user"),
    Said("invalid_grant", "request not supported on this domain", "domain_not_supported"),
    Said("invalid_grant", "token request is already being processed", "refresh_busy"),
    Said("invalid_grant", "token validity expired", "grant_expired"),
    Said("invalid_grant", "user hasn't approved this consumer", "user_not_approved"),
    Said("invalid_request", "HTTPS required", "request_malformed"),
    Said("invalid_request", "missing required code challenge", "code_challenge_missing"),
    Said("invalid_request", "must use HTTP POST", "request_malformed"),
    Said("invalid_request", _REFRESH_SCOPE, "refresh_scope_missing"),
    Said("invalid_scope", "the requested scope is not allowed", "scope_refused"),
    Said("invalid_session_level", None, "session_level"),
    Said("login_error", None, "authentication_failure"),
    Said("oauth_flow_disabled", None, "flow_disabled"),
    Said("oauth_policy_not_found", None, "app_policy_missing"),
    Said("rate_limit_exceeded", "login rate exceeded", "login_rate_exceeded"),
    Said("rate_limit_exceeded", "number of logins exceeded", "login_rate_exceeded"),
    Said("redirect_uri_mismatch", "redirect_uri must match configuration", "redirect_uri_refused"),
    Said("server_error", None, "salesforce_unavailable"),
    Said("service_unavailable", None, "salesforce_unavailable"),
    Said("slow_down", None, "salesforce_unavailable"),
    Said("system_down", None, "salesforce_unavailable"),
    Said("unknown_error", "retry your request", "salesforce_unavailable"),
    Said("unsupported_grant_type", "grant type not supported", "flow_disabled"),
    Said("use_dpop_nonce", None, "dpop_refused"),
)  # fmt: skip
# To an assertion the same words mean something else: nobody is there who could approve.
OF_ASSERTIONS: Final[Mapping[str, str]] = {
    "client_refused": "certificate_refused",
    "code_replayed": "assertion_invalid",
    "user_not_approved": "user_not_preauthorized",
}
MENDED_OF_ASSERTIONS: Final[Mapping[str, tuple[str, str]]] = {
    **MENDED_BY,
    "certificate_refused": ("vendor", "reconfigure"),
    "user_not_preauthorized": ("admin", "ask_admin"),
}
# On a refresh these two say that another one is under way: nothing is refused yet.
BUSY_AT_REFRESH: Final = frozenset(
    {"expired authorization code", "token request is already being processed"}
)
AT_REFRESH: Final = tuple(said for said in AT_TOKEN if said.description not in BUSY_AT_REFRESH)

# Codes that no error of Salesforce's stands for; the test that drives each.
DRIVEN_ELSEWHERE: Final[Mapping[str, str]] = {
    "callback_not_registered": "test_refused_by_us.py::test_an_app_without_a_callback_here",
    "certificate_expired": "test_jwt_journey.py::test_a_certificate_that_has_ended",
    "certificate_expiring": "test_jwt_journey.py::test_certificates_overlap",
    "certificate_refused": "test_jwt_refusals.py::test_what_is_missing_is_named",
    "confirmation_invalid": "test_refusals.py::test_a_confirmation_code_works_once",
    "connection_pending": "test_refused_by_us.py::test_a_connection_that_nobody_confirmed",
    "connection_revoked": "test_refused_by_us.py::test_a_connection_that_was_disconnected",
    "connection_uncertain": "test_refused_by_us.py::test_a_refresh_whose_answer_was_lost",
    "consumer_credentials_missing": "test_refused_by_us.py::test_an_app_without_credentials",
    "host_refused": "test_refusals.py::test_hosts_that_are_not_salesforces_are_refused",
    "org_already_connected": "test_refusals.py::test_a_confirmation_code_works_once",
    "org_mismatch": "test_refusals.py::test_a_connection_keeps_its_org",
    "org_unavailable": "test_documented_errors.py::test_a_refused_refresh",
    "reauthorization_required": "test_documented_errors.py::test_a_refused_refresh",
    "refresh_token_lost": "test_jwt_journey.py::test_an_assertion_takes_over",
    "return_url_refused": "test_refusals.py::test_return_urls_of_other_origins_are_refused",
    "revoked_in_incident": "test_operations.py::test_an_incident_of_one_app_ends_its_grants",
    "scopes_missing": "test_refused_by_us.py::test_a_grant_without_a_way_to_stay",
    "sealed": "test_operations.py::test_the_seal_stops_every_replica",
    "session_expired": "test_documented_errors.py::test_errors_without_a_callback",
    "signing_key_missing": "test_jwt_refusals.py::test_a_signing_key_that_was_forgotten",
    "state_mismatch": "test_refusals.py::test_a_wrong_state_is_refused",
    "unexpected_answer": "test_refused_by_us.py::test_an_answer_that_is_no_token_response",
    "user_mismatch": "test_refused_by_us.py::test_another_user_of_the_same_org",
    "user_not_preauthorized": "test_jwt_refusals.py::test_what_is_missing_is_named",
}
# Codes that nothing at connect or refresh can bring about, each with why.
CANNOT_OCCUR: Final[Mapping[str, str]] = {
    "audit_unavailable": "the database is gone: tests/fault/test_custody.py",
}
