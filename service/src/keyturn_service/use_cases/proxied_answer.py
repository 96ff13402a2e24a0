"""An org's answer to a proxied call: looked into where it may be a refusal, recorded at its end."""

from __future__ import annotations

import zlib
from asyncio import CancelledError
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from keyturn_core.salesforce.api_errors import SessionVerdict, session_verdict
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import (
    AnswerLost,
    AuditLog,
    AuditUnavailable,
    Basis,
    Clock,
    OrgAnswer,
    OrgCall,
)

_REFUSAL: Final = 64 * 1024  # bytes; no refusal of a session is longer
_PATH_SHOWN: Final = 200  # characters of a path in the audit trail
_GZIP: Final = 16 + zlib.MAX_WBITS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCaller:
    """Who calls: an API key, by itself or through a proxy session of its own."""

    workspace_id: WorkspaceId
    actor: str
    unsafe: bool
    proxy_session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRecord:
    """The two audit events of one proxied call. `started` is of the monotonic clock."""

    audit: AuditLog
    clock: Clock
    caller: ProxyCaller
    connection_id: ConnectionId
    request_id: str
    started: float

    async def begun(self, call: OrgCall, *, generation: int, basis: Basis | None = None) -> bool:
        """Record that the call is about to be made; only then may a byte of it leave.

        False: what it rests on does not stand any more, so nothing of it may.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        path = call.target.partition("?")[0]
        detail: dict[str, str | int | bool | None] = {
            "method": call.method,
            "path": path[:_PATH_SHOWN],
            "generation": generation,
        }
        if call.envelope is not None:
            detail["operation"] = call.envelope.operation
        if self.caller.proxy_session_id is not None:
            detail["proxy_session_id"] = self.caller.proxy_session_id
        event = self._event("proxy.begun", detail)
        try:
            if basis is not None:
                return await self.audit.record_on(event, basis)
            await self.audit.record(event)
        except CancelledError:  # it is written all the same
            await self.ended(status=None, received=0, problem="client_gone")
            raise
        return True

    async def ended(self, *, status: int | None, received: int, problem: str | None) -> None:
        """Record how it ended; where that fails, the beginning stands alone in the trail."""
        milliseconds = round((self.clock.monotonic() - self.started) * 1000)
        detail: dict[str, str | int | bool | None] = {
            "status": status,
            "bytes": received,
            "duration_ms": milliseconds,
        }
        if problem is not None:
            detail["problem"] = problem
        try:
            await self.audit.record(self._event("proxy.ended", detail), urgent=False)
        except AuditUnavailable:
            _log.exception("proxy_end_unrecorded", connection_id=self.connection_id)

    def _event(self, type: str, detail: dict[str, str | int | bool | None]) -> AuditEvent:
        return AuditEvent(
            type=type,
            at=self.clock.now(),
            workspace_id=self.caller.workspace_id,
            actor=self.caller.actor,
            connection_id=self.connection_id,
            detail={"request_id": self.request_id, **detail},
        )


class ProxiedAnswer:
    """An org's answer on its way through. Whoever has it ends it."""

    def __init__(self, answer: OrgAnswer, record: ProxyRecord) -> None:
        self._answer = answer
        self._record = record
        self._received = 0
        self._problem: str | None = "client_gone"  # until the last part was taken

    @property
    def request_id(self) -> str:
        """The call's own id, in the audit trail and in `Keyturn-Request-Id`."""
        return self._record.request_id

    @property
    def status(self) -> int:
        """The status, as the org gave it."""
        return self._answer.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that may be handed on."""
        return self._answer.headers

    async def parts(self) -> AsyncIterator[bytes]:
        """Return the body's bytes as they arrive.

        Raises:
            AnswerLost: the body ended before its end.
        """
        try:
            async for part in self._answer.parts():
                self._received += len(part)
                yield part
        except AnswerLost:
            self._problem = "answer_lost"
            raise
        self._problem = None

    async def end(self) -> None:
        """Let go of the org's answer and record how the call ended."""
        await self._answer.close()
        await self._record.ended(
            status=self._answer.status, received=self._received, problem=self._problem
        )


class PeekedAnswer:
    """An org's answer whose first bytes were looked at, and which still has them."""

    def __init__(self, answer: OrgAnswer) -> None:
        self._answer = answer
        self._rest = answer.parts()
        self._first = bytearray()
        self._whole = False

    async def peek(self) -> None:
        """Read as much of the body as a refusal can have.

        Raises:
            AnswerLost: the body ended before its end.
        """
        while len(self._first) <= _REFUSAL:
            part = await anext(self._rest, None)
            if part is None:
                self._whole = True
                return
            self._first += part

    def says_expired(self) -> bool:
        """Tell whether the org says that the session is dead; then it has done nothing."""
        if not self._whole:
            return False
        headers = dict(self.headers)
        body = bytes(self._first)
        if headers.get(b"content-encoding", b"").strip().lower() == b"gzip":
            body = _unpacked(body)
        return session_verdict(self.status, body) is SessionVerdict.EXPIRED

    @property
    def status(self) -> int:
        """The status, as the org gave it."""
        return self._answer.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that may be handed on."""
        return self._answer.headers

    async def parts(self) -> AsyncIterator[bytes]:
        """Return the body's bytes, those that were looked at first.

        Raises:
            AnswerLost: the body ended before its end.
        """
        if self._first:
            yield bytes(self._first)
        async for part in self._rest:
            yield part

    async def close(self) -> None:
        """Let go of the connection."""
        await self._answer.close()


def _unpacked(body: bytes) -> bytes:
    """Unpack a gzip body as far as a refusal can go; what is none stays as it is."""
    try:
        return zlib.decompressobj(_GZIP).decompress(body, _REFUSAL)
    except zlib.error:
        return body
