"""Salesforce, as far as the use cases need it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.salesforce.auth_configuration import AuthConfiguration
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.identity import Identity
from keyturn_core.secrets import (
    AccessToken,
)


class OrgUnreachable(Exception):
    """No answer of use came: no connection, a time-out, or an error page of the edge."""


class AnswerLost(OrgUnreachable):
    """The request may have left and no status came: the org may have acted all the same."""


class AccessTokenRefused(OrgUnreachable):
    """The org answered that it does not take the access token."""


class DeadlinePassed(Exception):
    """The lease's deadline passed before the first byte went out; nothing was presented."""


class TokenEndpoint(Protocol):
    """The token endpoint of login hosts, and what lies beside it."""

    @property
    def connect_seconds(self) -> float:
        """How long a connection may take to stand, at most."""
        ...

    @property
    def answer_seconds(self) -> float:
        """How long an answer is waited for, from the first byte out to the last byte in."""
        ...

    async def present(
        self, login_url: Origin, body: bytes, *, deadline: float | None = None
    ) -> TokenAnswer:
        """Post a token request, once, and return what came back, even in part.

        `deadline`, of the monotonic clock, is looked at right before the first byte goes out.

        Raises:
            NotProcessed: no connection was made; the org has not seen the token.
            OutcomeUnknown: no status came; the org may have acted all the same.
            DeadlinePassed: nothing was sent.
        """
        ...

    async def post(
        self,
        login_url: Origin,
        path: str,
        body: bytes,
        *,
        before_first_byte: Callable[[], Awaitable[None]] | None = None,
    ) -> TokenAnswer:
        """Post a form to another OAuth endpoint (`/services/oauth2/revoke`, …).

        `before_first_byte` runs when the connection stands; what it raises goes to the caller,
        and nothing was sent.

        Raises:
            OrgUnreachable: nothing was sent.
            AnswerLost: no complete answer came; the org may have acted all the same.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The `Organization` record of an org, as far as it is needed."""

    name: str
    is_sandbox: bool


class OrgDirectory(Protocol):
    """What an org says of itself."""

    async def auth_configuration(self, host: Origin) -> AuthConfiguration:
        """Read the host's pre-login configuration.

        Raises:
            OrgUnreachable: none came.
        """
        ...

    async def identity(self, instance_url: Origin, path: str, token: AccessToken) -> Identity:
        """Read the identity at an org's own host, by the path of an identity URL.

        Raises:
            AccessTokenRefused: the org does not take the token.
            OrgUnreachable: none came.
        """
        ...

    async def organization(self, instance_url: Origin, token: AccessToken) -> Organization | None:
        """Return the org's own record, None where the user may not see it.

        Raises:
            OrgUnreachable: no answer came.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEnvelope:
    """A SOAP envelope that was cut open where its caller's session stood; that is in no part.

    `before` ends where the access token goes; what follows is the call's `body`.
    """

    operation: str
    before: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgCall:
    """A call for an org, as its caller made it.

    `target` is path and query as they go out; header names are lower case. A `body` of bytes can
    be sent again, one that is iterated over cannot. With an `envelope`, the token goes into it
    and into no header; a stated `content-length` counts both of its parts without the token.
    """

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | AsyncIterable[bytes]
    envelope: OpenEnvelope | None = None


class OrgAnswer(Protocol):
    """An org's answer, its body still on the way. Whoever has it closes it."""

    @property
    def status(self) -> int:
        """The status, as the org gave it."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that may be handed on, doubled ones too, names in lower case."""
        ...

    def parts(self) -> AsyncIterator[bytes]:
        """Return the body's bytes as they arrive, packed as the org packed them.

        Raises:
            AnswerLost: the body ended before its end.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection; what was not read yet is not waited for."""
        ...


class OrgRelay(Protocol):
    """Calls to an org's API origin that stream both ways."""

    async def send(self, instance_url: Origin, call: OrgCall, token: AccessToken) -> OrgAnswer:
        """Send the call once under `token`, without what concerns our own caller alone.

        Raises:
            OrgUnreachable: no connection was made; the org has not seen the call.
            AnswerLost: no status came.
        """
        ...
