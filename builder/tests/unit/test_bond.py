"""The references to the Dev Hub org: read from what was retrieved."""

from __future__ import annotations

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.bond import read_bond
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings

OWNER = "00D5g00000AcmeX"


@pytest.fixture
def retrieved(config: AppConfig) -> dict[str, str]:
    """Header and OAuth settings, and a file of another type."""
    return {
        "a.eca": header(config.app, org_scoped_external_app=f"{OWNER}:Acme_Connect").text,
        "b.ecaOauth": oauth_settings(config.app, oauth_link=f"{OWNER}:8885g00000AcmeY").text,
        "package.xml": "<Package/>",
    }


def test_both_references_are_read(config: AppConfig, retrieved: dict[str, str]) -> None:
    """With the owner and the consumer in them."""
    bond = read_bond(retrieved, config.app, org_id=f"{OWNER}EAA")
    assert (bond.org_id, bond.consumer_id) == (OWNER, "8885g00000AcmeY")


@pytest.mark.parametrize(
    ("before", "after", "org_id", "code"),
    [
        ("Packaged", "Local", None, "app_not_packaged"),
        (":Acme_Connect<", ":Other<", None, "app_missing"),
        ("<oauthLink>", "<label2>", None, "app_missing"),
        (f"<oauthLink>{OWNER}", "<oauthLink>00D5g00000OtherX", None, "app_of_another_org"),
        ("Packaged", "Packaged", "00D5g00000OtheXEAA", "app_of_another_org"),
    ],
)
def test_what_cannot_be_packaged_is_refused(
    config: AppConfig,
    retrieved: dict[str, str],
    *,
    before: str,
    after: str,
    org_id: str | None,
    code: str,
) -> None:
    """Never made up, never bent."""
    texts = {name: text.replace(before, after) for name, text in retrieved.items()}
    with pytest.raises(BuilderError) as refusal:
        read_bond(texts, config.app, org_id=org_id)
    assert refusal.value.code == code
