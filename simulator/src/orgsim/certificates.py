"""The world's own certificate authority and the leaves it signs.

One CA, one leaf for every Salesforce-looking name and loopback, and a leaf for each program that
asks by `--issue`. Files of keys are for their owner only.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orgsim.clock import machine_now

SALESFORCE_NAMES = (
    "login.salesforce.com",
    "test.salesforce.com",
    "*.my.salesforce.com",
    "*.sandbox.my.salesforce.com",
    "*.lightning.force.com",
)
_LIFE = timedelta(days=820)
_EARLY = timedelta(days=1)
_CA_NAME = "orgsim local test authority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A certificate with its key, as files."""

    cert_file: Path
    key_file: Path


def _write_private(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = machine_now()  # TLS stays on the machine's clock
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + _LIFE)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """A CA in a folder; opened again, it is the same one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca_file = folder / "ca.pem"
        key_file = folder / "ca.key"
        if self.ca_file.exists() and key_file.exists():
            key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError("the authority's key is not an EC key")
            self._key = key
            self._certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = self._self_signed()
            _write_private(key_file, _key_pem(self._key))
            pem = self._certificate.public_bytes(serialization.Encoding.PEM)
            self.ca_file.write_bytes(pem)

    def _self_signed(self) -> x509.Certificate:
        name, public = _name(_CA_NAME), self._key.public_key()
        return (
            _builder(name, name)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, label: str, names: tuple[str, ...]) -> Leaf:
        """Return a leaf for these names and loopback; one that is still good is used again."""
        leaf = Leaf(cert_file=self.folder / f"{label}.pem", key_file=self.folder / f"{label}.key")
        alternatives = x509.SubjectAlternativeName(
            [
                *(x509.DNSName(name) for name in (*names, "localhost")),
                x509.IPAddress(IPv4Address("127.0.0.1")),
                x509.IPAddress(IPv6Address("::1")),
            ]
        )
        if leaf.key_file.exists() and self._still_good(leaf, alternatives):
            return leaf
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            _builder(_name(names[0]), self._certificate.subject)
            .public_key(key.public_key())
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(purposes, critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        _write_private(leaf.key_file, _key_pem(key))
        leaf.cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return leaf

    def _still_good(self, leaf: Leaf, wanted: x509.SubjectAlternativeName) -> bool:
        if not leaf.cert_file.exists():
            return False
        kept = x509.load_pem_x509_certificate(leaf.cert_file.read_bytes())
        names = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names == wanted and kept.not_valid_after_utc > machine_now() + _EARLY


def label_of(name: str) -> str:
    """Return the file name for a certificate of that name."""
    return name.replace("*", "any")
