"""A process that stood still longer than it waits for an answer."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from hostile_servers import raw_server

_CLIENT = Path(__file__).parent / "paused_client.py"
_ANSWER_SECONDS = 2.0
_STOPS_WITHIN = 0.2  # seconds
_AT_ONCE = 8


@pytest.mark.parametrize("length", [2_000, 100_000], ids=["one-read", "many-reads"])
async def test_an_answer_that_came_during_a_pause_is_read(length):
    """The org answered long ago; that this process notices its time-out first loses nothing."""
    arrived = 0
    stands_still = asyncio.Event()
    over = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length

    async def behave(request, reader, writer):
        del request
        nonlocal arrived
        arrived += 1
        if arrived == _AT_ONCE:
            client.send_signal(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(_STOPS_WITHIN, stands_still.set)
            asyncio.get_running_loop().call_later(_ANSWER_SECONDS + 0.5, over.set)
        await stands_still.wait()  # before, the answer would be what wakes its loop
        writer.write(head + b"x" * length)
        await over.wait()
        if client.returncode is None:
            client.send_signal(signal.SIGCONT)
        await reader.read()

    async with raw_server(behave) as server:
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_CLIENT),
            server.origin,
            str(_AT_ONCE),
            str(_ANSWER_SECONDS),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await client.communicate()

    assert Counter(said.decode().splitlines()) == {f"200 {length} True": _AT_ONCE}
