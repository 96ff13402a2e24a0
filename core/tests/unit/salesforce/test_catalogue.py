"""The catalogue: every entry says what happened, who can mend it, where, and how."""

from __future__ import annotations

import re

import pytest

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.catalogue import CATALOGUE, Refusal, RefusalClass

ENTRIES = sorted(CATALOGUE.values(), key=lambda entry: entry.code)
each = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.code for entry in ENTRIES])

# The documented codes of the REST API that the catalogue has to explain.
CONNECTING = """
    session_expired return_url_refused host_refused state_mismatch code_replayed access_denied
    app_not_installed app_blocked user_not_authorized org_mismatch user_mismatch
    org_already_connected scopes_missing confirmation_invalid salesforce_unavailable
    unexpected_answer
"""
SERVING = """
    reauthorization_required connection_revoked connection_pending connection_uncertain
    org_unavailable sealed audit_unavailable revoked_in_incident
"""


@each
def test_an_entry_says_what_why_and_where(entry: Refusal):
    """A title without a full stop, a cause with one, and a place to go to."""
    assert CATALOGUE[entry.code] is entry
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", entry.code)
    assert re.fullmatch(r"[A-Z].{8,70}[^.\s]", entry.title)
    assert re.fullmatch(r"[A-Z].{15,}\.", entry.cause)
    assert len(entry.where) > 5
    assert not re.search(r"\{[^}]*[A-Z_(]|  ", entry.title + entry.cause + entry.where)


@each
def test_an_entry_names_somebody_and_what_mends_it(entry: Refusal):
    """From the closed vocabularies, and in keeping with each other."""
    assert isinstance(entry.who, Who)
    assert isinstance(entry.remedy, Remedy)
    if entry.remedy is Remedy.ASK_ADMIN:
        assert entry.who is Who.ADMIN


@each
def test_an_entry_that_says_retry_says_so_in_its_remedy(entry: Refusal):
    """Nobody is told to try again what only somebody else can mend."""
    if entry.retry:
        assert entry.remedy in {Remedy.RETRY, Remedy.REPORT}
    if entry.remedy in {Remedy.REAUTHORIZE, Remedy.ASK_ADMIN, Remedy.RECONFIGURE}:
        assert not entry.retry
        assert entry.retry_after_seconds is None


@each
def test_each_class_has_its_way_out(entry: Refusal):
    """The class decides remedy and who, where the entry has nothing of its own to say."""
    said = (entry.remedy, entry.retry)
    match entry.refusal_class:
        case RefusalClass.DEAD_GRANT:
            assert said == (Remedy.REAUTHORIZE, False)
            assert entry.who in {Who.USER, Who.ADMIN}
        case RefusalClass.ADMIN:
            assert (*said, entry.who) == (Remedy.ASK_ADMIN, False, Who.ADMIN)
        case RefusalClass.OUR_FAULT:
            assert (*said, entry.who) == (Remedy.RECONFIGURE, False, Who.VENDOR)
        case RefusalClass.BUSY | RefusalClass.TRANSIENT | RefusalClass.RATE:
            assert said == (Remedy.RETRY, True)
            assert entry.retry_after_seconds is not None
        case RefusalClass.CONNECT:
            assert entry.retry is (entry.remedy is Remedy.RETRY)
            assert entry.retry_after_seconds is None
        case RefusalClass.SERVING:
            assert entry.retry is (entry.retry_after_seconds is not None)
        case RefusalClass.UNKNOWN:
            assert said == (Remedy.REPORT, False)


@pytest.mark.parametrize("code", [*CONNECTING.split(), *SERVING.split()])
def test_the_codes_of_the_api_are_explained(code):
    """Each code that connecting or serving may end with."""
    assert code in CATALOGUE


@pytest.mark.parametrize("code", SERVING.split())
def test_codes_of_serving_are_classed_so(code):
    """And nothing else is."""
    assert CATALOGUE[code].refusal_class is RefusalClass.SERVING
    serving = {e.code for e in ENTRIES if e.refusal_class is RefusalClass.SERVING}
    assert serving == set(SERVING.split())


@pytest.mark.parametrize(
    ("code", "who", "remedy"),
    [
        ("user_inactive", Who.ADMIN, Remedy.REAUTHORIZE),
        ("grant_revoked", Who.USER, Remedy.REAUTHORIZE),
        ("return_url_refused", Who.VENDOR, Remedy.RECONFIGURE),
        ("host_refused", Who.USER, Remedy.RETRY),
        ("unexpected_answer", Who.OPERATOR, Remedy.REPORT),
        ("sealed", Who.OPERATOR, Remedy.REPORT),
        ("connection_pending", Who.VENDOR, Remedy.RETRY),
        ("connection_uncertain", Who.OPERATOR, Remedy.RETRY),
        ("login_rate_exceeded", Who.VENDOR, Remedy.RETRY),
        ("unknown_refusal", Who.OPERATOR, Remedy.REPORT),
    ],
)
def test_who_has_to_act(code, who, remedy):
    """Those whose class does not settle it."""
    assert (CATALOGUE[code].who, CATALOGUE[code].remedy) == (who, remedy)


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        ("refresh_busy", 1),
        ("salesforce_unavailable", 1),
        ("login_rate_exceeded", 3600),
        ("unknown_refusal", 60),
        ("org_unavailable", 1),
        ("sealed", 60),
        ("audit_unavailable", 5),
        ("connection_uncertain", 60),
    ],
)
def test_when_to_come_back(code, seconds):
    """Seconds; a login rate is counted by the hour."""
    assert CATALOGUE[code].retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("app_blocked", "Setup > Connected Apps OAuth Usage > (the app) > Unblock"),
        ("ip_restricted", "Setup > Network Access"),
        ("user_not_authorized", "Setup > External Client App Manager > (the app) > Policies"),
        ("consumer_credentials_missing", "PUT /v1/apps/{id}/consumer-credentials"),
        ("sealed", "keyturn incident unseal"),
        ("scope_refused", "PATCH /v1/apps/{id}"),
    ],
)
def test_the_place_is_exact(code, place):
    """A Setup path, a command, or a call."""
    assert place in CATALOGUE[code].where


def test_nothing_adds_to_the_catalogue():
    """It is read only."""
    with pytest.raises(TypeError):
        CATALOGUE["new"] = ENTRIES[0]
