"""Time and chance of this machine, and a clock that follows a world's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from keyturn_service.adapters import system
from keyturn_service.adapters.system import (
    FollowedClock,
    SystemClock,
    SystemRandomness,
    SystemWaiting,
)

MACHINE = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
LATER = MACHINE + timedelta(hours=2)
# Suspended time counts, where the system can count it: a lease goes on ending meanwhile.
PASSING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
PATIENCE = 20  # seconds until a test that hangs is given up


class StoppedClock:
    """The machine's clock, stopped, so that a test can count to the microsecond."""

    def __init__(self) -> None:
        self.time = MACHINE

    def now(self) -> datetime:
        """Return the one time there is."""
        return self.time

    def monotonic(self) -> float:
        """Return seconds that nothing moves."""
        return time.monotonic()


class World:
    """The clock of a world over HTTP: says what it is told to."""

    def __init__(self) -> None:
        self.answer: Callable[[], Awaitable[web.Response]] = self.stated(LATER.isoformat())
        self.asked = 0
        self.again = asyncio.Event()

    @staticmethod
    def stated(now: object) -> Callable[[], Awaitable[web.Response]]:
        """Say a time as the simulator does."""
        return World.said(json.dumps({"now": now}).encode())

    @staticmethod
    def said(
        body: bytes, *, status: int = 200, kind: str = "application/json"
    ) -> Callable[[], Awaitable[web.Response]]:
        """Say anything."""

        async def answer() -> web.Response:
            return web.Response(body=body, status=status, content_type=kind)

        return answer

    async def serve(self, _: web.Request) -> web.Response:
        """Answer a look at the clock."""
        self.asked += 1
        self.again.set()
        return await self.answer()

    async def asked_again(self, times: int) -> None:
        """Wait until that many more looks have begun."""
        for _ in range(times):
            self.again.clear()
            async with asyncio.timeout(PATIENCE):
                await self.again.wait()


@pytest.fixture
def world() -> World:
    """Return a world two hours ahead."""
    return World()


@pytest.fixture
async def url(world: World) -> AsyncIterator[str]:
    """Return where the world's clock is."""
    app = web.Application()
    app.router.add_get("/clock", world.serve)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/clock?program=service"))


@pytest.fixture
def machine() -> StoppedClock:
    """Return a machine whose time stands still."""
    return StoppedClock()


@pytest.fixture
def clock(url: str, machine: StoppedClock) -> FollowedClock:
    """Return a clock that has not looked yet."""
    return FollowedClock(url, machine)


class TestSystemClock:
    """The machine's own clocks."""

    def test_the_time_is_the_machines_in_utc(self):
        """Aware, whatever the machine's time zone."""
        before = datetime.now(UTC)
        now = SystemClock().now()

        assert before <= now <= datetime.now(UTC)
        assert now.utcoffset() == timedelta(0)

    @pytest.mark.parametrize("clock", [SystemClock(), FollowedClock("http://127.0.0.1:1/clock")])
    def test_seconds_are_counted_by_the_clock_that_nothing_moves(self, clock):
        """Leases and time-outs go by it, in a development world too."""
        before = time.clock_gettime(PASSING)

        assert before <= clock.monotonic() <= time.clock_gettime(PASSING)


