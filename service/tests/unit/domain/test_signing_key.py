"""Signing keys: their order, their age, and how they are recognized."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.values import START, signing_key

from keyturn_service.domain.ids import SigningKeyId
from keyturn_service.domain.signing_key import SigningKeyState, active_key, signing_order

ACTIVE, STAGED, RETIRED = SigningKeyState.ACTIVE, SigningKeyState.STAGED, SigningKeyState.RETIRED
DAY = timedelta(days=1)


def key(name: str, state: SigningKeyState, *, day: int = 0, usable: bool = True):
    """Return a key made on a day."""
    return signing_key(
        id=SigningKeyId(name), state=state, created_at=START + day * DAY, usable=usable
    )


def test_a_fingerprint_is_the_hash_of_the_certificates_bytes():
    """As `openssl x509 -fingerprint -sha256` tells it, without colons."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\nAgIE\n-----END CERTIFICATE-----\n"
    assert signing_key(certificate_pem=pem).fingerprint == (
        "1a5f9530c4d9715ad5233b1ccfa9aff878a38e1fb60af9aed66fe0ef5fde6ce2"
    )


def test_the_active_key_signs_first_then_what_overlaps():
    """One of each state, the latest of them."""
    keys = [
        key("old", RETIRED, day=1),
        key("older", RETIRED),
        key("next", STAGED, day=4),
        key("now", ACTIVE, day=2),
        key("given up", STAGED, day=3),
    ]

    assert [one.id for one in signing_order(keys)] == ["now", "next", "old"]


def test_what_forgot_its_private_half_signs_nothing():
    """Whatever its state."""
    keys = [
        key("now", ACTIVE, usable=False),
        key("old", RETIRED, usable=False),
        key("next", STAGED),
    ]

    assert [one.id for one in signing_order(keys)] == ["next"]
    assert active_key(keys) is None
    assert signing_order([]) == []


def test_there_is_one_active_key():
    """Among whatever else is there."""
    keys = [key("next", STAGED), key("now", ACTIVE)]

    found = active_key(keys)

    assert found is not None
    assert found.id == "now"


@pytest.mark.parametrize("state", [ACTIVE, STAGED])
@pytest.mark.parametrize(
    ("before_its_end", "problem"),
    [
        (timedelta(days=30, seconds=1), None),
        (timedelta(days=30), "certificate_expiring"),
        (timedelta(seconds=1), "certificate_expiring"),
        (timedelta(0), "certificate_expired"),
        (-DAY, "certificate_expired"),
    ],
)
def test_the_age_of_a_certificate_is_watched(state, before_its_end, problem):
    """From 30 days before its end."""
    watched = signing_key(state=state)

    assert watched.problem(watched.not_after - before_its_end) == problem


def test_nobody_is_warned_of_a_retired_certificate():
    """It signs nothing that matters."""
    assert signing_key(state=RETIRED).problem(START + 10_000 * DAY) is None
