"""`ports.Signer` by this process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyturn_service.adapters.key_sources.local_signer import LocalSigner

BEGIN = datetime(2026, 11, 25, 11, tzinfo=UTC)


async def test_what_it_makes_it_can_sign_with() -> None:
    """And whoever has the certificate can verify."""
    signer = LocalSigner()
    made = await signer.make(name="Acme", not_before=BEGIN, not_after=BEGIN + timedelta(days=9))

    signature = await signer.sign(made.private_key, b"header.claims")

    key = x509.load_pem_x509_certificate(made.certificate_pem.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, b"header.claims", padding.PKCS1v15(), hashes.SHA256())


def test_its_keys_are_known_by_its_name() -> None:
    """So that keys of another source can be told from them."""
    assert LocalSigner().source == "vault"