class TestFollowedClock:
    """As far ahead as the world's clock says."""

    def test_until_it_has_looked_it_says_the_machines_time(self):
        """In UTC."""
        clock = FollowedClock("http://127.0.0.1:1/clock")
        before = datetime.now(UTC)
        now = clock.now()

        assert before <= now <= datetime.now(UTC)
        assert now.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "stated",
        ["2026-11-24T12:30:00+00:00", "2026-11-24T12:30:00Z", "2026-11-24T13:30:00+01:00"],
    )
    async def test_one_look_is_enough(self, world, clock, stated):
        """The world's time, in any zone, becomes its own."""
        world.answer = world.stated(stated)

        await clock.look_once()

        assert clock.now() == LATER
        assert world.asked == 1

    async def test_it_runs_on_from_what_it_saw(self, clock, machine):
        """The machine's time goes by in between."""
        await clock.look_once()
        machine.time += timedelta(seconds=7)

        assert clock.now() == LATER + timedelta(seconds=7)

    async def test_the_machines_own_clock_stays_where_it_is(self, clock):
        """A moved world moves no lease."""
        await clock.look_once()
        before = time.clock_gettime(PASSING)

        assert before <= clock.monotonic() <= time.clock_gettime(PASSING)

    @pytest.mark.parametrize("hours", [-3, 0, 5])
    async def test_a_skew_is_followed_both_ways(self, world, clock, hours):
        """Backwards too, and back to where the machine is."""
        await clock.look_once()
        skewed = MACHINE + timedelta(hours=hours)
        world.answer = world.stated(skewed.isoformat())

        await clock.look_once()

        assert clock.now() == skewed

    @pytest.mark.parametrize("side", [-1, 1])
    @pytest.mark.parametrize(("milliseconds", "follows"), [(499, False), (500, False), (501, True)])
    async def test_what_the_question_takes_moves_nothing(
        self, world, clock, side, milliseconds, follows
    ):
        """Half a second either way is the question's own; time does not tremble by it."""
        await clock.look_once()
        near = LATER + side * timedelta(milliseconds=milliseconds)
        world.answer = world.stated(near.isoformat())

        await clock.look_once()

        assert clock.now() == (near if follows else LATER)

    @pytest.mark.parametrize(
        "answer",
        [
            World.said(b"<html>", kind="text/html"),
            World.said(b"<html>", status=503, kind="text/html"),
            World.said(b"{"),
            World.said(b""),
            World.said(b"\xff"),
            World.said(b"null"),
            World.said(b"[]"),
            World.said(b"{}"),
            World.stated(None),
            World.stated(7),
            World.stated("soon"),
            World.stated("2026-11-24T12:30:00"),
        ],
    )
    async def test_an_answer_that_says_no_time_moves_nothing(self, world, clock, answer):
        """What was seen before goes on; a time without a zone is none."""
        await clock.look_once()
        world.answer = answer

        await clock.look_once()

        assert (clock.now(), world.asked) == (LATER, 2)

    async def test_a_world_that_does_not_answer_is_given_up(self, world, url, machine):
        """After two seconds unless told otherwise."""
        clock = FollowedClock(url, machine, answer_seconds=0.02)
        ended = asyncio.Event()

        async def silence() -> web.Response:
            await ended.wait()
            return web.Response()

        world.answer = silence
        try:
            async with asyncio.timeout(PATIENCE):
                await clock.look_once()
        finally:
            ended.set()

        assert (clock.now(), world.asked) == (MACHINE, 1)

    async def test_a_world_that_has_ended_moves_nothing(self, machine):
        """Nobody listens there any more."""
        clock = FollowedClock("http://127.0.0.1:1/clock", machine)

        await clock.look_once()

        assert clock.now() == MACHINE

    async def test_following_looks_again_and_again_until_it_is_cancelled(self, world, clock):
        """A broken answer in between neither ends it nor moves the time."""
        following = asyncio.create_task(clock.follow())
        try:
            await world.asked_again(1)
            world.answer = world.said(b"broken")
            await world.asked_again(2)
            assert clock.now() == LATER
            moved = LATER + timedelta(days=30)
            world.answer = world.stated(moved.isoformat())
            await world.asked_again(2)
            assert clock.now() == moved
        finally:
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following

    def test_it_looks_often_enough_to_follow_within_a_second(self):
        """Three looks in it, at least."""
        assert 0 < system._POLL <= 1 / 3


class TestSystemRandomness:
    """Bytes by the operating system."""

    @pytest.mark.parametrize("count", [1, 12, 18, 32, 1000])
    def test_as_many_bytes_come_as_were_asked_for(self, count):
        """No more, no fewer."""
        assert len(SystemRandomness().token_bytes(count)) == count

    def test_bytes_never_come_twice(self):
        """Nor from another source of the same kind."""
        drawn = {SystemRandomness().token_bytes(32) for _ in range(200)}
        one = SystemRandomness()

        assert len(drawn | {one.token_bytes(32) for _ in range(200)}) == 400


class TestSystemWaiting:
    """Waiting by the event loop."""

    async def test_it_waits_as_long_as_it_is_told(self):
        """A minute does not pass in an instant, no time does."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await SystemWaiting().sleep(60)
        async with asyncio.timeout(PATIENCE):
            await SystemWaiting().sleep(0)

    async def test_others_go_on_meanwhile(self):
        """It lets the event loop run."""
        went_on = asyncio.create_task(asyncio.sleep(0, "yes"))

        await SystemWaiting().sleep(0.001)

        assert went_on.done()
