"""The types of `keyturn.toml`: what is refused, and what is only warned of."""

from __future__ import annotations

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.config_file import parse_config
from keyturn_builder.errors import BuilderError


def changed(text: str, before: str, after: str) -> str:
    """Return the text with one thing changed."""
    assert text.count(before) == 1
    return text.replace(before, after)


def refused(text: str) -> str:
    """Return what is said about a text that is refused."""
    with pytest.raises(BuilderError) as refusal:
        parse_config(text, file="keyturn.toml")
    assert refusal.value.code == "config_invalid"
    return str(refusal.value)


def test_a_sound_file_is_taken_without_a_warning(config: AppConfig) -> None:
    """Scopes, flows and addresses are there as they were written."""
    assert config.app.scopes == ["api", "refresh_token"]
    assert [one.addresses for one in config.app.ranges] == [1, 8]
    assert config.warnings() == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"Acme_Connect"', '"Acme__Connect"', "app.name"),
        ('"Acme_Connect"', '"Acme_Connect_"', "app.name"),
        ('"Acme_Connect"', '"1Acme"', "app.name"),
        ('"integrations@acme.example"', '"nobody"', "e-mail address"),
        ('["api", "refresh_token"]', '["Api", "refresh_token"]', "names such as api"),
        ('["api", "refresh_token"]', '["api", "refresh_token", "full"]', "full_access_reason"),
        ('["api", "refresh_token"]', '["web", "refresh_token"]', "`jwt` needs"),
        ('["api", "refresh_token"]\n', '["api"]\nlogo = "http://a.example/l.png"\n', "https"),
        ("https://connect.acme.example/oauth/callback", "http://acme.example/x", "only https"),
        ("https://connect.acme.example/oauth/callback", "https://*.acme.example/x", "wildcard"),
        ("https://connect.acme.example/oauth/callback", "https://a.example/#x", "fragment"),
        ("https://connect.acme.example/oauth/callback", "https:///callback", "with its host"),
        ('url = "https://connect.acme.example"', 'url = "http://connect.acme.example"', "https"),
        ("192.0.2.16/29", "192.0.2.17/29", "no address, network or range"),
        ("192.0.2.16/29", "192.0.2.9-192.0.2.1", "first to a last"),
        ("192.0.2.16/29", "10.0.0.0/23", "256 addresses"),
        ('namespace = "acme"', 'namespace = "acme_integrations"', "package.namespace"),
        ('version = "1.0.0"', 'version = "1.0"', "package.version"),
        ('alias = "acme-hub"', 'alias = "--json"', "dev_hub.alias"),
        ('access = ["read", "edit"]', 'access = ["write"]', "objects.Contact.access"),
    ],
)
def test_what_salesforce_would_refuse_is_refused(
    sound: str, before: str, after: str, said: str
) -> None:
    """Before any call, with the place in the file."""
    assert said in refused(changed(sound, before, after))


