"""Record IDs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.data.ids import make_id, read_id

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@given(st.text(alphabet=ALPHABET, min_size=15, max_size=15))
def test_an_id_of_15_characters_and_its_long_form_are_the_same_record(short):
    """Whichever form is given, the long one is kept."""
    long = read_id(short)
    assert long is not None
    assert long[:15] == short
    assert read_id(long) == long


def test_the_checksum_is_compared_without_case():
    """Programs that lower or raise the last three characters are still understood."""
    assert read_id("001A0000006Vm9riac") == "001A0000006Vm9rIAC"


@pytest.mark.parametrize(
    "text",
    ["", "abc", "001A0000006Vm9", "001A0000006Vm9rIAA", "001A0000006Vm9r'OR", "001A0000006Vm9ü"],
)
def test_what_is_no_id_is_not_taken_for_one(text):
    """Wrong lengths, signs and checksums are refused."""
    assert read_id(text) is None


@given(st.integers(0, 62**7 - 1), st.integers(0, 62**7 - 1))
def test_serials_make_ids_that_differ_and_start_with_the_prefix(one, other):
    """Two records never share an ID."""
    first, second = (make_id(prefix="003", pod=5, serial=n) for n in (one, other))
    assert (first == second) == (one == other)
    assert first.startswith("003")
    assert read_id(first) == first
