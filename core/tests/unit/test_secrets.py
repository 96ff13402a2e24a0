"""Secrets show themselves only to who asks by name."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.secrets import (
    AccessToken,
    AuthorizationCode,
    CodeVerifier,
    ConsumerSecret,
    IdToken,
    PrivateKey,
    RefreshToken,
    Secret,
)

KINDS = (
    Secret,
    AccessToken,
    AuthorizationCode,
    CodeVerifier,
    ConsumerSecret,
    IdToken,
    PrivateKey,
    RefreshToken,
)
SHOWN = "00Dxx!canary"


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_prints_as_its_kind_alone(kind):
    """Repr, str, formats and old-style formats show stars."""
    secret = kind(SHOWN)
    stars = f"{kind.__name__}(***)"

    assert [repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret] == [stars] * 5  # noqa: UP031
    assert f"{secret:>30}" == stars.rjust(30)
    assert secret.reveal() == SHOWN


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_inside_other_things_stays_hidden(kind):
    """A container's repr and an error's text show stars too."""
    secret = kind(SHOWN)

    assert "canary" not in repr([secret, {"token": secret}])
    assert "canary" not in str(ValueError(secret))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("what", "carry"),
    [
        ("hashed", hash),
        ("copied", copy.copy),
        ("copied", copy.deepcopy),
        ("pickled", pickle.dumps),
    ],
)
def test_a_secret_refuses_to_be_carried_off(kind, what, carry):
    """It gets into no dictionary, cache or queue, and says its kind only."""
    with pytest.raises(TypeError) as refused:
        carry(kind(SHOWN))

    assert str(refused.value) == f"{kind.__name__} is not to be {what}"


def test_a_secret_has_no_attributes_to_walk():
    """What dumps objects by their `__dict__` finds nothing, and JSON refuses."""
    secret = Secret(SHOWN)

    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        json.dumps(secret)


@given(one=st.text(), other=st.text())
def test_secrets_of_one_kind_compare_by_value(one, other):
    """Equal texts are equal secrets, other ones are not, in any script."""
    assert RefreshToken(one) == RefreshToken(one)
    assert (RefreshToken(one) == RefreshToken(other)) is (one == other)
    assert (RefreshToken(one) != RefreshToken(other)) is (one != other)


@pytest.mark.parametrize("other", [RefreshToken(SHOWN), Secret(SHOWN), SHOWN, None])
def test_a_secret_equals_nothing_of_another_kind(other):
    """An access token is no refresh token, and no text."""
    assert AccessToken(SHOWN) != other
    assert AccessToken(SHOWN).__eq__(other) is NotImplemented
