"""Salesforce ids in 15 and 18 characters."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.ids import (
    InvalidId,
    read_id,
    read_org_id,
    read_user_id,
    widened,
)

letters = string.ascii_letters + string.digits
shorts = st.text(letters, min_size=12, max_size=12).map(lambda rest: f"00D{rest}")


@pytest.mark.parametrize(
    ("short", "wide"),
    [
        ("00D000000000062", "00D000000000062EAA"),
        ("001A0000006Vm9r", "001A0000006Vm9rIAC"),
        ("0015000000Gv7qJ", "0015000000Gv7qJAAR"),
        ("000000000000000", "000000000000000AAA"),
        ("AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA555"),
        ("aaaaaZzzzz00A00", "aaaaaZzzzz00A00ABE"),
    ],
)
def test_a_short_id_is_widened_by_its_capitals(short, wide):
    """Known pairs, and the edges of the alphabet of checksums."""
    assert widened(short) == wide


@given(short=shorts)
def test_both_forms_of_an_id_read_as_the_long_one(short):
    """18 characters go through as they are; the first 15 are the short form."""
    wide = read_org_id(short)

    assert re.fullmatch(r"[0-9A-Za-z]{15}[A-Z0-5]{3}", wide)
    assert wide[:15] == short
    assert read_org_id(wide) == wide


@given(short=shorts, place=st.integers(3, 14))
def test_a_letter_in_the_wrong_case_does_not_fit_its_checksum(short, place):
    """That is what the checksum is for."""
    wide = widened(short)
    swapped = wide[:place] + wide[place].swapcase() + wide[place + 1 :]

    if swapped == wide:
        assert read_org_id(swapped) == wide
    else:
        with pytest.raises(InvalidId, match=r"^the checksum does not fit$"):
            read_org_id(swapped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00D",
        "00D00000000006",
        "00D0000000000620",
        "00D000000000062EA",
        "00D000000000062EAAA",
        "00D000000000062eaa",
        "00D000000000062EA9",
        "00D00000000006-",
        "00D00000000006\u0661",
        "00D000000000062\n",
        " 00D000000000062",
        "005000000000062",
        "00d000000000062",
    ],
)
def test_what_is_out_of_shape_or_names_something_else_is_refused(text):
    """Length, alphabet, key prefix; the message holds nothing of the text."""
    with pytest.raises(InvalidId, match=r"^not an id that starts with 00D$") as refused:
        read_org_id(text)

    assert refused.value.code == "invalid_id"


def test_a_user_id_has_a_prefix_of_its_own():
    """An org id is no user id."""
    assert read_user_id("005000000000062") == "005000000000062AAA"
    with pytest.raises(InvalidId):
        read_user_id("00D000000000062")


def test_any_prefix_may_be_asked_for():
    """The empty one takes every id."""
    assert read_id("001A0000006Vm9r", prefix="001") == "001A0000006Vm9rIAC"
    assert read_id("001A0000006Vm9r", prefix="") == "001A0000006Vm9rIAC"


@given(text=st.text())
def test_any_text_is_refused_at_most(text):
    """Nothing but the documented error is raised."""
    with pytest.raises(InvalidId):
        read_org_id(f"{text} ")
