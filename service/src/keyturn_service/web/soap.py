"""SOAP on its way through the proxy: the session is in the envelope, and so are our refusals.

Where the session alone says who calls, an envelope's first 64 KB are opened before that is known,
and no more; what follows is read as it goes by. What leaves was understood before, and the last
part of it leaves only once the whole was found right.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Final
from xml.sax.saxutils import escape

from starlette.responses import Response
from starlette.types import Receive, Scope

from keyturn_core.salesforce.soap import (
    ENVELOPE_NAMESPACE,
    HEAD,
    EnvelopeReader,
    EnvelopeRefused,
    SessionPlace,
    SoapApi,
)
from keyturn_service.ports import OpenEnvelope, OrgCall
from keyturn_service.use_cases.proxy_call import REPLAYABLE
from keyturn_service.use_cases.soap_policy import check_soap, read_soap_target
from keyturn_service.web.problems import InvalidRequest, Problem, WebRefusal
from keyturn_service.web.security import header_values
from keyturn_service.web.upload import Upload

PREFIX: Final = "/services/Soap/"
METHOD: Final = "POST"
_CONTENT_TYPE: Final = re.compile(
    r"text/xml[ \t]*(?:;[ \t]*charset=(?:utf-8|\"utf-8\")[ \t]*)?;?", re.ASCII | re.IGNORECASE
)
_API_KEY: Final = "kt_"
_GLIMPSED: Final = re.compile(rb">\s*([A-Za-z0-9]{15}![A-Za-z0-9_.]{43})\s*<")
_AT_ONCE: Final = 16 * 1024  # bytes that are parsed before others have their turn
_SESSION_ID: Final = "Envelope.Header.SessionHeader.sessionId"
_PROXY: Final = re.compile(rf"/v1/connections/[^/]+/salesforce(?={PREFIX})")
_NOT_SOAP: Final = frozenset({"method_not_allowed", "misdirected_request"})
_NAMES: Final = "urn:keyturn:problem"
_FAULT: Final = 500  # SOAP 1.1 section 6.2: whatever the fault


def is_soap(target: str) -> bool:
    """Tell whether a path is one of SOAP's, allowed or not."""
    return target.startswith(PREFIX)


