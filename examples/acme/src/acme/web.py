"""What every page needs: by which face it was asked, by whom, and how to answer."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from acme.accounts import Accounts, User
from acme.clock import Clock
from acme.faces import Face, Faces
from acme.sessions import Notice, Session, Sessions
from keyturn import KeyturnError

FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
_MISDIRECTED: Final = 421
_FORBIDDEN: Final = 403
_SEE_OTHER: Final = 303
_LONGEST_TEXT: Final = 400  # characters of a notice; it travels in a cookie
_HINTS: Final[Mapping[str, str]] = {
    "vendor": "This is for us to mend: tell Acme's support.",
    "admin": "Your Salesforce administrator can mend this.",
    "user": "You can mend this: connect again.",
    "salesforce": "Salesforce has to recover first: try again in a while.",
    "operator": "We are on it: try again in a while.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """The product: what its pages share."""

    accounts: Accounts
    sessions: Sessions
    faces: Faces
    clock: Clock
    pages: Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request: by which face, in which session, by which user."""

    request: Request
    acme: Acme
    face: Face
    session: Session
    user: User | None

    def page(self, template: str, *, status: int = 200, **shown: Any) -> Response:
        """Return a page. It tells what there is to tell, once."""
        notice: Notice | None = shown.pop("notice", None) or self.session.notice
        source = self.acme.pages.get_template(template).render(
            user=self.user,
            notice=notice,
            form_token=self.acme.sessions.form_token(self.session),
            **shown,
        )
        return self._kept(HTMLResponse(source, status_code=status), self.session.telling(None))

    def go(self, path: str, *, notice: Notice | None = None) -> Response:
        """Send the browser on, to a page that tells the notice."""
        return self._kept(RedirectResponse(path, _SEE_OTHER), self.session.telling(notice))

    def within(self, session: Session) -> Visit:
        """Return the visit in a changed session."""
        return replace(self, session=session)

    def _kept(self, response: Response, session: Session) -> Response:
        self.acme.sessions.keep(response, self.request, session)
        return response


@dataclass(frozen=True, slots=True, kw_only=True)
class UserVisit(Visit):
    """A visit of somebody who is logged in."""

    user: User


def visit_of(request: Request) -> Visit:
    """Return the visit that a request is.

    Raises:
        HTTPException: 421, where Acme is not called what the browser calls it.
    """
    acme: Acme = request.app.state.acme
    face = face_of(request)
    if face is None:
        raise HTTPException(_MISDIRECTED)
    now = acme.clock.now()
    session = acme.sessions.read(request, now) or acme.sessions.new(now)
    user = None if session.username is None else acme.accounts.find(session.username)
    return Visit(request=request, acme=acme, face=face, session=session, user=user)


def face_of(request: Request) -> Face | None:
    """Return the face that a request came by."""
    acme: Acme = request.app.state.acme
    return acme.faces.of(request.url.scheme, request.headers.get("host", ""))


def signed_in(
    page: Callable[[UserVisit], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Make a page of one for users: others are sent to log in."""

    async def for_users(request: Request) -> Response:
        visit = visit_of(request)
        user_visit = _of_user(visit)
        return _to_login(visit) if user_visit is None else await page(user_visit)

    return for_users


def posted(
    action: Callable[[UserVisit, FormData], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Make a page of an action for users: only a form that Acme gave this browser starts it."""

    async def for_forms(request: Request) -> Response:
        visit = visit_of(request)
        form = await checked_form(visit)
        user_visit = _of_user(visit)
        return _to_login(visit) if user_visit is None else await action(user_visit, form)

    return for_forms


async def checked_form(visit: Visit) -> FormData:
    """Return the form that was sent.

    Raises:
        HTTPException: 403, where it is not one that Acme gave this browser.
    """
    request = visit.request
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", visit.face.origin)
    form = await request.form(max_files=0, max_fields=20)
    shown = str(form.get(FORM_TOKEN, ""))
    ours = visit.acme.sessions.is_form_token(shown, visit.session)
    if site not in {"same-origin", "none"} or origin != visit.face.origin or not ours:
        raise HTTPException(_FORBIDDEN)
    return form


def notice_of(error: KeyturnError) -> Notice:
    """Return what a page tells of an error: what is wrong, and who can mend it."""
    said = ". ".join(part.rstrip(".") for part in (error.title, error.detail) if part)
    text = f"{said[:_LONGEST_TEXT]}. {_HINTS.get(error.who, '')}".strip()
    return Notice(text=text, code=error.code)


@functools.cache
def page_templates() -> Environment:
    """Return the templates; what they show is escaped, and nothing is shown that is not there."""
    return Environment(
        loader=PackageLoader("acme"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _of_user(visit: Visit) -> UserVisit | None:
    if visit.user is None:
        return None
    return UserVisit(
        request=visit.request,
        acme=visit.acme,
        face=visit.face,
        session=visit.session,
        user=visit.user,
    )


def _to_login(visit: Visit) -> Response:
    return visit.go("/login", notice=Notice(text="Log in to go on."))
