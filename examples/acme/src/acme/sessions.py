"""The browser's session: one signed cookie, and the token of forms that is bound to it."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

LIFE: Final = timedelta(days=14)
_ID_BYTES: Final = 18
_KEPT_CONNECT_SESSIONS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the next page has to tell. `code` names a problem, None where all is well."""

    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser. `username` is None until somebody logs in.

    `connect_sessions` are those that were begun here: only these may be confirmed here, or a
    forwarded link could tie one customer's org to another's account.
    """

    id: str
    since: datetime
    username: str | None = None
    connect_sessions: tuple[str, ...] = ()
    notice: Notice | None = None

    def begun(self, connect_session_id: str) -> Session:
        """Return the session after a connect session was begun in it."""
        kept = (*self.connect_sessions, connect_session_id)[-_KEPT_CONNECT_SESSIONS:]
        return replace(self, connect_sessions=kept)

    def ended(self, connect_session_id: str) -> Session:
        """Return the session after a connect session has ended."""
        kept = tuple(one for one in self.connect_sessions if one != connect_session_id)
        return replace(self, connect_sessions=kept)

    def telling(self, notice: Notice | None) -> Session:
        """Return the session with something to tell, or with nothing."""
        return replace(self, notice=notice)


class Sessions:
    """Reads and writes sessions. One that was logged out stays so while Acme runs."""

    def __init__(self, key: str) -> None:
        self._serializer = URLSafeSerializer(key, salt="acme-session")
        self._key = hashlib.sha256(f"acme-form:{key}".encode()).digest()
        self._over: set[str] = set()

    def new(self, now: datetime, *, username: str | None = None) -> Session:
        """Return a session nobody has had before."""
        return Session(id=os.urandom(_ID_BYTES).hex(), since=now, username=username)

    def read(self, request: Request, now: datetime) -> Session | None:
        """Return the session that the browser shows, None where it shows none that holds."""
        shown = request.cookies.get(cookie_name(request.url.scheme), "")
        try:
            session = _session(self._serializer.loads(shown))
        except (BadSignature, KeyError, TypeError, ValueError):
            return None
        young = session.since <= now + timedelta(minutes=5) and now - session.since < LIFE
        return session if young and session.id not in self._over else None

    def keep(self, response: Response, request: Request, session: Session) -> None:
        """Give the browser its session.

        `Lax`, so that it is shown again when the browser comes back from connecting.
        """
        scheme = request.url.scheme
        response.set_cookie(
            cookie_name(scheme),
            self._serializer.dumps(_members(session)),
            max_age=int(LIFE.total_seconds()),
            path="/",
            secure=scheme == "https",
            httponly=True,
            samesite="lax",
        )

    def end(self, session: Session) -> None:
        """Let the session open nothing any more."""
        self._over.add(session.id)

    def form_token(self, session: Session) -> str:
        """Return what a form carries to show that this browser was given it."""
        return hmac.digest(self._key, session.id.encode(), "sha256").hex()

    def is_form_token(self, shown: str, session: Session) -> bool:
        """Tell whether a form was given to this browser."""
        expected = self.form_token(session).encode()
        return hmac.compare_digest(expected, shown.encode("utf-8", "surrogatepass"))


def cookie_name(scheme: str) -> str:
    """Return the cookie's name: over https one that no other host can set."""
    return "__Host-acme_session" if scheme == "https" else "acme_session"


def _members(session: Session) -> dict[str, Any]:
    notice = session.notice
    return {
        "id": session.id,
        "at": session.since.timestamp(),
        "user": session.username,
        "cs": list(session.connect_sessions),
        "notice": None if notice is None else [notice.text, notice.code],
    }


def _session(members: dict[str, Any]) -> Session:
    notice = members["notice"]
    return Session(
        id=str(members["id"]),
        since=datetime.fromtimestamp(members["at"], UTC),
        username=members["user"],
        connect_sessions=tuple(members["cs"]),
        notice=None if notice is None else Notice(text=notice[0], code=notice[1]),
    )
