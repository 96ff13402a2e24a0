"""Which requests a fault meets, and how often."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.faults import MEANINGS, FaultBook, Match, Options, hostile_fault

ORG = "00D5g0000000001EAA"


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        (Match(), True),
        (Match(path="/services/data/*"), True),
        (Match(path="/services/oauth2/token"), False),
        (Match(org_id=ORG), True),
        (Match(org_id=ORG[:15]), True),
        (Match(org_id="00D5g0000000002EAA"), False),
        (Match(grant_type="refresh_token"), False),
        (Match(path="/services/data/*", org_id=ORG), True),
        (Match(path="/services/data/*", org_id=ORG, grant_type="refresh_token"), False),
    ],
)
def test_all_that_is_given_must_hold(match, holds):
    """What is left out matches everything."""
    found = match.holds(path="/services/data/v68.0/query", org_id=ORG, grant_type=None)
    assert found is holds


def _add(book, name="status", *, times=1, match=None, **options):
    return book.add(name=name, match=match or Match(), options=Options(**options), times=times)


def _hit(book, path="/x"):
    fault = book.hit(path=path, org_id=None, grant_type=None)
    return None if fault is None else fault.id


@pytest.mark.parametrize("times", [1, 3])
def test_a_fault_is_used_up(times):
    """After as many requests as were asked for."""
    book = FaultBook()
    fault = _add(book, times=times)
    assert [_hit(book) for _ in range(times + 1)] == [fault.id] * times + [None]
    assert list(book) == []


def test_a_fault_of_no_number_lasts_until_it_is_deleted():
    """And is deleted once."""
    book = FaultBook()
    fault = _add(book, times=0)
    assert [_hit(book) for _ in range(5)] == [fault.id] * 5
    assert book.remove(fault.id)
    assert not book.remove(fault.id)
    assert _hit(book) is None


def test_a_fault_that_does_not_match_is_not_used_up():
    """The next one that does is taken."""
    book = FaultBook()
    elsewhere = _add(book, match=Match(path="/y"))
    here = _add(book)
    assert _hit(book, "/x") == here.id
    assert [fault.id for fault in book] == [elsewhere.id]


def test_skews_of_a_program_add_up():
    """They meet no request, and are nobody else's."""
    book = FaultBook()
    _add(book, "clock_skew", program="service", by=timedelta(minutes=5))
    _add(book, "clock_skew", by=timedelta(minutes=-1))
    assert book.skew_of("service") == timedelta(minutes=4)
    assert book.skew_of("acme") == timedelta(minutes=-1)
    assert _hit(book) is None
    book.clear()
    assert book.skew_of("service") == timedelta()


@given(
    st.floats(min_value=0, max_value=1, exclude_max=True),
    st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_a_hostile_world_throws_known_faults(dice, second):
    """Mostly none, and never one that lasts."""
    fault = hostile_fault(dice, second)
    if dice >= 0.115:
        assert fault is None
    else:
        assert fault.name in MEANINGS
        assert fault.times == 1
        assert timedelta() < fault.options.delay < timedelta(seconds=1)
        assert fault.options.status in (500, 503)
