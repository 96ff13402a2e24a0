"""Send a browser to Salesforce to authorize."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from keyturn_core.oauth.authorization_request import authorization_request_url
from keyturn_core.oauth.pkce import code_challenge, new_code_verifier
from keyturn_core.salesforce.hosts import (
    Environment,
    HostRefused,
    Origin,
    environment_of,
    read_my_domain,
)
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import (
    STATE_LIFE,
    Authorization,
    ConnectSession,
    SessionStatus,
)
from keyturn_service.domain.errors import ConnectRefused
from keyturn_service.domain.ids import ConnectSessionId
from keyturn_service.ports import AuditLog, Clock, ConnectSessions, KeyedHash, Randomness
from keyturn_service.use_cases.open_link import OpenLink

_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunAuthorization:
    """Where to send the browser, and the secret that its cookie has to hold."""

    url: str
    browser: str
    session_id: ConnectSessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginAuthorization:
    """Bind a connect session to a browser, a host, a `state` and a code verifier.

    Pressing Connect uses the link up for every other browser; the same one may press again.
    `face_login_hosts` is what a development world puts in place of the login hosts, by the
    face of this service.
    """

    open_link: OpenLink
    sessions: ConnectSessions
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    loopback: frozenset[Origin]
    face_login_hosts: Mapping[str, Mapping[Environment, Origin]]

    async def __call__(
        self,
        link_secret: str,
        *,
        environment: Environment | None,
        my_domain: str | None,
        browser: str | None,
    ) -> BegunAuthorization:
        """Return the authorization request for the browser.

        `my_domain` is what the user typed; without it `environment` names the login host.
        `browser` is the secret of the browser's cookie, None where it has none yet.

        Raises:
            NotFound: no session has this link.
            ConnectRefused: `session_expired`, `host_refused`, `callback_not_registered`,
                `consumer_credentials_missing`.
        """
        session, app = await self.open_link(link_secret)
        if session.status is SessionStatus.AUTHORIZING and not self._same_browser(session, browser):
            await self._refuse(session, "session_expired", "another browser pressed Connect")
        login_url, kind = await self._login_url(session, app, environment, my_domain)
        redirect_uri = app.callback_on(session.origin)
        if redirect_uri is None:
            raise ConnectRefused("callback_not_registered")
        if app.consumer_key is None:
            raise ConnectRefused("consumer_credentials_missing")
        state, browser = self._secret(), browser or self._secret()
        verifier = new_code_verifier(self.randomness.token_bytes(64))
        now = self.clock.now()
        authorizing = replace(
            session,
            status=SessionStatus.AUTHORIZING,
            authorization=Authorization(
                state_hash=self.hashes("state", state),
                browser_hash=self.hashes("browser", browser),
                login_url=login_url,
                environment=kind,
                redirect_uri=redirect_uri,
                expires_at=now + STATE_LIFE,
            ),
        )
        await self._note(session, "connect_session.authorization_begun", login_url)
        if not await self.sessions.replace(authorizing, verifier=verifier):
            raise ConnectRefused("session_expired")
        url = authorization_request_url(
            login_url=login_url,
            client_id=app.consumer_key,
            redirect_uri=redirect_uri,
            scopes=app.scopes,
            state=state,
            challenge=code_challenge(verifier),
        )
        return BegunAuthorization(url=url, browser=browser, session_id=session.id)

    def login_hosts(self, session: ConnectSession, app: App) -> Mapping[Environment, Origin]:
        """Return where people without a My Domain log in, on the face of the session."""
        return self.face_login_hosts.get(session.origin, app.login_hosts)

    def _same_browser(self, session: ConnectSession, browser: str | None) -> bool:
        if browser is None or session.authorization is None:
            return False
        return self.hashes("browser", browser) == session.authorization.browser_hash

    async def _login_url(
        self,
        session: ConnectSession,
        app: App,
        environment: Environment | None,
        my_domain: str | None,
    ) -> tuple[Origin, Environment | None]:
        """Return the host to authorize at, and the environment as far as it is known yet."""
        if session.login_url is not None:
            return session.login_url, session.environment or environment_of(session.login_url)
        if my_domain is not None:
            try:
                host = read_my_domain(my_domain, loopback=self.loopback)
            except HostRefused:
                await self._refuse(session, "host_refused", "not a host of Salesforce's")
            return host, environment_of(host)
        chosen = environment or session.environment or Environment.PRODUCTION
        return self.login_hosts(session, app)[chosen], chosen

    async def _refuse(self, session: ConnectSession, code: str, because: str) -> NoReturn:
        await self._note(session, "connect_session.refused", because)
        raise ConnectRefused(code)

    async def _note(self, session: ConnectSession, type_: str, about: str) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=session.workspace_id,
                actor="user",
                connection_id=session.reauthorizes,
                detail={"connect_session_id": session.id, "about": about},
            )
        )

    def _secret(self) -> str:
        raw = self.randomness.token_bytes(_SECRET_BYTES)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
