"""A private key in a file: read, or refused with what to do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from service.tests.support.values import START

from keyturn_core.secrets import PrivateKey
from keyturn_service.adapters.key_sources.private_key_file import (
    PrivateKeyRefused,
    keep_private_key,
    load_private_key,
)
from keyturn_service.vault.key_pairs import new_key_pair


@pytest.fixture(scope="module")
def pem():
    """A private key of RSA."""
    made = new_key_pair(name="hub", not_before=START, not_after=START + timedelta(days=1))
    return made.private_key.reveal()


def keep(path, text, mode=0o600):
    """Write a file."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_read_as_it_is(tmp_path, pem):
    """In PEM, for a signer."""
    assert load_private_key(keep(tmp_path / "hub.pem", pem)).reveal() == pem


def test_a_file_that_is_not_there_is_named(tmp_path):
    """With the reason."""
    with pytest.raises(PrivateKeyRefused, match=r"hub\.pem: No such file"):
        load_private_key(tmp_path / "hub.pem")


def test_a_file_that_others_can_read_is_refused(tmp_path, pem):
    """With the command that mends it."""
    with pytest.raises(PrivateKeyRefused, match="chmod 600"):
        load_private_key(keep(tmp_path / "hub.pem", pem, 0o640))


def elliptic():
    """Return a private key that Salesforce does not take."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


@pytest.mark.parametrize("text", ["", "-----BEGIN PRIVATE KEY-----\n", "é", elliptic()])
def test_what_is_no_key_of_rsa_is_refused(tmp_path, text):
    """Its text is not shown."""
    with pytest.raises(PrivateKeyRefused, match="private key") as refused:
        load_private_key(keep(tmp_path / "hub.pem", text))
    assert "BEGIN" not in str(refused.value)


def test_a_kept_key_is_for_its_owner_alone(tmp_path, pem):
    """It replaces an earlier one, and is read back."""
    for _ in range(2):
        keep_private_key(tmp_path / "hub.pem", PrivateKey(pem))
    assert load_private_key(tmp_path / "hub.pem") == PrivateKey(pem)
