"""The words of packaging errors; `(reported)` was seen on real orgs, the rest is by meaning.

Spec: Second-Generation Managed Packaging Developer Guide; npm `@salesforce/packaging`, which looks
for some of them.
"""

from orgsim.surfaces.rest_api.errors import RestRefused

OAUTH_LINK_NULL = (  # (reported)
    'Cannot invoke "String.split(String)" because "oauthLink" is null'
)
EPHEMERAL = (  # (reported)
    "External client apps that are created in ephemeral orgs can't be packaged."
)
NOT_PACKAGED = "The external client app doesn't have distribution state PACKAGED."
NO_SUCH_APP = "The orgScopedExternalApp value doesn't refer to an external client app."
BETA = "Beta package versions can't be installed in a production org."
KEY_REQUIRED = "INSTALL_KEY_REQUIRED: An installation key is required to install this package."
KEY_INVALID = "INSTALL_KEY_INVALID: The installation key is invalid."
NO_FILES = "The package version has no components."
NOT_INSTALLED = "The package version isn't installed in this org."

VALIDATION = {
    "BETA_INSTALL_INTO_PRODUCTION_ORG": BETA,
    "CANNOT_INSTALL_EARLIER_VERSION": "A later version of this package is already installed.",
    "CANNOT_UPGRADE_BETA": "A beta version can't be upgraded. Uninstall it first.",
    "DEPRECATED_INSTALL_PACKAGE": "The package version is deprecated.",
    "NAMESPACE_COLLISION": "The namespace is used by another package in this org.",
}


def not_packageable(kind: str, name: str) -> str:
    """Say that a component is of a kind that no package takes."""
    return f"{name}: {kind} components can't be packaged."


def no_access() -> RestRefused:
    """Say that the user lacks a packaging permission."""
    return RestRefused(
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "insufficient access rights on object id",
    )


def no_namespace(name: str) -> RestRefused:
    """Say that the Dev Hub's registry does not have a namespace."""
    return RestRefused(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"The namespace {name} isn't linked to your Dev Hub. Link it in the namespace registry.",
    )


def name_taken(name: str) -> RestRefused:
    """Say that there is a package of that name."""
    return RestRefused("DUPLICATE_VALUE", f"A package named {name} already exists.")


def required(name: str) -> RestRefused:
    """Say that a field is missing."""
    return RestRefused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{name}]")


def invalid_id(text: str) -> RestRefused:
    """Say that an ID does not name what it should."""
    return RestRefused("INVALID_CROSS_REFERENCE_KEY", f"invalid cross reference id: {text}")


def not_promotable(reason: str) -> RestRefused:
    """Say why a version cannot be released."""
    return RestRefused("INVALID_OPERATION", reason)


def only_by_id() -> RestRefused:
    """Say that subscribers look for one version at a time."""
    return RestRefused(
        "MALFORMED_QUERY",
        "Implementation restriction: SubscriberPackageVersion must be filtered by Id",
    )


def bad_form() -> RestRefused:
    """Say that a request for a version needs two parts."""
    return RestRefused("INVALID_MULTIPART_REQUEST", "Multipart message must include two parts")


NO_COVERAGE = (
    "Code coverage has not been run for this package version. Create the package version again with"
    " code coverage."
)
SKIPPED = "A package version that was created with validation skipped can't be promoted."


def low_coverage(percent: int) -> str:
    """Say that too little was covered; the real wording stands in no source."""
    return f"Code coverage of this package version is {percent}%. It must be at least 75%."


def released_before(number: str) -> str:
    """Say that a number is released already."""
    return f"A released package version already exists with the package number {number}."
