"""An org's records in memory, at a moment that stands still."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from orgsim.data import OrgData, OrgSeed, UserSeed

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
ROLES = ("admin", "standard", "integration")


def seed_of() -> OrgSeed:
    """Make an org with its three people."""
    users = tuple(
        UserSeed(
            user_id=f"0055g000000000{number}AAA",
            username=f"{role}@northwind.example",
            email=f"{role}@northwind.example",
            first_name=role.title(),
            last_name="Winter",
            role=role,
        )
        for number, role in enumerate(ROLES, start=1)
    )
    return OrgSeed(
        org_id="00D5g000000AbCdEAK",
        name="Northwind",
        environment="production",
        users=users,
        namespace="acme",
    )


@pytest.fixture
def data() -> Iterator[OrgData]:
    """Give an org with the package."""
    opened = OrgData.create(None, org=seed_of(), seed=7, now=lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared() -> Iterator[OrgData]:
    """Give an org that is only read."""
    opened = OrgData.create(None, org=seed_of(), seed=7, now=lambda: NOW)
    yield opened
    opened.close()
