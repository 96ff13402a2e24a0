"""The page on which a customer connects Salesforce, and the way back from connecting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.responses import Response

from acme.sessions import Notice
from acme.web import UserVisit, notice_of, posted, signed_in
from keyturn import Connection, KeyturnError

HERE: Final = "/settings"
_BAD_GATEWAY: Final = 502
_USABLE: Final = frozenset({"active", "uncertain"})
_RANKS: Final[Mapping[str, int]] = {
    "active": 0,
    "uncertain": 1,
    "reauthorization_required": 2,
    "pending": 3,
    "revoked": 4,
}
_ENDED: Final = frozenset({"pending", "revoked"})
_OTHER_BROWSER: Final = Notice(
    text="That connection was not begun here. Press Connect to Salesforce to begin one.",
    code="connect_session_unknown",
)


@signed_in
async def show_settings(visit: UserVisit) -> Response:
    """Show how the customer is connected; confirm a connection on the way back from one."""
    query = visit.request.query_params
    if "connect_session" in query:
        return await _come_back(visit, query["connect_session"], query.get("confirmation_code"))
    try:
        connection = await connection_of(visit)
    except KeyturnError as error:
        return _settings(visit, None, status=_BAD_GATEWAY, notice=notice_of(error))
    return _settings(visit, connection)


@posted
async def connect(visit: UserVisit, form: FormData) -> Response:
    """Begin to connect, or to grant access again."""
    del form
    try:
        connection = await connection_of(visit)
        again = connection is not None and connection.state not in _ENDED
        session = await visit.face.keyturn.connect_sessions.create(
            customer_id=visit.user.customer_id,
            return_url=f"{visit.face.origin}{HERE}",
            connection_id=connection.id if connection is not None and again else None,
        )
    except KeyturnError as error:
        return visit.go(HERE, notice=notice_of(error))
    if session.url is None:
        lost = Notice(text="The link to connect got lost. Press again.", code="link_missing")
        return visit.go(HERE, notice=lost)
    return visit.within(visit.session.begun(session.id)).go(session.url)


@posted
async def disconnect(visit: UserVisit, form: FormData) -> Response:
    """End the connection."""
    del form
    try:
        connection = await connection_of(visit)
        if connection is not None:
            await visit.face.keyturn.connection(connection.id).disconnect()
    except KeyturnError as error:
        return visit.go(HERE, notice=notice_of(error))
    return visit.go(HERE, notice=Notice(text="Salesforce is disconnected."))


async def connection_of(visit: UserVisit) -> Connection | None:
    """Return the connection of the user's customer, the one that says most; None without one."""
    customer_id = visit.user.customer_id
    listed = visit.face.keyturn.connections.list(customer_id=customer_id)
    found = [one async for one in listed if one.customer_id == customer_id]
    return min(found, key=lambda one: _RANKS.get(one.state, len(_RANKS)), default=None)


def is_usable(connection: Connection | None) -> bool:
    """Tell whether the org can be asked for anything."""
    return connection is not None and connection.state in _USABLE


async def _come_back(visit: UserVisit, session_id: str, code: str | None) -> Response:
    """Confirm what was begun in this very session, and show the page under a clean address."""
    if session_id not in visit.session.connect_sessions:
        return visit.go(HERE, notice=_OTHER_BROWSER)
    sessions = visit.face.keyturn.connect_sessions
    ended = visit.within(visit.session.ended(session_id))
    try:
        if code is None:
            return ended.go(HERE, notice=_unfinished((await sessions.get(session_id)).problem))
        connection = await sessions.confirm(session_id, confirmation_code=code)
    except KeyturnError as error:
        return ended.go(HERE, notice=notice_of(error))
    name = connection.org_name or connection.org_id
    return ended.go(HERE, notice=Notice(text=f"Connected to {name}."))


def _unfinished(problem: Any) -> Notice:
    """Return what the page tells when the browser came back without a code."""
    told = problem if isinstance(problem, Mapping) else {"code": problem}
    title = told.get("title") or "Salesforce was not connected"
    return Notice(text=f"{title}. You can try again.", code=told.get("code") or "not_connected")


def _settings(
    visit: UserVisit,
    connection: Connection | None,
    *,
    status: int = 200,
    notice: Notice | None = None,
) -> Response:
    shown = connection if connection is not None and connection.state not in _ENDED else None
    return visit.page(
        "settings.html",
        status=status,
        notice=notice,
        connection=shown,
        known=notice is None,
        usable=is_usable(shown),
        customer_id=visit.user.customer_id,
    )
