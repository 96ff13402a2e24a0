"""`use_cases.proxy_policy`: which calls may be proxied."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_service.domain.errors import ServiceError
from keyturn_service.use_cases.proxy_policy import (
    check_subrequests,
    check_target,
    holds_subrequests,
    read_path,
    runs_code,
)

DATA = "/services/data/v62.0"
ORG = "00D5g000004bLxZEAU"
USER = "0055g000001aBcDAAU"
APEX = f"{DATA}/tooling/executeAnonymous"


def target_refused(target: str, *, unsafe: bool = False) -> bool:
    """Tell whether a call to the target is refused, and see that it is by its code."""
    try:
        check_target(target, unsafe=unsafe)
    except ServiceError as error:
        if error.code != "proxy_path_refused":
            raise
        return True
    return False


def body_refused(body: bytes | dict[str, Any], *, unsafe: bool = False) -> bool:
    """Tell whether a composite body is refused, and see that it is by its code."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        check_subrequests(sent, unsafe=unsafe)
    except ServiceError as error:
        if error.code != "proxy_path_refused":
            raise
        return True
    return False


def composite(*urls: object) -> dict[str, Any]:
    """Return a composite body that calls the URLs one after the other."""
    return {"compositeRequest": [{"method": "GET", "url": url} for url in urls]}


@pytest.mark.parametrize(
    "target",
    [
        f"{DATA}/query?q=SELECT+Id+FROM+Account",
        f"{DATA}/sobjects/Account/0015g00000XyZabAAB/",
        f"{DATA}/sobjects/Account/Ext__c/a%20b",
        f"{DATA}/sobjects/Account/Ext__c/100%25",
        f"{DATA}/tooling/query?q=SELECT+Id+FROM+ApexClass",
        "/services/data",
        "/services/data/",
        "/services/apexrest/acme/orders?id=1",
        "/services/async/62.0/job",
        "/services/oauth2/userinfo",
        f"/id/{ORG}/{USER}",
        f"/id/{ORG[:15]}/{USER[:15]}",
        f"/id/{ORG}/{USER}?format=json",
    ],
)
def test_the_apis_of_an_org_may_be_called(target: str) -> None:
    """Data, Apex REST, Bulk 1.0, description and identity."""
    assert not target_refused(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "*",
        "services/data",
        "https://evil.example/services/data",
        "//evil.example/services/data",
        "/secur/frontdoor.jsp?sid=1",
        "/services/oauth2/token",
        "/services/oauth2/revoke",
        "/services/oauth2/singleaccess",
        "/services/oauth2/introspect",
        "/services/oauth2/userinfo/x",
        "/services/Soap/u/62.0",
        "/services/dataloader",
        "/services",
        "/Services/data",
        "/services/Data/v62.0",
        "/lightning/page/home",
        f"/id/{ORG}",
        f"/id/{ORG}/{USER}/more",
        f"/id/{ORG}/me",
        f"/id/x/{USER}",
        f"/id/{ORG}a/{USER}",
        f"/id/{ORG}/{USER}?oauth_token=x",
        f"/id/{ORG}/{USER}?oauth_%74oken=x",
        f"/id/{ORG}/{USER}?oauth_TOKEN=x",
    ],
)
def test_nothing_else_of_an_orgs_host_may_be_called(target: str) -> None:
    """Also where the caller's key may do unsafe things."""
    assert target_refused(target)
    assert target_refused(target, unsafe=True)


