"""The pre-login configuration of a My Domain."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.auth_configuration import (
    AUTH_CONFIGURATION_PATH,
    AuthConfiguration,
    InvalidAuthConfiguration,
    read_auth_configuration,
)
from keyturn_core.salesforce.ids import OrgId

ORG = OrgId("00D000000000062EAA")


def test_it_is_published_at_a_well_known_path():
    """The path is Salesforce's."""
    assert AUTH_CONFIGURATION_PATH == "/.well-known/auth-configuration"


@pytest.mark.parametrize("org", ["00D000000000062", "00D000000000062EAA"])
def test_a_host_names_its_org(org):
    """In either form of the id; what else it says is left alone."""
    said = {"OrgId": org, "Url": "https://acme.my.salesforce.com", "MobileSDK": {}}

    assert read_auth_configuration(json.dumps(said).encode()) == AuthConfiguration(
        org_id=ORG, url="https://acme.my.salesforce.com"
    )


@pytest.mark.parametrize("said", [{}, {"Url": None}, {"Url": 7}])
def test_a_host_need_not_name_its_url(said):
    """Absent or of another type, it is None."""
    body = json.dumps({"OrgId": ORG} | said).encode()

    assert read_auth_configuration(body) == AuthConfiguration(org_id=ORG, url=None)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no OrgId"),
        (b"{}", "no OrgId"),
        (b'{"OrgId": null}', "no OrgId"),
        (b'{"orgid": "00D000000000062"}', "no OrgId"),
        (b'{"OrgId": "005000000000062"}', "OrgId is out of shape"),
        (b'{"OrgId": ""}', "OrgId is out of shape"),
    ],
)
def test_what_names_no_org_is_refused(body, why):
    """The message says what is missing and quotes nothing."""
    with pytest.raises(InvalidAuthConfiguration) as refused:
        read_auth_configuration(body)

    assert (str(refused.value), refused.value.code) == (why, "unexpected_answer")


@given(body=st.binary())
def test_any_bytes_are_refused_at_most(body):
    """Nothing but the documented error is raised."""
    with pytest.raises(InvalidAuthConfiguration):
        read_auth_configuration(body)
