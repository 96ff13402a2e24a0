"""HTTP of the Tooling API: `/services/data/vNN.0/tooling/…`.

Spec: Tooling API Developer Guide, "REST Resources".
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.data.ids import read_id
from orgsim.data.rows import Row
from orgsim.data.schema import ObjectType
from orgsim.data.wire import on_wire
from orgsim.json_text import compact_json
from orgsim.soql import QueryRefused, run_query
from orgsim.surfaces.api_sign_in import session_of
from orgsim.surfaces.call import call_of
from orgsim.surfaces.rest_api.errors import (
    RestRefused,
    answer_of_query,
    method_not_allowed,
    not_found,
)
from orgsim.surfaces.rest_api.exchange import Answer
from orgsim.surfaces.rest_api.json_bodies import read_json
from orgsim.surfaces.rest_api.org_wide import usage_of
from orgsim.surfaces.session import ApiSession
from orgsim.surfaces.tooling_api import errors, records
from orgsim.surfaces.tooling_api.building import key_hash
from orgsim.surfaces.tooling_api.objects import APPS, HUB_ONLY
from orgsim.surfaces.tooling_api.records import Caller
from orgsim.surfaces.tooling_api.view import ToolingView

_BASE = "/services/data/v{version:int}.0/tooling"
_JSON = "application/json;charset=UTF-8"
_KEY = re.compile(r"\s+AND\s+InstallationKey\s*=\s*'((?:\\.|[^'\\])*)'", re.IGNORECASE)
_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_BY_ID = re.compile(r"\bWHERE\s+Id\s*(=|IN)", re.IGNORECASE)
_VERSION_REQUEST = "package2versioncreaterequest"
_CREATED = 201
_APPS = frozenset(name.lower() for name in APPS)
Handler = Callable[[Request, Caller], Awaitable[Answer]]


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        session = await session_of(request)
        data = call_of(request).world.data(session.org_id)
        data.count_call()
        try:
            answer = await handler(request, _caller(request, session))
        except RestRefused as refused:
            answer = refused.answer()
        except QueryRefused as refused:
            answer = answer_of_query(refused)
        body = b"" if answer.body is None else compact_json(answer.body)
        headers = {"Content-Type": _JSON, **usage_of(data), **answer.headers}
        return Response(body, status_code=answer.status, headers=headers)

    call.__doc__ = handler.__doc__
    return call


def _caller(request: Request, session: ApiSession) -> Caller:
    """Return who calls; only admins have packaging permissions.

    Spec: Second-Generation Managed Packaging Developer Guide, "Packaging Permissions".
    """
    call = call_of(request)
    org = call.org
    user = None if org is None else org.user(session.user_id)
    if org is None or user is None:
        raise not_found()
    if user.role != "admin" and not (org.dev_hub and request.method == "GET"):
        raise errors.no_access()
    return Caller(world=call.world, org=org, user=user)


async def query(request: Request, caller: Caller) -> Answer:
    """Answer a query over packaging objects."""
    text = request.query_params.get("q")
    if text is None:
        raise RestRefused("MALFORMED_QUERY", "A query string has to be specified")
    found = _FROM.search(text)
    name = found[1].lower() if found else ""
    text, presented = _without_key(text)
    if name == "subscriberpackageversion":
        _check_key(caller, text, presented)
    count_questions(caller, name)
    view = ToolingView(caller.world, caller.org, presented_key=presented)
    try:
        base = f"/services/data/v{request.path_params['version']}.0/tooling"
        answered = run_query(view, text, base=base)
    finally:
        view.close()
    body = {
        "size": len(answered.records),
        "totalSize": answered.total,
        "done": True,
        "queryLocator": None,
        "entityTypeName": found[1] if found else None,
        "records": list(answered.records),
    }
    return Answer(body=body)


def _without_key(text: str) -> tuple[str, str | None]:
    """Take the installation key out of a query; it is presented, not compared."""
    found = _KEY.search(text)
    if found is None:
        return text, None
    return _KEY.sub("", text), re.sub(r"\\(.)", r"\1", found[1])


def _check_key(caller: Caller, text: str, presented: str | None) -> None:
    """Check that one version is asked for, and with its installation key.

    Spec: Tooling API Reference, "SubscriberPackageVersion".
    """
    if not _BY_ID.search(text):
        raise errors.only_by_id()
    for version in caller.world.packages.versions:
        short = version.subscriber_version_id[:15]
        if version.key_hash is None or short not in text or caller.org.dev_hub:
            continue
        if key_hash(presented) != version.key_hash:
            said = errors.KEY_INVALID if presented else errors.KEY_REQUIRED
            raise RestRefused(said.partition(":")[0], said.partition(": ")[2])


def count_questions(caller: Caller, name: str) -> None:
    """Note that somebody asked how far a request is: it moves on by that."""
    books = caller.world.packages
    if name == _VERSION_REQUEST and caller.org.dev_hub:
        for request in books.requests:
            if request.asked <= caller.world.switches.status_checks_until_done:
                books.requests.put(replace(request, asked=request.asked + 1))


def _row(caller: Caller, name: str, record_id: str) -> tuple[ObjectType, Row]:
    view = ToolingView(caller.world, caller.org)
    try:
        kind = view.schema.find(name)
        wide = read_id(record_id)
        row = None if kind is None or wide is None else view.find(kind.name, wide)
    finally:
        view.close()
    if kind is None or row is None:
        raise not_found()
    return kind, row


async def read(request: Request, caller: Caller) -> Answer:
    """Show one record, whole; requests to install move on by being looked at."""
    name, record_id = request.path_params["name"], request.path_params["id"]
    _count_look(caller, record_id)
    kind, row = _row(caller, name, record_id)
    url = f"{request.url.path}"
    body: dict[str, Any] = {"attributes": {"type": kind.name, "url": url}}
    body |= {field.name: on_wire(field, row.get(field.name)) for field in kind.fields}
    if kind.name == "PackageInstallRequest":
        body["Errors"] = _install_errors(caller, str(row["Id"]))
    return Answer(body=body)


def _count_look(caller: Caller, record_id: str) -> None:
    books = caller.world.packages
    for request in books.installs:
        if request.request_id[:15] == record_id[:15] and request.org_id == caller.org.org_id:
            books.installs.put(replace(request, asked=request.asked + 1))


def _install_errors(caller: Caller, request_id: str) -> Any:
    request = caller.world.packages.installs.get(request_id)
    done = request is not None and request.asked > (caller.world.switches.status_checks_until_done)
    if request is None or not done or not request.errors:
        return None
    return {"errors": [{"message": text} for text in request.errors]}


async def create(request: Request, caller: Caller) -> Answer:
    """Make a package, or ask for a version, an install or an uninstall."""
    name = request.path_params["name"].lower()
    if name in {known.lower() for known in HUB_ONLY} and not caller.org.dev_hub:
        raise not_found()
    if name == _VERSION_REQUEST:
        values, data = await _two_parts(request)
        record_id = records.request_version(caller, values, data)
    else:
        handler = _CREATES.get(name)
        if handler is None:
            raise not_found()
        record_id = handler(caller, _object(await request.body()))
    return Answer(
        status=_CREATED,
        body={"id": record_id, "success": True, "errors": [], "warnings": [], "infos": []},
    )


_CREATES: Mapping[str, Callable[[Caller, Mapping[str, Any]], str]] = {
    "package2": records.create_package,
    "packageinstallrequest": records.request_install,
    "subscriberpackageversionuninstallrequest": records.request_uninstall,
}


async def change(request: Request, caller: Caller) -> Answer:
    """Promote a version, or change what is said of a version or package."""
    handlers = {"package2version": records.change_version, "package2": records.change_package}
    handler = handlers.get(request.path_params["name"].lower())
    if not caller.org.dev_hub:
        raise not_found()
    if handler is None:
        raise method_not_allowed("PATCH", ["GET", "HEAD"])
    handler(caller, request.path_params["id"], _object(await request.body()))
    return Answer(status=204)


def _object(body: bytes) -> dict[str, Any]:
    value = read_json(body)
    if not isinstance(value, dict):
        raise RestRefused("JSON_PARSER_ERROR", "The body must be an object at [line:1, column:1]")
    return value


async def _two_parts(request: Request) -> tuple[dict[str, Any], bytes]:
    """Return the request's fields and its zip, in whatever order they came.

    Raises:
        RestRefused: one of them is missing.
    """
    fields: dict[str, Any] | None = None
    data: bytes | None = None
    try:
        async with request.form(max_part_size=50_000_000) as form:
            for name, part in form.multi_items():
                body = await part.read() if isinstance(part, UploadFile) else part.encode()
                if name == "VersionInfo":
                    data = body
                elif name.lower() == _VERSION_REQUEST:
                    fields = json.loads(body)
    except (HTTPException, ValueError) as error:
        raise errors.bad_form() from error
    if data is None or not isinstance(fields, dict):
        raise errors.bad_form()
    return fields, data


def setup_of(
    request: Request, session: ApiSession, name: str
) -> AbstractContextManager[ToolingView] | None:
    """Open the rows of apps for queries outside the Tooling API; only admins have them.

    That others lack them is not documented.
    """
    if name.lower() not in _APPS:
        return None
    call = call_of(request)
    user = None if call.org is None else call.org.user(session.user_id)
    if call.org is None or user is None or user.role != "admin":
        return None
    return closing(ToolingView(call.world, call.org))


def tooling_routes() -> list[BaseRoute]:
    """Routes of the Tooling API."""
    record = f"{_BASE}/sobjects/{{name}}"
    return [
        Route(f"{_BASE}/query", _endpoint(query), methods=["GET"]),
        Route(f"{_BASE}/query/", _endpoint(query), methods=["GET"], include_in_schema=False),
        Route(record, _endpoint(create), methods=["POST"]),
        Route(f"{record}/", _endpoint(create), methods=["POST"], include_in_schema=False),
        Route(f"{record}/{{id}}", _endpoint(read), methods=["GET"]),
        Route(f"{record}/{{id}}", _endpoint(change), methods=["PATCH"]),
    ]
