"""What all tests run under."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator
from types import FrameType

import pytest
from hypothesis import settings

# For `make check`, which is waited for; all other runs try five times as many examples.
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# `asyncio` puts its own handler in the place of Python's each time a fixture or a test is run; to
# put it back it prints all that the fixture returned: a seventh of the use cases' tests' time.
signal.signal(signal.SIGINT, _interrupt)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: a tenth of the time, and all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it at the end.

    A test's seconds are those of its marks `takes`; a file's are on each of its tests. Among equals
    the order stays as it is: random.
    """
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> int:
    return sum(mark.args[0] for mark in item.iter_markers("takes"))


def pytest_collection_finish() -> None:
    """Keep what collecting made out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
