"""A service of fakes behind its real HTTP face, on a loopback port."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from web_house import House, open_house


@pytest.fixture
async def house():
    """Return a served house with an app, a connection and an API key that has all rights."""
    async with open_house() as opened:
        yield opened


@pytest.fixture
def admin(house: House):
    """Return headers with the key that has all rights."""
    return house.headers(house.key)
