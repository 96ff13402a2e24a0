"""HTTP in and out: `/services/data`, and Apex REST, of which these orgs have no classes.

Spec: REST API Developer Guide, "Headers" and "Compression".
"""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.data import OrgData
from orgsim.json_text import compact_json
from orgsim.soql.answers import Queried
from orgsim.surfaces.call import read_pairs
from orgsim.surfaces.rest_api.cursors import Cursors
from orgsim.surfaces.rest_api.errors import RestRefused, not_found, unreadable_json
from orgsim.surfaces.rest_api.exchange import ROOT, Answer, Asked, read_path
from orgsim.surfaces.rest_api.org_wide import usage_of, versions
from orgsim.surfaces.rest_api.printing import compressed, pretty_json
from orgsim.surfaces.rest_api.resources import RESOURCES, Handler, answer_to
from orgsim.surfaces.session import ApiSession

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_JSON = "application/json;charset=UTF-8"
_HEADERS = {
    "Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "none",
    "Vary": "Accept-Encoding",
}
_LARGEST_BODY = 50_000_000  # bytes, after decompression
SetupOf = Callable[[Request, ApiSession, str], AbstractContextManager[Queried] | None]
_Endpoint = Callable[[Request], Awaitable[Response]]


class _RestApi:
    """Answers the requests of all orgs."""

    def __init__(
        self,
        session_of: Callable[[Request], Awaitable[ApiSession]],
        data_of: Callable[[str], OrgData],
        setup_of: SetupOf,
    ) -> None:
        self._session_of = session_of
        self._data_of = data_of
        self._setup_of = setup_of
        self._cursors: WeakKeyDictionary[OrgData, Cursors] = WeakKeyDictionary()

    async def versions(self, request: Request) -> Response:
        """List the API's versions; nobody needs to be signed in for that."""
        if request.method not in {"GET", "HEAD"}:
            return await self.call(request)
        return _response(request, Answer(body=versions()), usage=None)

    async def call(self, request: Request) -> Response:
        """Answer any other path: as an org that does not have it."""
        session = await self._session_of(request)
        data = self._data_of(session.org_id)
        data.count_call()
        try:
            answer = answer_to(await self._asked(request, session, data))
        except RestRefused as refused:
            answer = refused.answer()
        return _response(request, answer, usage=usage_of(data))

    async def apex(self, request: Request) -> Response:
        """Answer Apex REST: no class is there."""
        session = await self._session_of(request)
        refused = RestRefused("NOT_FOUND", "Could not find a match for URL")
        usage = usage_of(self._data_of(session.org_id))
        return _response(request, refused.answer(), usage=usage)

    async def _asked(self, request: Request, session: ApiSession, data: OrgData) -> Asked:
        version, path = _path_of(request)
        query = read_pairs(request.url.query)
        method = request.method
        if method == "POST" and "_HttpMethod" in query:
            method = query["_HttpMethod"].upper()
        return Asked(
            method=method,
            version=version,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await _body_of(request),
            data=data,
            session=session,
            cursors=self._cursors.setdefault(data, Cursors()),
            setup_of=partial(self._setup_of, request, session),
            again=answer_to,
        )


def _path_of(request: Request) -> tuple[int, tuple[str, ...]]:
    """Return version and segments of the path.

    Raises:
        RestRefused: it names no version.
    """
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    found = read_path(raw.decode("ascii", errors="replace").split("?")[0])
    if found is None:
        raise not_found()
    return found


async def _body_of(request: Request) -> bytes:
    """Return the body, decompressed.

    Raises:
        RestRefused: it is too large, or not compressed as it says.
    """
    body = await request.body()
    if request.headers.get("content-encoding", "").lower() == "gzip":
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, _LARGEST_BODY + 1)
        except zlib.error as error:
            raise unreadable_json("The request body is not valid gzip") from error
    if len(body) > _LARGEST_BODY:
        raise RestRefused("REQUEST_ENTITY_TOO_LARGE", "The request body is too large")
    return body


def _response(request: Request, answer: Answer, *, usage: Mapping[str, str] | None) -> Response:
    headers = {**_HEADERS, **answer.headers}
    if usage is not None:
        headers |= usage
    if answer.body is None:
        return Response(status_code=answer.status, headers=headers)
    body = _written(answer.body, pretty=request.headers.get("x-prettyprint") == "1")
    headers["Content-Type"] = _JSON
    small = None
    if not answer.failed:
        small = compressed(body, accepted=request.headers.get("accept-encoding", ""))
    if small is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(body if small is None else small, status_code=answer.status, headers=headers)


def _written(body: Any, *, pretty: bool) -> bytes:
    return pretty_json(body).encode() if pretty else compact_json(body)


def _documented(endpoint: _Endpoint, handler: Handler) -> _Endpoint:
    """Return the endpoint under the handler's words, for whoever lists the routes."""

    async def call(request: Request) -> Response:
        return await endpoint(request)

    call.__doc__ = handler.__doc__
    return call


def rest_routes(
    *,
    session_of: Callable[[Request], Awaitable[ApiSession]],
    data_of: Callable[[str], OrgData],
    setup_of: SetupOf,
    now: Callable[[], datetime],
) -> list[BaseRoute]:
    """Return the routes of the REST API; `session_of` raises `NotSignedIn`.

    `setup_of` opens the rows of an object of Setup, for whom they are there.
    """
    del now  # an org's data know the time
    api = _RestApi(session_of, data_of, setup_of)
    listed = [
        Route(
            f"{ROOT}/v{{version}}/{resource.path}".rstrip("/"),
            _documented(api.call, handler),
            methods=[method],
        )
        for resource in RESOURCES
        for method, handler in resource.methods.items()
    ]
    return [
        Route(ROOT, api.versions, methods=_METHODS),
        Route(f"{ROOT}/", api.versions, methods=_METHODS, include_in_schema=False),
        *listed,
        Route(f"{ROOT}/{{rest:path}}", api.call, methods=_METHODS),
        Route("/services/apexrest/{rest:path}", api.apex, methods=_METHODS),
    ]
