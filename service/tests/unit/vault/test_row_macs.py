"""`vault.row_macs`: codes that tell whether a row is as it was made."""

from __future__ import annotations

import pytest
from service.tests.support.fakes import fake_hash

from keyturn_service.vault.hashes import KeyedHashes
from keyturn_service.vault.row_macs import RowMacs

FIELDS = ["key_1", "ws_1", ""]


def test_a_code_holds_for_the_row_that_it_was_made_for() -> None:
    """It is 32 bytes, and the same each time."""
    macs = RowMacs(fake_hash)

    assert macs.of("api_keys", FIELDS) == macs.of("api_keys", list(FIELDS))
    assert len(macs.of("api_keys", FIELDS)) == len(b"0" * 32)
    assert macs.holds(macs.of("api_keys", FIELDS), "api_keys", FIELDS)


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("proxy_sessions", FIELDS),
        ("api_keys", ["key_1", "ws_2", ""]),
        ("api_keys", ["ws_1", "key_1", ""]),
        ("api_keys", ["key_1", "ws_1"]),
        ("api_keys", ["key_1w", "s_1", ""]),
        ("api_keys", ["key_14:ws_1", "", ""]),
    ],
)
def test_it_holds_for_no_other(table: str, fields: list[str]) -> None:
    """Nor where the same letters are divided otherwise."""
    macs = RowMacs(fake_hash)

    assert not macs.holds(macs.of("api_keys", FIELDS), table, fields)


def test_another_root_makes_another_code() -> None:
    """Who has the database alone makes none."""
    mine, theirs = (RowMacs(KeyedHashes(bytes([one]) * 32)) for one in (1, 2))

    assert not mine.holds(theirs.of("api_keys", FIELDS), "api_keys", FIELDS)
    assert not mine.holds(b"", "api_keys", FIELDS)


def test_a_code_is_over_each_field_with_its_length() -> None:
    """Codes of rows that are kept have to hold after an update: this is how they are made."""
    made = fake_hash("row of api_keys", "5:key_14:ws_10:")

    assert RowMacs(fake_hash).of("api_keys", FIELDS) == made
