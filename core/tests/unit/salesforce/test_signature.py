"""The signature of a token response."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.signature import verify_signature
from keyturn_core.secrets import ConsumerSecret

IDENTITY = "https://login.salesforce.com/id/00D000000000062EAA/005000000000062EAA"
ISSUED = "1793000000000"
# printf '%s' "$IDENTITY$ISSUED" | openssl dgst -sha256 -hmac s3cret -binary | base64
SIGNATURE = "NiFnj/iZZxhpbeJHUndhxA1v6rnnVdQeEHHJevNHWBY="


def fits(**changes: str) -> bool:
    """Verify the known signature, but for what `changes` says."""
    stated = {"identity_url": IDENTITY, "issued_at": ISSUED, "signature": SIGNATURE} | changes
    secret = ConsumerSecret(stated.pop("secret", "s3cret"))
    return verify_signature(consumer_secret=secret, **stated)


def test_the_signature_that_another_program_made_fits():
    """Base64 of HMAC-SHA256 over `id` and `issued_at`, with the consumer secret as key."""
    assert fits()


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "other"},
        {"issued_at": "1793000000001"},
        {"identity_url": IDENTITY.replace("005", "006")},
        {"signature": base64.b64encode(b"\x00" * 32).decode()},
        {"signature": SIGNATURE[:-4]},
        {"signature": ""},
        {"signature": SIGNATURE.replace("=", "")},
        {"signature": f"{SIGNATURE[:8]}\n{SIGNATURE[8:]}"},
        {"signature": "caf\xe9"},
        {"signature": "!!!!"},
    ],
)
def test_anything_else_does_not_fit(changes):
    """Another secret, another message, another or a broken signature."""
    assert not fits(**changes)


@given(place=st.integers(0, 255))
def test_one_changed_bit_does_not_fit(place):
    """Every bit of the signature counts."""
    raw = bytearray(base64.b64decode(SIGNATURE))
    raw[place // 8] ^= 1 << place % 8

    assert not fits(signature=base64.b64encode(raw).decode())


@given(text=st.text())
def test_any_text_is_a_signature_that_does_not_fit(text):
    """Nothing is raised."""
    assert fits(signature=text) is (text == SIGNATURE)
