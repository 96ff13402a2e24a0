"""HTTP of consumer credentials: `/services/data/vNN.0/apps/oauth/…`, from 59.0 and 65.0 on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.data.wire import stored_moment
from orgsim.json_text import compact_json
from orgsim.orgs.org import Org, User
from orgsim.orgs.registrations import Registration
from orgsim.surfaces.api_sign_in import session_of
from orgsim.surfaces.call import call_of
from orgsim.surfaces.credentials_api import errors, rules
from orgsim.surfaces.rest_api.errors import RestRefused, not_found
from orgsim.surfaces.rest_api.exchange import Answer
from orgsim.surfaces.rest_api.json_bodies import read_json
from orgsim.surfaces.rest_api.org_wide import usage_of
from orgsim.surfaces.session import ApiSession
from orgsim.world import World

_BASE = "/services/data/v{version:int}.0/apps/oauth"
_ONE = "/credentials/{app_id}/{consumer_id}"
_SINCE, _STAGED_SINCE = 59, 65
_JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, in which org, and by which path."""

    world: World
    org: Org
    user: User
    request: Request

    @property
    def base(self) -> str:
        """The start of every address that is handed out."""
        return f"/services/data/v{self.request.path_params['version']}.0/apps/oauth"

    def registration(self) -> Registration:
        """Find the app that the path names."""
        path = self.request.path_params
        return rules.find(self.world, self.org, path["app_id"], path.get("consumer_id"))


_Handler = Callable[[Caller], Awaitable[Answer]]


def _endpoint(handler: _Handler, *, since: int) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        session = await session_of(request)
        data = call_of(request).world.data(session.org_id)
        data.count_call()
        try:
            answer = await handler(_caller(request, session, since=since))
        except RestRefused as refused:
            answer = refused.answer()
        body = b"" if answer.body is None else compact_json(answer.body)
        headers = {"Content-Type": _JSON, "Cache-Control": "no-cache,no-store", **usage_of(data)}
        return Response(body, status_code=answer.status, headers=headers)

    call.__doc__ = handler.__doc__
    return call


def _caller(request: Request, session: ApiSession, *, since: int) -> Caller:
    call = call_of(request)
    org = call.org
    user = None if org is None else org.user(session.user_id)
    if org is None or user is None or request.path_params["version"] < since:
        raise not_found()
    rules.check_access(call.world, org, user)
    return Caller(world=call.world, org=org, user=user, request=request)


async def usage(caller: Caller) -> Answer:
    """List the apps of the org."""
    apps = [
        {"developerName": made.app.name, "identifier": made.app_id, "label": made.app.name}
        for made in caller.world.registrations
        if made.home_org == caller.org.org_id
    ]
    return Answer(body={"apps": apps, "nextPageUrl": None})


async def consumers(caller: Caller) -> Answer:
    """List an app's consumers, of which each has one."""
    made = caller.registration()
    url = f"{caller.base}/credentials/{made.app_id}"
    one = f"{url}/{made.consumer_id}"
    consumer = {
        "id": made.consumer_id,
        "key": made.live(caller.world.seeded).consumer_key,
        "name": made.app.name,
        "stagedCredentialsUrl": f"{one}/staged",
        "url": one,
    }
    return Answer(body={"consumers": [consumer], "currentPageUrl": url, "nextPageUrl": None})


async def credentials(caller: Caller) -> Answer:
    """Read consumer key, secret, or both."""
    app = caller.registration().live(caller.world.seeded)
    parts = {"key": app.consumer_key, "secret": app.consumer_secret}
    wanted = caller.request.query_params.get("part", "keyandsecret").lower()
    if wanted == "keyandsecret":
        return Answer(body=parts)
    if wanted not in parts:
        raise errors.bad_part()
    return Answer(body={wanted: parts[wanted]})


def _staged_body(caller: Caller, made: Registration) -> list[dict[str, Any]]:
    found = rules.staged_of(caller.world, made)
    if found is None:
        return []
    staged, state = found
    app = rules.staged_app(caller.world, staged)
    url = f"{caller.base}/credentials/{made.app_id}/{made.consumer_id}/staged/{staged.staged_id}"
    return [
        {
            "createdBy": staged.created_by,
            "createdDate": stored_moment(staged.created_at),
            "expirationDate": stored_moment(staged.expires_at),
            "id": staged.staged_id,
            "key": app.consumer_key,
            "secret": app.consumer_secret,
            "state": state,
            "url": url,
        }
    ]


async def staged(caller: Caller) -> Answer:
    """Read the staged pair."""
    made = caller.registration()
    url = f"{caller.base}/credentials/{made.app_id}/{made.consumer_id}/staged"
    return Answer(body={"stagedCredentials": _staged_body(caller, made), "url": url})


async def stage(caller: Caller) -> Answer:
    """Make a second pair, valid beside the one in force."""
    made = rules.stage(caller.world, caller.registration(), caller.user)
    return Answer(status=201, body=_staged_body(caller, made)[0])


async def rotate(caller: Caller) -> Answer:
    """Put the staged pair in force; the earlier one stays valid for a while."""
    asked = read_json(await caller.request.body())
    if not isinstance(asked, dict) or asked.get("command") != "rotate":
        raise errors.bad_command()
    made, staged_id = caller.registration(), caller.request.path_params["staged_id"]
    return Answer(body=_staged_body(caller, rules.rotate(caller.world, made, staged_id))[0])


async def drop(caller: Caller) -> Answer:
    """End the staged pair at once."""
    rules.drop(caller.world, caller.registration(), caller.request.path_params["staged_id"])
    return Answer(status=204)


def credentials_routes() -> list[BaseRoute]:
    """Routes of the credentials API."""
    table: tuple[tuple[str, str, _Handler, int], ...] = (
        ("GET", "/usage", usage, _SINCE),
        ("GET", "/credentials/{app_id}", consumers, _SINCE),
        ("GET", _ONE, credentials, _SINCE),
        ("GET", f"{_ONE}/staged", staged, _STAGED_SINCE),
        ("POST", f"{_ONE}/staged", stage, _STAGED_SINCE),
        ("PATCH", f"{_ONE}/staged/{{staged_id}}", rotate, _STAGED_SINCE),
        ("DELETE", f"{_ONE}/staged/{{staged_id}}", drop, _STAGED_SINCE),
    )
    return [
        Route(_BASE + path, _endpoint(handler, since=since), methods=[method])
        for method, path, handler, since in table
    ]
