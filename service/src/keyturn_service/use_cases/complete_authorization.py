"""Take the authorization response, and what the code brings, as far as a confirmation.

First the state, then the code, then the spool, then everything else: what came for a code is
kept before anything looks at it, and what is refused afterwards is revoked at Salesforce.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import structlog

from keyturn_core.oauth.authorization_code_grant import (
    authorization_code_request,
    read_authorization_code_answer,
)
from keyturn_core.oauth.authorization_request import (
    AuthorizationRefused,
    read_authorization_response,
)
from keyturn_core.oauth.client import Client
from keyturn_core.oauth.token_answer import (
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    TokenResponse,
    UnexpectedAnswer,
)
from keyturn_core.secrets import AuthorizationCode
from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import (
    CONFIRMATION_LIFE,
    Authorization,
    ConnectSession,
    Delivery,
    SessionStatus,
    exchange_of,
)
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal
from keyturn_service.domain.errors import ConnectRefused
from keyturn_service.domain.ids import ID_BYTES, ConnectionId, new_id
from keyturn_service.domain.ration import Ration
from keyturn_service.ports import (
    Apps,
    AuditLog,
    Clock,
    ConnectSessions,
    DeadlinePassed,
    KeyedHash,
    PendingGrant,
    Randomness,
    RevocationReason,
    Spool,
    TokenEndpoint,
)
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.verify_grant import GrantRefused, VerifyGrant

_CODE_BYTES: Final = 32
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedAuthorization:
    """The session, awaiting confirmation, and where the browser goes next."""

    session: ConnectSession
    redirect_url: str


class AuthorizationFailed(ConnectRefused):
    """The authorization response leads nowhere; `session` is None where none is known."""

    def __init__(self, code: str, session: ConnectSession | None) -> None:
        self.session = session
        super().__init__(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteAuthorization:
    """Exchange the code and leave the session awaiting the vendor's confirmation."""

    sessions: ConnectSessions
    apps: Apps
    endpoint: TokenEndpoint
    spool: Spool
    verify: VerifyGrant
    end_grant: EndGrant
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    strangers: Ration = field(default_factory=Ration)

    async def __call__(
        self, query: Mapping[str, str], *, browser: str | None
    ) -> CompletedAuthorization:
        """Return where the browser goes.

        `query` is the authorization response; `browser` the secret of the browser's cookie.

        Raises:
            AuthorizationFailed: with a code of the catalogue, and the session where known.
        """
        session, authorization = await self._session(query, browser)
        try:
            code = read_authorization_response(query)
        except AuthorizationRefused as refused:
            await self._fail(
                session, refused.refusal.code, "authorization refused", said=refused.said
            )
        client, response = await self._exchange(session, authorization, code)
        try:
            grant = await self.verify(session, authorization, client, response)
        except GrantRefused as refused:
            await self._discard(session, authorization, response)
            await self._fail(session, refused.code, refused.because)
        return await self._await_confirmation(session, authorization, grant)

    async def _session(
        self, query: Mapping[str, str], browser: str | None
    ) -> tuple[ConnectSession, Authorization]:
        state = query.get("state", "")
        session = await self.sessions.by_state(self.hashes("state", state)) if state else None
        if session is None or session.authorization is None:
            await self._note_stranger("unknown state")
            raise AuthorizationFailed("state_mismatch", None)
        authorization = session.authorization
        if browser is None or self.hashes("browser", browser) != authorization.browser_hash:
            await self._note(session, "connect_session.refused", "another browser")
            raise AuthorizationFailed("state_mismatch", None)
        if session.never_came_back:  # until now, and what ends sessions was faster
            await self._note(session, "connect_session.refused", "state too old")
            raise AuthorizationFailed("session_expired", session)
        if session.status is not SessionStatus.AUTHORIZING:
            await self._note(session, "connect_session.refused", "replayed response")
            raise AuthorizationFailed("code_replayed", session)
        if self.clock.now() >= authorization.expires_at:
            await self._fail(session, "session_expired", "state too old")
        return session, authorization

    async def _exchange(
        self, session: ConnectSession, authorization: Authorization, code: AuthorizationCode
    ) -> tuple[Client, TokenResponse]:
        verifier = await self.sessions.take_verifier(session.id)
        if verifier is None:
            await self._note(session, "connect_session.refused", "replayed response")
            raise AuthorizationFailed("code_replayed", session)
        client = await self.apps.client(session.workspace_id, session.app_id)
        if client is None:
            await self._fail(session, "consumer_credentials_missing", "no credentials")
        body = authorization_code_request(
            client, code=code, verifier=verifier, redirect_uri=authorization.redirect_uri
        )
        await self._note(session, "code.presented", authorization.login_url)
        try:
            answer = await self.endpoint.present(authorization.login_url, body)
            await self._keep(session, authorization, answer)
            return client, read_authorization_code_answer(answer)
        except TokenRequestRefused as refused:
            await self._fail(session, refused.refusal.code, "code refused", said=refused.said)
        except UnexpectedAnswer:
            await self._fail(session, "unexpected_answer", "answer out of shape")
        except (NotProcessed, OutcomeUnknown, DeadlinePassed):
            await self._fail(session, "salesforce_unavailable", "no answer of use")

    async def _keep(
        self, session: ConnectSession, authorization: Authorization, answer: TokenAnswer
    ) -> None:
        spooled = SpooledAnswer(
            attempt_id=exchange_of(session.id, authorization),
            workspace_id=session.workspace_id,
            connection_id=session.reauthorizes or ConnectionId(""),
            generation=0,
            received_at=self.clock.now(),
            status=answer.status,
            body=answer.body,
            complete=answer.complete,
            login_url=authorization.login_url,
        )
        try:
            await self.spool.put(spooled)
        except OSError as error:  # a full disk must not cost a grant that is in our hands
            _log.error("spool_failed", connect_session_id=session.id, error=type(error).__name__)

    async def _await_confirmation(
        self, session: ConnectSession, authorization: Authorization, grant: PendingGrant
    ) -> CompletedAuthorization:
        code = _text(self.randomness.token_bytes(_CODE_BYTES))
        existing = grant.connection_id or None
        connection_id = existing or ConnectionId(
            new_id("con", self.randomness.token_bytes(ID_BYTES))
        )
        now = self.clock.now()
        waiting = replace(
            session,
            status=SessionStatus.AWAITING_CONFIRMATION,
            org_id=grant.org_id,
            org_name=grant.org_name,
            user=grant.user,
            confirmation_hash=self.hashes("confirmation", code),
            confirmation_expires_at=now + CONFIRMATION_LIFE,
            connection_id=connection_id,
        )
        grant = replace(grant, connection_id=connection_id, expires_at=now + CONFIRMATION_LIFE)
        new = None if existing else _pending(session, grant)
        kept = await self.sessions.await_confirmation(waiting, grant, new_connection=new)
        if not kept:
            await self._revoke(grant)
        await self.spool.delivered(exchange_of(session.id, authorization))
        if not kept:
            raise AuthorizationFailed("code_replayed", session)
        await self._note(waiting, "connect_session.awaiting_confirmation", grant.org_id)
        return CompletedAuthorization(
            session=waiting, redirect_url=_next_url(waiting, confirmation_code=code)
        )

    async def _discard(
        self, session: ConnectSession, authorization: Authorization, response: TokenResponse
    ) -> None:
        tokens = [t for t in (response.refresh_token, response.access_token) if t is not None]
        await self.end_grant.of_host(
            authorization.login_url,
            tokens,
            workspace_id=session.workspace_id,
            connection_id=session.reauthorizes or ConnectionId(""),
            app_id=session.app_id,
            reason=RevocationReason.REFUSED,
            ends_connection=False,
        )
        await self.spool.delivered(exchange_of(session.id, authorization))

    async def _revoke(self, grant: PendingGrant) -> None:
        tokens = [t for t in (grant.refresh_token, grant.access_token) if t is not None]
        await self.end_grant(
            grant, tokens, reason=RevocationReason.UNCONFIRMED, ends_connection=False
        )

    async def _fail(
        self, session: ConnectSession, code: str, because: str, *, said: str | None = None
    ) -> NoReturn:
        failed = session.failed(code, said)
        await self._note(session, "connect_session.failed", because, problem=code, said=said)
        await self.sessions.replace(failed)
        raise AuthorizationFailed(code, failed)

    async def _note_stranger(self, about: str) -> None:
        """Record what somebody brought who shows no secret of ours, within their ration."""
        left_out = self.strangers.take(self.clock.monotonic())
        if left_out is None:
            _log.warning("callback_of_a_stranger_not_recorded")
            return
        await self._note(None, "connect_session.refused", about, left_out=left_out or None)

    async def _note(
        self, session: ConnectSession | None, type_: str, about: str, **more: str | int | None
    ) -> None:
        detail: dict[str, str | int | bool | None] = {"about": about}
        if session is not None:
            detail["connect_session_id"] = session.id
        detail |= {name: value for name, value in more.items() if value is not None}
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=None if session is None else session.workspace_id,
                actor="user",
                connection_id=None
                if session is None
                else session.connection_id or session.reauthorizes,
                detail=detail,
            )
        )


