"""The face of another platform's client, so that moving in changes its URL and key alone.

Spec: appnigma-integrations-client 0.1.3, as read from its code. Every answer is JSON, because
that client reads JSON before it looks at the status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.connection import SESSION_MARGIN, Connection, ConnectionState
from keyturn_service.domain.errors import NotFound, Unauthorized
from keyturn_service.domain.ids import AppId, ConnectionId
from keyturn_service.ports import ConnectionFilter, CursorUnknown, Page
from keyturn_service.use_cases.get_access_token import Served
from keyturn_service.use_cases.proxied_answer import ProxyCaller
from keyturn_service.use_cases.proxy_call import BufferedAnswer
from keyturn_service.web.api.route import Parts, bounded_receive
from keyturn_service.web.problems import InvalidRequest, Problem, WebRefusal
from keyturn_service.web.security import named_connection

_T = TypeVar("_T")

PREFIX: Final = "/api/v1"
_PAGE: Final = 20
_LONGEST_PAGE: Final = 200
_LONGEST_BODY: Final = 8 * 1024 * 1024  # bytes of a call that is proxied as JSON
_CONNECTED: Final = "connected"
_REGION: Final = "global"  # the client wants a text; connections have no region here
_BEHIND_ACTIVE: Final = "u:"  # marks cursors into the uncertain ones, which come last
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
_NO_STORE: Final = {"Cache-Control": "no-store"}


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a list."""

    environment: Environment | msgspec.UnsetType = msgspec.UNSET  # `null` is no environment
    status: str | msgspec.UnsetType = msgspec.UNSET
    search: Annotated[str, msgspec.Meta(max_length=200, pattern=_PRINTABLE)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    limit: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_PAGE)] = _PAGE
    cursor: Annotated[str, msgspec.Meta(max_length=500)] | msgspec.UnsetType = msgspec.UNSET


class _ProxyAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A call for an org, as the client writes it."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, msgspec.Meta(max_length=16_000)]
    query: dict[str, str | int | float | bool | None] | None = None
    data: Any = None


def compat_routes(parts: Parts) -> list[BaseRoute]:
    """Return the three routes of that client."""
    compat = Compat(parts=parts)
    return [
        Route(f"{PREFIX}/connections", compat.connections, methods=["GET"]),
        Route(f"{PREFIX}/connections/{{connection_id}}/credentials", compat.credentials),
        Route(f"{PREFIX}/proxy/salesforce", compat.proxy, methods=["POST"]),
    ]


