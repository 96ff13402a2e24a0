"""`use_cases.watch_installs`: one question to the Dev Hub for all open pages."""

from __future__ import annotations

import asyncio

import pytest
from service.tests.support.fakes import FakeClock, FakeDevHub, LeapingWaiting
from service.tests.support.values import ORG, OTHER_ORG

from keyturn_core.salesforce.ids import widened
from keyturn_core.salesforce.package_subscribers import PackageVersionId
from keyturn_service.ports import PackageInOrg
from keyturn_service.use_cases.watch_installs import HOLD_OFF, PAUSE, WatchInstalls

VERSION = PackageVersionId(widened("04t5g000000AbCd"))
HERE = PackageInOrg(version=VERSION, org_id=ORG)
THERE = PackageInOrg(version=VERSION, org_id=OTHER_ORG)


@pytest.fixture
def clock():
    """The machine's clock."""
    return FakeClock()


@pytest.fixture
def hub():
    """A Dev Hub that knows of one install."""
    return FakeDevHub(installs={HERE})


@pytest.fixture
def watch(hub, clock):
    """What the pages ask."""
    return WatchInstalls(packages=hub, clock=clock, waiting=LeapingWaiting(clock))


async def test_pages_that_ask_together_are_one_question(watch, hub):
    """However many are open."""
    seen = await asyncio.gather(*(watch([one], within=1) for one in (HERE, THERE, HERE)))
    assert seen == [True, False, True]
    assert hub.asked == [{HERE, THERE}]


async def test_any_of_the_asked_counts(watch):
    """Production and sandbox may be installed from different versions."""
    assert await watch([THERE, HERE], within=1)


async def test_an_answer_serves_until_it_is_old(watch, hub, clock):
    """Then it is asked for again, and what has changed is seen."""
    assert not await watch([THERE], within=1)
    hub.installs.add(THERE)
    clock.advance(seconds=PAUSE - 0.1)
    assert not await watch([THERE], within=1)
    clock.advance(seconds=0.1)
    assert await watch([THERE], within=1)
    assert len(hub.asked) == 2


async def test_the_next_question_waits_for_the_pause(watch, hub, clock):
    """A page that opens meanwhile has to wait for a moment."""
    await watch([HERE], within=1)
    before = clock.monotonic()
    assert not await watch([THERE], within=1)
    assert clock.monotonic() == before + PAUSE
    assert hub.asked == [{HERE}, {THERE}]


async def test_who_comes_during_a_question_is_in_the_next_one(watch, hub):
    """None is left out."""
    hub.gate = asyncio.Event()
    first = asyncio.create_task(watch([HERE], within=5))
    while not hub.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(watch([THERE], within=5))
    await asyncio.sleep(0)
    hub.gate.set()
    assert await first
    assert not await second
    assert hub.asked == [{HERE}, {THERE}]


async def test_a_failure_is_nobodys_and_holds_off(watch, hub, clock):
    """What is not known is not seen, and a Dev Hub in trouble is left alone for a while."""
    hub.fails = 1
    assert not await watch([HERE], within=1)
    assert not await watch([HERE], within=1)
    assert len(hub.asked) == 1
    clock.advance(seconds=HOLD_OFF)
    assert await watch([HERE], within=1)


async def test_what_was_wanted_during_a_failure_is_asked_later(watch, hub, clock):
    """The round ends, and the next page begins another one."""
    hub.fails, hub.gate = 1, asyncio.Event()
    first = asyncio.create_task(watch([HERE], within=5))
    while not hub.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(watch([THERE], within=5))
    await asyncio.sleep(0)
    hub.gate.set()
    assert await asyncio.gather(first, second) == [False, False]
    clock.advance(seconds=HOLD_OFF)
    assert await watch([HERE], within=1)
    assert hub.asked[-1] == {HERE, THERE}


async def test_nobody_waits_longer_than_they_said(watch, hub):
    """The question goes on; whoever asks next has the answer."""
    hub.gate = asyncio.Event()
    assert not await watch([HERE], within=0.001)
    hub.gate.set()
    assert await watch([HERE], within=5)
    assert len(hub.asked) == 1


async def test_old_answers_are_forgotten(watch, hub, clock):
    """Or every page that was ever open would stay in memory."""
    await watch([HERE], within=1)
    clock.advance(minutes=11)
    hub.fails = 1
    await watch([THERE], within=1)
    clock.advance(seconds=HOLD_OFF)
    await watch([THERE], within=1)
    hub.gate = asyncio.Event()
    assert not await watch([HERE], within=0.001)
    await watch.close()


async def test_it_can_be_closed_at_any_time(watch, hub):
    """Before the first question, during one, and after it."""
    await watch.close()
    hub.gate = asyncio.Event()
    asking = asyncio.create_task(watch([HERE], within=0.01))
    while not hub.asked:
        await asyncio.sleep(0)
    await watch.close()
    assert not await asking
