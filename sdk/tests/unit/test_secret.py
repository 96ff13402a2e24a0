"""Secrets that nobody prints by accident."""

from __future__ import annotations

import copy
import pickle

import pytest

from keyturn import Secret


def test_a_secret_shows_itself_only_by_name():
    """Neither text nor representation nor format has it."""
    secret = Secret("hush")

    assert secret.reveal() == "hush"
    assert "hush" not in f"{secret} {secret!r} {secret!s} {secret:>30} {[secret]}"


def test_secrets_are_equal_by_value():
    """Only with secrets: comparing with text is a mistake that shows."""
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize("leak", [hash, copy.copy, copy.deepcopy, pickle.dumps])
def test_a_secret_refuses_to_be_kept(leak):
    """It ends up in no cache and no queue."""
    with pytest.raises(TypeError, match="a secret"):
        leak(Secret("hush"))
