"""What an error of `sf` means: our code, and its own words kept."""

from __future__ import annotations

import pytest

from keyturn_builder.errors import ENTRIES
from keyturn_builder.sf_cli import SfAnswer
from keyturn_builder.sf_errors import error_of

# Words that `sf` 2.150.6 or Salesforce say, the error's name before the colon.
WORDS = [
    ("NamedOrgNotFoundError: No authorization information found for nobody.", "dev_hub_unknown"),
    ("RefreshTokenAuthError: Error authenticating", "dev_hub_session_ended"),
    ("INVALID_SESSION_ID: Session expired or invalid", "dev_hub_session_ended"),
    ("NotADevHubError: The provided dev hub username is not a valid dev hub.", "not_a_dev_hub"),
    ("INVALID_TYPE: sObject type 'Package2' is not supported.", "packaging_off"),
    ("ErrorMissing: No package ID was found in Dev Hub for 0Ho000.", "package_of_another_hub"),
    ("Error: The namespace acme isn't linked to this Dev Hub", "namespace_not_linked"),
    ("ErrorAncestorNotHighestError: Can’t create package version.", "ancestor_wrong"),  # noqa: RUF001 - its own
    ("FIELD_INTEGRITY_EXCEPTION: Code coverage has not been run", "coverage_missing"),
    ("DUPLICATE_VALUE: The version was already released", "version_taken"),
    ("LIMIT_EXCEEDED: The org has reached its daily limit", "limit_reached"),
    ("INSUFFICIENT_ACCESS: insufficient access rights", "permission_missing"),
    ("Error: request to https://x failed, reason: getaddrinfo ENOTFOUND x", "dev_hub_unreachable"),
    (
        "External client apps that are created in ephemeral orgs can't be packaged.",
        "app_of_scratch_org",
    ),
    ("GenericUnknown: something new", "sf_failed"),
]


@pytest.mark.parametrize(("words", "code"), WORDS)
def test_words_have_a_meaning_and_are_kept(words: str, code: str) -> None:
    """Nothing is swallowed: what is not known is said as it came."""
    name, _, message = words.rpartition(": ")
    error = error_of(SfAnswer(status=1, name=name, message=message), doing="building")
    assert error.code == code
    assert error.said == words
    assert error.said in str(error)


def test_every_meaning_is_an_error_with_a_remedy() -> None:
    """And says where it is mended."""
    assert all(ENTRIES[code].where for _, code in WORDS)


def test_hints_of_sf_are_kept_too() -> None:
    """They often name the command that helps."""
    answer = SfAnswer(status=1, name="X", message="no", actions=("Try sf org login web",))
    assert "Try sf org login web" in error_of(answer, doing="building").said
