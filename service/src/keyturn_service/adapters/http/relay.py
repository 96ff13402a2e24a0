"""Calls to an org's API origin that stream both ways, over pooled connections."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from io import BytesIO
from typing import Final
from xml.sax.saxutils import escape

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.http.egress import (
    Egress,
    Road,
    TargetRefused,
    is_public,
    tls_context,
)
from keyturn_service.adapters.http.headers import downwards, upwards
from keyturn_service.ports import AnswerLost, OrgCall, OrgUnreachable

_LONGEST_SILENCE: Final = 630.0  # seconds; Salesforce ends a request after ten minutes
_POOL: Final = 512  # connections at once
_IDLE: Final = 15.0  # seconds a pooled connection waits; the edge closes idle ones by itself
_BULK_1: Final = "/services/async/"  # it reads the session from a header of its own
_NOT_OURS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_NOT_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    TargetRefused,
)
_BROKEN: Final = (aiohttp.ClientError, OSError)  # TimeoutError is an OSError


class HttpOrgRelay:
    """`ports.OrgRelay` over HTTPS. It follows no redirect, keeps no cookie, repeats nothing."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._sessions: dict[Road, aiohttp.ClientSession] = {}

    async def send(self, instance_url: Origin, call: OrgCall, token: AccessToken) -> HttpOrgAnswer:
        """Send the call once under `token`, without what concerns our own caller alone.

        Raises:
            OrgUnreachable: no connection was made; the org has not seen the call.
            AnswerLost: no status came.
        """
        try:
            road = self._egress.api_road(instance_url)
            response = await self._session(road).request(
                call.method,
                URL(f"{instance_url}{call.target}", encoded=True),
                headers=_headers(call, token),
                data=_sendable(call, token),
                allow_redirects=False,
                proxy=self._egress.proxy_url if road is Road.TUNNEL else None,
            )
        except _NOT_SENT as error:
            raise OrgUnreachable("no connection") from error
        except _BROKEN as error:
            raise AnswerLost("no answer") from error
        return HttpOrgAnswer(response)

    async def close(self) -> None:
        """Close the pooled connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, road: Road) -> aiohttp.ClientSession:
        if road not in self._sessions:
            self._sessions[road] = self._opened(road)
        return self._sessions[road]

    def _opened(self, road: Road) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=_POOL,
            keepalive_timeout=_IDLE,
            ssl=tls_context(self._egress.ca_file),
            socket_factory=_guarded_socket if road is Road.GUARDED else None,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_OURS,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=self._egress.connect_seconds,
                sock_connect=self._egress.connect_seconds,
                sock_read=_LONGEST_SILENCE,
            ),
        )
        # There is no public switch against the silent second PUT or DELETE on a connection that
        # broke; what is repeated here is decided where the call is understood.
        session._retry_connection = False  # noqa: SLF001
        return session


def _sendable(call: OrgCall, token: AccessToken) -> BytesIO | AsyncIterable[bytes] | None:
    """Return a body as the client takes it; one in memory as a file, which may be large."""
    begun = b"" if call.envelope is None else call.envelope.before + _as_text(token)
    if isinstance(call.body, bytes):
        return BytesIO(begun + call.body) if begun or call.body else None
    return _led(begun, call.body) if begun else call.body


def _as_text(token: AccessToken) -> bytes:
    """Write a token as the text of an element."""
    return escape(token.reveal()).encode()


async def _led(begun: bytes, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    yield begun
    async for part in body:
        yield part


class HttpOrgAnswer:
    """`ports.OrgAnswer` of one aiohttp response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._headers: Sequence[tuple[bytes, bytes]] = downwards(response.raw_headers)

    @property
    def status(self) -> int:
        """The status, as the org gave it."""
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that may be handed on."""
        return self._headers

    async def parts(self) -> AsyncIterator[bytes]:
        """Return the body's bytes as they arrive.

        Raises:
            AnswerLost: the body ended before its end.
        """
        content = self._response.content
        try:
            while part := await content.readany():
                yield part
        except _BROKEN as error:
            raise AnswerLost("the body broke off") from error

    async def close(self) -> None:
        """Give the connection back where the body was read to its end, else break it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def _headers(call: OrgCall, token: AccessToken) -> CIMultiDict[str]:
    """Write the headers that go out, the token where the API called expects it."""
    sized = not isinstance(call.body, bytes)
    headers = CIMultiDict(
        (name.decode("latin-1"), _text(value))
        for name, value in upwards(call.headers)
        if name != b"content-length" or sized
    )
    if call.envelope is not None:
        _count_in(headers, token)
    elif call.target.startswith(_BULK_1):
        headers["X-SFDC-Session"] = token.reveal()
    else:
        headers["Authorization"] = f"Bearer {token.reveal()}"
    return headers


def _count_in(headers: CIMultiDict[str], token: AccessToken) -> None:
    """Let a stated length count the token that goes into an envelope."""
    stated = headers.get("content-length")
    if stated is not None:
        headers["content-length"] = str(int(stated) + len(_as_text(token)))


def _text(value: bytes) -> str:
    """Return a header's value so that it is written as the same bytes, where they are UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _guarded_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket for an address, unless it is not public.

    Names that lead inside and IP literals both end here, right before the connection is made.
    """
    family, kind, protocol, _, sockaddr = address
    if not is_public(str(sockaddr[0])):
        raise OSError("the address is not public")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made
