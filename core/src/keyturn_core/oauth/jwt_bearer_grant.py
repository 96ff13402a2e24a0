"""The JWT bearer grant: an assertion that the app's certificate verifies stands for a user.

Nothing here signs: `signing_input` is what a signer signs with RS256, wherever its key rests, and
`signed` joins the two. An assertion is not used up by being presented, so what is not known to
have been carried out is simply asked for again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

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
from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin, environment_of
from keyturn_core.salesforce.refusals import assertion_refusal, in_salesforces_words
from keyturn_core.secrets import Assertion

ASSERTION_LIFE: Final = timedelta(seconds=150)  # Salesforce documents three minutes at most
GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def signing_input(*, consumer_key: str, username: str, audience: str, now: datetime) -> bytes:
    """Return header and claims of an assertion, as they are signed.

    `exp` is a whole number of seconds: other clients' milliseconds and text are accepted by some
    orgs only. No `jti`, because whether Salesforce remembers one is not documented.

    Spec: RFC 7523 section 3; RFC 7515 section 5.1; Salesforce Help, "OAuth 2.0 JWT Bearer Flow
    for Server-to-Server Integration".
    """
    claims = {
        "iss": consumer_key,
        "sub": username,
        "aud": audience,
        "exp": int((now + ASSERTION_LIFE).timestamp()),
    }
    return b".".join(_part(member) for member in ({"alg": "RS256", "typ": "JWT"}, claims))


def signed(signing_input: bytes, signature: bytes) -> Assertion:
    """Return the assertion of a signing input and its RS256 signature.

    Spec: RFC 7515 section 7.1.
    """
    return Assertion(f"{signing_input.decode('ascii')}.{_encoded(signature).decode('ascii')}")


def jwt_bearer_request(assertion: Assertion) -> bytes:
    """Return the form that presents an assertion: no client id, no secret.

    Spec: RFC 7523 section 2.1.
    """
    form = [("grant_type", GRANT_TYPE), ("assertion", assertion.reveal())]
    return urlencode(form).encode("ascii")


def read_jwt_bearer_answer(answer: TokenAnswer) -> TokenResponse:
    """Return the token response to an assertion; there is never a refresh token in it.

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
                assertion_refusal(error, description), in_salesforces_words(error, description)
            )
        case _ if answer.status in NOT_PROCESSED_STATUSES and answer.complete:
            raise NotProcessed(f"HTTP {answer.status}")
        case _:
            raise OutcomeUnknown(f"HTTP {answer.status}")


def audiences(login_url: Origin, environment: Environment, *, known: str | None) -> Sequence[str]:
    """Return the audiences to try at a login host, the likeliest first.

    The one that worked before; the login host of the org's environment, which is documented; the
    host itself, which some orgs take; the other login host, where the environment is a guess.
    """
    named = environment_of(login_url) or environment
    other = Environment.SANDBOX if named is Environment.PRODUCTION else Environment.PRODUCTION
    tried = [known, LOGIN_HOSTS[named], login_url, LOGIN_HOSTS[other]]
    return list(dict.fromkeys(one for one in tried if one is not None))


def _part(members: Mapping[str, object]) -> bytes:
    return _encoded(json.dumps(members, separators=(",", ":")).encode())


def _encoded(data: bytes) -> bytes:
    """Write base64url without padding: RFC 7515 section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
