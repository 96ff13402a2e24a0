"""The proxy: calls for an org, streamed both ways under a token that never leaves the service.

By `/v1/connections/{id}/salesforce/{path}` with an API key or a proxy session, and by
Salesforce's own paths at the root with a proxy session, for clients that keep only host and
port of an instance URL. In SOAP the session stands in the envelope: at the root it says who
calls; where the path names the connection, a header says so and the envelope's is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from keyturn_service.domain.errors import NotFound, ServiceError, Unauthorized
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AnswerLost, OrgCall, ProxySession
from keyturn_service.use_cases.proxied_answer import ProxiedAnswer, ProxyCaller
from keyturn_service.use_cases.proxy_call import REPLAYABLE, ProxyCall
from keyturn_service.use_cases.proxy_policy import holds_subrequests
from keyturn_service.web.problems import WebRefusal
from keyturn_service.web.security import Door, bearer, header_values, named_connection
from keyturn_service.web.soap import SoapUpload, is_soap
from keyturn_service.web.upload import CallerGone, Upload, unless_gone

PATH: Final = "/v1/connections/{connection_id}/salesforce/{path:path}"
_COMPOSITE: Final = 16 * 1024 * 1024  # bytes of a body that is looked into, so held as a whole
_SEGMENTS_BEFORE: Final = 5  # of the raw path: '', v1, connections, the id, salesforce
_DOUBLED: Final = "//services/"  # of `sf`: its instance URL ends with a slash after a token login
_SERVICES: Final = re.compile("^//?services/(?P<path>.*)$")
_SESSION_MARK: Final = "!"  # stands in every session id and in no API key
PROXIED_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOMENT: Final = 5.0  # seconds that who calls stays known while a body is read
_EMPTY: Final = frozenset({204, 304})  # such answers have no body, whatever they say
_Handle = Callable[[Scope, Receive, Send], Awaitable[None]]
_log = structlog.get_logger()


def proxy_routes(door: Door, proxy_call: ProxyCall) -> list[Route]:
    """Return the routes, the root's last."""
    proxy = Proxy(door=door, proxy_call=proxy_call)
    services = Route("/services/{path:path}", _App(proxy.by_session))
    services.path_regex = _SERVICES
    return [
        Route(PATH, _App(proxy.by_connection)),
        services,
        Route("/id/{org_id}/{user_id}", _App(proxy.by_session)),
    ]


