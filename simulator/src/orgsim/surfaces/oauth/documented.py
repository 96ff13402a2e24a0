"""Every OAuth error that Salesforce documents or was seen to send, where and how it arrives.

The fault `oauth_error` answers with one of these, also where this world's own rules would never
come to it. To add one, add a line with its source.

Sources: [help] Salesforce Help, "OAuth 2.0 Error Codes and Flow Errors"; [notes] Salesforce
release notes Summer '24, "Refresh Token Requests Are Processed One at a Time"; [sdk] the list of
the server's own codes in Salesforce's Mobile SDK, `OAuthErrorCode.kt`, which has no texts;
[seen] reported from real orgs; [unsure] the code is documented, the text is inferred.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Endpoint = Literal["authorize", "token"]
Delivery = Literal["body", "error_page", "redirect", "json"]

_REFRESH_SCOPE = (
    "refresh_token scope is required and the connected app should be installed and preauthorized"
)
_GENERIC = "An unexpected error has occured during authentication. Please try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedError:
    """One error: where it may arrive and how, and who says so.

    A description of None means that none is known. `deliveries` has the usual one first: as a
    plain body before the client is trusted, on a page of Salesforce's own without any callback,
    by redirect to the callback; the token endpoint answers JSON.
    """

    endpoint: Endpoint
    error: str
    description: str | None
    deliveries: tuple[Delivery, ...]
    source: str


def _authorize(
    source: str, *deliveries: Delivery, said: Iterable[tuple[str, str | None]]
) -> Iterator[DocumentedError]:
    for error, description in said:
        yield DocumentedError(
            endpoint="authorize",
            error=error,
            description=description,
            deliveries=deliveries,
            source=source,
        )


def _token(source: str, *said: tuple[str, str | None]) -> Iterator[DocumentedError]:
    for error, description in said:
        yield DocumentedError(
            endpoint="token",
            error=error,
            description=description,
            deliveries=("json",),
            source=source,
        )


def _before_the_client_is_trusted() -> Iterator[DocumentedError]:
    yield from _authorize(
        "help",
        "body",
        said=[
            ("invalid_client_id", "client identifier invalid"),
            ("redirect_uri_mismatch", "redirect_uri must match configuration"),
            ("redirect_uri_missing", "redirect_uri not provided"),
            ("invalid_request", "HTTPS required"),
            ("invalid_request", "must use HTTP GET"),
            ("invalid_request", "out-of-band not supported"),
        ],
    )
    yield from _authorize(
        "seen", "body", said=[("invalid_request", "missing required code challenge")]
    )
    yield from _authorize(
        "help",
        "body",
        "redirect",
        said=[("unsupported_response_type", "response type not supported")],
    )


def _on_a_page_of_salesforces() -> Iterator[DocumentedError]:
    yield from _authorize(
        "seen",
        "error_page",
        "redirect",
        said=[
            ("invalid_client", "app must be installed into org"),
            ("OAUTH_APPROVAL_ERROR_GENERIC", _GENERIC),
        ],
    )


def _by_redirect() -> Iterator[DocumentedError]:
    yield from _authorize(
        "help",
        "redirect",
        said=[
            ("access_denied", "end-user denied authorization"),
            ("access-denied", "end-user denied authorization"),
            ("immediate_unsuccessful", "immediate unsuccessful"),
            ("invalid_grant", "invalid user credentials"),
            ("invalid_grant", "IP restricted or invalid login hours"),
            ("inactive_user", "user is inactive"),
            ("inactive_org", "org is locked, closed, or suspended"),
            ("rate_limit_exceeded", "number of logins exceeded"),
        ],
    )
    yield from _authorize(
        "seen",
        "redirect",
        "error_page",
        said=[
            ("OAUTH_APP_BLOCKED", "this app is blocked by admin"),
            ("OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app"),
            ("OAUTH_EC_APP_NOT_FOUND", "External client app is not installed in this org"),
            (
                "OAUTH_AUTHORIZATION_BLOCKED",
                "Cross-org OAuth flows are not supported for this external client app",
            ),
            ("unknown_error", "retry your request"),
        ],
    )
    yield from _authorize(
        "unsure",
        "redirect",
        said=[
            ("invalid_scope", "the requested scope is not allowed"),
            ("invalid_scope", "requested scope is invalid, unknown, or malformed"),
        ],
    )
    yield from _authorize(
        "sdk",
        "redirect",
        said=[("server_error", None), ("service_unavailable", None), ("system_down", None)],
    )


def _of_grants() -> Iterator[DocumentedError]:
    yield from _token(
        "help",
        ("invalid_grant", "authentication failure"),
        ("invalid_grant", "expired access/refresh token"),
        ("invalid_grant", "Audience validation failed"),
    )
    yield from _token("notes", ("invalid_grant", "token request is already being processed"))
    yield from _token(
        "seen",
        ("invalid_grant", "expired authorization code"),
        ("invalid_grant", "token validity expired"),
        ("invalid_grant", "ip restricted"),
        ("invalid_grant", "user hasn't approved this consumer"),
        ("invalid_grant", "audience is invalid"),
        ("invalid_grant", "no client credentials user enabled"),
        ("invalid_grant", "request not supported on this domain"),
    )
    yield from _token(
        "unsure",
        ("invalid_grant", "inactive user"),
        ("invalid_grant", "inactive organization"),
        ("inactive_user", "user is inactive"),
        ("inactive_org", "org is locked, closed, or suspended"),
        ("invalid_grant", "invalid login hours"),
        ("invalid_grant", "invalid assertion"),
        ("invalid_grant", "invalid code verifier"),
    )


def _of_clients() -> Iterator[DocumentedError]:
    yield from _token(
        "help",
        ("invalid_client_id", "client identifier invalid"),
        ("invalid_request", "must use HTTP POST"),
        ("invalid_request", "HTTPS required"),
        ("invalid_scope", "the requested scope is not allowed"),
        ("rate_limit_exceeded", "login rate exceeded"),
        ("rate_limit_exceeded", "number of logins exceeded"),
    )
    yield from _token(
        "seen",
        ("invalid_app_access", "user is not admin approved to access this app"),
        ("invalid_client", "invalid client credentials"),
        ("invalid_client", "client identifier invalid"),
        ("invalid_client", "app must be installed into org"),
        ("invalid_request", "missing required code challenge"),
        ("invalid_request", _REFRESH_SCOPE),
        ("redirect_uri_mismatch", "redirect_uri must match configuration"),
        ("unsupported_grant_type", "grant type not supported"),
        ("unknown_error", "retry your request"),
    )


def _without_a_text() -> Iterator[DocumentedError]:
    codes = (
        "app_blocked app_not_found bad_jti_claim ecapp_policy_not_found fail_close_app_blocked"
        " installation_error invalid_assertion_type invalid_basic_auth_header"
        " invalid_distribution_state invalid_dpop_proof invalid_session_level login_error"
        " oauth_flow_disabled oauth_policy_not_found server_error service_unavailable slow_down"
        " system_down use_dpop_nonce"
    )
    yield from _token("sdk", *((code, None) for code in codes.split()))


DOCUMENTED: tuple[DocumentedError, ...] = (
    *_before_the_client_is_trusted(),
    *_on_a_page_of_salesforces(),
    *_by_redirect(),
    *_of_grants(),
    *_of_clients(),
    *_without_a_text(),
)


def find_documented(
    error: str, description: str | None, delivery: Delivery | None
) -> DocumentedError | None:
    """Find the documented error; without a delivery the first that says so."""
    return next(
        (
            known
            for known in DOCUMENTED
            if (known.error, known.description) == (error, description)
            and (delivery is None or delivery in known.deliveries)
        ),
        None,
    )
