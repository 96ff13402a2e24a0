"""Carry a call to an org under the connection's token, which never leaves the service."""

from __future__ import annotations

import json
import zlib
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlencode

import structlog

from keyturn_service.domain.connection import ConnectionInUse, TokenInForce
from keyturn_service.domain.errors import ConnectionCannotServe, ServiceError
from keyturn_service.domain.ids import ID_BYTES, ConnectionId, WorkspaceId, new_id
from keyturn_service.ports import (
    AnswerLost,
    AuditLog,
    Clock,
    OrgAnswer,
    OrgCall,
    OrgRelay,
    OrgUnreachable,
    Randomness,
)
from keyturn_service.use_cases.proxied_answer import (
    PeekedAnswer,
    ProxiedAnswer,
    ProxyCaller,
    ProxyRecord,
)
from keyturn_service.use_cases.proxy_policy import (
    check_subrequests,
    check_target,
    holds_subrequests,
    runs_code,
)
from keyturn_service.use_cases.soap_policy import check_soap, takes_token
from keyturn_service.use_cases.token_for_proxy import Admission

REPLAYABLE: Final = 1024 * 1024  # bytes of a request body that are held to be sent again
_BUFFERED: Final = 32 * 1024 * 1024  # bytes of an answer that is handed on as a whole
_UNPACKED: Final = 16 * 1024 * 1024  # bytes of a composite body; Salesforce takes less
_MAY_BE_EXPIRY: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_READS: Final = {"GET", "HEAD"}
_RETRY_SOON: Final = 5  # seconds

_log = structlog.get_logger()


class TokensForProxy(Protocol):
    """What `TokenForProxy` promises."""

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        *,
        rejected_generation: int | None = None,
    ) -> tuple[ConnectionInUse, TokenInForce]:
        """Return the connection and tokens that serve."""
        ...

    async def admit(
        self, connection_id: ConnectionId, *, key_hash: bytes, remembered: bool
    ) -> Admission:
        """Return what an API key may call by."""
        ...

    async def serving(self, admission: Admission) -> tuple[ConnectionInUse, TokenInForce]:
        """Return connection and tokens of an admission."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferedAnswer:
    """An org's answer as a whole."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCall:
    """Decide whether a call may be made, record that it begins, make it, and renew once."""

    token_for_proxy: TokensForProxy
    relay: OrgRelay
    audit: AuditLog
    clock: Clock
    randomness: Randomness

    async def __call__(
        self, caller: ProxyCaller, connection_id: ConnectionId, call: OrgCall
    ) -> ProxiedAnswer:
        """Return the org's answer; whoever has it ends it.

        An answer that says "the session is dead" means that nothing was done, so the call is
        made again under a renewed token, whatever its method, while its body is still there.

        Raises:
            ServiceError: `proxy_path_refused`; `org_answer_lost` where a write's answer was
                lost, so that it may have been done.
            NotFound: there is no such connection in the caller's workspace.
            ConnectionCannotServe: no token serves, or the org does not answer.
            AuditUnavailable: the beginning could not be recorded, so nothing was sent.
        """
        _check(call, unsafe=caller.unsafe)
        connection, tokens = await self.token_for_proxy(caller.workspace_id, connection_id)
        record = self._record(caller, connection_id)
        await record.begun(call, generation=tokens.generation)
        return await self._carried(caller, connection, tokens, call, record)

    async def admit(self, connection_id: ConnectionId, *, key_hash: bytes) -> None:
        """See that an API key may call by the proxy, before its call is looked into.

        What is remembered serves: `by_key` sees whether it still stands.

        Raises:
            Unauthorized: the key opens nothing.
            Forbidden: it may not call by the proxy.
            NotFound: there is no such connection in its workspace.
            ConnectionCannotServe: `sealed`.
        """
        await self.token_for_proxy.admit(connection_id, key_hash=key_hash, remembered=True)

    async def by_key(
        self, connection_id: ConnectionId, call: OrgCall, *, key_hash: bytes
    ) -> ProxiedAnswer:
        """Return the org's answer to a call under an API key, as `__call__` does.

        What is remembered of key and connection serves, where the record of the call's
        beginning finds that it still stands; else that record ends as withheld, and all is
        read again.

        Raises:
            Unauthorized: the key opens nothing.
            Forbidden: it may not call by the proxy.
        """
        remembered = True
        while True:
            admission = await self.token_for_proxy.admit(
                connection_id, key_hash=key_hash, remembered=remembered
            )
            _check(call, unsafe=admission.caller.unsafe)
            connection, tokens = await self.token_for_proxy.serving(admission)
            record = self._record(admission.caller, connection_id)
            if await record.begun(call, generation=tokens.generation, basis=admission.basis):
                return await self._carried(admission.caller, connection, tokens, call, record)
            await record.ended(status=None, received=0, problem="withheld")
            remembered = False

    def _record(self, caller: ProxyCaller, connection_id: ConnectionId) -> ProxyRecord:
        return ProxyRecord(
            audit=self.audit,
            clock=self.clock,
            caller=caller,
            connection_id=connection_id,
            request_id=new_id("req", self.randomness.token_bytes(ID_BYTES)),
            started=self.clock.monotonic(),
        )

    async def _carried(
        self,
        caller: ProxyCaller,
        connection: ConnectionInUse,
        tokens: TokenInForce,
        call: OrgCall,
        record: ProxyRecord,
    ) -> ProxiedAnswer:
        """Make the call whose beginning is recorded."""
        try:
            answer = await self._answered(caller, connection, tokens, call)
        except BaseException as error:
            await record.ended(status=None, received=0, problem=_problem(error))
            raise
        return ProxiedAnswer(answer, record)

    async def buffered(
        self,
        caller: ProxyCaller,
        connection_id: ConnectionId,
        *,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        data: object = None,
    ) -> BufferedAnswer:
        """Make a call with a JSON body and return the whole answer.

        Raises as `__call__` does; `unexpected_answer` where the answer is too long.
        """
        call = _json_call(method, path, query, data)
        answer = await self(caller, connection_id, call)
        received = bytearray()
        try:
            async for part in answer.parts():
                received += part
                if len(received) > _BUFFERED:
                    raise ServiceError("unexpected_answer")
        except AnswerLost as error:
            raise _unanswered(call, error) from error
        finally:
            await answer.end()
        return BufferedAnswer(status=answer.status, headers=answer.headers, body=bytes(received))

    async def _answered(
        self, caller: ProxyCaller, connection: ConnectionInUse, tokens: TokenInForce, call: OrgCall
    ) -> OrgAnswer:
        """Send the call, and once more where the first token turned out to be dead."""
        first = await self._sent(connection, tokens, call)
        if not _may_be_expiry(first, call, tokens):
            return first
        answer = PeekedAnswer(first)
        try:
            if not await _says_expired(answer, call):
                return answer
            connection, tokens = await self.token_for_proxy(
                caller.workspace_id, connection.id, rejected_generation=tokens.generation
            )
        except BaseException:
            await answer.close()
            raise
        if not isinstance(call.body, bytes):
            return answer  # the caller still has the body, and now finds a token that serves
        await answer.close()
        return await self._sent(connection, tokens, call)

    async def _sent(
        self, connection: ConnectionInUse, tokens: TokenInForce, call: OrgCall
    ) -> OrgAnswer:
        """Send the call; what only reads is sent a second time where no answer came."""
        if isinstance(call.body, bytes) and _only_reads(call):
            try:
                return await self.relay.send(connection.instance_url, call, tokens.access_token)
            except OrgUnreachable:
                _log.info("proxied_read_repeated", connection_id=connection.id)
        try:
            return await self.relay.send(connection.instance_url, call, tokens.access_token)
        except OrgUnreachable as error:
            raise _unanswered(call, error) from error