@pytest.mark.parametrize(
    "target",
    [
        f"{DATA}//query",
        f"{DATA}/../../../secur/frontdoor.jsp",
        f"{DATA}/./query",
        f"{DATA}/..",
        f"{DATA}/.",
        f"{DATA}/%2e%2e/secur",
        f"{DATA}/%252e%252e/secur",
        f"{DATA}/.%2e/secur",
        f"{DATA}/a%2fb",
        f"{DATA}/a%252fb",
        f"{DATA}/a%5cb",
        f"{DATA}/a\\b",
        f"{DATA};x=y/query",
        f"{DATA}/query%3Bx",
        f"{DATA}/a%00b",
        f"{DATA}/a%0d%0ab",
        f"{DATA}/a%7fb",
        f"{DATA}/a b",
        f"{DATA}/a\tb",
        f"{DATA}/é",
        f"{DATA}/%ff",
        f"{DATA}/%c0%af",
        f"{DATA}/%",
        f"{DATA}/%2",
        f"{DATA}/%zz",
        f"{DATA}/%25zz/%2525252541",
        f"{DATA}/query?q=a b",
        f"{DATA}/query?q=é",
        f"{DATA}/query?q=a#b",
        f"{DATA}/query#b",
        f"{DATA}/query?q=\r\nHost: evil",
    ],
)
def test_what_two_readers_could_understand_differently_is_refused(target: str) -> None:
    """Before anything compares it."""
    assert target_refused(target)
    assert target_refused(target, unsafe=True)


@pytest.mark.parametrize(
    "target",
    [
        APEX,
        f"{APEX}/",
        f"{APEX}?anonymousBody=x",
        f"{DATA}/tooling/executeanonymous",
        f"{DATA}/tooling/EXECUTEANONYMOUS",
        f"{DATA}/tooling/execute%41nonymous",
        f"{DATA}/tooling/execute%2541nonymous",
        f"{DATA}/tooling/%EF%BD%85xecuteAnonymous",
        f"{DATA}/tooling/executeAnonymous%20",
        f"{DATA}/executeAnonymous",
    ],
)
def test_anonymous_apex_needs_the_right_to_unsafe_calls(target: str) -> None:
    """However it is spelled."""
    assert target_refused(target)
    assert not target_refused(target, unsafe=True)


def test_a_class_of_the_customers_own_may_bear_any_name() -> None:
    """Apex REST runs what the org published, not what the caller sends."""
    assert not target_refused("/services/apexrest/executeAnonymous")


@pytest.mark.parametrize(
    "path",
    [
        f"{DATA}/composite/batch#x",
        f"{DATA}/composite/batch#",
        f"{DATA}/composite#/tree/Account",
        f"{DATA}/tooling/composite/batch/#x",
    ],
)
def test_a_fragment_does_not_hide_what_is_called(path: str) -> None:
    """An HTTP client leaves it out, so that another resource would be called than was checked."""
    assert target_refused(path)
    assert target_refused(path, unsafe=True)
    with pytest.raises(ServiceError):
        holds_subrequests(path)


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", []),
        ("/a%23b", ["a#b"]),
        ("/a", ["a"]),
        ("/a/", ["a"]),
        ("/a/b%20c", ["a", "b c"]),
        ("/a%2520b", ["a b"]),
        ("/%C3%A9", ["é"]),
        ("/a.b/...", ["a.b", "..."]),
    ],
)
def test_a_path_is_read_to_its_last_escape(path: str, segments: list[str]) -> None:
    """Without the empty segment at its end."""
    assert list(read_path(path)) == segments


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a%2Fb", "a/b"),
        ("a%3Bb", "a;b"),
        ("a;b", "a;b"),
        ("a%5Cb", "a\\b"),
        ("%2F", "/"),
        ("a%252Fb/", "a/b"),
        ("a...%2Fb", "a.../b"),
    ],
)
def test_the_value_of_an_external_id_may_hold_what_parts_a_path(value: str, read: str) -> None:
    """However it is read, it is a record of the object."""
    path = f"{DATA}/sobjects/Account/Ext__c/{value}"
    assert list(read_path(path)) == [*path.split("/")[1:6], "Ext__c", read]
    assert not target_refused(path)
    assert not body_refused(composite(path))


