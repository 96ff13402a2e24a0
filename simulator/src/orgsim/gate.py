"""The door of every site: finds site and face, writes the journal, carries out faults."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orgsim.connection import close_connection, reset_connection
from orgsim.faults import Fault, Options, hostile_fault
from orgsim.journal import without_secrets
from orgsim.json_text import compact_json
from orgsim.sites import Directory
from orgsim.surfaces.call import Call, Refusal, attach, read_pairs
from orgsim.surfaces.identity.routes import bearer_of
from orgsim.world import World

_READ_AHEAD = frozenset(
    {"/services/oauth2/token", "/services/oauth2/revoke", "/services/oauth2/introspect"}
)
_SPEAKS_OAUTH = ("/services/oauth2/token", "/services/oauth2/authorize")
_BODY_LIMIT = 1_000_000
_SNIFF_LIMIT = 4_000
_OK_BELOW = 400
_BODILESS = (204, 205, 304)
_ERROR_PATHS = ("/setup/secur/RemoteAccessErrorPage.apexp",)
_REFUSALS = {
    "already_processing": Refusal(
        error="invalid_grant", description="token request is already being processed"
    ),
    "login_rate_exceeded": Refusal(error="rate_limit_exceeded", description="login rate exceeded"),
    "ip_restricted": Refusal(error="invalid_grant", description="ip restricted"),
}
_MAINTENANCE = (
    "<html><head><title>Down for Maintenance</title></head><body><h1>We are down for maintenance."
    "</h1><p>Sorry for the inconvenience. We'll be back shortly.</p></body></html>"
)


class Gate:
    """The ASGI application that every listener of a site calls."""

    def __init__(self, *, world: World, directory: Directory, app: ASGIApp) -> None:
        self._world = world
        self._directory = directory
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        found = self._directory.locate(
            port=scope["server"][1],
            secure=scope["scheme"] == "https",
            host_header=headers.get("host", ""),
        )
        if found is None:
            await PlainTextResponse("", status_code=404)(scope, receive, send)
            return
        scope["path"] = path = _tidy(scope["path"])
        if scope.get("raw_path", b"").startswith(b"//"):
            scope["raw_path"] = scope["raw_path"][1:]
        site, face = found
        world = self._world
        agent = headers.get("user-agent")
        entry = world.journal.open(
            at=world.clock.now(),
            host=urlsplit(face.origin(site)).netloc,
            method=scope["method"],
            path=_for_journal(world, path),
            user_agent=None if agent is None else _for_journal(world, agent),
        )
        call = Call(world=world, site=site, face=face, entry=entry, client=_address(scope, headers))
        attach(scope, call)
        if path in _READ_AHEAD and scope["method"] == "POST":
            receive = await _read_ahead(call, receive)
        _note_caller(call, headers, scope)
        try:
            await self._serve(call, scope, receive, send)
        finally:
            for step in call.finally_:
                step()

    async def _serve(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._fault_for(call)
        if fault is not None:
            call.entry.fault = fault.name
        exchange = _Exchange(call=call, scope=scope, receive=receive, send=send)
        org = call.org
        if fault is None and org is not None and org.state == "maintenance":
            await exchange.answer(_maintenance())
            return
        if fault is None:
            await self._app(scope, receive, exchange.passing)
        else:
            await self._carry_out(fault, exchange)

    async def _carry_out(self, fault: Fault, exchange: "_Exchange") -> None:
        call, scope, receive = exchange.call, exchange.scope, exchange.receive
        match fault:
            case Fault(name="connection_reset"):
                await exchange.reset()
            case Fault(name="lost_answer"):
                await self._app(scope, receive, exchange.swallowing)
                await exchange.close()
            case Fault(name="truncated_answer", options=options):
                await exchange.truncated(self._app, options.bytes)
            case Fault(name="slow", options=options):
                await self._app(scope, receive, exchange.slowly(options.delay.total_seconds()))
            case Fault(name="status", options=options):
                await exchange.answer(_status_answer(call, options.status, options.body))
            case Fault(name="maintenance_page"):
                await exchange.answer(_maintenance())
            case Fault(name=name, options=options):
                call.refusal = _REFUSALS.get(name) or _documented(options)
                if call.entry.path.startswith(_SPEAKS_OAUTH):
                    await self._app(scope, receive, exchange.passing)
                else:
                    await exchange.answer(_refused(call.refusal))

    def _fault_for(self, call: Call) -> Fault | None:
        entry, world = call.entry, self._world
        fault = world.faults.hit(path=entry.path, org_id=entry.org_id, grant_type=entry.grant_type)
        if fault is None and world.origin.hostile and entry.path.startswith("/services/"):
            fault = hostile_fault(world.seeded.dice(), world.seeded.dice())
        return fault


def _tidy(path: str) -> str:
    """Drop slashes that some clients send too many; the data API minds a trailing one itself.

    `sf org login access-token` keeps the slash of its instance URL and doubles it in every path.
    """
    if path.startswith("//services/"):
        path = path[1:]
    if path.startswith(("/services/oauth2/", "/id/", "/.well-known/")):
        return path.rstrip("/")
    return path


def _address(scope: Scope, headers: dict[str, str]) -> str:
    """Return the caller's address; the connect proxy's callers are on loopback as well."""
    client = scope.get("client")
    return headers.get("x-forwarded-for", client[0] if client else "")


async def _read_ahead(call: Call, receive: Receive) -> Receive:
    """Read a small form before anything else, and give it again to whoever reads on."""
    body, more = bytearray(), True
    while more and len(body) < _BODY_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    call.body = bytes(body)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": call.body, "more_body": more}

    return again


def _note_caller(call: Call, headers: dict[str, str], scope: Scope) -> None:
    """Write into the journal whose token this is, by hash, and which org it is about."""
    world, entry, token = call.world, call.entry, bearer_of(headers.get("authorization"))
    if call.body is not None:
        form = _form(call.body)
        if "grant_type" in form:
            entry.grant_type = _for_journal(world, form["grant_type"])
        token = form.get("refresh_token") or form.get("code") or form.get("token") or token
    elif token is None and scope["query_string"]:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        token = query.get("oauth_token") or query.get("token")
    if call.org is not None:
        entry.org_id = call.org.org_id
    if token is None:
        return
    entry.token_ref = world.hashes.reference(token)
    if entry.org_id is None:
        entry.org_id = _org_of(world, token)


def _for_journal(world: World, text: str) -> str:
    """Return a text of the caller's as the journal may have it."""
    return without_secrets(text, canary=world.canary, reference=world.hashes.reference)


