"""Bare relays by the same client as the service's, and the org that all call.

They hand on method, path, headers and body over aiohttp, streaming, and have none of the service's
duties: no key, no token, no rules, no audit. One is of the same stack as the service: a route of
Starlette's (`python -m tools.bench.relay`, the org's URL on standard input); the other speaks ASGI
by hand (`… relay raw`). The org (`… relay org`) answers each call with the same page of records,
and each refresh with new tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Final, cast

import aiohttp
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from yarl import URL

from tools.bench.programs import announce, serve

_RECORDS: Final = 20
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_DROPPED: Final = frozenset({b"host", b"connection", b"transfer-encoding"})


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=512),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def make_relay(org_url: str) -> Starlette:
    """Return the relay of the same stack."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _client() as http:
            app.state.http = http
            yield

    async def relay(request: Request) -> StreamingResponse:
        http: aiohttp.ClientSession = request.app.state.http
        answer = await http.request(
            request.method,
            URL(f"{org_url}{request.url.path}?{request.url.query}", encoded=True),
            headers=[(k, v) for k, v in request.headers.items() if k.encode() not in _DROPPED],
            data=await request.body() or None,
            allow_redirects=False,
        )
        return StreamingResponse(
            _parts(answer),
            status_code=answer.status,
            headers={k: v for k, v in answer.headers.items() if k.lower().encode() not in _DROPPED},
        )

    return Starlette(routes=[Route("/{path:path}", relay, methods=["GET"])], lifespan=lifespan)


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for part in answer.content.iter_any():
            yield part


class RawRelay:
    """The relay that speaks ASGI by hand: as little as can be done in Python."""

    def __init__(self, org_url: str) -> None:
        self._org_url = org_url
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay a request; those of the bench have no body."""
        if scope["type"] != "http":
            return
        if self._http is None:
            self._http = _client()
        await receive()
        target = f"{scope['raw_path'].decode()}?{scope['query_string'].decode()}"
        async with self._http.request(
            scope["method"],
            URL(f"{self._org_url}{target}", encoded=True),
            headers=[(k.decode(), v.decode()) for k, v in scope["headers"] if k not in _DROPPED],
            allow_redirects=False,
        ) as answer:
            headers = [(k, v) for k, v in answer.raw_headers if k.lower() not in _DROPPED]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Org(asyncio.Protocol):
    """Answers calls with a page of records, refreshes with new tokens, and tells the time."""

    def __init__(self, records: bytes, numbers: Iterator[int]) -> None:
        self._records = records
        self._numbers = numbers
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while (whole := _whole(self._received)) is not None:
            asked, self._received = self._received[:whole], self._received[whole:]
            if asked.startswith(b"GET /clock"):
                self._transport.write(_clock())
            elif asked.startswith(b"POST /services/oauth2/token"):
                self._transport.write(_tokens(next(self._numbers)))
            else:
                self._transport.write(self._records)


def _whole(received: bytes) -> int | None:
    """Return how long the first request is; None while more of it is to come."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    said = _LENGTH.search(received, 0, head + 2)
    length = head + 4 + (int(said[1]) if said else 0)
    return length if len(received) >= length else None


def _tokens(number: int) -> bytes:
    return _answer(
        {
            "access_token": f"not-a-real-access-token-{number:090}",
            "refresh_token": f"not-a-real-refresh-token-{number:065}",
            "scope": "api refresh_token",
            "token_type": "Bearer",
            "issued_at": str(round(datetime.now(UTC).timestamp() * 1000)),
        }
    )


def _clock() -> bytes:
    return _answer({"now": datetime.now(UTC).isoformat()})


def _page() -> bytes:
    records = [
        {"attributes": {"type": "Contact", "url": "/services/data"}, "Id": f"003{n:015}"}
        for n in range(_RECORDS)
    ]
    return _answer({"totalSize": _RECORDS, "done": True, "records": records})


def _answer(document: dict[str, Any]) -> bytes:
    body = json.dumps(document).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\n"
        f"Sforce-Limit-Info: api-usage=18/15000\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer_as_org() -> None:
    page, numbers = _page(), itertools.count(1)
    server = await asyncio.get_running_loop().create_server(
        lambda: Org(page, numbers), "127.0.0.1", 0
    )
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["org"]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_answer_as_org())
    elif sys.argv[1:] == ["raw"]:
        serve(RawRelay(sys.stdin.readline().strip()))
    else:
        serve(make_relay(sys.stdin.readline().strip()))
