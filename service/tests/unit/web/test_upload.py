"""A request's body, held or streamed, and what happens when its caller leaves."""

from __future__ import annotations

import asyncio

import pytest

from keyturn_service.web.upload import CallerGone, Upload, unless_gone

LEFT = {"type": "http.disconnect"}


def part(body, *, more=False):
    """Return one message of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def receiving(*messages):
    """Return an ASGI channel that says these things and then waits; and its queue."""
    queue = asyncio.Queue()
    for message in messages:
        queue.put_nowait(message)
    return Upload(queue.get), queue


async def test_a_short_body_is_held():
    """It can be sent again."""
    upload, _ = receiving(part(b"ab", more=True), part(b"cd"))

    assert await upload.read(4) == b"abcd"


async def test_a_long_body_streams():
    """Its parts come as they came, the first ones too."""
    upload, _ = receiving(part(b"ab", more=True), part(b"cd", more=True), part(b"ef"))

    body = await upload.read(3)

    assert [chunk async for chunk in body] == [b"ab", b"cd", b"ef"]


async def test_a_body_that_breaks_off_is_none():
    """The caller left in the middle of a short body."""
    upload, _ = receiving(part(b"ab", more=True), LEFT)

    with pytest.raises(CallerGone):
        await upload.read(100)


async def test_work_is_cancelled_when_the_caller_leaves():
    """After the whole body."""
    upload, queue = receiving(part(b"ab"))
    await upload.read(100)
    cancelled, begun = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    doing = asyncio.create_task(unless_gone(upload, work()))
    await begun.wait()
    queue.put_nowait(LEFT)
    await doing

    assert cancelled.is_set()


async def test_work_is_cancelled_when_the_caller_leaves_in_the_middle_of_a_long_body():
    """The reader of the body is left waiting, so that nothing else is said about it."""
    upload, _ = receiving(part(b"abcd", more=True), LEFT)
    body = await upload.read(2)
    ended = []

    async def work():
        try:
            async for _ in body:
                pass
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await unless_gone(upload, work())

    assert ended == ["cancelled"]


async def test_an_error_of_the_work_is_the_caller_s():
    """What goes wrong is told to who waits for it."""
    upload, _ = receiving(part(b""))
    await upload.read(1)

    async def work():
        raise LookupError("gone wrong")

    with pytest.raises(LookupError):
        await unless_gone(upload, work())
