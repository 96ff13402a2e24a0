"""How the authorization server decides, on values alone."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.orgs.apps import App, read_scopes
from orgsim.orgs.codes import Code
from orgsim.orgs.grants import Grant
from orgsim.orgs.policies import Installation, Switches
from orgsim.surfaces.oauth import errors, rules
from orgsim.surfaces.oauth.errors import Refused

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SWITCHES = Switches()
APP = App(
    name="Acme",
    namespace="acme",
    consumer_key="3MVG9acme",
    consumer_secret="secret",
    callback_urls=("https://app.example/callback",),
    scopes=frozenset({"api", "refresh_token", "id"}),
)
POLICY = Installation(org_id="00D1", consumer_key=APP.consumer_key)
GRANT = Grant(
    grant_id="g",
    org_id="00D1",
    user_id="005",
    consumer_key=APP.consumer_key,
    scopes=APP.scopes,
    created_at=NOW,
    last_used_at=NOW,
    refresh_hash="hash",
)
CODE = Code(
    code_hash="hash",
    org_id="00D1",
    user_id="005",
    consumer_key=APP.consumer_key,
    redirect_uri="https://app.example/callback",
    scopes=APP.scopes,
    code_challenge=None,
    nonce=None,
    issued_at=NOW,
)
VERIFIERS = st.text("abcXYZ019-._~", min_size=43, max_size=200)


def _challenge(verifier):
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _refusal(decide, *args, **named):
    with pytest.raises(Refused) as refused:
        decide(*args, **named)
    return refused.value.reason


@given(VERIFIERS)
def test_a_verifier_fits_its_own_challenge(verifier):
    """Also one that is longer than the RFC allows."""
    challenge = rules.check_challenge(APP, _challenge(verifier), "S256")
    rules.check_verifier(challenge, verifier, switches=SWITCHES)


@given(VERIFIERS, VERIFIERS)
def test_a_verifier_fits_no_other_challenge(verifier, other):
    """Whatever it is."""
    if verifier != other:
        refusal = _refusal(rules.check_verifier, _challenge(verifier), other, switches=SWITCHES)
        assert refusal.description == "invalid code verifier"


def test_a_short_verifier_is_refused_unless_switched():
    """Though it fits."""
    challenge = _challenge("short")
    assert _refusal(rules.check_verifier, challenge, "short", switches=SWITCHES)
    lax = replace(SWITCHES, short_verifiers_refused=False)
    rules.check_verifier(challenge, "short", switches=lax)


def test_a_challenge_is_needed_where_the_app_says_so():
    """Else it may be left out; where it is there it counts."""
    assert _refusal(rules.check_challenge, APP, None, None) == errors.CHALLENGE_MISSING
    lax = replace(APP, pkce_required=False)
    assert rules.check_challenge(lax, None, None) is None
    assert rules.check_challenge(lax, _challenge("v" * 43) + "=", None) == _challenge("v" * 43)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1)))
def test_a_code_lives_for_fifteen_minutes(age):
    """To the moment."""
    if age < timedelta(minutes=15):
        assert rules.check_code(CODE, app=APP, now=NOW + age) == CODE
    else:
        assert _refusal(rules.check_code, CODE, app=APP, now=NOW + age) == errors.CODE_EXPIRED


@pytest.mark.parametrize("code", [None, replace(CODE, used=True), replace(CODE, consumer_key="x")])
def test_a_code_that_cannot_be_used_is_expired(code):
    """One error for all of it."""
    assert _refusal(rules.check_code, code, app=APP, now=NOW) == errors.CODE_EXPIRED


def _lives(*, age=0, idle=0, app=APP, **policy):
    grant = replace(GRANT, last_used_at=NOW + timedelta(days=age - idle))
    try:
        rules.check_refresh_lifetime(
            grant,
            app=app,
            policy=replace(POLICY, **policy),
            switches=SWITCHES,
            now=NOW + timedelta(days=age),
        )
    except Refused:
        return False
    return True


@given(age=st.integers(0, 800), idle=st.integers(0, 800))
def test_a_refresh_token_dies_idle_or_old(age, idle):
    """After 30 days without use, or a year in any case."""
    idle = min(idle, age)
    assert _lives(age=age, idle=idle) is (age < 365 and idle < 30)


@given(age=st.integers(0, 800), idle=st.integers(0, 800), days=st.integers(1, 60))
def test_the_shorter_of_the_vendors_and_the_admins_idle_limit_counts(age, idle, days):
    """And without the vendor's the admin's alone."""
    idle = min(idle, age)
    named = {"age": age, "idle": idle, "refresh_policy": "specific_inactivity"}
    assert _lives(**named, refresh_days=days) is (idle < min(30, days))
    unlimited = replace(APP, idle_ttl_days=None)
    assert _lives(**named, refresh_days=days, app=unlimited) is (idle < days)


def test_policies_at_their_ends():
    """Never, and at once."""
    unlimited = replace(APP, idle_ttl_days=None)
    assert _lives(age=5000, idle=5000, app=unlimited, refresh_policy="infinite")
    assert not _lives(refresh_policy="zero")


@given(st.integers(0, 9), st.integers(1, 9))
def test_a_new_approval_pushes_out_the_oldest(held, most):
    """So that there are never more than so many."""
    grants = [replace(GRANT, grant_id=str(at)) for at in range(held)]
    doomed = rules.surplus_approvals(grants, most=most)
    assert doomed == grants[: len(doomed)]
    assert len(grants) - len(doomed) + 1 <= max(most, held + 1)
    assert len(grants) - len(doomed) + 1 == min(held + 1, most)


def test_approvals_without_a_refresh_token_do_not_count():
    """They push out nothing and are not pushed out."""
    grants = [replace(GRANT, refresh_hash=None) for _ in range(9)]
    assert rules.surplus_approvals(grants, most=5) == []


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, APP.scopes),
        ("  ", APP.scopes),
        ("api", {"api"}),
        ("offline_access api", {"refresh_token", "api"}),
    ],
)
def test_scopes_are_those_asked_for_or_all(asked, granted):
    """Synonyms are one scope."""
    assert rules.grantable_scopes(APP, asked) == granted
    assert _refusal(rules.grantable_scopes, APP, "api web") == errors.SCOPE
    assert read_scopes("offline_access refresh_token") == {"refresh_token"}


@pytest.mark.parametrize(
    ("allowed", "address", "admitted"),
    [
        ((), "203.0.113.1", True),
        (("203.0.113.0/24",), "203.0.113.1", True),
        (("203.0.113.0/24",), "203.0.114.1", False),
        (("203.0.113.7",), "203.0.113.7", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("203.0.113.0/24",), "nonsense", False),
    ],
)
def test_an_allow_list_admits_its_addresses(allowed, address, admitted):
    """An empty one everybody."""
    assert replace(APP, refresh_ip_allowlist=allowed).admits_address(address) is admitted
