"""Values on their way in."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.data.fields import Field
from orgsim.data.incoming import read_date, read_moment, read_value
from orgsim.data.refusals import SaveRefused

MONEY = Field(name="Amount", label="Amount", type="currency", precision=18, scale=2)
WHOLE = Field(name="N", label="N", type="int", precision=8)
FLAG = Field(name="F", label="F", type="boolean", nillable=False, default=False)
TEXT = Field(name="T", label="T", type="string", length=10)
CHOICE = Field(
    name="C", label="C", type="picklist", length=255, picklist=("Hot", "Cold"), restricted=True
)
ANY_FIELD = (
    MONEY,
    WHOLE,
    FLAG,
    TEXT,
    CHOICE,
    *(
        Field(name="X", label="X", type=kind, length=18)
        for kind in ("date", "datetime", "reference", "email", "textarea")
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2026-11-23T13:00:00.000+0000", "2026-11-23T13:00:00.000Z"),
        ("2026-11-23T13:00:00+02:00", "2026-11-23T11:00:00.000Z"),
        ("2026-11-23T13:00:00Z", "2026-11-23T13:00:00.000Z"),
        ("2026-11-23", "2026-11-23T00:00:00.000Z"),
        ("2026-11-23T25:00:00Z", None),
        ("yesterday", None),
    ],
)
def test_moments_are_kept_in_utc(text, kept):
    """Whatever zone they come in; what is no moment is none."""
    assert read_moment(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [("2026-02-28", "2026-02-28"), ("2026-02-30", None), ("2026-02-28T10:00:00Z", "2026-02-28")],
)
def test_days_exist_in_the_calendar(text, kept):
    """The 30th of February does not."""
    assert read_date(text) == kept


@pytest.mark.parametrize(
    ("field", "given_value", "kept"),
    [
        (MONEY, 12, 12.0),
        (MONEY, "12.345", 12.35),
        (WHOLE, 7.0, 7),
        (FLAG, "TRUE", True),
        (FLAG, None, False),
        (TEXT, "  a b ", "a b"),
        (TEXT, "   ", None),
        (CHOICE, "hot", "Hot"),
    ],
)
def test_values_are_kept_in_their_fields_type(field, given_value, kept):
    """Numbers come as text too, texts lose the space around them."""
    assert read_value(field, given_value) == kept


@pytest.mark.parametrize(
    ("field", "given_value", "code"),
    [
        (MONEY, "12,5", "JSON_PARSER_ERROR"),
        (MONEY, True, "JSON_PARSER_ERROR"),
        (MONEY, math.inf, "NUMBER_OUTSIDE_VALID_RANGE"),
        (WHOLE, 1.5, "JSON_PARSER_ERROR"),
        (FLAG, 1, "JSON_PARSER_ERROR"),
        (TEXT, ["a"], "JSON_PARSER_ERROR"),
        (TEXT, "x" * 11, "STRING_TOO_LONG"),
        (CHOICE, "Tepid", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ],
)
def test_values_of_another_type_are_refused(field, given_value, code):
    """With the code that says why."""
    with pytest.raises(SaveRefused) as caught:
        read_value(field, given_value)
    assert caught.value.errors[0].code == code


@given(st.sampled_from(ANY_FIELD), JSON)
def test_any_json_gives_a_value_or_a_refusal(field, value):
    """Nothing else comes out, whatever comes in."""
    try:
        kept = read_value(field, value)
    except SaveRefused:
        return
    assert kept is None or isinstance(kept, str | int | float | bool)