def _form(body: bytes) -> dict[str, str]:
    try:
        return read_pairs(body.decode("utf-8"))
    except ValueError:
        return {}


def _org_of(world: World, token: str) -> str | None:
    presented = world.grants.presented(token)
    if presented is not None:
        return presented[0].org_id
    code = world.codes.find(token)
    if code is not None:
        return code.org_id
    session = world.sessions.find(token, now=world.clock.now())
    return None if session is None else session.org_id


def _maintenance() -> Response:
    return Response(_MAINTENANCE, status_code=503, media_type="text/html")


def _json_answer(value: Any, status: int) -> Response:
    kind = "application/json;charset=UTF-8"
    return Response(compact_json(value), status_code=status, headers={"Content-Type": kind})


def _status_answer(call: Call, status: int, body: str) -> Response:
    """Answer a bare status in the form that the surface would use."""
    if status in _BODILESS:
        return Response(status_code=status)
    if body == "html":
        page = (
            f"<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>"
        )
        return Response(page, status_code=status, media_type="text/html")
    if call.entry.path.startswith("/services/oauth2/"):
        fields = {"error": "server_error", "error_description": "unexpected error"}
        return _json_answer(fields, status)
    return _json_answer([{"message": "Server error", "errorCode": "SERVER_UNAVAILABLE"}], status)


def _documented(options: Options) -> Refusal:
    return Refusal(error=options.error, description=options.description, delivery=options.delivery)


def _refused(refusal: Refusal) -> Response:
    code = {"rate_limit_exceeded": "LOGIN_RATE_EXCEEDED"}.get(refusal.error, "IP_RESTRICTED")
    return _json_answer([{"message": refusal.description, "errorCode": code}], 403)


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """One request's connection: what may still be sent on it, and how it ends."""

    call: Call
    scope: Scope
    receive: Receive
    send: Send

    def _see(self, message: Message) -> None:
        """Note status and error of an answer on its way."""
        entry = self.call.entry
        if message["type"] == "http.response.start":
            entry.status = message["status"]
        elif entry.error is None and (entry.status or 0) >= _OK_BELOW:
            entry.error = _error_in(message.get("body", b"")[:_SNIFF_LIMIT])

    async def passing(self, message: Message) -> None:
        """Send on."""
        self._see(message)
        await self.send(message)

    async def swallowing(self, message: Message) -> None:
        """Send nothing."""

    def slowly(self, seconds: float) -> Send:
        """Send on, but only after a wait."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(seconds)
            await self.passing(message)

        return send

    async def answer(self, response: Response) -> None:
        """Answer without asking the surface."""
        await response(self.scope, self.receive, self.passing)

    async def truncated(self, app: ASGIApp, most: int) -> None:
        """Send so many bytes of the body under the full length, then close."""
        start: Message | None = None
        body = bytearray()

        async def keep(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            else:
                body += message.get("body", b"")

        await app(self.scope, self.receive, keep)
        if start is not None:
            length = (b"content-length", str(max(len(body), most + 1)).encode())
            others = [h for h in start["headers"] if h[0].lower() != length[0]]
            await self.passing({**start, "headers": [*others, length]})
            part = bytes(body[:most])
            await self.send({"type": "http.response.body", "body": part, "more_body": True})
        await self.close()

    async def close(self) -> None:
        """Close the connection with what was sent so far."""
        await close_connection(self.scope, self.receive)

    async def reset(self) -> None:
        """Reset the connection."""
        await reset_connection(self.scope, self.receive)


def _error_in(body: bytes) -> str | None:
    """Read the error code of a Salesforce error body."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    match found:
        case [{"errorCode": str(code)}, *_] | {"error": str(code)}:
            return code
        case _:
            return None
