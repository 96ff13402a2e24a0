"""Ids, secrets and the canary inside them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.keyring import base64url
from orgsim.randomness import ALPHANUMERIC, Mint, Seeded, new_canary, widen_id

MINT = Mint(canary="canaryabcdef", length_jitter=5)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001A0000006Vm9u", "001A0000006Vm9uIAC"),
        ("00D000000000062", "00D000000000062EAA"),
        ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaAAA"),
    ],
)
def test_an_id_is_widened_as_salesforce_documents_it(short, long):
    """Three characters say which letters are capitals."""
    assert widen_id(short) == long


@given(st.text(ALPHANUMERIC, min_size=15, max_size=15))
def test_widened_ids_differ_whatever_their_case(short):
    """That is what they are for."""
    other = short.swapcase()
    if other != short:
        assert widen_id(short).lower() != widen_id(other).lower()


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (lambda: MINT.access_token("00D5g0000000001EAA"), r"00D5g0000000001![A-Za-z0-9_.]{80,140}"),
        (MINT.refresh_token, r"5Aep861[A-Za-z0-9_.]{60,120}"),
        (MINT.authorization_code, r"aPrx[A-Za-z0-9_.]{60,120}=="),
        (lambda: MINT.session_mark(before=8), r"[A-Za-z0-9_.]{40,80}"),
        (MINT.browser_secret, r"[A-Za-z0-9]{40,80}"),
    ],
)
def test_secrets_have_the_shape_that_clients_check_for(make, form):
    """And the canary inside."""
    secret = make()
    assert re.fullmatch(form, secret)
    assert "canaryabcdef" in secret


def test_no_secret_comes_twice():
    """Whatever the seed."""
    assert len({MINT.refresh_token() for _ in range(50)}) == 50
    assert new_canary() != new_canary()


@pytest.mark.parametrize("before", range(8, 14))
def test_a_canary_of_ours_stands_in_the_base64_of_a_session_mark(before):
    """So that one text finds a JWT as it is sent, and what it says once it is read."""
    canary = new_canary()
    mint = Mint(canary=canary, length_jitter=3)

    mark = mint.session_mark(before=before)

    assert canary in mark
    assert canary in base64url(b"x" * before + mark.encode())


def test_a_canary_is_letters_in_lower_case_and_digits():
    """A leak that was put in lower case is found all the same."""
    assert all(re.fullmatch(r"[a-z0-9]{20}", new_canary()) for _ in range(200))


def test_a_canary_that_was_given_need_not_be_base64():
    """Then a JWT has it in what it says alone."""
    assert "canaryabcdef" in MINT.session_mark(before=8)


def test_a_seed_decides_ids_and_passwords():
    """The same seed and canary make the same ones, another seed makes others."""
    one, same, other = (Seeded(seed=seed, canary="canaryabcdef") for seed in (7, 7, 8))
    assert one.record_id("00D", "org1") == same.record_id("00D", "org1")
    assert one.record_id("00D", "org1") != other.record_id("00D", "org1")
    assert one.password("ada") == same.password("ada") != one.password("sam")
    assert "canaryabcdef" in one.password("ada")
    assert "canaryabcdef" in one.consumer_secret("Acme")
    assert [one.dice() for _ in range(5)] == [same.dice() for _ in range(5)]


def test_the_canary_keeps_passwords_from_being_foreseen():
    """Who knows only the seed does not know them."""
    ours, theirs = (Seeded(seed=7, canary=canary) for canary in ("canaryaaaa", "canarybbbb"))
    assert ours.password("ada").split("-")[0] != theirs.password("ada").split("-")[0]
    assert ours.consumer_key("Acme") == theirs.consumer_key("Acme")