class _App:
    """A method as an ASGI application, which a route takes for all HTTP methods."""

    def __init__(self, handle: _Handle) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in PROXIED_METHODS:
            raise WebRefusal("method_not_allowed")
        await self._handle(scope, receive, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Find out who calls which connection, and pass the call on."""

    door: Door
    proxy_call: ProxyCall

    async def by_connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Proxy a call that names its connection in the path."""
        connection_id, target = _named(scope)
        session_id = _session_id(scope)
        if session_id is not None and _SESSION_MARK in session_id:
            session = await self.door.proxy_session(scope, session_id)
            if session.connection_id != connection_id:
                raise NotFound("connection")
            call = self._call(_through(session), connection_id, target, session_id)
            await self._pass_on(call, scope, receive, send)
            return
        _, shown = self.door.shown(scope)
        call = self._call(shown, connection_id, target)
        try:
            await self._pass_on(call, scope, receive, send)
        except Unauthorized:
            self.door.refused(scope, shown)
            raise

    async def by_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Proxy a call to a path of Salesforce's own; the session id names the connection."""
        target = _with_query(_raw_path(scope), scope)
        if target.startswith(_DOUBLED):
            target = target[1:]
        session_id, soap = _session_id(scope), None
        if is_soap(target):
            soap = SoapUpload(scope, target, receive)
            try:
                glimpsed = await soap.glimpse()
            except CallerGone:
                return
            with self.door.stranger(scope, session_id or glimpsed):
                await soap.open()
                session_id = soap.session_id(session_id)
        session = await self.door.proxy_session(scope, session_id)
        call = self._call(_through(session), session.connection_id, target, session_id)
        if soap is None:
            await self._pass_on(call, scope, receive, send)
        else:
            await self._pass_soap_on(call, soap, scope, send)

    def _call(
        self,
        caller: ProxyCaller | bytes,
        connection_id: ConnectionId,
        target: str,
        session_id: str | None = None,
    ) -> _Call:
        return _Call(
            caller=caller,
            connection_id=connection_id,
            target=target,
            session_id=session_id,
            known=self.proxy_call.clock.monotonic(),
        )

    async def _pass_on(self, call: _Call, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the call and hand the answer on; end both where the caller leaves."""
        if is_soap(call.target):
            if isinstance(call.caller, bytes):
                await self.proxy_call.admit(call.connection_id, key_hash=call.caller)
            soap = SoapUpload(scope, call.target, receive)
            try:
                await soap.glimpse()
            except CallerGone:
                return
            await soap.open()
            await self._pass_soap_on(call, soap, scope, send)
            return
        held = REPLAYABLE
        if scope["method"] == "POST" and holds_subrequests(call.target):
            held = _COMPOSITE
        upload = Upload(receive)
        try:
            body = await upload.read(held)
        except CallerGone:
            return
        call = await self._still(call, scope)
        org_call = OrgCall(
            method=scope["method"], target=call.target, headers=scope["headers"], body=body
        )
        await unless_gone(upload, self._carry(call, org_call, send))

    async def _still(self, call: _Call, scope: Scope) -> _Call:
        """Return the call by who a proxy session stands for now, behind a body that took a while.

        An API key is looked up behind the body anyway.

        Raises:
            Unauthorized: the session is over.
        """
        late = self.proxy_call.clock.monotonic() - call.known > _MOMENT
        if call.session_id is None or not late:
            return call
        session = await self.door.proxy_session(scope, call.session_id)
        return replace(call, caller=_through(session))

    async def _pass_soap_on(self, call: _Call, soap: SoapUpload, scope: Scope, send: Send) -> None:
        """Make a SOAP call whose envelope is open, as any other."""
        try:
            org_call = await soap.call()
        except CallerGone:
            return
        call = await self._still(call, scope)
        try:
            await unless_gone(soap, self._carry(call, org_call, send))
        except ServiceError as error:
            if soap.refusal is None:
                raise
            raise soap.refusal from error  # that is why the org's answer did not come

    async def _carry(self, call: _Call, org_call: OrgCall, send: Send) -> None:
        if isinstance(call.caller, bytes):
            answer = await self.proxy_call.by_key(
                call.connection_id, org_call, key_hash=call.caller
            )
            self.door.strangers.welcome(call.caller)
        else:
            answer = await self.proxy_call(call.caller, call.connection_id, org_call)
        try:
            await _hand_on(answer, send)
        except AnswerLost:
            # No last part is sent: the server then breaks the connection, and the caller sees
            # that its answer is not whole.
            _log.warning("proxied_answer_broke_off", connection_id=call.connection_id)
        finally:
            await answer.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Who calls which connection's org, by path and query as they go out.

    `caller` is the hash of an API key that is not looked up yet, or who a proxy session
    stands for; `session_id` is that session's, and `known` when it was looked up, by the
    machine's own clock.
    """

    caller: ProxyCaller | bytes
    connection_id: ConnectionId
    target: str
    session_id: str | None
    known: float


async def _hand_on(answer: ProxiedAnswer, send: Send) -> None:
    """Send the org's answer to the caller as it arrives. The date is the server's to say."""
    dropped = {b"date", b"content-length"} if answer.status in _EMPTY else {b"date"}
    headers = [(name, value) for name, value in answer.headers if name not in dropped]
    left = _length(headers)  # bytes to come
    headers.append((b"keyturn-request-id", answer.request_id.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    last = b""
    async for part in answer.parts():
        left -= len(part)
        if left == 0:  # it goes out with the word that it is the last one
            last = part
        else:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": last, "more_body": False})


def _length(headers: list[tuple[bytes, bytes]]) -> int:
    """Return the length that an answer states, -1 where it states none."""
    stated = [value for name, value in headers if name == b"content-length"]
    return int(stated[0]) if len(stated) == 1 and stated[0].isdigit() else -1


def _named(scope: Scope) -> tuple[ConnectionId, str]:
    """Return the connection that the path names, and the target behind it as it was sent.

    Raises:
        NotFound: the path was written so that its parts cannot be told apart.
    """
    connection_id = scope["path_params"]["connection_id"]
    parts = _raw_path(scope).split("/", _SEGMENTS_BEFORE)
    if parts[:_SEGMENTS_BEFORE] != ["", "v1", "connections", connection_id, "salesforce"]:
        raise NotFound("connection")
    return named_connection(connection_id), _with_query(f"/{parts[_SEGMENTS_BEFORE]}", scope)


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.decode("latin-1")


def _with_query(path: str, scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _session_id(scope: Scope) -> str | None:
    """Return the session id of a request, by the header of either API."""
    sent = bearer(scope)
    if sent is not None:
        return sent
    values = header_values(scope, b"x-sfdc-session")
    return values[0] if len(values) == 1 else None


def _through(session: ProxySession) -> ProxyCaller:
    """Return the caller that a proxy session stands for: the API key it was opened with."""
    return ProxyCaller(
        workspace_id=session.workspace_id,
        actor=session.api_key_id,
        unsafe=session.unsafe,
        proxy_session_id=session.id,
    )