def _pending(session: ConnectSession, grant: PendingGrant) -> Connection:
    """Return the connection that a confirmation makes active."""
    return Connection(
        id=grant.connection_id,
        workspace_id=grant.workspace_id,
        app_id=grant.app_id,
        customer_id=session.customer_id,
        state=ConnectionState.PENDING,
        environment=grant.environment,
        org_id=grant.org_id,
        org_name=grant.org_name,
        instance_url=grant.instance_url,
        login_url=grant.login_url,
        user=grant.user,
        scopes=grant.scopes,
        renewal=Renewal.REFRESH_TOKEN,
        keep_alive=True,
        generation=0,
        session_life=grant.session_life,
        created_at=grant.received_at,
        authorized_at=grant.received_at,
        last_used_at=None,
        last_refreshed_at=None,
        problem=None,
    )


def _next_url(session: ConnectSession, *, confirmation_code: str) -> str:
    """Return where the browser goes: back to the product, or to our own page.

    Where somebody else's browser authorized, it gets no code: the user who asked confirms
    the org that the vendor's product shows.
    """
    if session.delivery is Delivery.SHARED:
        return f"{session.origin}/connect/done/{session.id}"
    parts = urlsplit(session.return_url)
    query = [
        *parse_qsl(parts.query, keep_blank_values=True),
        ("connect_session", session.id),
        ("confirmation_code", confirmation_code),
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _text(random: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()
