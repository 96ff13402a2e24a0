"""`POST …/access-token`: the call that is made most, on a plain route."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from keyturn_service.domain.errors import Unauthorized
from keyturn_service.use_cases.get_access_token import GetAccessToken, Served
from keyturn_service.web.api.route import bounded_receive, has_body
from keyturn_service.web.problems import InvalidRequest
from keyturn_service.web.security import Door, named_connection

PATH: Final = "/v1/connections/{connection_id}/access-token"
_LONGEST_BODY: Final = 4096  # bytes
_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),  # RFC 6749 section 5.1
    (b"pragma", b"no-cache"),
)
_OK: Final = 200
_BAD_REQUEST: Final = 400


class AccessTokenIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says that Salesforce refused the access token of a generation."""

    rejected_generation: int | None = None


class AccessTokenOut(msgspec.Struct, frozen=True, kw_only=True):
    """An access token. Salesforce may end it before `expires_at`: then ask with its generation."""

    access_token: str
    token_type: str
    instance_url: str
    expires_at: datetime | None
    generation: int
    org_id: str
    user_id: str
    scopes: list[str]


_decoder: Final = msgspec.json.Decoder(AccessTokenIn)
_encoder: Final = msgspec.json.Encoder()


class AccessTokenRoute:
    """An ASGI application: no dependency machinery, no wire model that is validated twice.

    The answer is sent as the server takes it, without a response object in between.
    """

    def __init__(self, door: Door, get_access_token: GetAccessToken) -> None:
        self._door = door
        self._get_access_token = get_access_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand out an access token that serves."""
        _, shown = self._door.shown(scope)
        rejected = None
        if has_body(scope):
            bounded = bounded_receive(scope, receive, longest=_LONGEST_BODY)
            rejected = _rejected_generation(await Request(scope, bounded).body())
        try:
            served = await self._get_access_token(
                named_connection(scope["path_params"]["connection_id"]),
                key_hash=shown,
                rejected_generation=rejected,
            )
        except Unauthorized:
            self._door.refused(scope, shown)
            raise
        self._door.strangers.welcome(shown)
        body = _written(served)
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": _OK, "headers": [*_HEADERS, length]})
        await send({"type": "http.response.body", "body": body})


def _rejected_generation(body: bytes) -> int | None:
    """Read the body, if there is one."""
    if not body:
        return None
    try:
        return _decoder.decode(body).rejected_generation
    except msgspec.ValidationError:
        raise InvalidRequest("body", "at most one member, rejected_generation, a number") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("body", "not JSON", status=_BAD_REQUEST) from None


def _written(served: Served) -> bytes:
    connection, tokens = served.connection, served.tokens
    return _encoder.encode(
        AccessTokenOut(
            access_token=tokens.access_token.reveal(),
            token_type="Bearer",  # noqa: S106 - a word, not a secret
            instance_url=connection.instance_url,
            expires_at=tokens.expires_at,
            generation=tokens.generation,
            org_id=connection.org_id,
            user_id=connection.user_id,
            scopes=sorted(connection.scopes),
        )
    )
