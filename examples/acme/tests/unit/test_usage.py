"""Acme's figures about its own use."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from acme.usage import usage_of


@given(account=st.text(min_size=1, max_size=18), day=st.dates())
def test_a_day_of_an_account_has_the_same_figures_each_time(account, day):
    """So that pushing it again changes nothing."""
    assert usage_of(account, day) == usage_of(account, day)
    assert 1 <= usage_of(account, day).logins <= 80


def test_the_key_says_account_and_day():
    """Two days of an account are two records."""
    first = usage_of("0011", date(2026, 11, 24)).record()
    second = usage_of("0011", date(2026, 11, 25)).record()

    assert first["Key__c"] == "0011-2026-11-24"
    assert first["Key__c"] != second["Key__c"]
