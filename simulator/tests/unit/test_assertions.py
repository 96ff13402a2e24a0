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
    check_jti,
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
    check_audience(given_, accepted=accepted, switches=LENIENT)
    for aud in ("https://x.example", ["https://login.salesforce.com"], None):
        with pytest.raises(Refused) as refused:
            check_audience(read_assertion(_text(aud=aud)), accepted=accepted, switches=LENIENT)
        assert refused.value.reason.description == "audience is invalid"


@pytest.mark.parametrize(
    ("exp", "seconds"),
    [(1_795_608_150, 0), ("1795608150", 0), (1_795_608_150_000, 0), ("1795608150000", 0), (1e3, 1)],
)
def test_an_end_is_read_in_each_form_that_clients_send(exp, seconds):
    """Seconds or milliseconds, as a number or as text; a second too late is too late."""
    end = datetime(2026, 11, 25, 12, 2, 30, tzinfo=UTC)
    assertion = read_assertion(_text(exp=exp))
    if seconds == 0:
        check_times(assertion, switches=LENIENT, now=end.replace(second=29))
    with pytest.raises(Refused) as refused:
        check_times(assertion, switches=LENIENT, now=end)
    assert refused.value.reason.description == "invalid assertion"


def test_whether_a_jti_is_remembered_is_a_switch():
    """By default an assertion may come again inside its life; one without `jti` always may."""
    seen: set[tuple[str, str]] = set()
    remembers = Switches(jti_is_remembered=True)
    for switches, text in ((LENIENT, _text(jti="1")), (remembers, _text())):
        for _ in range(2):
            check_jti(read_assertion(text), seen, switches=switches)
    check_jti(read_assertion(_text(jti="1")), seen, switches=remembers)
    with pytest.raises(Refused) as refused:
        check_jti(read_assertion(_text(jti="1")), seen, switches=remembers)
    assert refused.value.reason.error == "bad_jti_claim"
