"""The token endpoint of login hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown, TokenAnswer
from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.http.one_shot import Answer, NoAnswer, NotSent, OneShot, Request
from keyturn_service.ports import AnswerLost, Clock, DeadlinePassed, OrgUnreachable

_TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - a path, not a secret
_HEADERS: Final = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    "User-Agent": "keyturn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTokenEndpoint:
    """`ports.TokenEndpoint` over HTTPS. It carries; the rules are in `keyturn_core.oauth`."""

    one_shot: OneShot
    clock: Clock

    @property
    def connect_seconds(self) -> float:
        """How long a connection may take to stand."""
        return self.one_shot.connect_seconds

    @property
    def answer_seconds(self) -> float:
        """How long an answer is waited for, from the first byte out to the last byte in."""
        return self.one_shot.answer_seconds

    async def present(
        self, login_url: Origin, body: bytes, *, deadline: float | None = None
    ) -> TokenAnswer:
        """Post a token request, once, and return what came back, even in part.

        Raises:
            NotProcessed: no connection was made; the org has not seen the token.
            OutcomeUnknown: no status came; the org may have acted all the same.
            DeadlinePassed: nothing was sent.
        """

        def still_in_time() -> None:
            if deadline is not None and self.clock.monotonic() >= deadline:
                raise DeadlinePassed

        try:
            answer = await self.one_shot(
                login_url, _form(_TOKEN_PATH, body), before_first_byte=still_in_time
            )
        except NotSent as error:
            raise NotProcessed("no connection") from error
        except NoAnswer as error:
            raise OutcomeUnknown("no answer to a token request") from error
        return _token_answer(answer)

    async def post(
        self,
        login_url: Origin,
        path: str,
        body: bytes,
        *,
        before_first_byte: Callable[[], Awaitable[None]] | None = None,
    ) -> TokenAnswer:
        """Post a form to another OAuth endpoint.

        Raises:
            OrgUnreachable: nothing was sent.
            AnswerLost: no complete answer came.
        """
        try:
            answer = await self.one_shot(
                login_url, _form(path, body), when_connected=before_first_byte
            )
        except NotSent as error:
            raise OrgUnreachable("no connection") from error
        except NoAnswer as error:
            raise AnswerLost("no answer") from error
        if not answer.complete:
            raise AnswerLost("a truncated answer")
        return _token_answer(answer)


def _form(path: str, body: bytes) -> Request:
    return Request(method="POST", target=path, headers=_HEADERS, body=body)


def _token_answer(answer: Answer) -> TokenAnswer:
    return TokenAnswer(
        status=answer.status,
        body=answer.body,
        complete=answer.complete,
        retry_after=answer.headers.get("retry-after"),
    )
