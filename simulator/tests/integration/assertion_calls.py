"""Assertions of the JWT bearer flow, made as a client makes them."""

import base64
import json
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def make_key():
    """Return a key pair."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate_of(key):
    """Return a self-signed certificate in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme")])
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begun)
        .not_valid_after(begun + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion_of(caller, key, user, *, alg="RS256", **changed):
    """Return a signed assertion for a user, by the world's clock."""
    now = datetime.fromisoformat(caller.sim.control.get("/clock").json()["now"]).timestamp()
    claims = {
        "iss": caller.app["consumer_key"],
        "sub": user["username"],
        "aud": "https://login.salesforce.com",
        "exp": int(now) + 150,
    }
    signed = f"{_part({'alg': alg})}.{_part(claims | changed)}"
    return f"{signed}.{_part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def present(caller, assertion, host=None):
    """Present it at the token endpoint."""
    return caller.token(
        host, grant_type=GRANT_TYPE, assertion=assertion, client_id=None, client_secret=None
    )
