"""What can go wrong with a vault."""

from __future__ import annotations

import pytest

from keyturn_service.ports import SealRefused, SealUnavailable
from keyturn_service.vault.errors import (
    CannotOpen,
    KeyMissing,
    KeySourceRefused,
    KeySourceUnavailable,
)


def test_a_missing_key_is_named_for_the_operator():
    """They have to bring that one back."""
    error = KeyMissing("kek_old")

    assert error.key_id == "kek_old"
    assert str(error) == "the key source has no key kek_old"


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (CannotOpen, SealRefused),
        (KeyMissing, SealRefused),
        (KeySourceUnavailable, SealUnavailable),
        (KeySourceRefused, KeySourceUnavailable),
    ],
)
def test_none_stands_for_another(kind, base):
    """Who catches one of the first three catches no other: each is mended differently.

    A use case knows the first two as what the port says, refused and recorded, and the others
    as what cannot be had now.
    """
    assert kind.__bases__ == (base,)
