"""Names of keys that a key management service holds: read strictly, one id for one key."""

from __future__ import annotations

import re

import pytest

from keyturn_service.vault.key_uri import KeyUri, KeyUriRefused, Provider

AWS = "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ALIAS = "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/keyturn"
GCP = "gcp-kms://projects/acme/locations/europe-west3/keyRings/keyturn/cryptoKeys/root"
AZURE = "azure-key-vault://acme.vault.azure.net/keys/keyturn"
TRANSIT = "vault-transit://vault.acme.example:8200/a/transit/keys/keyturn"
VERSION = "0123456789abcdef0123456789abcdef"


def test_a_uri_says_who_holds_the_key_and_which_it_is():
    """With what the provider's client needs to find it."""
    aws, gcp, azure = KeyUri.read(AWS), KeyUri.read(GCP), KeyUri.read(AZURE)
    transit = KeyUri.read(f"{TRANSIT}/3?namespace=acme/eu")

    assert (aws.provider, aws.region, f"aws-kms://{aws.key}") == (
        Provider.AWS,
        "eu-central-1",
        AWS,
    )
    assert f"gcp-kms://{gcp.key}" == GCP
    assert (azure.host, azure.key, azure.version) == ("acme.vault.azure.net", "keyturn", None)
    assert (transit.host, transit.mount, transit.key) == (
        "vault.acme.example:8200",
        "a/transit",
        "keyturn",
    )
    assert (transit.version, transit.namespace) == ("3", "acme/eu")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("aws-kms://alias/keyturn", "aws-kms://arn:aws:kms:"),
        (f"{AWS} ", "aws-kms://arn:aws:kms:"),
        ("gcp-kms://projects/acme/keyRings/a/cryptoKeys/b", "gcp-kms://projects/"),
        ("azure-key-vault://vault.acme.example/keys/keyturn", "azure-key-vault://acme"),
        ("azure-key-vault://acme.vault.azure.net/secrets/keyturn", "azure-key-vault://acme"),
        ("vault-transit://vault.acme.example", "vault-transit://vault"),
        ("vault-transit://user:pass@vault.acme.example/transit/keys/a", "vault-transit://vault"),
        (f"{TRANSIT}?token=a", "vault-transit://vault"),
        (f"{GCP}{'a' * 600}", "gcp-kms://projects/"),
    ],
)
def test_what_is_no_key_is_shown_the_form(text, form):
    """A secret that somebody writes into it is refused as well."""
    with pytest.raises(KeyUriRefused, match=re.escape(f"write it as {form}")):
        KeyUri.read(text)


@pytest.mark.parametrize(
    "text", ["", "keyturn.key", "https://acme.vault.azure.net/keys/a", "s3://"]
)
def test_who_holds_keys_is_listed(text):
    """For what names none of them."""
    with pytest.raises(KeyUriRefused, match=r"say where the key is: file, aws-kms://"):
        KeyUri.read(text)


def test_the_id_of_a_key_comes_from_its_uri():
    """Each version has another; both are the same everywhere."""
    one, two = KeyUri.read(f"{AZURE}/{VERSION}"), KeyUri.read(AZURE)

    assert one.id == KeyUri.read(one.text).id != two.id
    assert re.fullmatch(r"kek_[0-9A-Za-z]{16,40}", one.id)


@pytest.mark.parametrize(
    ("asked", "version", "found"),
    [
        (ALIAS, AWS.partition("://")[2], AWS),
        (GCP, "7", f"{GCP}/cryptoKeyVersions/7"),
        (f"{GCP}/cryptoKeyVersions/6", "7", f"{GCP}/cryptoKeyVersions/7"),
        (AZURE, VERSION, f"{AZURE}/{VERSION}"),
        (f"{TRANSIT}?namespace=acme", "2", f"{TRANSIT}/2?namespace=acme"),
        (f"{TRANSIT}/1", "2", f"{TRANSIT}/2"),
    ],
)
def test_a_version_has_a_uri_of_its_own(asked, version, found):
    """What an alias or the name of a key stood for when it was asked."""
    assert KeyUri.read(asked).at(version).text == found


@pytest.mark.parametrize(
    ("ours", "asked", "may_be"),
    [
        (AWS, AWS, True),
        (AWS, ALIAS, True),
        (AWS.replace("eu-central-1", "us-east-1"), ALIAS, False),
        (GCP, ALIAS, False),
        (f"{GCP}/cryptoKeyVersions/7", GCP, True),
        (f"{GCP}2/cryptoKeyVersions/7", GCP, False),
        (f"{GCP}/cryptoKeyVersions/7", f"{GCP}/cryptoKeyVersions/8", False),
        (f"{TRANSIT}/1?namespace=acme", TRANSIT, False),
        (f"{TRANSIT}/1", TRANSIT, True),
    ],
)
def test_a_key_is_told_from_another_one(ours, asked, may_be):
    """So that a service says when its settings name another key than its key file."""
    assert KeyUri.read(ours).may_be(KeyUri.read(asked)) is may_be


def test_a_uri_has_512_characters_at_most():
    """A host may be as long as it likes; an id of a key is not for text without end."""
    path = "/transit/keys/keyturn"
    host = "v" * (512 - len("vault-transit://") - len(path))

    assert KeyUri.read(f"vault-transit://{host}{path}").host == host
    with pytest.raises(KeyUriRefused):
        KeyUri.read(f"vault-transit://{host}v{path}")


def test_a_scheme_ends_where_it_is_first_said_to():
    """Whatever comes behind is to be a key of that provider."""
    with pytest.raises(KeyUriRefused, match="write it as vault-transit://"):
        KeyUri.read("vault-transit://vault-transit://vault.acme.example/transit/keys/keyturn")


def test_who_names_no_provider_is_told_all_of_them():
    """As they are written."""
    known = "aws-kms://…, gcp-kms://…, azure-key-vault://…, vault-transit://…"

    with pytest.raises(KeyUriRefused, match=f"^say where the key is: file, {known}$"):
        KeyUri.read("keyturn.key")