def _may_be_expiry(answer: OrgAnswer, call: OrgCall, tokens: TokenInForce) -> bool:
    """Tell whether an answer has to be looked into; SOAP says all by one status."""
    if call.envelope is None:
        return answer.status in _MAY_BE_EXPIRY
    return answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and takes_token(
        call.target, tokens.access_token
    )


async def _says_expired(answer: PeekedAnswer, call: OrgCall) -> bool:
    """Look into a refusal; one that breaks off is no answer."""
    try:
        await answer.peek()
    except AnswerLost as error:
        raise _unanswered(call, error) from error
    return answer.says_expired()


def _check(call: OrgCall, *, unsafe: bool) -> None:
    """See that neither the call nor what its body asks for in turn is refused."""
    if call.envelope is not None:
        check_soap(call.method, call.target, call.envelope.operation)
        return
    check_target(call.target, unsafe=unsafe)
    if call.method != "POST" or not holds_subrequests(call.target):
        return
    if not isinstance(call.body, bytes):
        raise ServiceError("proxy_path_refused")
    packed = (b"content-encoding", b"gzip") in call.headers
    check_subrequests(_unpacked(call.body) if packed else call.body, unsafe=unsafe)


def _unpacked(body: bytes) -> bytes:
    """Unpack a gzip body that is looked into."""
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacking.decompress(body, _UNPACKED)
    except zlib.error as error:
        raise ServiceError("proxy_path_refused") from error
    if not unpacking.eof or unpacking.unused_data:
        raise ServiceError("proxy_path_refused")
    return unpacked


def _json_call(method: str, path: str, query: Mapping[str, str] | None, data: object) -> OrgCall:
    headers = [(b"accept", b"application/json"), (b"accept-encoding", b"identity")]
    body = b"" if data is None else json.dumps(data).encode()
    if body:
        headers.append((b"content-type", b"application/json"))
    joint = "&" if "?" in path else "?"
    target = f"{path}{joint}{urlencode(query)}" if query else path
    return OrgCall(method=method.upper(), target=target, headers=headers, body=body)


def _unanswered(call: OrgCall, error: OrgUnreachable) -> ServiceError:
    """Say what a missing answer means: a write that may have been done is not for repeating."""
    if isinstance(error, AnswerLost) and not _only_reads(call):
        return ServiceError("org_answer_lost")
    return ConnectionCannotServe("org_unavailable", retry_after=_RETRY_SOON)


def _only_reads(call: OrgCall) -> bool:
    """Tell whether doing it twice does no harm; anonymous Apex runs by GET too."""
    return call.method in _READS and not runs_code(call.target)


def _problem(error: BaseException) -> str:
    """Name what ended a call before its answer."""
    match error:
        case ServiceError():
            return error.code
        case CancelledError():
            return "client_gone"
        case _:
            return "failed"
