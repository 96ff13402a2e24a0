"""The words of Salesforce's OAuth errors.

Spec: Salesforce Help, "OAuth 2.0 Error Codes and Flow Errors"
(xcloud.remoteaccess_oauth_flow_errors.htm); where that page is silent, strings that were seen on
real orgs, marked (reported).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OAuthError:
    """An error code with its description, None where it has none."""

    error: str
    description: str | None
    status: int = 400

    @property
    def fields(self) -> dict[str, str]:
        """The members or parameters that tell it."""
        said = {} if self.description is None else {"error_description": self.description}
        return {"error": self.error, **said}


class Refused(Exception):
    """The authorization server says no."""

    def __init__(self, reason: OAuthError) -> None:
        super().__init__(reason.error)
        self.reason = reason


# Both endpoints
UNKNOWN_CLIENT = OAuthError("invalid_client_id", "client identifier invalid")
REDIRECT_MISMATCH = OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
RATE_LIMIT = OAuthError("rate_limit_exceeded", "login rate exceeded")  # wording varies

# Authorization endpoint
REDIRECT_MISSING = OAuthError("redirect_uri_missing", "redirect_uri not provided")
RESPONSE_TYPE = OAuthError("unsupported_response_type", "response type not supported")
CHALLENGE_MISSING = OAuthError("invalid_request", "missing required code challenge")  # (reported)
CHALLENGE_INVALID = OAuthError("invalid_request", "invalid code challenge")
CHALLENGE_METHOD = OAuthError("invalid_request", "unsupported code challenge method")
MUST_GET = OAuthError("invalid_request", "must use HTTP GET")
OUT_OF_BAND = OAuthError("invalid_request", "out-of-band not supported")
SCOPE = OAuthError("invalid_scope", "the requested scope is not allowed")
IMMEDIATE = OAuthError("immediate_unsuccessful", "immediate unsuccessful")
DENIED = OAuthError("access_denied", "end-user denied authorization")
APP_BLOCKED = OAuthError("OAUTH_APP_BLOCKED", "this app is blocked by admin")  # (reported)
APP_ACCESS_DENIED = OAuthError(  # (reported)
    "OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app"
)
APP_NOT_INSTALLED = OAuthError(  # (reported)
    "OAUTH_EC_APP_NOT_FOUND", "External client app is not installed in this org"
)
CROSS_ORG = OAuthError(  # (reported)
    "OAUTH_AUTHORIZATION_BLOCKED",
    "Cross-org OAuth flows are not supported for this external client app",
)
USER_INACTIVE = OAuthError("inactive_user", "user is inactive")
ORG_INACTIVE = OAuthError("inactive_org", "org is locked, closed, or suspended")
LOGINS_EXCEEDED = OAuthError("rate_limit_exceeded", "number of logins exceeded")

# Token endpoint
MUST_POST = OAuthError("invalid_request", "must use HTTP POST")
GRANT_TYPE = OAuthError("unsupported_grant_type", "grant type not supported")
BAD_SECRET = OAuthError("invalid_client", "invalid client credentials")
BAD_BASIC = OAuthError("invalid_basic_auth_header", "invalid basic authorization header")
BAD_ASSERTION_TYPE = OAuthError("invalid_assertion_type", "specified assertion type is not valid")
CODE_EXPIRED = OAuthError("invalid_grant", "expired authorization code")
VERIFIER_WRONG = "invalid code verifier"  # its code is a switch
TOKEN_EXPIRED = OAuthError("invalid_grant", "expired access/refresh token")
ALREADY_PROCESSING = OAuthError("invalid_grant", "token request is already being processed")
IP_RESTRICTED = OAuthError("invalid_grant", "ip restricted")  # (reported)
APP_ACCESS = OAuthError("invalid_app_access", "user is not admin approved to access this app")
AUTHENTICATION_FAILURE = OAuthError("invalid_grant", "authentication failure")
WRONG_DOMAIN = OAuthError("invalid_grant", "request not supported on this domain")  # (reported)
BAD_ASSERTION = OAuthError("invalid_grant", "invalid assertion")
BAD_JTI = OAuthError("bad_jti_claim", "jti was used before")  # its text is not known
NOT_APPROVED = OAuthError("invalid_grant", "user hasn't approved this consumer")
REFRESH_SCOPE_NEEDED = OAuthError(  # (reported)
    "invalid_request",
    "refresh_token scope is required and the connected app should be installed and preauthorized",
)

# Revocation endpoint
TOKEN_TYPE = OAuthError("unsupported_token_type", "this token type is not supported")
