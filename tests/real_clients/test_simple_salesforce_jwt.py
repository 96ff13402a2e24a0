"""simple-salesforce, unmodified, logs in at the simulator by its own JWT constructor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from tests.support.vendor import Vendor
from tools.world import World

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def key_pair() -> tuple[str, str]:
    """Make a key pair as a developer does by openssl; return private key and certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simple-salesforce")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def control(world: World) -> Iterator[httpx2.Client]:
    """The control port; what was changed is put back."""
    with httpx2.Client(base_url=world.control_url, trust_env=False) as client:
        yield client
        client.patch("/apps/Acme", json={"certificate_pem": ""}).raise_for_status()
        client.patch("/switches", json={"my_domain_is_audience": False}).raise_for_status()


@pytest.fixture
def private_key(control: httpx2.Client) -> str:
    """The key whose certificate the app has."""
    private, certificate = key_pair()
    control.patch("/apps/Acme", json={"certificate_pem": certificate}).raise_for_status()
    return private


def logged_in(world: World, vendor: Vendor, role: str = "integration", **given: Any) -> Any:
    """Construct the client with nothing but user name, consumer key and private key."""
    session = requests.Session()
    session.trust_env = False
    session.verify = world.line["tls"]["ca_file"]
    session.proxies = {"https": world.line["tls"]["connect_proxy_url"]}
    app = next(app for app in world.line["simulator"]["apps"] if app["name"] == "Acme")
    return Salesforce(
        username=vendor.user(vendor.org("Oakhollow"), role)["username"],
        consumer_key=app["consumer_key"],
        session=session,
        version="68.0",
        **given,
    )


def test_it_logs_in_at_the_login_host(
    world: World, vendor: Vendor, private_key: str, tmp_path: Path
) -> None:
    """By a file of the key or its text; its `exp` is a string of digits."""
    file = tmp_path / "server.key"
    file.write_text(private_key)
    for given in ({"privatekey_file": str(file)}, {"privatekey": private_key}):
        salesforce = logged_in(world, vendor, **given)

        found = salesforce.query("SELECT Id, Name FROM Contact LIMIT 3")

        assert len(found["records"]) == 3
        assert salesforce.sf_instance == "oakhollow.my.salesforce.com"
        salesforce.session.close()


def test_it_logs_in_at_the_my_domain_where_that_is_an_audience(
    world: World, vendor: Vendor, private_key: str, control: httpx2.Client
) -> None:
    """It names that host as audience, which only some orgs take."""
    given = {"privatekey": private_key, "domain": "oakhollow.my"}
    with pytest.raises(SalesforceAuthenticationFailed, match="audience is invalid"):
        logged_in(world, vendor, **given)

    control.patch("/switches", json={"my_domain_is_audience": True}).raise_for_status()
    salesforce = logged_in(world, vendor, **given)

    assert salesforce.query("SELECT COUNT() FROM Contact")["totalSize"] > 0
    salesforce.session.close()


@pytest.mark.parametrize(
    ("role", "own_key", "told"),
    [
        ("integration", False, "invalid client credentials"),
        ("standard", True, "user is not admin approved to access this app"),
    ],
)
def test_what_salesforce_refuses_is_the_clients_own_exception(
    world: World, vendor: Vendor, private_key: str, role: str, *, own_key: bool, told: str
) -> None:
    """With Salesforce's words."""
    key = private_key if own_key else key_pair()[0]

    with pytest.raises(SalesforceAuthenticationFailed, match=told):
        logged_in(world, vendor, role, privatekey=key)
