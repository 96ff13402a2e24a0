"""What may stand in the files of an External Client App."""

import pytest

from orgsim.metadata import kinds
from orgsim.metadata.shapes import SHAPES, shape_problems
from orgsim.metadata.xml_text import tree

MINIMAL = {
    kinds.HEADER: (("contactEmail", "a@b.example"),),
    kinds.OAUTH: (("externalClientApplication", "A"),),
    kinds.GLOBAL: (("callbackUrl", "https://a.example"), ("externalClientApplication", "A")),
    kinds.SECURITY: (("externalClientApplication", "A"),),
    kinds.OAUTH_POLICIES: (("externalClientApplication", "A"),),
    kinds.POLICIES: (("externalClientApplication", "A"), ("isEnabled", "true")),
}


def problems(kind, *values, version=68.0):
    """Return what is wrong with a file of those values."""
    return list(shape_problems(SHAPES[kind], tree(kind, *values), kind=kind, version=version))


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_smallest_file_is_right_and_nothing_of_it_may_be_left_out(kind):
    """Each required element is named when it is missing."""
    assert problems(kind, *MINIMAL[kind]) == []
    for left_out in MINIMAL[kind]:
        rest = [pair for pair in MINIMAL[kind] if pair != left_out]
        assert problems(kind, *rest) == [f"Required field is missing: {left_out[0]}"]


@pytest.mark.parametrize("kind", MINIMAL)
def test_an_unknown_element_is_refused(kind):
    """With its place."""
    found = problems(kind, *MINIMAL[kind], ("bogus", "1"))
    assert len(found) == 1
    assert f"bogus invalid at this location in type {kind}" in found[0]


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        (kinds.HEADER, "distributionState", "Packageable", "is not a valid value for the enum"),
        (kinds.HEADER, "isProtected", "yes", "xsd:boolean"),
        (kinds.OAUTH_POLICIES, "permittedUsersPolicyType", "AdminApproved", "for the enum"),
        (kinds.OAUTH_POLICIES, "refreshTokenValidityPeriod", "a year", "xsd:int"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(kind, name, value, said):
    """Enums, flags and numbers."""
    found = problems(kind, *MINIMAL[kind], (name, value))
    assert len(found) == 1
    assert said in found[0]


def test_case_of_an_enum_does_not_matter():
    """One org spells a value otherwise than the guide (reported)."""
    value = ("ipRelaxationPolicyType", "Enforce_relaxrefresh")
    assert problems(kinds.OAUTH_POLICIES, *MINIMAL[kinds.OAUTH_POLICIES], value) == []


def test_an_element_is_unknown_before_its_version():
    """The idle limit came with 67.0."""
    values = (*MINIMAL[kinds.GLOBAL], ("isEnforceRefreshTokenTTL", "true"))
    assert problems(kinds.GLOBAL, *values, version=67.0) == []
    assert len(problems(kinds.GLOBAL, *values, version=66.0)) == 1
