"""`domain.api_key`: when a key opens anything."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from service.tests.support.values import HOUR, START, api_key

TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("expires_at", "deleted_at", "valid"),
    [
        (None, None, True),
        (START + TICK, None, True),
        (START, None, False),
        (START - TICK, None, False),
        (None, START, False),
        (START + HOUR, START, False),
        (START + HOUR, START + HOUR, False),
    ],
)
def test_a_key_opens_until_its_end(
    expires_at: datetime | None, deleted_at: datetime | None, *, valid: bool
) -> None:
    """The moment of expiry is outside; a deleted key opens nothing, whenever it was deleted."""
    key = api_key(expires_at=expires_at, deleted_at=deleted_at)

    assert key.valid_at(START) is valid
