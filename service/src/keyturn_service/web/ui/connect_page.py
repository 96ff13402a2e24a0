"""The page behind a connect session's link: where to log in, and Connect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_service.domain.app import App
from keyturn_service.domain.connect_session import ConnectSession, Delivery, SessionStatus
from keyturn_service.domain.errors import ConnectRefused, NotFound
from keyturn_service.use_cases.see_install import Sight
from keyturn_service.web.ui.cookies import (
    browser_of,
    came_from_here,
    form_token,
    is_form_token,
    keep_browser,
    keep_link,
    new_browser,
)
from keyturn_service.web.ui.install import InstallStep, install_steps
from keyturn_service.web.ui.pages import Pages, salesforce_and, send_to, told_to_script
from keyturn_service.web.ui.parts import UiParts
from keyturn_service.web.ui.results import ResultPages
from keyturn_service.web.ui.words import access_in_words

_MY_DOMAIN: Final = "my_domain"
_LONGEST_FORM: Final = 16 * 1024
_AT_FIRST: Final = 1.0  # seconds that the page waits for what is to be seen of an install
_WITHIN: Final = 8.0  # seconds that somebody waits who asked for it
_OVER: Final = "over"
_SEEN: Final = "The package of {product} is installed in your org. Go on with Connect."
_MENDED_BY_TYPING: Final = frozenset({"host_refused"})
_LINK_STILL_WORKS: Final = frozenset({"callback_not_registered", "consumer_credentials_missing"})
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the form shows as chosen. `fixed` where the vendor named the org already."""

    environment: str
    my_domain: str
    fixed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectPage:
    """Show the form, and take it."""

    parts: UiParts
    pages: Pages
    results: ResultPages

    async def show(self, request: Request) -> Response:
        """Show the page. Opening it uses nothing up: mail scanners open links."""
        link = request.path_params["link"]
        face = self.results.face(request)
        try:
            session, app = await self.parts.open_link(link)
        except NotFound:
            return self.results.refused("not_found", status=404)
        except ConnectRefused as refused:
            return self.results.refused(refused.code, status=410)
        browser = browser_of(request, face)
        if self._is_taken(session, browser):
            await self.parts.open_link.note_taken(session)
            return self.results.refused("session_expired", app=app, status=410)
        hosts = self.parts.begin_authorization.login_hosts(session, app)
        choice = _preset(session, app, hosts)
        sight = await self._sight(session, app, choice, within=_AT_FIRST)
        return self._form(request, session, app, choice, browser=browser, sight=sight)

    async def look(self, request: Request) -> Response:
        """Tell the page's script whether the package is seen in the org that is chosen now.

        Only a browser that was shown the page is told, as long as the link opens it.
        """
        browser = browser_of(request, self.results.face(request))
        try:
            session, app = await self.parts.open_link(request.path_params["link"])
        except (NotFound, ConnectRefused):
            return told_to_script(sight=_OVER)
        if browser is None or self._is_taken(session, browser):
            return told_to_script(sight=_OVER)
        typed = request.query_params.get(_MY_DOMAIN, "").strip()
        choice = Choice(environment=_MY_DOMAIN, my_domain=typed, fixed=False)
        sight = await self._sight(session, app, choice, within=_WITHIN)
        return told_to_script(sight=sight)

    async def submit(self, request: Request) -> Response:
        """Take the form and send the browser to Salesforce."""
        link = request.path_params["link"]
        face = self.results.face(request)
        form = await _read_form(request)
        browser = browser_of(request, face)
        if not self._may_submit(request, form, browser, link=link):
            _log.info("connect_form_refused", had_cookie=browser is not None)
            return self.results.refused("form_refused", status=403, retry_url=f"/connect/{link}")
        named = form.get("environment", "")
        typed = form.get(_MY_DOMAIN, "").strip() if named == _MY_DOMAIN else None
        try:
            if "look" in form:
                return await self._look_again(request, form, browser)
            begun = await self.parts.begin_authorization(
                link, environment=_environment(named), my_domain=typed, browser=browser
            )
        except NotFound:
            return self.results.refused("not_found", status=404)
        except ConnectRefused as refused:
            return await self._refused(request, refused.code, form, browser)
        _log.info("browser_sent_to_salesforce", connect_session_id=begun.session_id)
        response = send_to(begun.url)
        keep_browser(response, face, begun.browser)
        return response

    async def _look_again(
        self, request: Request, form: Mapping[str, str], browser: str | None
    ) -> Response:
        """Show the page as it was filled in, with what is to be seen by now."""
        session, app = await self.parts.open_link(request.path_params["link"])
        if self._is_taken(session, browser):
            raise ConnectRefused("session_expired")
        hosts = self.parts.begin_authorization.login_hosts(session, app)
        choice = _preset(session, app, hosts)
        if not choice.fixed:
            choice = Choice(
                environment=form.get("environment", choice.environment),
                my_domain=form.get(_MY_DOMAIN, ""),
                fixed=False,
            )
        sight = await self._sight(session, app, choice, within=_WITHIN)
        return self._form(request, session, app, choice, browser=browser, sight=sight)

    async def _sight(
        self, session: ConnectSession, app: App, choice: Choice, *, within: float
    ) -> Sight:
        """Return what is to be seen of the package in the org that is chosen."""
        if not self._install_steps(session, app):
            return Sight.NOT_WATCHED
        typed = choice.my_domain if choice.environment == _MY_DOMAIN else None
        return await self.parts.see_install(
            session,
            app,
            my_domain=typed,
            login_hosts=self.parts.begin_authorization.login_hosts(session, app).values(),
            within=within,
        )

    async def _refused(
        self, request: Request, code: str, form: dict[str, str], browser: str | None
    ) -> Response:
        link = request.path_params["link"]
        if code not in _MENDED_BY_TYPING:
            again = f"/connect/{link}" if code in _LINK_STILL_WORKS else None
            status = 409 if again else 410
            return self.results.refused(code, status=status, retry_url=again)
        session, app = await self.parts.open_link(link)
        typed = Choice(environment=_MY_DOMAIN, my_domain=form.get(_MY_DOMAIN, ""), fixed=False)
        return self._form(
            request, session, app, typed, browser=browser, sight=Sight.ORG_UNKNOWN, problem=code
        )

    def _form(
        self,
        request: Request,
        session: ConnectSession,
        app: App,
        choice: Choice,
        *,
        browser: str | None,
        sight: Sight,
        problem: str | None = None,
    ) -> HTMLResponse:
        face = self.results.face(request)
        link = request.path_params["link"]
        seen = sight is Sight.SEEN
        install = () if seen else self._install_steps(session, app)
        watched = bool(install) and self.parts.see_install.is_watched(app)
        browser = browser or new_browser(self.parts.randomness)
        page = self.pages.render(
            "connect.html",
            status=200 if problem is None else 422,
            form_targets=salesforce_and(face, session.return_url),
            action=f"/connect/{link}",
            token=form_token(self.parts.hashes, browser=browser, link=link),
            product=app.name,
            customer=session.customer_id,
            reauthorizes=session.reauthorizes is not None,
            shared=session.delivery is Delivery.SHARED,
            return_url=session.return_url,
            choice=choice,
            hosts=_hosts(app),
            access=access_in_words(app.scopes),
            problem=None if problem is None else self.results.explain(problem, app),
            install=install,
            scripted=watched,
            watch_url=f"/connect/{link}/install" if watched else None,
            seen=seen,
            seen_text=_SEEN.format(product=app.name),
            detour=session.status is SessionStatus.AUTHORIZING,
        )
        keep_browser(page, face, browser)
        if install:
            keep_link(page, face, link)
        return page

    def _install_steps(self, session: ConnectSession, app: App) -> tuple[InstallStep, ...]:
        """Return where to install; who connects again has the package.

        It is offered before the detour to Salesforce and after it: a missing package is among the
        refusals that Salesforce shows on a page of its own, and never sends the browser on from.
        """
        if session.reauthorizes is not None and session.status is not SessionStatus.AUTHORIZING:
            return ()
        hosts = self.parts.begin_authorization.login_hosts(session, app)
        return install_steps(session, app, hosts)

    def _is_taken(self, session: ConnectSession, browser: str | None) -> bool:
        """Tell whether another browser has pressed Connect."""
        return session.status is SessionStatus.AUTHORIZING and not self.results.is_same_browser(
            session, browser
        )

    def _may_submit(
        self, request: Request, form: dict[str, str], browser: str | None, *, link: str
    ) -> bool:
        if browser is None or not came_from_here(request, self.results.face(request)):
            return False
        shown = form.get("form_token", "")
        return is_form_token(self.parts.hashes, shown, browser=browser, link=link)


def _preset(session: ConnectSession, app: App, hosts: Mapping[Environment, Origin]) -> Choice:
    """Return what the vendor's hint fixes, or what was chosen before or is suggested."""
    if session.login_url is not None:
        return _choice_of(session.login_url, app.login_hosts, fixed=True)
    if session.authorization is not None:
        return _choice_of(session.authorization.login_url, hosts, fixed=False)
    suggested = session.environment or Environment.PRODUCTION
    return Choice(environment=suggested, my_domain="", fixed=False)


def _choice_of(login_url: Origin, hosts: Mapping[Environment, Origin], *, fixed: bool) -> Choice:
    for environment, host in hosts.items():
        if login_url == host:
            return Choice(environment=environment, my_domain="", fixed=fixed)
    host_name = urlsplit(login_url).netloc
    return Choice(environment=_MY_DOMAIN, my_domain=host_name, fixed=fixed)


def _environment(named: str) -> Environment | None:
    """Return the environment that the form names, None where it names none."""
    return Environment(named) if named in set(Environment) else None


def _hosts(app: App) -> dict[str, str]:
    return {kind.value: urlsplit(url).netloc for kind, url in app.login_hosts.items()}


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form, none where it is too long or no form."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return {}
    text = body.decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=None))
