"""Key pairs made here, and what Salesforce asks of their certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from keyturn_core.secrets import PrivateKey
from keyturn_service.ports import MadeKey
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.key_pairs import new_key_pair, rs256_signature

BEGIN = datetime(2026, 11, 25, 11, tzinfo=UTC)
END = BEGIN + timedelta(days=730)


def made(name: str = "Acme for Salesforce") -> MadeKey:
    """Make a key pair."""
    return new_key_pair(name=name, not_before=BEGIN, not_after=END)


def test_the_certificate_is_one_that_salesforce_takes() -> None:
    """X.509 in PEM, RSA of 2048 bits, SHA-256, at most 4 KB, self-signed."""
    pem = made().certificate_pem

    certificate = x509.load_pem_x509_certificate(pem.encode())
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size >= 2048
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert len(pem) <= 4096
    certificate.verify_directly_issued_by(certificate)
    assert (certificate.not_valid_before_utc, certificate.not_valid_after_utc) == (BEGIN, END)
    assert certificate.subject.rfc4514_string() == "CN=Acme for Salesforce"
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_a_signature_is_verified_by_the_certificate() -> None:
    """RS256, and for no other message."""
    pair = made()

    signature = rs256_signature(pair.private_key, b"header.claims")

    key = x509.load_pem_x509_certificate(pair.certificate_pem.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, b"header.claims", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"header.claims2", padding.PKCS1v15(), hashes.SHA256())


def test_no_two_keys_are_alike() -> None:
    """Nor are their serial numbers."""
    one, two = made(), made()
    numbers = {
        x509.load_pem_x509_certificate(pair.certificate_pem.encode()).serial_number
        for pair in (one, two)
    }

    assert one.private_key != two.private_key
    assert len(numbers) == 2


def test_a_long_name_is_cut_to_what_a_certificate_holds() -> None:
    """Names of apps may have 200 characters, in any writing."""
    pair = made("Ä" * 200)
    odd = made("x" + "Ä" * 200)

    for one, name in ((pair, "Ä" * 32), (odd, "x" + "Ä" * 31)):
        subject = x509.load_pem_x509_certificate(one.certificate_pem.encode()).subject
        assert subject.rfc4514_string() == f"CN={name}"


def test_what_is_no_rsa_key_signs_nothing() -> None:
    """Only RS256 is documented."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    with pytest.raises(CannotOpen, match=r"^not a private key of RSA$"):
        rs256_signature(PrivateKey(pem.decode()), b"message")
