"""The refresh grant: what may have been sent after a rotation is never called a failure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final
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
    json_object,
    read_token_response,
    token_response,
    token_text,
)
from keyturn_core.salesforce.refusals import in_salesforces_words, token_refusal
from keyturn_core.secrets import AccessToken, RefreshToken

_MEMBER: Final = re.compile(rb'"([a-z_]{1,40})"\s*:\s*("(?:[^"\\\x00-\x1f]|\\.){0,20000}")')


def refresh_request(client: Client, token: RefreshToken) -> bytes:
    """Return the form that presents a refresh token.

    Spec: RFC 6749 section 6.
    """
    return urlencode(
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.reveal()),
            *client.parameters(),
        ]
    ).encode("ascii")


def read_refresh_answer(answer: TokenAnswer) -> TokenResponse:
    """Return the token response to a refresh request.

    An answer without `refresh_token` leaves the presented one in force; with rotation on, the
    answer replaces it and the presented one is dead.

    Raises:
        TokenRequestRefused: a complete JSON error; the token was not used up.
        NotProcessed: the org says so (429, 503); the token was not used up.
        OutcomeUnknown: anything else: other 5xx, HTML, a truncated answer, out of which no
            token could be saved.

    Spec: RFC 6749 sections 5.1, 5.2 and 6.
    """
    members = json_object(answer.body) if answer.complete else {}
    if answer.status == OK and answer.complete:
        response = read_token_response(members)
        if response is not None:
            return response
    match members:
        case {"error": str(error), **rest}:
            said = rest.get("error_description")
            description = said if isinstance(said, str) else None
            raise TokenRequestRefused(
                token_refusal(error, description, refresh=True),
                in_salesforces_words(error, description),
            )
        case _ if answer.status in NOT_PROCESSED_STATUSES and answer.complete:
            raise NotProcessed(f"HTTP {answer.status}")
        case _:
            salvaged = _salvage(answer.body)
            if salvaged is not None:
                return salvaged
            raise OutcomeUnknown(f"HTTP {answer.status}")


def _salvage(body: bytes) -> TokenResponse | None:
    """Return the tokens in what is left of an answer, if a whole refresh token is among them.

    Only members whose text is complete count. The access token may be the part that was lost.
    """
    members: dict[str, Any] = {}
    for match in _MEMBER.finditer(body):
        try:
            members.setdefault(match[1].decode("ascii"), json.loads(match[2]))
        except ValueError:
            continue
    if token_text(members.get("refresh_token")) is None:
        return None
    access = token_text(members.get("access_token"))
    response = token_response(AccessToken(access or _LOST), members)
    return replace(response, salvaged=True, access_token_lost=access is None)


_LOST: Final = "lost"  # serves nobody: `access_token_lost` says so
