"""What the callback leads to: back to the product, or a page that says what happened."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from keyturn_service.domain.app import App
from keyturn_service.domain.connect_session import ConnectSession, Delivery, SessionStatus
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ConnectSessionId
from keyturn_service.ports import AuditUnavailable, SealRefused, StoreUnavailable
from keyturn_service.use_cases.complete_authorization import AuthorizationFailed
from keyturn_service.vault.errors import KeySourceUnavailable
from keyturn_service.web.faces import face_of
from keyturn_service.web.refusals import NEVER_CAME_BACK, SALESFORCE_SAID
from keyturn_service.web.ui.cookies import browser_of
from keyturn_service.web.ui.install import InstallStep, install_steps
from keyturn_service.web.ui.pages import Pages, send_to
from keyturn_service.web.ui.parts import UiParts
from keyturn_service.web.ui.words import Explanation, explain, is_known

_NEEDS_INSTALL: Final = frozenset({"app_not_installed", "app_policy_missing"})
_DONE: Final = frozenset({SessionStatus.AWAITING_CONFIRMATION, SessionStatus.COMPLETED})
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPages:
    """Take the authorization response; show how a connect session came out.

    What a page tells of a session (product, org, user) only its own browser is told: the id in
    the URL is no secret.
    """

    parts: UiParts
    pages: Pages

    async def callback(self, request: Request) -> Response:
        """Take the authorization response and lead away from the URL that carries it."""
        if request.method != "GET":  # HEAD would use the code up and show nothing
            return Response(status_code=405, headers={"Allow": "GET"})
        browser = browser_of(request, self.face(request))
        try:
            completed = await self.parts.complete_authorization(_single(request), browser=browser)
        except AuthorizationFailed as failed:
            session = failed.session
            about = None if session is None else session.id
            _log.info("authorization_failed", code=failed.code, connect_session_id=about)
            return send_to(_result_path(failed.code, about))
        except Exception as error:  # noqa: BLE001 - no page may stand at the callback's URL
            code = code_of(error)
            if code == "internal_error":
                _log.error("callback_failed", error=type(error).__name__)
            return send_to(_result_path(code, None))
        _log.info("authorization_completed", connect_session_id=completed.session.id)
        return send_to(completed.redirect_url)

    async def result(self, request: Request) -> Response:
        """Show what failed, why, who can mend it and where."""
        code = request.path_params["code"]
        if not is_known(code):
            return self.refused("not_found", status=404)
        found = await self._of_this_browser(request)
        if found is None:
            return self.refused(code, status=200)
        return self.refused(code, status=200, session=found[0], app=found[1])

    async def done(self, request: Request) -> Response:
        """Show an admin, who connected for somebody else, that the rest is theirs."""
        found = await self._of_this_browser(request)
        if found is None:
            return self.pages.render("done.html", product=None, session=None, confirmed=False)
        session, app = found
        if session.status not in _DONE:
            code = session.problem or "session_expired"
            return self.refused(code, status=200, session=session, app=app)
        return self.pages.render(
            "done.html",
            product=app.name,
            session=session,
            confirmed=session.status is SessionStatus.COMPLETED,
        )

    def refused(
        self,
        code: str,
        *,
        status: int,
        app: App | None = None,
        session: ConnectSession | None = None,
        retry_url: str | None = None,
    ) -> HTMLResponse:
        """Return the page of a failure."""
        install: tuple[InstallStep, ...] = ()
        if app is not None and session is not None and code in _NEEDS_INSTALL:
            hosts = self.parts.begin_authorization.login_hosts(session, app)
            install = install_steps(session, app, hosts)[:1]
        back = None
        if session is not None and session.delivery is Delivery.OWN:
            back = session.return_url
        return self.pages.render(
            "result.html",
            status=status,
            told=self.explain(code, app),
            said=_told_by_salesforce(session, code),
            product=None if app is None else app.name,
            session=session,
            install=install,
            retry_url=retry_url,
            back_url=back,
        )

    def explain(self, code: str, app: App | None) -> Explanation:
        """Return what a page tells of a code."""
        return explain(code, product=None if app is None else app.name)

    def face(self, request: Request) -> str:
        """Return the origin that the browser came by."""
        return face_of(request, self.parts.public_urls)

    def is_same_browser(self, session: ConnectSession, browser: str | None) -> bool:
        """Tell whether this browser pressed Connect."""
        if browser is None or session.authorization is None:
            return False
        shown = self.parts.hashes("browser", browser)
        return hmac.compare_digest(shown, session.authorization.browser_hash)

    async def _of_this_browser(self, request: Request) -> tuple[ConnectSession, App] | None:
        """Return the session that the URL names and its app, where this browser authorized it."""
        session = await self._find(request.path_params.get("session_id"))
        browser = browser_of(request, self.face(request))
        if session is None or not self.is_same_browser(session, browser):
            return None
        app = await self.parts.apps.get(session.workspace_id, session.app_id)
        return None if app is None else (session, app)

    async def _find(self, session_id: str | None) -> ConnectSession | None:
        if session_id is None:
            return None
        for workspace in await self.parts.workspaces.all():
            try:
                return await self.parts.find_connect_session(
                    workspace.id, ConnectSessionId(session_id)
                )
            except NotFound:
                continue
        return None


def code_of(error: Exception) -> str:
    """Return the code of what went wrong here, `internal_error` where nobody expected it."""
    match error:
        case StoreUnavailable() | KeySourceUnavailable():
            return "store_unavailable"  # to a person in a browser it is one thing: it passes
        case AuditUnavailable():
            return "audit_unavailable"
        case SealRefused():
            return "seal_refused"
        case _:
            return "internal_error"


def _told_by_salesforce(session: ConnectSession | None, code: str) -> str | None:
    """Return what else there is to say of a session's end: Salesforce's words, or their lack."""
    if session is None or session.problem != code:
        return None
    if session.said is not None:
        return f"{SALESFORCE_SAID} {session.said}"
    return NEVER_CAME_BACK if session.never_came_back else None


def _single(request: Request) -> Mapping[str, str]:
    """Return the query, empty where a parameter comes twice.

    Spec: RFC 6749 section 3.1: parameters must not be included more than once.
    """
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    return query if len(query) == len(pairs) else {}


def _result_path(code: str, session_id: str | None) -> str:
    return f"/connect/result/{code}" + ("" if session_id is None else f"/{session_id}")