def answer_of(problem: Problem) -> Response:
    """Write a problem as that client reads it."""
    headers = {**(problem.headers or {}), **_NO_STORE, "Keyturn-Problem": problem.code}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    said = {"error": problem.code, "message": _message(problem)}
    return _json(msgspec.json.encode(said), status=problem.status, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compat:
    """List connections, hand out credentials, proxy a call."""

    parts: Parts

    async def connections(self, request: Request) -> Response:
        """List connections with the numbers the client pages by."""
        key = await self.parts.door.api_key(request.scope, Right.CONNECTIONS_READ)
        asked = _read_query(request)
        wanted = ConnectionFilter(
            app_id=_app_id(request),
            environment=_given(asked.environment),
            search=_given(asked.search),
        )
        try:
            page, total = await self._page(key, asked, wanted)
        except CursorUnknown:
            raise WebRefusal("cursor_unknown") from None
        now = self.parts.wiring.clock.now()
        said: dict[str, object] = {
            "connections": [_listed(connection, now) for connection in page.items],
            "totalCount": total,
        }
        if page.next_cursor is not None:
            said["nextCursor"] = page.next_cursor
        return _json(msgspec.json.encode(said))

    async def credentials(self, request: Request) -> Response:
        """Hand out an access token that serves."""
        door, connection_id = (
            self.parts.door,
            named_connection(request.path_params["connection_id"]),
        )
        if _app_id(request) is not None:
            key = await door.api_key(request.scope, Right.TOKENS_READ)
            await self._of_the_app(request, key, connection_id)
        _, shown = door.shown(request.scope)
        try:
            served = await self.parts.wiring.get_access_token(connection_id, key_hash=shown)
        except Unauthorized:
            door.refused(request.scope, shown)
            raise
        door.strangers.welcome(shown)
        return _json(msgspec.json.encode(_credentials(served, self.parts.wiring.clock.now())))

    async def proxy(self, request: Request) -> Response:
        """Make a call for an org and return its answer as JSON, whatever it was."""
        key = await self.parts.door.api_key(request.scope, Right.PROXY)
        asked = await _read_call(request)
        named = request.headers.get("x-connection-id")
        if not named:
            raise InvalidRequest("header.X-Connection-Id", "is missing")
        connection_id = named_connection(named)
        await self._of_the_app(request, key, connection_id)
        caller = ProxyCaller(
            workspace_id=key.workspace_id,
            actor=key.id,
            unsafe=Right.PROXY_UNSAFE in key.rights,
        )
        answer = await self.parts.wiring.proxy_call.buffered(
            caller,
            connection_id,
            method=asked.method,
            path=asked.path,
            query=_texts(asked.query),
            data=asked.data,
        )
        return _as_json(answer)

    async def _of_the_app(self, request: Request, key: ApiKey, connection_id: ConnectionId) -> None:
        """See that the connection is of the integration that the request names, if of any.

        Raises:
            NotFound: it is not, or there is none.
        """
        connection = await self.parts.wiring.connections.get(key.workspace_id, connection_id)
        if connection is None or _app_id(request) not in {None, connection.app_id}:
            raise NotFound("connection")

    async def _page(
        self, key: ApiKey, asked: _Asked, wanted: ConnectionFilter
    ) -> tuple[Page[Connection], int]:
        """Return a page and the number of all.

        Raises:
            CursorUnknown: the cursor is not one of ours.
        """
        if asked.status == _CONNECTED:
            return await self._connected(key, asked, wanted)
        if asked.status is not msgspec.UNSET:
            if asked.status not in set(ConnectionState) - {ConnectionState.ACTIVE}:
                return Page(items=(), next_cursor=None), 0
            wanted = replace(wanted, state=ConnectionState(asked.status))
        total = await self.parts.wiring.connections.count(key.workspace_id, wanted)
        cursor = _given(asked.cursor)
        return await self._listed(key, wanted, limit=asked.limit, cursor=cursor), total

    async def _connected(
        self, key: ApiKey, asked: _Asked, wanted: ConnectionFilter
    ) -> tuple[Page[Connection], int]:
        """Page over the active connections, then over the uncertain ones that serve.

        The total counts every uncertain one: which of them serve changes by the minute.
        """
        active = replace(wanted, state=ConnectionState.ACTIVE)
        uncertain = replace(wanted, state=ConnectionState.UNCERTAIN)
        count = self.parts.wiring.connections.count
        others = await count(key.workspace_id, uncertain)
        total = await count(key.workspace_id, active) + others
        cursor = _given(asked.cursor)
        first: Page[Connection] = Page(items=(), next_cursor=None)
        if cursor is None or not cursor.startswith(_BEHIND_ACTIVE):
            first = await self._listed(key, active, limit=asked.limit, cursor=cursor)
            room = asked.limit - len(first.items)
            if first.next_cursor is not None or not others:
                return first, total
            if not room:
                return replace(first, next_cursor=_BEHIND_ACTIVE), total
            cursor = _BEHIND_ACTIVE
        rest = await self._listed(
            key,
            uncertain,
            limit=asked.limit - len(first.items),
            cursor=cursor.removeprefix(_BEHIND_ACTIVE) or None,
        )
        now = self.parts.wiring.clock.now()
        serving = [found for found in rest.items if _status(found, now) == _CONNECTED]
        further = None if rest.next_cursor is None else _BEHIND_ACTIVE + rest.next_cursor
        return Page(items=[*first.items, *serving], next_cursor=further), total

    async def _listed(
        self, key: ApiKey, wanted: ConnectionFilter, *, limit: int, cursor: str | None
    ) -> Page[Connection]:
        connections = self.parts.wiring.connections
        return await connections.list(key.workspace_id, wanted, limit=limit, cursor=cursor)


def _given(value: _T | msgspec.UnsetType) -> _T | None:
    return None if value is msgspec.UNSET else value


def _read_query(request: Request) -> _Asked:
    pairs = request.query_params.multi_items()
    if len(dict(pairs)) < len(pairs):
        raise InvalidRequest("query", "a parameter came twice")
    try:
        return msgspec.convert(dict(pairs), _Asked, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest("query", str(error)) from None


async def _read_call(request: Request) -> _ProxyAsked:
    receive = bounded_receive(request.scope, request.receive, longest=_LONGEST_BODY)
    body = await Request(request.scope, receive).body()
    try:
        return msgspec.json.decode(body, type=_ProxyAsked)
    except msgspec.ValidationError:
        raise InvalidRequest("body", "method, path, and perhaps query and data") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("body", "not JSON", status=400) from None


def _app_id(request: Request) -> AppId | None:
    named = request.headers.get("x-integration-id")
    return None if named is None else AppId(named)


def _texts(query: Mapping[str, object] | None) -> dict[str, str] | None:
    if query is None:
        return None
    given = {name: value for name, value in query.items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }


def _listed(connection: Connection, now: datetime) -> dict[str, str | None]:
    return {
        "connectionId": connection.id,
        "userEmail": connection.user.email,
        "userName": connection.user.username,
        "orgName": connection.org_name,
        "environment": connection.environment.value,
        "region": _REGION,
        "status": _status(connection, now),
        "connectedAt": _time(connection.created_at),
        "lastActiveAt": _time(connection.last_used_at or connection.created_at),
    }


def _status(connection: Connection, now: datetime) -> str:
    if connection.state is ConnectionState.ACTIVE:
        return _CONNECTED
    if connection.state is ConnectionState.UNCERTAIN and now < _learned_end(connection):
        return _CONNECTED
    return connection.state.value


def _learned_end(connection: Connection) -> datetime:
    """Return until when the latest access token is safely served."""
    since = connection.last_refreshed_at or connection.authorized_at
    return since + connection.session_life - SESSION_MARGIN


def _credentials(served: Served, now: datetime) -> dict[str, str]:
    connection, tokens = served.connection, served.tokens
    return {
        "accessToken": tokens.access_token.reveal(),
        "instanceUrl": connection.instance_url,
        "environment": connection.environment.value,
        "region": _REGION,
        "tokenType": "Bearer",
        "expiresAt": _time(tokens.expires_at or now),
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _as_json(answer: BufferedAnswer) -> Response:
    """Hand on a body that is JSON as it came; write any other as a JSON text, none as null."""
    body = answer.body
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        body = msgspec.json.encode(body.decode("utf-8", "replace")) if body else b"null"
    status = 200 if answer.status == 204 else answer.status  # noqa: PLR2004 - No Content
    return _json(body, status=status)


def _json(body: bytes, *, status: int = 200, headers: Mapping[str, str] = _NO_STORE) -> Response:
    return Response(body, status_code=status, headers=dict(headers), media_type="application/json")


def _message(problem: Problem) -> str:
    said: Sequence[str] = [f"{error.field}: {error.message}" for error in problem.errors]
    return "; ".join(said) or problem.detail
