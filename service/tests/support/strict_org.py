"""An org that keeps Salesforce's rules about refresh tokens, written from its documents alone.

It knows nothing of the product: it reads forms and writes bytes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

from service.tests.support import values
from service.tests.support.fakes import JWT_BEARER, FakeClock

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown, TokenAnswer
from keyturn_core.salesforce.hosts import Origin
from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.ports import DeadlinePassed

AT_WORK: Final = 20.0  # seconds in which the org says of a token that it is being processed
_HTML: Final = b"<html><body>An unexpected error occurred.</body></html>"


class Answering(StrEnum):
    """What becomes of one refresh request."""

    WHOLE = "whole"
    LOST = "lost"  # done, and no byte comes back
    LOST_UNDONE = "lost_undone"  # not done, and no byte comes back either
    CUT_EARLY = "cut_early"  # done; what comes back ends before the refresh token does
    CUT_IN_ACCESS = "cut_in_access"  # done; the refresh token came first, the access token is cut
    CUT_LATE = "cut_late"  # done; both tokens came
    HTML_DONE = "html_done"  # done; 500, a page
    HTML_UNDONE = "html_undone"
    NOT_NOW = "not_now"  # 503
    TOO_MANY = "too_many"  # 429
    RATE = "rate"  # login rate exceeded
    BUSY = "busy"  # said to be processed already: the request that did it was lost
    BUSY_UNDONE = "busy_undone"  # said so, and nothing comes of it
    NO_CONNECTION = "no_connection"  # no byte of the request left
    LATE = "late"  # done at once; the answer comes when the lease is long over


DONE: Final = frozenset(
    {
        Answering.WHOLE,
        Answering.LOST,
        Answering.CUT_EARLY,
        Answering.CUT_IN_ACCESS,
        Answering.CUT_LATE,
        Answering.HTML_DONE,
        Answering.BUSY,
        Answering.LATE,
    }
)


@dataclass(frozen=True, kw_only=True)
class Presented:
    """One refresh request that reached the org, and what it did."""

    token: str
    at: float
    rotated: bool
    killed: bool


@dataclass
class StrictOrg:
    """One user's grant in an org with rotation.

    `admits` says whether an assertion is let in, `pre_authorized` whether also when the user's
    approval is gone. `sees` is called with each refresh token at the moment it arrives.
    """

    clock: FakeClock
    name: str = ""
    admits: bool = False
    pre_authorized: bool = False
    script: deque[Answering] = field(default_factory=deque)
    presented: list[Presented] = field(default_factory=list)
    assertions: int = 0
    asked: int = 0  # refresh requests, those included that never arrived
    sees: Callable[[str], Awaitable[None]] | None = None
    refresh_token: str | None = field(init=False)
    approved: bool = field(default=True, init=False)
    last_in_force: str = field(init=False)
    access_tokens: set[str] = field(default_factory=set, init=False)
    _number: int = field(default=1, init=False)
    _busy: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Begin with the grant that the customer gave."""
        self.refresh_token = self.last_in_force = self._refresh(1)
        self.access_tokens = {self._access(1)}

    @property
    def first(self) -> tuple[str, str]:
        """The access and the refresh token that the customer's approval brought."""
        return self._access(1), self._refresh(1)

    def _access(self, number: int) -> str:
        return f"00D5g000004bLxZ!AQ.{values.CANARY}-{self.name}-access-{number}"

    def _refresh(self, number: int) -> str:
        return f"5Aep861.{values.CANARY}-{self.name}-refresh-{number}"

    async def present(
        self,
        login_url: Origin,
        body: bytes,
        *,
        deadline: float | None = None,
        arrives: Callable[[], Awaitable[None]],
    ) -> TokenAnswer:
        """Take a token request, which arrives a moment after the sender's look at its deadline."""
        del login_url
        if deadline is not None and self.clock.monotonic() >= deadline:
            raise DeadlinePassed
        await arrives()
        form = dict(parse_qsl(body.decode()))
        if form["grant_type"] == JWT_BEARER:
            return self._asserted()
        return await self._refreshed(form)

    async def post(self, login_url: Origin, path: str, body: bytes, **named: object) -> TokenAnswer:
        """Take a form at another endpoint: nothing here does."""
        raise AssertionError((login_url, path, body, named))

    def _asserted(self) -> TokenAnswer:
        self.assertions += 1
        if not self.admits or not (self.approved or self.pre_authorized):
            return _json(
                400, error="invalid_grant", error_description="user hasn't approved this consumer"
            )
        said = self._issue()
        del said["refresh_token"]
        return _json(200, **said)

    async def _refreshed(self, form: Mapping[str, str]) -> TokenAnswer:
        mode = self.script.popleft() if self.script else Answering.WHOLE
        self.asked += 1
        if mode is Answering.NO_CONNECTION:
            raise NotProcessed("no connection")
        token, now = form["refresh_token"], self.clock.monotonic()
        if self.sees is not None:
            await self.sees(token)
        if now < self._busy.get(token, now):
            self._note(token, now)
            return _busy()
        if token != self.refresh_token:
            killed = self.refresh_token is not None
            self.refresh_token, self.approved = None, False
            self.access_tokens.clear()
            self._note(token, now, killed=killed)
            return _json(
                400, error="invalid_grant", error_description="expired access/refresh token"
            )
        if mode not in DONE:
            self._note(token, now)
            return self._not_done(mode, token, now)
        self._busy[token] = now + AT_WORK
        said = self._issue(rotates=True)
        self._note(token, now, rotated=True)
        return self._done(mode, said)

    def _note(self, token: str, at: float, *, rotated: bool = False, killed: bool = False) -> None:
        self.presented.append(Presented(token=token, at=at, rotated=rotated, killed=killed))

    def _issue(self, *, rotates: bool = False) -> dict[str, str]:
        self._number += 1
        access = self._access(self._number)
        self.access_tokens.add(access)
        if rotates:
            self.refresh_token = self.last_in_force = self._refresh(self._number)
        return {
            "access_token": access,
            "refresh_token": self.refresh_token or "",
            "instance_url": values.INSTANCE_URL,
            "id": f"https://login.salesforce.com/id/{values.ORG}/{values.USER}",
            "token_type": "Bearer",
            "scope": "refresh_token api",
        }

    def _not_done(self, mode: Answering, token: str, now: float) -> TokenAnswer:
        match mode:
            case Answering.NOT_NOW:
                return TokenAnswer(status=503, body=_HTML, complete=True, retry_after="3")
            case Answering.TOO_MANY:
                return TokenAnswer(status=429, body=b"", complete=True)
            case Answering.RATE:
                return _json(400, error="invalid_grant", error_description="login rate exceeded")
            case Answering.BUSY_UNDONE:
                self._busy[token] = now + AT_WORK
                return _busy()
            case Answering.HTML_UNDONE:
                return TokenAnswer(status=500, body=_HTML, complete=True)
            case _:
                raise OutcomeUnknown("no answer")

    def _done(self, mode: Answering, said: dict[str, str]) -> TokenAnswer:
        match mode:
            case Answering.LOST:
                raise OutcomeUnknown("no answer")
            case Answering.BUSY:
                return _busy()
            case Answering.HTML_DONE:
                return TokenAnswer(status=500, body=_HTML, complete=True)
            case Answering.CUT_EARLY:
                return _cut(said, "refresh_token", 12)
            case Answering.CUT_IN_ACCESS:
                turned = {"refresh_token": said["refresh_token"], **said}
                return _cut(turned, "access_token", 12)
            case Answering.CUT_LATE:
                return _cut(said, "scope", 2)
            case Answering.LATE:
                self.clock.advance(seconds=95)
        return _json(200, **said)


def carries(body: bytes, token: str) -> bool:
    """Tell whether the whole token stands in a body: its closing quote came, too."""
    return f'"{token}"'.encode() in body


def says_unspent(answer: SpooledAnswer) -> bool:
    """Tell whether an answer says that the token it is about was not used up (design 5.6)."""
    if not answer.complete or b"already being processed" in answer.body:
        return False
    return answer.status in {429, 503} or (answer.status == 400 and b'"error"' in answer.body)


def _json(status: int, **members: str) -> TokenAnswer:
    return TokenAnswer(status=status, body=json.dumps(members).encode(), complete=True)


def _busy() -> TokenAnswer:
    return _json(
        400,
        error="invalid_grant",
        error_description="token request is already being processed",
    )


def _cut(said: Mapping[str, str], member: str, after: int) -> TokenAnswer:
    body = json.dumps(said).encode()
    end = body.index(f'"{member}": "'.encode()) + len(member) + 5 + after
    return TokenAnswer(status=200, body=body[:end], complete=False)
