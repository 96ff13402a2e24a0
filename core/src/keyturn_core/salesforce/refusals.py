"""What each refusal means: what happened, who can mend it, where, and whether to retry.

The only place that compares Salesforce's `error_description`. Sources: Salesforce Help, "OAuth
Authorization Flow Errors"; release notes of Summer '24 on parallel refreshes; the server's own
list of codes as Salesforce's Mobile SDK publishes it. The catalogue itself is in `catalogue`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from keyturn_core.salesforce.catalogue import CATALOGUE, Refusal, RefusalClass

_LONGEST_SAID: Final = 160
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_'-]{0,31}[.,:;!?]?")
_LEFT_OUT: Final = "[…]"
_CODE_GONE: Final = "code_replayed"
_BUSY: Final = "token request is already being processed"

# error_description -> code, where the description says more than the error does
_BY_DESCRIPTION: Final[Mapping[str, str]] = {
    "expired authorization code": _CODE_GONE,
    "authentication failure": "authentication_failure",
    "expired access/refresh token": "grant_revoked",
    "token validity expired": "grant_expired",
    _BUSY: "refresh_busy",
    "client identifier invalid": "client_unknown",
    "inactive user": "user_inactive",
    "user is inactive": "user_inactive",
    "inactive organization": "org_inactive",
    "org is locked, closed, or suspended": "org_inactive",
    "ip restricted": "ip_restricted",
    "ip restricted or invalid login hours": "ip_restricted",
    "invalid login hours": "login_hours",
    "user hasn't approved this consumer": "user_not_approved",
    "audience is invalid": "audience_invalid",
    "audience validation failed": "audience_invalid",
    "invalid assertion": "assertion_invalid",
    "no client credentials user enabled": "no_run_as_user",
    "request not supported on this domain": "domain_not_supported",
    "invalid code verifier": "code_verifier_invalid",
    "user is not admin approved to access this app": "user_not_authorized",
    "app must be installed into org": "app_not_installed",
    "missing required code challenge": "code_challenge_missing",
    "refresh_token scope is required and the connected app should be installed and preauthorized": (
        "refresh_scope_missing"
    ),
    "external client app is not installed in this org": "app_not_installed",
    "cross-org oauth flows are not supported for this external client app": "app_is_local",
    "this app is blocked by admin": "app_blocked",
    "login rate exceeded": "login_rate_exceeded",
    "number of logins exceeded": "login_rate_exceeded",
    "https required": "request_malformed",
    "must use http get": "request_malformed",
    "must use http post": "request_malformed",
    "out-of-band not supported": "request_malformed",
    "invalid user credentials": "authentication_failure",
}

_BY_ERROR: Final[Mapping[str, str]] = {
    "access_denied": "access_denied",
    "access-denied": "access_denied",  # as the help page's own sample spells it
    "oauth_app_blocked": "app_blocked",
    "app_blocked": "app_blocked",
    "fail_close_app_blocked": "app_blocked",
    "oauth_app_access_denied": "user_not_authorized",
    "invalid_app_access": "user_not_authorized",
    "oauth_ec_app_not_found": "app_not_installed",
    "app_not_found": "app_not_installed",
    "installation_error": "app_not_installed",
    "oauth_authorization_blocked": "app_is_local",
    "invalid_distribution_state": "app_is_local",
    "oauth_approval_error_generic": "approval_error",
    "oauth_flow_disabled": "flow_disabled",
    "oauth_policy_not_found": "app_policy_missing",
    "ecapp_policy_not_found": "app_policy_missing",
    "inactive_user": "user_inactive",
    "inactive_org": "org_inactive",
    "invalid_client_id": "client_unknown",
    "invalid_client": "client_refused",
    "invalid_basic_auth_header": "client_refused",
    "invalid_assertion_type": "assertion_invalid",
    "bad_jti_claim": "assertion_invalid",
    "redirect_uri_mismatch": "redirect_uri_refused",
    "redirect_uri_missing": "redirect_uri_refused",
    "unsupported_response_type": "request_malformed",
    "unsupported_grant_type": "flow_disabled",
    "unsupported_token_type": "request_malformed",
    "invalid_request": "request_malformed",
    "invalid_scope": "scope_refused",
    "invalid_session_level": "session_level",
    "immediate_unsuccessful": "login_required",
    "login_error": "authentication_failure",
    "invalid_otp": "authentication_failure",
    "otp_error": "authentication_failure",
    "rate_limit_exceeded": "login_rate_exceeded",
    "slow_down": "salesforce_unavailable",
    "server_error": "salesforce_unavailable",
    "service_unavailable": "salesforce_unavailable",
    "system_down": "salesforce_unavailable",
    "unknown_error": "salesforce_unavailable",
    "invalid_dpop_proof": "dpop_refused",
    "use_dpop_nonce": "dpop_refused",
    "invalid_token": "grant_revoked",
    "invalid_grant": "unknown_refusal",  # its description says which
}


def token_refusal(error: str, description: str | None, *, refresh: bool) -> Refusal:
    """Return what a refusal of the token endpoint means.

    `refresh` is True for a refresh request: from older orgs `expired authorization code` there
    means that another refresh is under way.
    """
    code = _code(error, description)
    if refresh and code == _CODE_GONE:
        code = "refresh_busy"
    return CATALOGUE[code]


# code -> code, where it means something else about an assertion
_OF_ASSERTIONS: Final[Mapping[str, str]] = {
    _CODE_GONE: "assertion_invalid",  # some orgs say so of an assertion that is over
    "client_refused": "certificate_refused",
    "user_not_approved": "user_not_preauthorized",
}


def assertion_refusal(error: str, description: str | None) -> Refusal:
    """Return what the refusal of an assertion means: no person is there who could approve."""
    code = _code(error, description)
    return CATALOGUE[_OF_ASSERTIONS.get(code, code)]


def authorization_refusal(error: str, description: str | None) -> Refusal:
    """Return what an error of the authorization response means."""
    return CATALOGUE[_code(error, description)]


def in_salesforces_words(error: str, description: str | None) -> str:
    """Return what Salesforce said, fit to be shown and kept.

    A description of the table is repeated whole. Of any other only plain words are: some
    answers echo a token, and whoever brings a response by browser may have written it.
    """
    said = (description or "").strip()
    if _known(said) not in _BY_DESCRIPTION:
        said = _plain_words(said)
    code = error.strip() if error.strip().lower() in _BY_ERROR else _plain_words(error)
    return ": ".join(part for part in (code or _LEFT_OUT, said) if part)


def _plain_words(text: str) -> str:
    words = [
        word if _WORD.fullmatch(word) else _LEFT_OUT for word in text[: 4 * _LONGEST_SAID].split()
    ]
    kept = " ".join(words)
    return kept if len(kept) <= _LONGEST_SAID else f"{kept[:_LONGEST_SAID].rsplit(' ', 1)[0]} …"


def _known(description: str | None) -> str:
    """Return a description as the table has it."""
    return (description or "").strip().lower().rstrip(".")


def _code(error: str, description: str | None) -> str:
    named = _BY_DESCRIPTION.get(_known(description))
    if named is not None:
        return named
    return _BY_ERROR.get(error.strip().lower(), "unknown_refusal")


__all__ = [
    "CATALOGUE",
    "Refusal",
    "RefusalClass",
    "assertion_refusal",
    "authorization_refusal",
    "in_salesforces_words",
    "token_refusal",
]
