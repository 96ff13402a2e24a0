"""`settings`: what is missing or wrong is named, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment
from keyturn_service.settings import SettingsRefused, environment_of_child, read_settings

URLS = ("https://connect.acme.example",)
HUB = {
    "dev_hub_consumer_key": "3MVG9",
    "dev_hub_username": "keyturn@acme.example",
    "dev_hub_key_file": Path("/etc/keyturn/dev-hub.pem"),
}


def test_a_dev_hub_is_not_needed():
    """Then connect pages do not look."""
    settings = read_settings(public_urls=URLS)
    assert settings.dev_hub_consumer_key is None
    assert settings.dev_hub_login_url == LOGIN_HOSTS[Environment.PRODUCTION]


@pytest.mark.parametrize("left_out", sorted(HUB))
def test_the_settings_of_the_dev_hub_go_together(left_out):
    """Half of them would look like all of them until the first page."""
    given = {name: value for name, value in HUB.items() if name != left_out}
    with pytest.raises(SettingsRefused, match="go together"):
        read_settings(public_urls=URLS, **given)


@pytest.mark.parametrize(
    "host", ["https://evil.example", "http://login.salesforce.com", "http://["]
)
def test_the_dev_hub_is_at_a_host_of_salesforces(host):
    """An assertion goes nowhere else."""
    with pytest.raises(SettingsRefused, match="KEYTURN_DEV_HUB_LOGIN_URL is a login host"):
        read_settings(public_urls=URLS, dev_hub_login_url=host, **HUB)


@pytest.mark.parametrize(
    "urls",
    [
        "",
        "connect.acme.example",
        "ftp://connect.acme.example",
        "https://connect.acme.example/path",
        "https://user:secret-word@connect.acme.example",
        "https://connect.acme.example?x=1",
        "https://*",
        "https://connect.acme.example,https://*.acme.example",
    ],
)
def test_a_public_url_is_an_origin(urls):
    """A path or a user would be left out of links without a word."""
    with pytest.raises(SettingsRefused, match=r"^KEYTURN_PUBLIC_URLS: write origins") as refused:
        read_settings(public_urls=urls)
    assert "secret-word" not in str(refused.value)


def test_a_public_url_may_end_in_a_slash_and_be_an_address():
    """Also one of IPv6."""
    urls = "https://Connect.acme.example/, http://[::1]:8321,http://127.0.0.1:8321"
    assert read_settings(public_urls=urls).public_urls == (
        "https://connect.acme.example",
        "http://[::1]:8321",
        "http://127.0.0.1:8321",
    )


def test_a_setting_that_is_missing_is_named_and_explained(monkeypatch):
    """It says what to write."""
    monkeypatch.delenv("KEYTURN_PUBLIC_URLS", raising=False)
    with pytest.raises(SettingsRefused, match=r"^KEYTURN_PUBLIC_URLS: is not set\. Origins by"):
        read_settings()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"tls_port": 8443}, "^KEYTURN_TLS_PORT, KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE"),
        ({"audit_keep_days": 90}, "^KEYTURN_AUDIT_KEEP_DAYS needs KEYTURN_AUDIT_EXPORT_DIR"),
        ({"dev_hub_username": "x"}, "^KEYTURN_DEV_HUB_CONSUMER_KEY, "),
    ],
)
def test_settings_that_do_not_go_together_are_named(given, names):
    """By the names that they are set by."""
    with pytest.raises(SettingsRefused, match=names):
        read_settings(public_urls=URLS, **given)


def test_a_child_is_given_them_by_its_environment():
    """The private key stays in its file."""
    settings = read_settings(
        public_urls=URLS, dev_hub_login_url="https://acme.my.salesforce.com", **HUB
    )
    given = environment_of_child(settings)
    assert given["KEYTURN_DEV_HUB_LOGIN_URL"] == "https://acme.my.salesforce.com"
    assert given["KEYTURN_DEV_HUB_KEY_FILE"] == "/etc/keyturn/dev-hub.pem"


def test_the_key_source_is_a_file_or_a_key_that_stays_elsewhere():
    """Its form is seen at the start, before anything is asked."""
    uri = "vault-transit://vault.acme.example/transit/keys/keyturn"

    assert read_settings(public_urls=URLS).next_key is None
    named = read_settings(public_urls=URLS, key_source=uri).next_key
    assert named is not None
    assert named.text == uri
    with pytest.raises(SettingsRefused, match=r"KEYTURN_KEY_SOURCE: write it as vault-transit://"):
        read_settings(public_urls=URLS, key_source="vault-transit://vault.acme.example")
    with pytest.raises(SettingsRefused, match=r"KEYTURN_KEY_SOURCE: say where the key is: file"):
        read_settings(public_urls=URLS, key_source="/etc/keyturn.key")


def test_how_long_data_keys_are_kept_reaches_a_child():
    """As ISO 8601 writes it; less than a minute is refused."""
    settings = read_settings(public_urls=URLS, data_keys_kept="PT90M")

    given = environment_of_child(settings)["KEYTURN_DATA_KEYS_KEPT"]
    assert read_settings(public_urls=URLS, data_keys_kept=given) == settings
    with pytest.raises(SettingsRefused, match="KEYTURN_DATA_KEYS_KEPT"):
        read_settings(public_urls=URLS, data_keys_kept="PT1S")
