"""Ranges of addresses."""

from __future__ import annotations

import pytest

from keyturn_builder.addresses import read_range


@pytest.mark.parametrize(
    ("text", "start", "end", "addresses"),
    [
        ("192.0.2.10", "192.0.2.10", "192.0.2.10", 1),
        ("192.0.2.8/29", "192.0.2.8", "192.0.2.15", 8),
        ("192.0.2.1 - 192.0.2.9", "192.0.2.1", "192.0.2.9", 9),
        ("2001:db8::/126", "2001:db8::", "2001:db8::3", 4),
    ],
)
def test_a_range_has_a_first_and_a_last_address(
    text: str, start: str, end: str, addresses: int
) -> None:
    """Both count."""
    found = read_range(text)
    assert (str(found.start), str(found.end), found.addresses) == (start, end, addresses)


@pytest.mark.parametrize("text", ["", "acme.example", "192.0.2.1-2001:db8::1", "192.0.2.300"])
def test_other_texts_are_no_range(text: str) -> None:
    """The complaint repeats the text."""
    with pytest.raises(ValueError, match=r"no address|does not lead"):
        read_range(text)
