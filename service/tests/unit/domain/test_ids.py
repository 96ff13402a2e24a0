"""`domain.ids`: new identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_service.domain.ids import ID_BYTES, new_id


def test_an_id_says_what_it_names() -> None:
    """The prefix, an underscore, and the random number in our alphabet."""
    assert new_id("con", (1).to_bytes(ID_BYTES, "big")) == "con_1"
    assert new_id("con", (54).to_bytes(ID_BYTES, "big")) == "con_z"
    assert new_id("con", (55).to_bytes(ID_BYTES, "big")) == "con_10"


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_an_id_is_short_and_plain(random: bytes) -> None:
    """It fits its column, and a URL or a log line takes it as it is."""
    name = new_id("con", random)

    assert len(name) <= 64
    assert name.isascii()
    assert name.replace("_", "").isalnum()


@given(st.sets(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), min_size=2, max_size=9))
def test_different_randomness_gives_different_ids(randoms: set[bytes]) -> None:
    """No bit of it is lost."""
    assert len({new_id("con", random) for random in randoms}) == len(randoms)


def test_more_randomness_is_used_too() -> None:
    """The last byte counts, however many there are."""
    longer = bytes(range(ID_BYTES + 2))

    assert new_id("con", longer) != new_id("con", longer[:-1] + b"\xff")


@pytest.mark.parametrize("count", [0, 1, ID_BYTES - 1])
def test_an_id_of_too_little_randomness_is_refused(count: int) -> None:
    """Two of them could meet."""
    with pytest.raises(ValueError, match="needs 18 random bytes"):
        new_id("con", b"\xff" * count)
