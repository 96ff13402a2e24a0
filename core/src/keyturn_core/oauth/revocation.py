"""Token revocation."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlencode

from keyturn_core.errors import CoreError, Remedy, Who
from keyturn_core.oauth.token_answer import OK, TokenAnswer, json_object
from keyturn_core.secrets import AccessToken, RefreshToken

_GONE: Final = frozenset({"invalid_token", "unsupported_token_type"})


class RevocationFailed(CoreError):
    """The token may still be in force; try again."""

    code = "salesforce_unavailable"
    remedy = Remedy.RETRY
    who = Who.SALESFORCE


def revocation_request(token: AccessToken | RefreshToken) -> bytes:
    """Return the form that revokes a token; a refresh token takes its access tokens along.

    Spec: RFC 7009 section 2.1.
    """
    return urlencode([("token", token.reveal())]).encode("ascii")


def read_revocation_answer(answer: TokenAnswer) -> bool:
    """Return where the token is not in force any more: whether it was until now.

    Salesforce writes the errors of this endpoint as a form or as JSON. False: it does not know
    the token, which is then as good as revoked; what came of it by rotation may not be.

    Raises:
        RevocationFailed: the token may still be in force.

    Spec: RFC 7009 section 2.2.
    """
    if answer.status == OK:
        return True
    error = json_object(answer.body).get("error")
    if not isinstance(error, str):
        form = parse_qs(answer.body.decode("utf-8", "replace"))
        error = form.get("error", [""])[0]
    if error not in _GONE:
        raise RevocationFailed(f"HTTP {answer.status}")
    return False
