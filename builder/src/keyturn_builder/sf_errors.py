"""What an error of `sf` means for the vendor: our code, and `sf`'s own words kept."""

from __future__ import annotations

import re
from typing import Final

from keyturn_builder.errors import BuilderError
from keyturn_builder.sf_cli import SfAnswer

# The first that fits. Sources: messages of @salesforce/core and @salesforce/packaging, and
# errors seen at deploys and builds (see the how-to "Ship the app in your package").
_MEANINGS: Final = tuple(
    (code, re.compile(pattern, re.IGNORECASE))
    for code, pattern in (
        ("dev_hub_unknown", r"NamedOrgNotFound|no authorization information found"),
        (
            "dev_hub_session_ended",
            r"RefreshTokenAuth|expired (?:access|refresh)|INVALID_SESSION_ID|invalid_grant",
        ),
        ("not_a_dev_hub", r"NotADevHub|not a dev hub|is not enabled as a dev hub|no dev hub"),
        ("packaging_off", r"sObject type '?Package2\w*'? is not supported"),
        ("package_of_another_hub", r"no package id was found|package 0Ho\w+ .* not found"),
        ("app_of_scratch_org", r"ephemeral org"),
        ("namespace_not_linked", r"namespace .*(?:not|isn't|couldn't).*|NamespaceRegistry"),
        ("ancestor_wrong", r"ancestor"),
        ("coverage_missing", r"code coverage"),
        ("version_taken", r"already (?:been )?released|duplicate (?:package )?version"),
        ("limit_reached", r"LIMIT_EXCEEDED|daily limit|limit for .* exceeded"),
        ("permission_missing", r"INSUFFICIENT_ACCESS|insufficient (?:access|privileges)"),
        ("app_is_local", r"distribution state PACKAGED"),
        (
            "dev_hub_unreachable",
            r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|fetch failed|DomainNotFound",
        ),
    )
)


def error_of(answer: SfAnswer, *, doing: str) -> BuilderError:
    """Return the error for a command that failed while `doing` something."""
    return meaning_of(answer.said, doing=doing)


def meaning_of(said: str, *, doing: str) -> BuilderError:
    """Return the error for words of `sf` or Salesforce."""
    for code, shape in _MEANINGS:
        if shape.search(said):
            return BuilderError(code, doing, said=said)
    return BuilderError("sf_failed", doing, said=said)
