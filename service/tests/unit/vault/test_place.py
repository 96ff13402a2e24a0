"""What a seal is bound to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_service.vault.place import Place

HERE = Place(
    workspace_id="ws_a", table="token_sets", row="con_1", column="refresh_token", generation=12
)


def test_the_bytes_are_each_part_with_its_length():
    """They never change: what was sealed under other bytes would not open any more."""
    assert replace(HERE).associated_data == (
        b"\x00\x00\x00\x0ekeyturn-seal-1"
        b"\x00\x00\x00\x04ws_a"
        b"\x00\x00\x00\x0atoken_sets"
        b"\x00\x00\x00\x05con_1"
        b"\x00\x00\x00\x0drefresh_token"
        b"\x00\x00\x00\x0212"
    )


def test_a_value_without_generations_rests_at_generation_0():
    """Absent and 0 are one place."""
    place = Place(workspace_id="w", table="t", row="r", column="c")

    assert place.generation == 0
    assert place.associated_data.endswith(b"\x00\x00\x00\x01c\x00\x00\x00\x010")


def test_the_length_is_that_of_the_bytes():
    """Not of the characters."""
    place = Place(workspace_id="caf\xe9", table="t", row="r", column="c")

    assert b"\x00\x00\x00\x05caf\xc3\xa9" in place.associated_data


def test_a_place_stays_where_it_is():
    """A seal's binding cannot change between two uses."""
    with pytest.raises(FrozenInstanceError):
        HERE.generation = 13


places = st.builds(
    Place,
    workspace_id=st.text(max_size=3),
    table=st.text(max_size=3),
    row=st.text(max_size=3),
    column=st.text(max_size=3),
    generation=st.integers(0, 20),
)


@given(one=places, other=places)
def test_two_places_never_bind_the_same_bytes(one, other):
    """No part runs over into the next."""
    assert (one.associated_data == other.associated_data) is (one == other)


@given(text=st.text(max_size=8), one=st.integers(0, 8), other=st.integers(0, 8))
def test_a_border_between_parts_cannot_be_moved(text, one, other):
    """The same text, split elsewhere, is another place."""

    def split(at: int) -> bytes:
        place = Place(workspace_id="w", table=text[:at], row=text[at:], column="c")
        return place.associated_data

    assert (split(one) == split(other)) is (text[:one] == text[:other])
