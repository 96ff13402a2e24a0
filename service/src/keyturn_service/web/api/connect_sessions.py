"""Connect sessions: one attempt of one customer to connect."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.connect_session import ConnectSession, Delivery, SessionStatus
from keyturn_service.domain.ids import AppId, ConnectionId, ConnectSessionId, CustomerId
from keyturn_service.web.api.connections import ConnectionOut, connection_out
from keyturn_service.web.api.route import ApiRoute, Face, Reader, Wired, Writer
from keyturn_service.web.api.wire import (
    IdIn,
    In,
    OrgIdIn,
    OrgOut,
    Out,
    Text,
    Time,
    Url,
    UserOut,
    problem_out,
    user_out,
)
from keyturn_service.web.idempotency import repeatable
from keyturn_service.web.refusals import NEVER_CAME_BACK, SALESFORCE_SAID

router: Final = APIRouter(route_class=ApiRoute, tags=["connect sessions"])


class ConnectSessionIn(In):
    """A new connect session. With `connection_id` the customer reauthorizes that connection."""

    customer_id: Text
    return_url: Url
    app_id: Text | None = None
    environment: Environment | None = None
    my_domain: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    delivery: Delivery = Delivery.OWN
    connection_id: Text | None = None


class ConfirmationByCode(In):
    """The code that came with the browser to the return URL."""

    confirmation_code: Text


class ConfirmationByOrg(In):
    """For `delivery: "shared"`: the org, as shown to and confirmed by your own user."""

    org_id: OrgIdIn


class ConnectSessionOut(Out):
    """A connect session. `url` is a secret of its own and is given once, when it is created.

    `org` and `user` are those who let the vendor in, known from `awaiting_confirmation` on.
    """

    id: str
    url: str | None
    status: SessionStatus
    customer_id: str
    app_id: str
    delivery: Delivery
    created_at: Time
    expires_at: Time
    org: OrgOut | None
    user: UserOut | None
    connection_id: str | None
    problem: dict[str, Any] | None


@router.post("/v1/connect-sessions", status_code=201)
async def begin_connect_session(
    asked: ConnectSessionIn, caller: Writer, wired: Wired, face: Face
) -> ConnectSessionOut:
    """Begin a connect session: send the customer's browser to its `url`."""
    session, link = await wired.begin_connect_session(
        caller.workspace_id,
        caller.id,
        customer_id=CustomerId(asked.customer_id),
        return_url=asked.return_url,
        app_id=None if asked.app_id is None else AppId(asked.app_id),
        environment=asked.environment,
        my_domain=asked.my_domain,
        delivery=asked.delivery,
        connection_id=None if asked.connection_id is None else ConnectionId(asked.connection_id),
        origin=face,
    )
    return _out(session, link=link, face=face)


@router.get("/v1/connect-sessions/{session_id}")
async def follow_connect_session(
    session_id: IdIn, caller: Reader, wired: Wired, face: Face
) -> ConnectSessionOut:
    """Follow a connect session. It is forgotten 70 days after it began."""
    session = await wired.find_connect_session(caller.workspace_id, ConnectSessionId(session_id))
    return _out(session, link=None, face=face)


@router.post("/v1/connect-sessions/{session_id}/confirm")
async def confirm_connection(
    session_id: IdIn,
    asked: ConfirmationByCode | ConfirmationByOrg,
    caller: Writer,
    wired: Wired,
    face: Face,
    *,
    request: Request,
) -> ConnectionOut:
    """Confirm the connection inside your own user's session; it is active from now on."""
    by_code = asked.confirmation_code if isinstance(asked, ConfirmationByCode) else None
    by_org = asked.org_id if isinstance(asked, ConfirmationByOrg) else None
    connection = await wired.confirm_connection(
        caller.workspace_id,
        ConnectSessionId(session_id),
        caller.id,
        confirmation_code=by_code,
        org_id=by_org,
        request=repeatable(request),
    )
    return connection_out(connection, face=face)


def _out(session: ConnectSession, *, link: str | None, face: str) -> ConnectSessionOut:
    org = None
    if session.org_id is not None:
        org = OrgOut(id=session.org_id, name=session.org_name)
    return ConnectSessionOut(
        id=session.id,
        url=link,
        status=session.status,
        customer_id=session.customer_id,
        app_id=session.app_id,
        delivery=session.delivery,
        created_at=session.created_at,
        expires_at=session.ends_at(),
        org=org,
        user=None if session.user is None else user_out(session.user),
        connection_id=session.connection_id,
        problem=_problem(session, face=face),
    )


def _problem(session: ConnectSession, *, face: str) -> dict[str, Any] | None:
    """Return what ended the session: our explanation, then Salesforce's words for it."""
    problem = problem_out(session.problem, face=face)
    if problem is None:
        return None
    if session.said is not None:
        problem["detail"] = f"{problem['detail']} {SALESFORCE_SAID} {session.said}"
    elif session.never_came_back:
        problem["detail"] = f"{problem['detail']} {NEVER_CAME_BACK}"
    return problem
