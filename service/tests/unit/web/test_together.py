"""`web.together`: the head of an answer goes out with what comes right behind it."""

from __future__ import annotations

import asyncio

import pytest

from keyturn_service.web.together import Together

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Pipe(asyncio.Transport):
    """A transport that notes each write by itself, and its end."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Note a write."""
        self.seen.append(bytes(data))

    def close(self) -> None:
        """Note the end."""
        self.seen.append(b"closed")

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return b"closed" in self.seen

    def pause_reading(self) -> None:
        """Note a pause."""
        self.seen.append(b"paused")


@pytest.fixture
async def pipe() -> Pipe:
    """A transport."""
    return Pipe()


@pytest.fixture
async def together(pipe: Pipe) -> Together:
    """What stands before it."""
    return Together(pipe, asyncio.get_running_loop())


async def test_head_and_body_go_out_as_one(pipe: Pipe, together: Together) -> None:
    """Where they are written in one turn of the loop; later parts go by themselves."""
    together.write(HEAD)
    together.write(b"ok")
    together.write(b"more")
    await asyncio.sleep(0)

    assert pipe.seen == [HEAD + b"ok", b"more"]


async def test_a_head_is_held_no_longer_than_a_turn(pipe: Pipe, together: Together) -> None:
    """An answer whose body takes its time shows its head at once."""
    together.write(HEAD)
    await asyncio.sleep(0)

    together.write(b"ok")

    assert pipe.seen == [HEAD, b"ok"]


async def test_nothing_is_lost_where_the_connection_is_closed(
    pipe: Pipe, together: Together
) -> None:
    """What was held goes out before."""
    together.write(HEAD)
    together.close()
    await asyncio.sleep(0)

    assert pipe.seen == [HEAD, b"closed"]
    assert together.is_closing()


async def test_a_head_of_unusual_length_is_not_copied(pipe: Pipe, together: Together) -> None:
    """It goes out as it is."""
    long = HEAD + b"x" * 20_000

    together.write(long)

    assert pipe.seen == [long]


async def test_all_else_is_the_transports_own(pipe: Pipe, together: Together) -> None:
    """Such as its flow control."""
    together.pause_reading()

    assert pipe.seen == [b"paused"]
