"""Writes that carry an `Idempotency-Key` are done once, and answered the same each time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from keyturn_service.domain.api_key import ApiKey
from keyturn_service.ports import Clock, IdempotencyKeys, KeptAnswer, KeyedHash, StoreUnavailable
from keyturn_service.web.problems import InvalidRequest, WebRefusal
from keyturn_service.web.security import header_values

HEADER: Final = "Idempotency-Key"
PATTERN: Final = r"[\x21-\x7e]{1,255}"
_SHAPE: Final = re.compile(PATTERN, re.ASCII)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """Keeps the answers of writes that were done; one that was refused may be asked again.

    So may one of which nobody knows whether it was done: its caller is told so, and a use case
    that must not do it twice knows the request again by `repeatable`.
    """

    keys: IdempotencyKeys
    hashes: KeyedHash
    clock: Clock

    async def once(
        self,
        request: Request,
        caller: ApiKey,
        *,
        body: bytes,
        answer: Callable[[], Awaitable[Response]],
    ) -> Response:
        """Return the answer, or the one that was given before.

        Raises:
            InvalidRequest: the header is out of shape.
            WebRefusal: `idempotency_key_reused`, `idempotency_key_in_use`.
        """
        given = _given(request)
        if given is None:
            return await answer()
        # Keys of one API client never meet those of another.
        key = self.hashes("idempotency_key", f"{caller.id}:{given}").hex()
        asked = self._asked(request, body)
        kept = await self.keys.begin(
            caller.workspace_id, key, request_hash=asked, now=self.clock.now()
        )
        if kept is not None:
            return _replayed(kept, asked)
        request.state.repeatable = self.hashes("idempotent_request", f"{key} {asked.hex()}")
        try:
            response = await answer()
        except BaseException:
            await self._drop(caller, key)
            raise
        await self._keep(caller, key, response)
        return response

    def _asked(self, request: Request, body: bytes) -> bytes:
        url = request.url
        digest = hashlib.sha256(body).hexdigest()
        text = f"{request.method} {url.path}?{url.query} {digest}"
        return self.hashes("idempotent_request", text)

    async def _keep(self, caller: ApiKey, key: str, response: Response) -> None:
        """Keep the answer. What was done stays done where that fails."""
        try:
            await self.keys.end(
                caller.workspace_id, key, status=response.status_code, body=bytes(response.body)
            )
        except StoreUnavailable:
            _log.warning("idempotent_answer_not_kept", workspace_id=caller.workspace_id)

    async def _drop(self, caller: ApiKey, key: str) -> None:
        try:
            await self.keys.drop(caller.workspace_id, key)
        except StoreUnavailable:
            _log.warning("idempotency_key_not_dropped", workspace_id=caller.workspace_id)


def repeatable(request: Request) -> bytes | None:
    """Return the keyed hash of a write that comes again under its key; None without a key.

    By it a use case knows again what it has done for this request, whose answer was lost.
    """
    found: bytes | None = getattr(request.state, "repeatable", None)
    return found


def _given(request: Request) -> str | None:
    values = header_values(request.scope, HEADER.lower().encode())
    if not values:
        return None
    if len(values) > 1 or not _SHAPE.fullmatch(values[0]):
        raise InvalidRequest(f"header.{HEADER}", "one key of 1 to 255 visible ASCII characters")
    return values[0]


def _replayed(kept: KeptAnswer, asked: bytes) -> Response:
    if kept.request_hash != asked:
        raise WebRefusal("idempotency_key_reused")
    if kept.status is None:
        raise WebRefusal("idempotency_key_in_use")
    media_type = "application/json" if kept.body else None
    return Response(
        kept.body,
        status_code=kept.status,
        headers={"Idempotency-Replayed": "true"},
        media_type=media_type,
    )
