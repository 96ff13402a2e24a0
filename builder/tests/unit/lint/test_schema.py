"""The schema check, and the table it works by."""

from __future__ import annotations

import pytest
from tools.metadata_types import TABLE, table_text

from keyturn_builder.lint.schema import check_document, salesforce_schema
from keyturn_builder.metadata.xml import Value, document, read_document

SETTINGS = {
    "externalClientApplication": "Acme_Connect",
    "trustedIpRanges": [{"startIpAddress": "192.0.2.1", "endIpAddress": "192.0.2.2"}],
}
HEADER = {"contactEmail": "a@b.example", "distributionState": "Packaged", "isProtected": False}


def complaints(type_: str, children: dict[str, Value]) -> list[str]:
    """Return what is said about a document."""
    root = read_document(document(type_, children))
    return [found.message for found in check_document("file", root, salesforce_schema())]


def test_the_table_is_what_salesforces_package_says() -> None:
    """`python -m tools.metadata_types` would change nothing."""
    assert TABLE.read_text(encoding="utf-8") == table_text()


def test_a_sound_document_passes() -> None:
    """With what it may and may not leave out."""
    assert complaints("ExternalClientApplication", HEADER) == []
    assert complaints("ExtlClntAppOauthSettings", SETTINGS) == []


@pytest.mark.parametrize(
    ("type_", "children", "said"),
    [
        ("ExternalClientApplication", HEADER | {"colour": "blue"}, "has no element colour"),
        (
            "ExternalClientApplication",
            HEADER | {"distributionState": "Packageable"},
            "Packageable is none of Local, Packaged",
        ),
        ("ExternalClientApplication", HEADER | {"isProtected": "yes"}, "'yes' is no boolean"),
        ("ExternalClientApplication", HEADER | {"label": ["a", "b"]}, "label stands twice"),
        ("ExternalClientApplication", HEADER | {"label": {"a": "b"}}, "holds text, not elements"),
        ("ExtlClntAppOauthSettings", {"label": "x"}, "needs the element externalClientApplication"),
        (
            "ExtlClntAppOauthSettings",
            SETTINGS | {"trustedIpRanges": [{"startIpAddress": "192.0.2.1"}]},
            "ExtlClntAppOauthIpRange needs the element endIpAddress",
        ),
        ("ExtlClntAppOauthSettings", SETTINGS | {"assetTokenValidity": "x"}, "'x' is no number"),
    ],
)
def test_what_is_planted_is_found(type_: str, children: dict[str, Value], said: str) -> None:
    """An unknown element, a missing one, a wrong value, also inside others."""
    (message,) = complaints(type_, children)
    assert said in message


def test_a_type_that_the_table_lacks_passes() -> None:
    """A vendor's project has hundreds of others; Salesforce judges those."""
    assert complaints("ApexClass", {"anything": "goes"}) == []
