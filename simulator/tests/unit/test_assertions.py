"""Reading and judging the assertions of the JWT bearer flow."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.orgs.policies import Switches
from orgsim.surfaces.oauth.assertions import (
    Assertion,
    check_audience,
    check_times,
    read_assertion,
)
from orgsim.surfaces.oauth.errors import Refused

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LENIENT, STRICT = Switches(), Switches(assertion_lifetime="strict")
CLAIMS = {"iss": "3MVG9", "sub": "ada@x.example", "aud": "https://login.salesforce.com", "exp": 1}


def _part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _text(**changed):
    return f"{_part({'alg': 'RS256'})}.{_part(CLAIMS | changed)}.{_part('signature')}"


def _ending(seconds):
    return replace(read_assertion(_text()), expires=NOW.timestamp() + seconds)


@given(st.text(max_size=80) | st.lists(st.text("abcdef-_.", max_size=9)).map(".".join))
def test_any_text_reads_or_is_refused(text):
    """Nothing else comes out of it."""
    try:
        outcome: object = type(read_assertion(text))
    except Refused as refused:
        outcome = refused.reason.description
    assert outcome in (Assertion, "invalid assertion")


def test_the_old_name_of_the_subject_wins():
    """`prn` before `sub`."""
    assert read_assertion(_text(prn="old@x.example")).subject == "old@x.example"
    assert read_assertion(_text()).subject == "ada@x.example"


@pytest.mark.parametrize(
    ("seconds", "lenient", "strict"), [(-1, False, False), (0, False, False), (179, True, True)]
)
def test_an_assertion_is_over_at_its_end(seconds, lenient, strict):
    """However that is judged."""
    for switches, good in ((LENIENT, lenient), (STRICT, strict)):
        if good:
            check_times(_ending(seconds), switches=switches, now=NOW)
        else:
            with pytest.raises(Refused):
                check_times(_ending(seconds), switches=switches, now=NOW)


def test_how_far_ahead_it_may_end_is_a_switch():
    """Strictly, three minutes."""
    check_times(_ending(181), switches=LENIENT, now=NOW)
    with pytest.raises(Refused):
        check_times(_ending(181), switches=STRICT, now=NOW)


def test_an_audience_may_end_in_a_slash():
    """Another host is another audience."""
    accepted = frozenset({"https://login.salesforce.com"})
    given_ = read_assertion(_text(aud="https://login.salesforce.com/"))
    check_audience(given_, accepted=accepted)
    with pytest.raises(Refused):
        check_audience(read_assertion(_text(aud="https://x.example")), accepted=accepted)
