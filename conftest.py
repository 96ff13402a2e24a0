"""What all tests run under."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
from hypothesis import settings

# For `make check`, which is waited for; all other runs try five times as many examples.
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)


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
