"""The authorization request, and the response that the browser brings back."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from keyturn_core.errors import CoreError
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.refusals import (
    CATALOGUE,
    Refusal,
    authorization_refusal,
    in_salesforces_words,
)
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AuthorizationCode


class AuthorizationRefused(CoreError):
    """The authorization response brought no code; `refusal` says why.

    `said` is what Salesforce said, in its own words as far as they can be shown.
    """

    def __init__(self, refusal: Refusal, said: str | None = None) -> None:
        self.refusal = refusal
        self.said = said
        self.code = refusal.code
        self.remedy = refusal.remedy
        self.who = refusal.who
        super().__init__(refusal.code)


def authorization_request_url(
    *,
    login_url: Origin,
    client_id: str,
    redirect_uri: str,
    scopes: frozenset[Scope],
    state: str,
    challenge: str,
    prompt: str = "login consent",
    login_hint: str | None = None,
) -> str:
    """Return the URL that the browser is sent to.

    `prompt=login consent` lets the user see which org and user is being connected. Salesforce
    takes a challenge without a method for S256 but tells partners to send it.
    Spec: RFC 6749 section 4.1.1; RFC 7636 section 4.3.
    """
    parameters = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("scope", " ".join(sorted(scopes))),
        ("state", state),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("prompt", prompt),
    ]
    if login_hint is not None:
        parameters.append(("login_hint", login_hint))
    return f"{login_url}/services/oauth2/authorize?{urlencode(parameters, quote_via=quote)}"


def read_authorization_response(query: Mapping[str, str]) -> AuthorizationCode:
    """Return the code of an authorization response whose `state` was checked.

    `query` is URL-decoded, and so is the code: Salesforce's codes often end in `==`.

    Raises:
        AuthorizationRefused: it carries an error, or neither error nor code.

    Spec: RFC 6749 sections 4.1.2 and 4.1.2.1.
    """
    error = query.get("error")
    if error is not None:
        description = query.get("error_description")
        raise AuthorizationRefused(
            authorization_refusal(error, description), in_salesforces_words(error, description)
        )
    code = query.get("code")
    if not code:
        raise AuthorizationRefused(CATALOGUE["unexpected_answer"])
    return AuthorizationCode(code)