@pytest.mark.parametrize(
    "path",
    [
        f"{DATA}/sobjects/Account/Ext__c/..%2F..%2F..",
        f"{DATA}/sobjects/Account/Ext__c/..%252Fx",
        f"{DATA}/sobjects/Account/Ext__c/..;x",
        f"{DATA}/sobjects/Account/Ext__c/x%5C.%3B",
        f"{DATA}/sobjects/Account/Ext__c/x%2F%2e",
        f"{DATA}/sobjects/Account/Ext__c/..",
        f"{DATA}/sobjects/Account/Ext__c/a\\b",
        f"{DATA}/sobjects/Account/Ext__c/a%0Ab",
        f"{DATA}/sobjects/Account/Ext__c/a%2Fb/Contacts",
        f"{DATA}/sobjects/Account/Ext__c//a%2Fb",
        f"{DATA}/sobjects/Account/%2E%2E/a%2Fb",
        f"{DATA}/sobjects/../Ext__c/a%2Fb",
        f"{DATA}/sobjects/Account/Ext__c/%25252541",
        f"{DATA}/sobjects/Account/a%2Fb",
        f"{DATA}/tooling/sobjects/Account/a%2Fb",
        f"{DATA}/SObjects/Account/Ext__c/a%2Fb",
        "/services/apexrest/sobjects/Account/Ext__c/a%2Fb",
    ],
)
def test_an_external_id_leads_to_no_other_place(path: str) -> None:
    """Nor does anything that only looks like one."""
    assert target_refused(path, unsafe=True)
    assert body_refused(composite(path), unsafe=True)


def test_an_external_id_that_names_anonymous_apex_needs_the_right() -> None:
    """Wherever the words stand."""
    path = f"{DATA}/sobjects/Account/Ext__c/x%2FexecuteAnonymous"
    assert target_refused(path)
    assert not target_refused(path, unsafe=True)


def test_a_path_that_hides_too_deep_is_refused() -> None:
    """Three layers are read; a fourth is a trick by itself."""
    assert list(read_path("/%252541")) == ["A"]

    with pytest.raises(ServiceError):
        read_path("/%25252541")


@given(st.text(alphabet="aA%25eEfF./\\;?#0é\0", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """What is read holds nothing that another reader takes for a step or an escape."""
    try:
        segments = read_path("/" + text)
    except ServiceError as error:
        if error.code != "proxy_path_refused":
            raise
        return
    for segment in segments:
        assert segment not in {".", ".."}
        assert not set(segment) & set("/\\;\0")


@given(st.text(alphabet="a%25eEfFcC./\\;?#0é\0", max_size=30))
def test_any_value_of_an_external_id_is_read_or_refused(text: str) -> None:
    """No reader takes a step up, wherever it parts the value."""
    try:
        segments = read_path(f"{DATA}/sobjects/Account/Ext__c/{text}")
    except ServiceError as error:
        if error.code != "proxy_path_refused":
            raise
        return
    assert segments[:4] == ["services", "data", "v62.0", "sobjects"]
    assert not {".", ".."} & set(re.split(r"[/\\;]", "/".join(segments)))


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (f"{DATA}/composite", True),
        (f"{DATA}/composite/", True),
        (f"{DATA}/composite?x=y", True),
        (f"{DATA}/Composite/Batch", True),
        (f"{DATA}/composite/graph", True),
        (f"{DATA}/tooling/composite", True),
        (f"{DATA}/tooling/composite/batch", True),
        (f"{DATA}/%63omposite", True),
        (f"{DATA}/composite/tree/Account", False),
        (f"{DATA}/composite/sobjects", False),
        (f"{DATA}/query", False),
        (f"{DATA}/tooling", False),
        (f"{DATA}/", False),
        ("/services/data", False),
        ("/services/apexrest/composite", False),
        (f"{DATA}/sobjects/composite", False),
    ],
)
def test_calls_that_hold_calls_are_known(target: str, *, holds: bool) -> None:
    """Composite, batch and graph, also of the Tooling API; not those that hold records."""
    assert holds_subrequests(target) is holds


