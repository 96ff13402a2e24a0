"""Connections that ask too slowly, or for too much, are let go before anybody works for them."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvicorn
from web_house import Server, a_port

from keyturn_service.web.patience import PatientProtocol

HEAD = b"POST /x HTTP/1.1\r\nHost: keyturn.example\r\nContent-Length: 10\r\n"


class Hasty(PatientProtocol):
    """The same limits, at a test's pace."""

    head_seconds = 0.15
    head_bytes = 2000
    body_seconds = 0.15
    body_bytes = 4


@pytest.fixture
async def served():
    """Serve an application that reads the body and says how long it was; note what it saw."""
    seen = []

    async def app(_scope, receive, send):
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message["body"]), message["more_body"]
        seen.append(size)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    listening, url = a_port()
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, http=Hasty, ws="none", timeout_graceful_shutdown=1
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await server.told.wait()
    yield int(url.rsplit(":", 1)[1]), seen
    server.ending.set()
    await task


@contextlib.asynccontextmanager
async def connected(port):
    """Open a connection that nobody writes to yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(served, begun):
    """Nothing at all, or a byte now and then: the connection is let go."""
    port, seen = served
    async with connected(port) as (reader, writer):
        writer.write(begun)
        answer = await asyncio.wait_for(reader.read(), 5)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert seen == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"X-Much: " + b"a" * 3000,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Many: a\r\n" * 400 + b"\r\n",
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\n" + b"X-Many: a\r\n" * 400 + b"\r\nbody",
    ],
)
async def test_a_head_that_is_too_long_is_not_read_on(served, head):
    """In one piece or in many, one header or a thousand."""
    port, seen = served
    async with connected(port) as (reader, writer):
        writer.write(head)
        answer = await asyncio.wait_for(reader.read(), 5)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert seen == []


async def test_a_body_that_drips_is_not_waited_for(served):
    """Fewer bytes than there have to be in each stretch of time."""
    port, seen = served
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"\r\nab")
        answer = await asyncio.wait_for(reader.read(), 5)

    assert answer == b""
    assert seen == []


async def test_a_body_in_one_read_with_its_head_is_no_head(served):
    """However long it is."""
    port, seen = served
    head = b"POST /x HTTP/1.1\r\nHost: keyturn.example\r\nContent-Length: 50000\r\n\r\n"
    async with connected(port) as (reader, writer):
        writer.write(head + b"b" * 50_000)
        answer = await asyncio.wait_for(reader.readuntil(b"ok"), 5)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert seen == [50_000]


async def test_a_body_that_comes_steadily_may_take_its_time(served):
    """Longer than one stretch, as long as something comes in each."""
    port, seen = served
    async with connected(port) as (reader, writer):
        writer.write(HEAD.replace(b"10", b"40") + b"\r\n")
        for _ in range(8):
            writer.write(b"12345")
            await writer.drain()
            with contextlib.suppress(TimeoutError):  # the pace, by the connection's own silence
                await asyncio.wait_for(reader.read(1), 0.05)
        answer = await asyncio.wait_for(reader.readuntil(b"ok"), 5)

    assert b"ok" in answer
    assert seen == [40]


async def test_each_request_of_a_kept_connection_has_its_own_time(served):
    """The second one is as welcome as the first, and held to the same."""
    port, seen = served
    async with connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + b"\r\n0123456789")
            await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        writer.write(b"G")
        answer = await asyncio.wait_for(reader.read(), 5)

    assert seen == [10, 10]
    assert answer.startswith(b"HTTP/1.1 408 ")
