"""The authorization code grant with PKCE."""

from __future__ import annotations

from urllib.parse import urlencode

from keyturn_core.oauth.client import Client
from keyturn_core.oauth.token_answer import (
    NOT_PROCESSED_STATUSES,
    OK,
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    TokenResponse,
    UnexpectedAnswer,
    json_object,
    read_token_response,
)
from keyturn_core.salesforce.refusals import in_salesforces_words, token_refusal
from keyturn_core.secrets import AuthorizationCode, CodeVerifier


def authorization_code_request(
    client: Client, *, code: AuthorizationCode, verifier: CodeVerifier, redirect_uri: str
) -> bytes:
    """Return the form that exchanges a code.

    Confidential clients send both verifier and secret.
    Spec: RFC 6749 section 4.1.3; RFC 7636 section 4.5.
    """
    return urlencode(
        [
            ("grant_type", "authorization_code"),
            ("code", code.reveal()),
            ("code_verifier", verifier.reveal()),
            ("redirect_uri", redirect_uri),
            *client.parameters(),
        ]
    ).encode("ascii")


def read_authorization_code_answer(answer: TokenAnswer) -> TokenResponse:
    """Return the token response to an exchanged code.

    Raises:
        TokenRequestRefused: an error code; the refusal says what would mend it.
        NotProcessed: the org says so (429, 503).
        OutcomeUnknown: the answer is truncated, or an error page of the edge.
        UnexpectedAnswer: a complete success without an access token.

    Spec: RFC 6749 sections 5.1 and 5.2.
    """
    members = json_object(answer.body) if answer.complete else {}
    if answer.status == OK and answer.complete:
        response = read_token_response(members)
        if response is None:
            raise UnexpectedAnswer("no access token")
        return response
    match members:
        case {"error": str(error), **rest}:
            said = rest.get("error_description")
            description = said if isinstance(said, str) else None
            raise TokenRequestRefused(
                token_refusal(error, description, refresh=False),
                in_salesforces_words(error, description),
            )
        case _ if answer.status in NOT_PROCESSED_STATUSES and answer.complete:
            raise NotProcessed(f"HTTP {answer.status}")
        case _:
            raise OutcomeUnknown(f"HTTP {answer.status}")
