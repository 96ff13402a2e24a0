"""An org's records in memory, at a moment that stands still."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orgsim.data import OrgData, OrgSeed, UserSeed

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
ADMIN = "0055g0000000001AAA"
ROLES = ("admin", "standard", "integration")


def seed_of(*, org_id: str = "00D5g000000AbCdEAK", namespace: str | None = "acme") -> OrgSeed:
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
        org_id=org_id,
        name="Northwind",
        environment="production",
        users=users,
        namespace=namespace,
    )


@pytest.fixture
def make_data() -> Iterator[Callable[..., OrgData]]:
    """Open orgs; they are closed after the test."""
    opened: list[OrgData] = []

    def make(
        path: Path | None = None,
        *,
        seed: int = 7,
        now: Callable[[], datetime] = lambda: NOW,
        **org: str | None,
    ) -> OrgData:
        opened.append(OrgData.create(path, org=seed_of(**org), seed=seed, now=now))
        return opened[-1]

    yield make
    for data in opened:
        data.close()


@pytest.fixture
def data(make_data: Callable[..., OrgData]) -> OrgData:
    """Give an org with the package."""
    return make_data()
