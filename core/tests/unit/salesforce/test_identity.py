"""The identity URL, and what it answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.identity import (
    Identity,
    IdentityUrl,
    InvalidIdentity,
    read_identity,
    read_identity_url,
)
from keyturn_core.salesforce.ids import OrgId, UserId

ORG, USER = OrgId("00D000000000062EAA"), UserId("005000000000062AAA")
NEEDED = {"organization_id": ORG, "user_id": USER, "username": "ada@acme.example"}


@pytest.mark.parametrize(
    "url",
    [
        f"https://login.salesforce.com/id/{ORG}/{USER}",
        f"https://test.salesforce.com/id/{ORG}/{USER}",
        f"https://acme.my.salesforce.com/id/{ORG}/{USER}/",
        f"https://acme.my.site.com/portal/id/{ORG}/{USER}",
        f"https://login.salesforce.com/id/{ORG[:15]}/{USER[:15]}",
        f"https://login.salesforce.com/id/{ORG}/{USER}?version=latest#top",
        f"http://127.0.0.1:8080/id/{ORG}/{USER}",
    ],
)
def test_an_identity_url_names_org_and_user_whatever_its_host(url):
    """Only the last three parts of the path count."""
    assert read_identity_url(url) == IdentityUrl(org_id=ORG, user_id=USER)


def test_an_id_is_read_to_its_last_letter():
    """Only slashes behind it are dropped."""
    url = "https://login.salesforce.com/id/00D00000000000X/00500000000000X/"

    assert read_identity_url(url).user_id == "00500000000000XAAQ"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not the path of an identity URL"),
        ("https://login.salesforce.com", "not the path of an identity URL"),
        (f"https://login.salesforce.com/{ORG}/{USER}", "not the path of an identity URL"),
        (f"https://login.salesforce.com/ID/{ORG}/{USER}", "not the path of an identity URL"),
        (f"https://login.salesforce.com/id/{ORG}", "not the path of an identity URL"),
        (f"https://login.salesforce.com/id/{ORG}/{USER}/x", "not the path of an identity URL"),
        (f"https://login.salesforce.com/?/id/{ORG}/{USER}", "not the path of an identity URL"),
        (f"https://login.salesforce.com/id/{USER}/{ORG}", "the ids are out of shape"),
        (f"https://login.salesforce.com/id/{ORG}/me", "the ids are out of shape"),
        ("https://[", "not a URL"),
    ],
)
def test_anything_else_is_no_identity_url(url, why):
    """The message says why and quotes nothing."""
    with pytest.raises(InvalidIdentity) as refused:
        read_identity_url(url)

    assert (str(refused.value), refused.value.code) == (why, "unexpected_answer")


@given(url=st.text() | st.text().map("https://{}".format) | st.text().map("https://a/id/{}".format))
def test_any_text_is_no_identity_url(url):
    """Nothing but the documented error is raised."""
    with pytest.raises(InvalidIdentity):
        read_identity_url(url)


def test_an_identity_is_read_with_all_that_is_used_of_it():
    """Fields as Salesforce names them; ids in 18 characters."""
    said = {
        "organization_id": ORG[:15],
        "user_id": USER[:15],
        "username": "ada@acme.example",
        "email": "ada@mail.example",
        "display_name": "Ada",
        "urls": {"custom_domain": "https://acme.my.salesforce.com", "rest": "x"},
        "is_app_installed": True,
        "active": True,
    }

    assert read_identity(json.dumps(said).encode()) == Identity(
        org_id=ORG,
        user_id=USER,
        username="ada@acme.example",
        email="ada@mail.example",
        display_name="Ada",
        custom_domain="https://acme.my.salesforce.com",
        is_app_installed=True,
    )


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"email": None, "display_name": None, "urls": None, "is_app_installed": None},
        {"email": 7, "display_name": [], "urls": "x", "is_app_installed": "true"},
        {"urls": {}, "is_app_installed": 1},
        {"urls": {"custom_domain": 7}},
    ],
)
def test_fields_that_are_absent_or_of_another_type_are_none(rest):
    """Only the ids and the username are needed."""
    assert read_identity(json.dumps(NEEDED | rest).encode()) == Identity(
        org_id=ORG,
        user_id=USER,
        username="ada@acme.example",
        email=None,
        display_name=None,
        custom_domain=None,
        is_app_installed=None,
    )


def test_an_app_that_is_not_installed_is_told_so():
    """False is not None."""
    body = json.dumps(NEEDED | {"is_app_installed": False}).encode()

    assert read_identity(body).is_app_installed is False


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"Bad_OAuth_Token", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "ids or username are missing"),
        (json.dumps(NEEDED | {"username": None}).encode(), "ids or username are missing"),
        (json.dumps(NEEDED | {"user_id": 7}).encode(), "ids or username are missing"),
        (json.dumps({"user_id": USER, "username": "a"}).encode(), "ids or username are missing"),
        (json.dumps(NEEDED | {"user_id": ORG}).encode(), "the ids are out of shape"),
        (json.dumps(NEEDED | {"organization_id": ""}).encode(), "the ids are out of shape"),
    ],
)
def test_an_answer_without_ids_and_username_is_none(body, why):
    """The message says what is missing and quotes nothing."""
    with pytest.raises(InvalidIdentity) as refused:
        read_identity(body)

    assert str(refused.value) == why


@given(body=st.binary())
def test_any_bytes_are_no_identity_at_most(body):
    """Nothing but the documented error is raised."""
    with pytest.raises(InvalidIdentity):
        read_identity(body)