@pytest.mark.parametrize(
    ("target", "runs"),
    [
        (f"{APEX}?anonymousBody=x", True),
        (f"{DATA}/tooling/EXECUTE%41nonymous/", True),
        (f"{DATA}/tooling/query?q=executeAnonymous", False),
        ("/services/apexrest/executeAnonymous", False),
        (f"{DATA}/limits", False),
    ],
)
def test_calls_that_run_code_are_known(target: str, *, runs: bool) -> None:
    """By their path, not their query; a class of the org's own is called as it says."""
    assert runs_code(target) is runs


@pytest.mark.parametrize(
    "body",
    [
        {},
        composite(),
        composite(f"{DATA}/query?q=SELECT+Id+FROM+Account", f"{DATA}/sobjects/Account"),
        composite(f"{DATA}/sobjects/Account/@{{NewAccount.id}}"),
        composite(f"{DATA}/sobjects/Account/Ext__c/é b"),
        {"batchRequests": [{"method": "GET", "url": "v62.0/sobjects/Account"}]},
        {"graphs": [{"graphId": "1", **composite(f"{DATA}/sobjects/Account")}]},
        {"records": [{"url": "/secur/frontdoor.jsp"}]},
        {"compositeRequest": "/secur", "batchRequests": ["/secur"]},
        b"[1, null]",
    ],
)
def test_subrequests_of_the_data_api_are_let_through(body: bytes | dict[str, Any]) -> None:
    """Also with references to earlier answers, and records that merely have a URL."""
    assert not body_refused(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        composite("/secur/frontdoor.jsp"),
        composite("/services/oauth2/singleaccess"),
        composite("/services/apexrest/acme"),
        composite(f"{DATA}/sobjects/Account", "/services/oauth2/userinfo"),
        composite("https://evil.example/services/data/v62.0"),
        composite(f"{DATA}/query#/sobjects"),
        composite(f"{DATA}/../../../secur"),
        composite(f"{DATA}/%2e%2e/secur"),
        composite(f"{DATA}//sobjects"),
        composite(None),
        composite(7),
        composite({"url": f"{DATA}/query"}),
        {"batchRequests": [{"url": "../../secur"}]},
        {"COMPOSITEREQUEST": [{"URL": "/secur"}]},
        {"graphs": [{"graphId": "1", **composite("/secur")}]},
        {"compositeRequest": [{"url": f"{DATA}/query", "body": composite("/secur")}]},
        b'{"compositeRequest": [{"url": "/services/data/v62.0/query", "url": "/secur"}]}',
        b'{"compositeRequest": [{"url": "/secur", "url": "/services/data/v62.0/query"}]}',
        b'{"compositeRequest": [{"url": "/secur"}], "compositeRequest": []}',
    ],
)
def test_other_subrequests_are_refused(body: bytes | dict[str, Any]) -> None:
    """However deep, doubled or spelled; and so is what can not be understood."""
    assert body_refused(body)
    assert body_refused(body, unsafe=True)


@pytest.mark.parametrize(
    "body",
    [
        composite(APEX),
        composite(f"{APEX}?anonymousBody=x"),
        composite(f"{DATA}/tooling/execute%41nonymous"),
        {"batchRequests": [{"url": "v62.0/tooling/executeAnonymous"}]},
        composite("/services/data/@{Ref.version}/tooling"),
        composite("/services/data/v62.0/@{Ref.resource}/x"),
        composite("@{Ref.all}"),
        composite(f"{DATA}/tooling/@{{Ref.resource}}"),
    ],
)
def test_subrequests_that_may_run_code_need_the_right_to(body: dict[str, Any]) -> None:
    """Anonymous Apex, and references that could stand for it."""
    assert body_refused(body)
    assert not body_refused(body, unsafe=True)
