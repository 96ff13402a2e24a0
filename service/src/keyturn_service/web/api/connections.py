"""Connections: customers' orgs that let the vendor in, and proxy sessions for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, StrictBool, WithJsonSchema

from keyturn_core.salesforce.hosts import Environment
from keyturn_core.salesforce.ids import OrgId
from keyturn_service.domain.connection import Connection, ConnectionState, DiesBecause, Renewal
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId
from keyturn_service.domain.signing_key import active_key
from keyturn_service.ports import ConnectionFilter, CursorUnknown
from keyturn_service.web.api.route import ApiRoute, Face, Proxier, Reader, Wired, Writer
from keyturn_service.web.api.wire import (
    Cursor,
    IdIn,
    In,
    Limit,
    OrgIdIn,
    Out,
    Page,
    Text,
    Time,
    UserOut,
    problem_out,
    user_out,
)
from keyturn_service.web.problems import WebRefusal
from keyturn_service.web.wiring import Wiring

router: Final = APIRouter(route_class=ApiRoute, tags=["connections"])
_HMS: Final = "([0-9]{1,5}H([0-9]{1,5}M)?([0-9]{1,5}S)?|[0-9]{1,5}M([0-9]{1,5}S)?|[0-9]{1,5}S)"
_ISO_8601: Final = f"P([0-9]{{1,3}}D|([0-9]{{1,3}}D)?T{_HMS})"


def _as_iso_8601(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_ISO_8601, value):
        raise ValueError("not an ISO 8601 duration of days or less, such as PT2H")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_as_iso_8601),
    WithJsonSchema({"type": "string", "pattern": f"^{_ISO_8601}$", "examples": ["PT2H"]}),
]


class ConnectionOut(Out):
    """One customer's org that let the vendor in.

    Unless somebody acts it ends at `dies_at`, because of `dies_because`.
    """

    id: str
    customer_id: str
    app_id: str
    state: ConnectionState
    environment: Environment
    org_id: str
    org_name: str | None
    instance_url: str
    user: UserOut
    scopes: list[str]
    renewal: Renewal
    keep_alive: bool
    created_at: Time
    last_used_at: Time | None
    last_refreshed_at: Time | None
    dies_at: Time | None
    dies_because: DiesBecause | None
    problem: dict[str, Any] | None


class ConnectionChange(In):
    """`keep_alive: false` lets the connection die when it is idle."""

    keep_alive: StrictBool


class ProxySessionIn(In):
    """How long the proxy session is to live: 2 hours unless said; more than 12 is cut to 12."""

    ttl: Duration | None = None


class ProxySessionOut(Out):
    """What a client takes that knows only an instance URL and a session id, shown this once."""

    instance_url: str
    session_id: str
    expires_at: Time


@router.get("/v1/connections")
async def list_connections(
    *,
    caller: Reader,
    wired: Wired,
    face: Face,
    customer_id: Annotated[Text | None, Query()] = None,
    app_id: Annotated[Text | None, Query()] = None,
    state: ConnectionState | None = None,
    environment: Environment | None = None,
    org_id: Annotated[OrgIdIn | None, Query()] = None,
    q: Annotated[
        Text | None, Query(description="Part of customer id, org name, user name or e-mail.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ConnectionOut]:
    """List connections, oldest first."""
    asked = ConnectionFilter(
        customer_id=None if customer_id is None else CustomerId(customer_id),
        app_id=None if app_id is None else AppId(app_id),
        state=state,
        environment=environment,
        org_id=None if org_id is None else OrgId(org_id),
        search=q,
    )
    try:
        page = await wired.connections.list(caller.workspace_id, asked, limit=limit, cursor=cursor)
    except CursorUnknown:
        raise WebRefusal("cursor_unknown") from None
    ends = await _certificates_end(page.items, wired)
    data = [
        connection_out(connection, face=face, certificate_ends=ends.get(connection.app_id))
        for connection in page.items
    ]
    return Page(data=data, next_cursor=page.next_cursor)


@router.get("/v1/connections/{connection_id}")
async def get_connection(
    connection_id: IdIn, caller: Reader, wired: Wired, face: Face
) -> ConnectionOut:
    """Read a connection."""
    connection = await wired.connections.get(caller.workspace_id, ConnectionId(connection_id))
    if connection is None:
        raise NotFound("connection")
    return await written(connection, wired, face=face)


@router.patch("/v1/connections/{connection_id}")
async def change_connection(
    connection_id: IdIn, asked: ConnectionChange, caller: Writer, wired: Wired, face: Face
) -> ConnectionOut:
    """Say whether the connection is kept alive while nobody uses it."""
    connection = await wired.set_keep_alive(
        caller.workspace_id, ConnectionId(connection_id), caller.id, keep_alive=asked.keep_alive
    )
    return await written(connection, wired, face=face)


@router.delete(
    "/v1/connections/{connection_id}",
    status_code=202,
    responses={200: {"description": "It is revoked already.", "model": ConnectionOut}},
)
async def disconnect(
    connection_id: IdIn, caller: Writer, wired: Wired, face: Face, response: Response
) -> ConnectionOut:
    """Stop serving at once; the grant is revoked at Salesforce in the background."""
    connection = await wired.disconnect(caller.workspace_id, ConnectionId(connection_id), caller.id)
    if connection.state is ConnectionState.REVOKED:
        response.status_code = 200
    return await written(connection, wired, face=face)


@router.post("/v1/connections/{connection_id}/proxy-sessions", status_code=201)
async def open_proxy_session(
    connection_id: IdIn,
    caller: Proxier,
    wired: Wired,
    face: Face,
    asked: ProxySessionIn | None = None,
) -> ProxySessionOut:
    """Make a session id for clients that know only an instance URL and a session id."""
    session, instance_url, session_id = await wired.open_proxy_session(
        caller,
        ConnectionId(connection_id),
        ttl=None if asked is None else asked.ttl,
        origin=face,
    )
    return ProxySessionOut(
        instance_url=instance_url, session_id=session_id, expires_at=session.expires_at
    )


async def written(connection: Connection, wired: Wiring, *, face: str) -> ConnectionOut:
    """Write a connection, as its app's certificate lets it live."""
    ends = await _certificates_end([connection], wired)
    return connection_out(connection, face=face, certificate_ends=ends.get(connection.app_id))


