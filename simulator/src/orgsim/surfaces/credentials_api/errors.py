"""The words of the credentials API's errors.

Spec: Connect REST API Developer Guide, "Status Codes and Error Responses"; the first is reported.
"""

from orgsim.surfaces.rest_api.errors import RestRefused


def switched_off() -> RestRefused:
    """Say that the org does not hand out secrets (reported)."""
    return RestRefused(
        "FUNCTIONALITY_NOT_ENABLED", "This feature is not currently enabled for this user."
    )


def no_access() -> RestRefused:
    """Say that the user lacks a permission."""
    return RestRefused(
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "You don't have the View Client Secret permission that is needed for this operation.",
    )


def already_staged() -> RestRefused:
    """Say that there is one staged pair at a time."""
    return RestRefused("ILLEGAL_QUERY_PARAMETER_VALUE", "Staged credentials already exist.")


def bad_command() -> RestRefused:
    """Say that a staged pair can only be rotated."""
    return RestRefused("ILLEGAL_QUERY_PARAMETER_VALUE", "The command must be rotate.")


def bad_part() -> RestRefused:
    """Say which parts there are."""
    return RestRefused(
        "ILLEGAL_QUERY_PARAMETER_VALUE", "The part must be key, secret, or keyandsecret."
    )