SERVICE = 'url = "https://connect.acme.example"'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (SERVICE, SERVICE + '\nreturn_origins = ["https://app.acme.example/x"]', "write an origin"),
        (SERVICE, SERVICE + '\nreturn_origins = ["https://app.acme.example/"]', "write an origin"),
        (SERVICE, SERVICE + '\nreturn_origins = ["app.acme.example"]', "write an origin"),
        (SERVICE, SERVICE + '\nreturn_origins = ["https://a.example:99999"]', "up to 65535"),
        (SERVICE, SERVICE + '\nstart_url = "https://a.example/#x"', "without #fragment"),
        (SERVICE, SERVICE + '\nstart_url = "https://a.example/a b"', "visible ASCII"),
        (SERVICE, SERVICE + '\napp_id = "app_1/../x"', "service.app_id"),
        (SERVICE, 'url = "https://connect.acme.example/keyturn"', "there is no path"),
        (SERVICE, 'url = "https://connect.acme.example?x=1"', "no query"),
        (SERVICE, 'url = "https://me:you@connect.acme.example"', "whole https URL"),
        (SERVICE, 'url = "https://connect.acme.example:"', "a port after it"),
        ("https://connect.acme.example/oauth/callback", "https://ä.example/x", "visible ASCII"),
        ("https://connect.acme.example/oauth/callback", "https://a.example\\\\x", "backslash"),
        ('label = "Acme Connect"', 'label = "  "', "only blanks"),
        ('label = "Acme Connect"', 'label = "Acme\\nConnect"', "in one line"),
        ('label = "Acme Connect"', 'label = "Acme\\u0007"', "control character"),
        ('label = "Acme Connect"', 'label = "Acme\\uffff"', "control character"),
        ('name = "Acme"\n', 'name = "\\t"\n', "package.name"),
        ('"Connects Acme to Salesforce."', '"Connects\\u0000"', "leave it out"),
        ('"integrations@acme.example"', '"a\\u0000@acme.example"', "e-mail address"),
        ('version = "1.0.0"', 'version = "01.0.0"', "package.version"),
        ('version = "1.0.0"', 'version = "\\u0661.0.0"', "package.version"),
        ('version = "1.0.0"', 'version = "1.0.0"\ngeneration = true', "write 1 or 2"),
        ('version = "1.0.0"', 'version = "1.0.0"\ngeneration = 2.0', "write 1 or 2"),
    ],
)
def test_what_the_service_or_a_file_of_salesforce_cannot_take_is_refused(
    sound: str, before: str, after: str, said: str
) -> None:
    """Here, and not only when the app is registered, deployed or released."""
    complaint = refused(changed(sound, before, after))
    assert said in complaint
    assert "remedy:" in complaint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SERVICE, 'url = "https://connect.acme.example/"'),
        (SERVICE, 'url = "https://connect.acme.example:8443"'),
        (SERVICE, SERVICE + '\nreturn_origins = ["https://App.acme.example:8443"]'),
        (SERVICE, SERVICE + '\nreturn_origins = ["http://localhost:3000"]'),
        (SERVICE, SERVICE + '\nstart_url = "http://localhost:3000/settings?tab=2"'),
        ('label = "Acme Connect"', 'label = "Größe für Ämter"'),
        ('"Connects Acme to Salesforce."', '"Connects.\\nAnd more."'),
        ('version = "1.0.0"', 'version = "0.10.200"'),
        ('version = "1.0.0"', 'version = "1.0.0"\nsource = "../force-app"'),
        ('version = "1.0.0"', 'version = "1.0.0"\ngeneration = 1'),
    ],
)
def test_what_looks_odd_and_works_is_taken(sound: str, before: str, after: str) -> None:
    """A project may lie beside the folder of the file."""
    assert parse_config(changed(sound, before, after), file="keyturn.toml").warnings() == []


def test_a_service_on_this_machine_may_speak_plain_http(sound: str) -> None:
    """For development."""
    text = changed(sound, 'url = "https://connect.acme.example"', 'url = "http://127.0.0.1:8321"')
    assert parse_config(text, file="keyturn.toml").service is not None


def test_the_flow_code_needs_a_refresh_token(sound: str) -> None:
    """Without one, nobody stays connected."""
    text = changed(sound, '["api", "refresh_token"]', '["api"]')
    assert "`code` needs" in refused(changed(text, '["code", "jwt"]', '["code"]'))


def test_callback_urls_fit_into_salesforces_field(sound: str) -> None:
    """They share 2,000 characters."""
    long = ",\n".join(f'"https://connect.acme.example/{number:0900}"' for number in range(3))
    text = changed(sound, '"https://connect.acme.example/oauth/callback"', long)
    assert "2,000 characters" in refused(text)


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        (
            'scopes = ["api", "refresh_token"]',
            'scopes = ["api", "refresh_token", "full"]\nfull_access_reason = "Metadata is read."',
            "`full` opens everything",
        ),
        ('["192.0.2.10", "192.0.2.16/29"]', "[]", "app.egress is empty"),
        (
            '"https://connect.acme.example/oauth/callback",',
            '"https://connect.acme.example/oauth/callback", "http://localhost:8321/oauth/callback"',
            "do not mix localhost",
        ),
        (
            'post_install_url = "https://connect.acme.example/installed"',
            "",
            "post_install_url is missing",
        ),
        (
            'version = "1.0.0"',
            'version = "1.0.0"\nsource = "/home/me/force-app"',
            "package.source begins at the root",
        ),
    ],
)
def test_what_is_unwise_is_warned_of(sound: str, before: str, after: str, warned: str) -> None:
    """It is taken all the same."""
    read = parse_config(changed(sound, before, after), file="keyturn.toml")
    assert [said for said in read.warnings() if warned in said]
