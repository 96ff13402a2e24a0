"""Starts `orgsim serve` as a program, once for each module; each test gets a fresh world in it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from orgsim_caller import Caller
from orgsim_program import OrgsimProgram


@pytest.fixture(scope="module")
def program() -> Iterator[OrgsimProgram]:
    """Give the program, running."""
    with OrgsimProgram() as running:
        yield running


@pytest.fixture
def sim(program: OrgsimProgram) -> OrgsimProgram:
    """Give a fresh world."""
    program.reset()
    return program


@pytest.fixture
def caller_of(sim: OrgsimProgram) -> Iterator[Callable[..., Caller]]:
    """Give callers of a world, each a browser and an HTTP client of its own."""
    with ExitStack() as stack:
        yield lambda *args, **named: stack.enter_context(Caller(sim, *args, **named))


@pytest.fixture
def caller(caller_of: Callable[..., Caller]) -> Caller:
    """Give a caller on the plain ports, for the app Acme."""
    return caller_of()
