"""Scopes, their two names, and what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.scopes import (
    METADATA_NAMES,
    RUNTIME_NAMES,
    Scope,
    missing_scopes,
    read_scopes,
)

some_scopes = st.frozensets(st.sampled_from(sorted(RUNTIME_NAMES.values())))

# `scopes_supported` of https://login.salesforce.com/.well-known/openid-configuration, 2026.
SUPPORTED = """
    cdp_ingest_api custom_permissions cdp_segment_api content cdp_api chatbot_api
    cdp_identityresolution_api interaction_api wave_api web cdp_calculated_insight_api
    einstein_gpt_api offline_access id api data_cloud_user_claims eclair_api email pardot_api
    lightning visualforce cdp_query_api sfap_api address openid profile scrt_api cdp_profile_api
    refresh_token phone user_registration_api pwdless_login_api chatter_api mcp_api full
    forgot_password
"""


def scopes(text: str) -> frozenset[Scope]:
    """Return the words of a text as scopes."""
    return frozenset(Scope(word) for word in text.split())


def test_each_scope_has_one_name_in_metadata_and_one_at_run_time():
    """The two tables are each other's mirror."""
    assert len(METADATA_NAMES) == len(RUNTIME_NAMES)
    assert all(METADATA_NAMES[runtime] == name for name, runtime in RUNTIME_NAMES.items())


def test_the_scopes_are_those_that_salesforces_login_host_supports():
    """No more, no fewer: an app may ask for each of them."""
    assert set(METADATA_NAMES) == scopes(SUPPORTED)


@pytest.mark.parametrize(
    ("metadata", "runtime"),
    [
        ("Api", "api"),
        ("Basic", "id"),
        ("RefreshToken", "refresh_token"),
        ("OfflineAccess", "offline_access"),
        ("OpenID", "openid"),
        ("Chatter", "chatter_api"),
        ("CustomApplications", "visualforce"),
        ("MCP", "mcp_api"),
        ("SFApiPlatform", "sfap_api"),
        ("PwdlessLogin", "pwdless_login_api"),
        ("CDPCalculatedInsight", "cdp_calculated_insight_api"),
    ],
)
def test_the_names_are_salesforces(metadata, runtime):
    """Those that differ by more than their case among them."""
    assert RUNTIME_NAMES[metadata] == runtime


def test_every_runtime_name_survives_being_read():
    """The shape that is asked of words fits all that we know."""
    assert read_scopes(" ".join(RUNTIME_NAMES.values())) == set(RUNTIME_NAMES.values())


@given(granted=some_scopes, data=st.data())
def test_the_order_of_scopes_says_nothing(granted, data):
    """It is not stable at Salesforce's; a set is read."""
    shuffled = data.draw(st.permutations(sorted(granted)))

    assert read_scopes("  ".join(shuffled)) == granted


@pytest.mark.parametrize(
    "word",
    ["API", "caf\xe9", "a,b", "a" * 101, "<script>", 'a"b', "\u0661"],
)
def test_words_out_of_shape_are_left_out(word):
    """Nobody asked for them by name, so they are never needed."""
    assert read_scopes(f"api {word} id") == scopes("api id")


def test_words_at_the_edge_of_the_shape_are_read():
    """100 characters, digits and the signs that namespaced scopes have."""
    words = f"{'a' * 100} a_b:c.d/e-9"

    assert read_scopes(words) == scopes(words)


@given(text=st.text())
def test_any_text_reads_as_some_scopes(text):
    """Nothing is raised, and nothing with a space or a sign comes out."""
    assert all(scope == scope.lower() and " " not in scope for scope in read_scopes(text))


@pytest.mark.parametrize(
    ("needed", "granted", "missing"),
    [
        ("api refresh_token", "api refresh_token", ""),
        ("api refresh_token", "api", "refresh_token"),
        ("api refresh_token", "api offline_access", ""),
        ("api offline_access", "api refresh_token", ""),
        ("refresh_token offline_access", "offline_access", ""),
        ("api web refresh_token", "full", "refresh_token"),
        ("api web offline_access", "full", "offline_access"),
        ("api web refresh_token", "full refresh_token", ""),
        ("full", "api", "full"),
        ("api id", "", "api id"),
        ("", "", ""),
        ("api id", "refresh_token", "api id"),
    ],
)
def test_what_is_missing(needed, granted, missing):
    """The two names of staying connected are one, and `full` covers all but these."""
    assert missing_scopes(scopes(needed), scopes(granted)) == scopes(missing)


@given(needed=some_scopes, granted=some_scopes)
def test_only_what_is_needed_and_was_not_granted_can_be_missing(needed, granted):
    """And once it is granted, nothing is."""
    missing = missing_scopes(needed, granted)

    assert missing <= needed - granted
    assert not missing_scopes(needed, granted | missing)