async def _certificates_end(
    connections: Sequence[Connection], wired: Wiring
) -> Mapping[AppId, datetime]:
    """Return when the certificates end that some of the connections hang on."""
    asserted = (one for one in connections if one.renewal is Renewal.JWT_BEARER)
    apps = {(one.workspace_id, one.app_id) for one in asserted}
    keys = [active_key(await wired.signing_keys.list(*app)) for app in apps]
    return {key.app_id: key.not_after for key in keys if key is not None}


def connection_out(
    connection: Connection, *, face: str, certificate_ends: datetime | None = None
) -> ConnectionOut:
    """Write a connection."""
    dies_at, dies_because = connection.dies(certificate_ends=certificate_ends)
    return ConnectionOut(
        id=connection.id,
        customer_id=connection.customer_id,
        app_id=connection.app_id,
        state=connection.state,
        environment=connection.environment,
        org_id=connection.org_id,
        org_name=connection.org_name,
        instance_url=connection.instance_url,
        user=user_out(connection.user),
        scopes=sorted(connection.scopes),
        renewal=connection.renewal,
        keep_alive=connection.keep_alive,
        created_at=connection.created_at,
        last_used_at=connection.last_used_at,
        last_refreshed_at=connection.last_refreshed_at,
        dies_at=dies_at,
        dies_because=dies_because,
        problem=problem_out(connection.problem, face=face),
    )
