"""One request on a connection of its own, with nothing repeated and no byte of the answer lost.

A pooled client may send a request a second time, lose what came before a reset, or write the
first byte long after it was asked to. For a request that carries a refresh token each of these
costs a customer's connection, so it goes by this module.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.http.answer_parser import AnswerParser
from keyturn_service.adapters.http.egress import (
    Egress,
    Road,
    Target,
    TargetRefused,
    is_public,
    read_target,
    tls_context,
)

_BODY_LIMIT: Final = 1024 * 1024  # bytes; token and identity answers have a few thousand
_CONNECT_LIMIT: Final = 16 * 1024  # bytes of a proxy's answer to CONNECT
_CONNECTED: Final = b"200"
_LOOKS: Final = 3  # rounds of the loop, in which it looks at its sockets at least once


class NotSent(Exception):
    """No byte of the request left this machine."""


class NoAnswer(Exception):
    """The request may have left, and no status line came back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it goes out; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, even in part. Header names are lower case, of doubled ones the first."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool


class OneShot:
    """Sends single requests by the road that the egress settings name."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._tls: ssl.SSLContext | None = None

    @property
    def connect_seconds(self) -> float:
        """How long a connection may take to stand."""
        return self._egress.connect_seconds

    @property
    def answer_seconds(self) -> float:
        """How long an answer is waited for, from the first byte out to the last byte in."""
        return self._egress.answer_seconds

    async def __call__(
        self,
        origin: Origin,
        request: Request,
        *,
        of_api: bool = False,
        when_connected: Callable[[], Awaitable[None]] | None = None,
        before_first_byte: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send `request` once and return what came back.

        One that is `of_api` goes where an org's API is, and to no other host of Salesforce's.
        `when_connected` is awaited once the connection stands, and may take its time;
        `before_first_byte` runs after it, with nothing between it and the write. What they raise
        goes to the caller, and nothing was sent.

        Raises:
            NotSent: no connection was made.
            NoAnswer: no status came in time.
        """
        if of_api:
            self._see_api(origin)
        target = read_target(origin)
        receiver = _Receiver()
        transport = await self._connected(origin, target, receiver)
        try:
            if when_connected is not None:
                await when_connected()
            before_first_byte()
            if receiver.lost.done():
                raise NotSent("the connection ended before it was used")
            transport.write(_serialized(request, target))
            return await receiver.answer(self._egress.answer_seconds)
        finally:
            transport.abort()

    def _see_api(self, origin: Origin) -> None:
        try:
            self._egress.api_road(origin)
        except TargetRefused as error:
            raise NotSent(type(error).__name__) from error

    async def _connected(
        self, origin: Origin, target: Target, receiver: _Receiver
    ) -> asyncio.Transport:
        try:
            async with asyncio.timeout(self._egress.connect_seconds):
                return await self._connect(self._egress.road(origin), target, receiver)
        except (OSError, TargetRefused) as error:  # TimeoutError and ssl.SSLError are OSErrors
            raise NotSent(type(error).__name__) from error

    async def _connect(self, road: Road, target: Target, receiver: _Receiver) -> asyncio.Transport:
        match road:
            case Road.TUNNEL:
                return await self._tunnel(target, receiver)
            case Road.DIRECT:
                return await self._straight(target, target.host, receiver)
            case Road.GUARDED:
                return await self._guarded(target, receiver)

    async def _guarded(self, target: Target, receiver: _Receiver) -> asyncio.Transport:
        """Connect to the first address that answers, if every one of them is public."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, target.port, type=1)
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        if not addresses or not all(is_public(address) for address in addresses):
            raise TargetRefused("the name leads to an address that is not public")
        for address in addresses[:-1]:
            try:
                return await self._straight(target, address, receiver)
            except OSError:
                continue
        return await self._straight(target, addresses[-1], receiver)

    async def _straight(
        self, target: Target, address: str, receiver: _Receiver
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            lambda: receiver,
            address,
            target.port,
            ssl=self._context() if target.tls else None,
            server_hostname=target.host if target.tls else None,
        )
        return transport

    async def _tunnel(self, target: Target, receiver: _Receiver) -> asyncio.Transport:
        """Ask the egress proxy for a tunnel and speak TLS through it."""
        loop = asyncio.get_running_loop()
        host, port = self._egress.proxy_address()
        plain, opening = await loop.create_connection(_Opening, host, port)
        try:
            plain.write(_connect_request(target, self._egress.proxy_authorization()))
            await opening.granted()
            secured = await loop.start_tls(
                plain, receiver, self._context(), server_hostname=target.host
            )
        except BaseException:
            plain.abort()
            raise
        if secured is None:
            raise ConnectionResetError("the egress proxy closed the tunnel")
        return secured

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._egress.ca_file)
        return self._tls


def _serialized(request: Request, target: Target) -> bytes:
    """Write the request, head and body in one piece."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += ["Accept-Encoding: identity", "Connection: close"]
    if request.body or request.method == "POST":
        lines.append(f"Content-Length: {len(request.body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header may not hold a line break")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def _connect_request(target: Target, authorization: str | None) -> bytes:
    lines = [f"CONNECT {target.tunnel} HTTP/1.1", f"Host: {target.tunnel}"]
    if authorization is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Opening(asyncio.Protocol):
    """Reads the answer to CONNECT."""

    def __init__(self) -> None:
        self._status: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._head = bytearray()

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._status.done():
            return
        if b"\r\n\r\n" in self._head:
            self._status.set_result(bytes(self._head).split(b"\r\n", 1)[0][9:12])
        elif len(self._head) > _CONNECT_LIMIT:
            self._status.set_result(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._status.done():
            self._status.set_result(b"")

    async def granted(self) -> None:
        """Wait for the proxy's answer.

        Raises:
            ConnectionRefusedError: it was no yes.
        """
        if await self._status != _CONNECTED:
            raise ConnectionRefusedError("the egress proxy refused the host")


class _Receiver(asyncio.Protocol):
    """Feeds the parser as bytes arrive, so that a reset takes none of them along."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser = AnswerParser(limit=_BODY_LIMIT)
        self._over = asyncio.Event()
        self._parts = 0

    def data_received(self, data: bytes) -> None:
        self._parts += 1
        self._parser.feed(data)
        if self._parser.finished:
            self._over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._parser.end(clean=exc is None)
        self._over.set()
        if not self.lost.done():
            self.lost.set_result(None)

    async def answer(self, seconds: float) -> Answer:
        """Wait for the whole answer, or for what comes of it in `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            await self._read_what_is_here()
            self._parser.end(clean=False)
        parser = self._parser
        if parser.status is None:
            raise NoAnswer
        body = parser.body()  # before `complete`: unpacking may find the end missing
        return Answer(
            status=parser.status, headers=parser.headers, body=body, complete=parser.complete
        )

    async def _read_what_is_here(self) -> None:
        """Read what has reached this machine already, however late that is.

        A process that stood still finds its time over when it goes on, and a loop sees to its
        timers before it looks at its sockets, where the answer may lie since long.
        """
        before = -1
        while self._parts != before and not self._over.is_set():
            before = self._parts
            for _ in range(_LOOKS):
                await asyncio.sleep(0)
