"""Proof Key for Code Exchange."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyturn_core.oauth.pkce import code_challenge, new_code_verifier
from keyturn_core.secrets import CodeVerifier

# RFC 7636 appendix B
OCTETS = bytes(
    (
        *(116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186),
        *(22, 212, 37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121),
    )
)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_verifier_of_appendix_b_is_made_of_its_octets():
    """RFC 7636 appendix B, first half."""
    assert new_code_verifier(OCTETS).reveal() == VERIFIER


def test_the_challenge_of_appendix_b_is_made_of_its_verifier():
    """RFC 7636 appendix B, second half."""
    assert code_challenge(CodeVerifier(VERIFIER)) == CHALLENGE


@given(random=st.binary(min_size=32, max_size=96))
def test_a_verifier_and_its_challenge_have_the_shape_of_the_rfc(random):
    """43 to 128 characters and 43 characters of base64url, without padding."""
    verifier = new_code_verifier(random)

    assert re.fullmatch(r"[A-Za-z0-9_-]{43,128}", verifier.reveal())
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", code_challenge(verifier))


@given(random=st.binary(min_size=32, max_size=96))
@example(random=b"\x17" * 33)
def test_a_verifier_keeps_all_of_its_randomness(random):
    """Padding apart, nothing is cut off."""
    verifier = new_code_verifier(random).reveal()

    assert base64.urlsafe_b64decode(verifier + "=" * (-len(verifier) % 4)) == random


@pytest.mark.parametrize(("count", "characters"), [(32, 43), (96, 128)])
def test_the_shortest_and_the_longest_verifier_are_allowed(count, characters):
    """The edges of RFC 7636 section 4.1 count as inside."""
    assert len(new_code_verifier(b"\xff" * count).reveal()) == characters


@pytest.mark.parametrize("count", [0, 31, 97])
def test_too_little_or_too_much_randomness_is_refused(count):
    """A verifier that the RFC forbids is never made."""
    with pytest.raises(ValueError, match=r"^a code verifier is made of 32 to 96 random bytes$"):
        new_code_verifier(b"\x00" * count)
