"""Date literals."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.soql.dates import days_of, known_date_literal, takes_count

TUESDAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("word", "count", "first", "end"),
    [
        ("YESTERDAY", None, "2026-11-23", "2026-11-24"),
        ("TODAY", None, "2026-11-24", "2026-11-25"),
        ("TOMORROW", None, "2026-11-25", "2026-11-26"),
        ("LAST_WEEK", None, "2026-11-15", "2026-11-22"),
        ("THIS_WEEK", None, "2026-11-22", "2026-11-29"),
        ("NEXT_WEEK", None, "2026-11-29", "2026-12-06"),
        ("LAST_MONTH", None, "2026-10-01", "2026-11-01"),
        ("NEXT_MONTH", None, "2026-12-01", "2027-01-01"),
        ("THIS_QUARTER", None, "2026-10-01", "2027-01-01"),
        ("LAST_YEAR", None, "2025-01-01", "2026-01-01"),
        ("THIS_FISCAL_YEAR", None, "2026-01-01", "2027-01-01"),
        ("LAST_90_DAYS", None, "2026-08-26", "2026-11-25"),
        ("NEXT_90_DAYS", None, "2026-11-25", "2027-02-23"),
        ("LAST_N_DAYS", 30, "2026-10-25", "2026-11-25"),
        ("NEXT_N_DAYS", 1, "2026-11-25", "2026-11-26"),
        ("N_DAYS_AGO", 3, "2026-11-21", "2026-11-22"),
        ("LAST_N_WEEKS", 2, "2026-11-08", "2026-11-22"),
        ("NEXT_N_MONTHS", 2, "2026-12-01", "2027-02-01"),
        ("N_QUARTERS_AGO", 1, "2026-07-01", "2026-10-01"),
        ("LAST_N_YEARS", 1, "2025-01-01", "2026-01-01"),
        ("NEXT_N_FISCAL_QUARTERS", 1, "2027-01-01", "2027-04-01"),
    ],
)
def test_a_literal_means_whole_days(word, count, first, end):  # one row, one literal
    """As "Date Formats and Date Literals" defines them; weeks start on Sunday."""
    days = days_of(word, count, today=TUESDAY)
    assert (days.first.isoformat(), days.end.isoformat()) == (first, end)
    assert known_date_literal(word)
    assert takes_count(word) == (count is not None)


@given(
    st.sampled_from(["LAST_N_DAYS", "NEXT_N_WEEKS", "N_MONTHS_AGO", "NEXT_N_YEARS"]),
    st.integers(1, 10**12),
    st.dates(),
)
def test_any_count_gives_days_in_order_or_leaves_the_calendar(word, count, today):
    """An absurd count ends in `OverflowError`, which the query says is malformed."""
    try:
        days = days_of(word, count, today=today)
    except OverflowError:
        return
    assert days.first < days.end
