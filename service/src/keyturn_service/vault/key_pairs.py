"""Key pairs for assertions, made and used in this process."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from keyturn_core.secrets import PrivateKey
from keyturn_service.ports import MadeKey
from keyturn_service.vault.errors import CannotOpen

KEY_BITS: Final = 2048  # the certificate has to stay below 4 KB; RFC 7518 asks for no more
_EXPONENT: Final = 65537
_SHA256_WITH_RSA: Final = bytes.fromhex("300d06092a864886f70d01010b0500")  # RFC 8017, in DER
_LONGEST_NAME: Final = 64  # bytes of a common name, as the library counts them (RFC 5280)


def new_key_pair(*, name: str, not_before: datetime, not_after: datetime) -> MadeKey:
    """Make a key pair and a self-signed certificate for it; it takes a tenth of a second."""
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=KEY_BITS)
    short = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return MadeKey(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private_key=PrivateKey(pem.decode()),
    )


def rs256_signature(private_key: PrivateKey, message: bytes) -> bytes:
    """Return the RS256 signature of a message.

    Raises:
        CannotOpen: this is no private key of RSA.

    Spec: RFC 7518 section 3.3.
    """
    key = serialization.load_pem_private_key(private_key.reveal().encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CannotOpen("not a private key of RSA")
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def see_certificate(private_key: PrivateKey, certificate_pem: str) -> None:
    """See that a certificate is one that this private half signed for itself, and nothing else.

    Nobody without the private half makes such a one: neither for another key, nor for the same
    with another subject or end.

    Raises:
        CannotOpen: it is another.
    """
    try:
        key = serialization.load_pem_private_key(
            private_key.reveal().encode(),
            password=None,
            unsafe_skip_rsa_key_validation=True,  # it was sealed here; to check it takes long
        )
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    except (ValueError, x509.InvalidVersion):
        raise CannotOpen("not a certificate and its private half") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CannotOpen("not a private key of RSA")
    try:
        key.public_key().verify(
            certificate.signature,
            certificate.tbs_certificate_bytes,
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except InvalidSignature:
        raise CannotOpen("the certificate is another key's, or changed") from None
    signed = certificate.tbs_certificate_bytes
    unsigned = certificate.public_bytes(serialization.Encoding.DER).partition(signed)[2]
    if not unsigned.startswith(_SHA256_WITH_RSA):
        raise CannotOpen("the certificate says that it was signed otherwise")
    if certificate.public_bytes(serialization.Encoding.PEM) != certificate_pem.encode():
        raise CannotOpen("more than a certificate")
