"""Key pairs made here, and what Salesforce asks of their certificates."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from keyturn_core.secrets import PrivateKey
from keyturn_service.ports import MadeKey
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.key_pairs import new_key_pair, rs256_signature, see_certificate

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
    key = PrivateKey(_pem_of(ec.generate_private_key(ec.SECP256R1())))

    with pytest.raises(CannotOpen, match=r"^not a private key of RSA$"):
        rs256_signature(key, b"message")
    with pytest.raises(CannotOpen, match=r"^not a private key of RSA$"):
        see_certificate(key, made().certificate_pem)


def test_a_certificate_is_the_one_that_its_key_signed() -> None:
    """Not another's, nor one that another signed for the same key, nor that and one more."""
    own, theirs = made(), made()
    see_certificate(own.private_key, own.certificate_pem)

    for pem, why in (
        (theirs.certificate_pem, "another key's"),
        (_issued_by(theirs, own), "another key's"),
        (own.certificate_pem + theirs.certificate_pem, "more than"),
        (theirs.certificate_pem + own.certificate_pem, "another key's"),
        (f"{own.certificate_pem}\n", "more than"),
        ("", "not a certificate"),
        ("\ud800", "not a certificate"),
    ):
        with pytest.raises(CannotOpen, match=why):
            see_certificate(own.private_key, pem)
    with pytest.raises(CannotOpen, match="not a certificate"):
        see_certificate(PrivateKey("no key"), own.certificate_pem)


VERSION_3 = bytes.fromhex("a003020102")
SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("version", "not a certificate"),
        ("sha384", "signed otherwise"),
        ("md5", "signed otherwise"),
        ("nothing", "signed otherwise"),
    ],
)
def test_what_no_signature_covers_is_as_it_was_made(what: str, why: str) -> None:
    """The name of the signature's own algorithm, and a version that there is not."""
    own = made()
    der = bytearray(ssl.PEM_cert_to_DER_cert(own.certificate_pem))
    last = der.rindex(SHA256_WITH_RSA) + len(SHA256_WITH_RSA) - 1
    match what:
        case "version":
            der[der.index(VERSION_3) + 4] = 5
        case "sha384":
            der[last] = 0x0C
        case "md5":
            der[last] = 0x04
        case _:
            der[last - 1 : last + 1] = b"\x7f\x7f"

    with pytest.raises(CannotOpen, match=why):
        see_certificate(own.private_key, ssl.DER_cert_to_PEM_cert(bytes(der)))


def _issued_by(issuer: MadeKey, subject: MadeKey) -> str:
    """Return a certificate for a key as another key signs it, under the same name."""
    old = x509.load_pem_x509_certificate(subject.certificate_pem.encode())
    key = serialization.load_pem_private_key(issuer.private_key.reveal().encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(BEGIN)
        .not_valid_after(END + timedelta(days=9000))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