class SoapUpload(Upload):
    """One SOAP request, whose envelope is opened where the session stands."""

    def __init__(self, scope: Scope, target: str, receive: Receive) -> None:
        super().__init__(receive)
        self._scope = scope
        self._target = target
        self._fed = 0
        self._read_to_its_end = False
        self.refusal: InvalidRequest | None = None
        """What was found while the body went by: the call was broken off before its end."""

    async def glimpse(self) -> str | None:
        """Return what looks like a session id in the beginning, of which nothing is parsed.

        Raises:
            ServiceError: `proxy_path_refused`, by address.
            WebRefusal: `method_not_allowed`.
            InvalidRequest: the headers are not those of an envelope.
            CallerGone: the caller left before that.
        """
        api = read_soap_target(self._target)
        if self._scope["method"] != METHOD:
            raise WebRefusal("method_not_allowed")
        _check_headers(self._scope)
        self._reader = EnvelopeReader(api)
        self._begun = (await self.begin(HEAD))[:HEAD]
        found = _GLIMPSED.search(self._begun)
        return found and found[1].decode()

    async def open(self) -> None:
        """Read up to the operation, behind `glimpse`.

        Raises:
            ServiceError: `proxy_path_refused`, by operation.
            InvalidRequest: the envelope is not taken.
        """
        await self._read_on(self._begun, last=self._whole.is_set() and self._size <= HEAD)
        self._operation = self._reader.operation or ""
        check_soap(self._scope["method"], self._target, self._operation)

    def session_id(self, shown: str | None) -> str | None:
        """Return the session id; `shown` is what a header carries, None where none does.

        Raises:
            InvalidRequest: there is an API key in its place, or two ids that differ.
        """
        written = self._place().text
        if written.startswith(_API_KEY):
            raise InvalidRequest(
                _SESSION_ID, "an API key opens nothing here: a proxy session's id is meant"
            )
        if shown is not None and shown != written:
            raise InvalidRequest(_SESSION_ID, "a header carries another session id")
        return written

    async def call(self) -> OrgCall:
        """Return the call, its envelope open where the session stood.

        Raises:
            InvalidRequest: the envelope is not taken.
            CallerGone: the caller left in the middle of a body that is held.
        """
        place = self._place()
        body = await self.read(REPLAYABLE)
        before = b"".join(self._first)[: place.start]
        rest: bytes | AsyncIterator[bytes]
        if isinstance(body, bytes):
            await self._read_on(body[self._fed :], last=True)
            rest = body[place.end :]
        else:
            rest = _behind(place.end, self._checked(body))
        return OrgCall(
            method=self._scope["method"],
            target=self._target,
            headers=[*_headers(self._scope, place)],
            body=rest,
            envelope=OpenEnvelope(operation=self._operation, before=before),
        )

    def _place(self) -> SessionPlace:
        place = self._reader.session
        if place is None:
            raise InvalidRequest(_SESSION_ID, "is missing: the session id stands there")
        return place

    async def _read_on(self, part: bytes, *, last: bool) -> None:
        """Read on; a second time behind the end that is nothing more."""
        if self._read_to_its_end:
            return
        try:
            await self._feed(part)
            if last:
                self._end()
        except EnvelopeRefused as refused:
            raise _invalid(refused) from refused

    async def _feed(self, part: bytes) -> None:
        """Read a part in slices, between which others have their turn."""
        for start in range(0, len(part), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            piece = part[start : start + _AT_ONCE]
            self._reader.feed(piece)
            self._fed += len(piece)

    def _end(self) -> None:
        self._reader.end()
        self._read_to_its_end = True

    async def _checked(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Give what was understood, and of that nothing of the last part before the end."""
        held, came = bytearray(), 0
        try:
            async for part in parts:
                before, came = came, came + len(part)
                if came > self._fed:
                    await self._feed(part[self._fed - came :])
                held += part
                ready = min(self._reader.passed, before) - (came - len(held))
                if ready > 0:
                    yield bytes(held[:ready])
                    del held[:ready]
            self._end()
        except EnvelopeRefused as refused:
            self.refusal = _invalid(refused)
            raise
        yield bytes(held)


async def _behind(start: int, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Give what comes behind the first bytes."""
    async for part in parts:
        if start < len(part):
            yield part[start:]
        start = max(0, start - len(part))


def _check_headers(scope: Scope) -> None:
    """See that the bytes are the envelope itself, in UTF-8.

    Spec: SOAP 1.1 section 6; RFC 7303 section 3 (`charset` stands above the document's own word).
    """
    types = header_values(scope, b"content-type")
    if len(types) != 1 or not _CONTENT_TYPE.fullmatch(types[0].strip()):
        raise InvalidRequest("Content-Type", "is not text/xml in UTF-8")
    packings = header_values(scope, b"content-encoding")
    if any(packing.strip().lower() != "identity" for packing in packings):
        raise InvalidRequest("Content-Encoding", "a packed envelope is not looked into")


def _headers(scope: Scope, place: SessionPlace) -> Iterator[tuple[bytes, bytes]]:
    """Give the headers of the open envelope.

    The operation is the body's first element for every client; the header that could name
    another one says nothing, as in Salesforce's own WSDLs.
    """
    for name, value in scope["headers"]:
        if name == b"content-length":
            yield name, str(int(value) - (place.end - place.start)).encode()
        elif name == b"soapaction":
            yield name, b'""'
        else:
            yield name, value


def _invalid(refused: EnvelopeRefused) -> InvalidRequest:
    return InvalidRequest(refused.place, refused.reason)


def is_of_soap(scope: Scope) -> bool:
    """Tell whether a request is for a path of SOAP's, at the root or by its connection."""
    path: str = scope["path"]
    return path.startswith((PREFIX, f"/{PREFIX}")) or _PROXY.match(path) is not None


def speaks_soap(scope: Scope, problem: Problem) -> bool:
    """Tell whether a problem is told to a SOAP client, which reads nothing but faults."""
    return is_of_soap(scope) and scope["method"] == METHOD and problem.code not in _NOT_SOAP


def fault_of(scope: Scope, problem: Problem) -> Response:
    """Write a problem as a SOAP fault.

    A session that opens nothing has Salesforce's own code, by which clients know it; all else
    has ours. The status is 500 for every fault.

    Spec: SOAP 1.1 sections 4.4 and 6.2.
    """
    names, code = f'xmlns:keyturn="{_NAMES}"', f"keyturn:{problem.code}"
    said = f"{problem.code}: {problem.detail}"
    if problem.code == "unauthorized":
        names, code = f'xmlns:sf="{_api(scope).fault_namespace}"', "sf:INVALID_SESSION_ID"
        said = (
            "INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: no proxy session of"
            " Keyturn's is in force under it (unauthorized)"
        )
    said += "".join(f" [{error.field}: {error.message}]" for error in problem.errors)
    said += f" Remedy: {problem.entry.remedy}, by {problem.entry.who}. {problem.entry.where}"
    headers = {"Cache-Control": "no-store", "Keyturn-Problem": problem.code}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return Response(
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE_NAMESPACE}" {names}><soapenv:Body>'
        f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{escape(said)}</faultstring>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        status_code=_FAULT,
        headers=headers,
        media_type="text/xml",
    )


def _api(scope: Scope) -> SoapApi:
    """Return the API that was called; one that is none has the partner's words."""
    letter = scope["path"].partition(PREFIX)[2][:1]
    return SoapApi(letter) if letter in set(SoapApi) else SoapApi.PARTNER
