"""Signatures of checkpoints: by this installation's key, and by nothing else."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keyturn_service.vault.checkpoints import CheckpointKey, is_signed
from keyturn_service.vault.hashes import KeyedHashes

ROOT = bytes(range(100, 132))
KEY = CheckpointKey(ROOT)
MESSAGE = b"what is signed"


def test_the_key_comes_from_the_root_under_its_own_label():
    """By RFC 5869, one block of its second step: checkpoints verify for life."""
    seed = hmac.digest(ROOT, b"keyturn-audit-checkpoint-1\x01", hashlib.sha256)
    by_hand = Ed25519PrivateKey.from_private_bytes(seed)

    assert KEY.public_key == by_hand.public_key().public_bytes_raw()
    assert KEY.sign(MESSAGE) == by_hand.sign(MESSAGE)
    assert (len(KEY.public_key), len(KEY.sign(MESSAGE))) == (32, 64)


def test_no_keyed_hash_is_the_key():
    """Hashes stand in the database: a label of theirs never leads to the key."""
    seed = hmac.digest(ROOT, b"keyturn-audit-checkpoint-1\x01", hashlib.sha256)

    assert KeyedHashes(ROOT)("keyturn-audit-checkpoint-1", "") != seed


def test_what_was_signed_verifies_with_the_public_key_alone():
    """Nobody needs the secret for it."""
    assert is_signed(MESSAGE, KEY.sign(MESSAGE), by=KEY.public_key)


def test_another_installation_s_signature_does_not_verify():
    """Nor does ours by another's key."""
    other = CheckpointKey(ROOT[::-1])

    assert not is_signed(MESSAGE, other.sign(MESSAGE), by=KEY.public_key)
    assert not is_signed(MESSAGE, KEY.sign(MESSAGE), by=other.public_key)


@pytest.mark.parametrize("wrong", [b"", b"x", bytes(64), bytes(65)])
def test_what_is_no_signature_does_not_verify(wrong):
    """Whatever its length."""
    assert not is_signed(MESSAGE, wrong, by=KEY.public_key)


@pytest.mark.parametrize("wrong", [b"", b"x", b"\xff" * 32, bytes(33)])
def test_what_is_no_public_key_verifies_nothing(wrong):
    """Nor does it raise."""
    assert not is_signed(MESSAGE, KEY.sign(MESSAGE), by=wrong)


@given(st.binary(max_size=64), st.integers(0, 511))
def test_one_changed_bit_does_not_verify(message, bit):
    """Of the signature."""
    signature = bytearray(KEY.sign(message))
    signature[bit // 8] ^= 1 << bit % 8

    assert not is_signed(message, bytes(signature), by=KEY.public_key)
