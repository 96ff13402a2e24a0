"""`use_cases.soap_policy`: which SOAP calls may be proxied."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import simple_salesforce
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.soap import SoapApi
from keyturn_core.secrets import AccessToken
from keyturn_service.domain.errors import ServiceError
from keyturn_service.use_cases.soap_policy import (
    OPERATIONS,
    check_soap,
    read_soap_target,
    takes_token,
)

ORG = "00D5g000004bLxZ"
REFUSED = {
    "login",
    "logout",
    "invalidateSessions",
    "setPassword",
    "resetPassword",
    "changeOwnPassword",
    "executeAnonymous",
    "renderEmailTemplate",
    "renderStoredEmailTemplate",
    "sendEmail",
}


def a_jwt() -> AccessToken:
    """Return an access token in JWT format."""
    parts = ({"typ": "JWT"}, {"exp": 2_000_000_000}, {})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return AccessToken(".".join(part.rstrip("=") for part in encoded))


@pytest.mark.parametrize(
    ("target", "api"),
    [
        ("/services/Soap/m/68.0", SoapApi.METADATA),
        ("/services/Soap/m/68.0/", SoapApi.METADATA),
        (f"/services/Soap/m/68.0/{ORG}", SoapApi.METADATA),
        ("/services/Soap/m/68.0/deployRequest/0Af000000000001", SoapApi.METADATA),
        ("/services/Soap/u/9.0", SoapApi.PARTNER),
        (f"/services/Soap/c/104.0/{ORG}/0DF000000000001", SoapApi.ENTERPRISE),
    ],
)
def test_three_apis_are_proxied(target: str, api: SoapApi) -> None:
    """With or without the org's id, and what some clients write behind the version."""
    assert read_soap_target(target) is api


@pytest.mark.parametrize(
    "target",
    [
        "/services/Soap/s/68.0",
        "/services/Soap/T/68.0",
        "/services/Soap/t/68.0",
        "/services/Soap/i/68.0",
        "/services/Soap/class/Acme",
        "/services/Soap/M/68.0",
        "/services/soap/m/68.0",
        "/services/Soap/m",
        "/services/Soap/m/",
        "/services/Soap/m/68",
        "/services/Soap/m/68.0?wsdl",
        "/services/Soap/m/68.0/..",
        "/services/Soap/m/68.0//",
        "/services/Soap/m/68.0/%2e%2e/s",
        "/services/Soap/m/68.0;x",
        "/services/Soap/m/68.0/a/b/c",
        "/services/Soap/m/\u0666\u0668.0",
        "/services/data/v68.0",
        "",
    ],
)
def test_everything_else_of_soap_is_not(target: str) -> None:
    """Apex and Tooling run any code; the others are nobody's data."""
    with pytest.raises(ServiceError, match="proxy_path_refused"):
        read_soap_target(target)


@pytest.mark.parametrize("api", SoapApi)
def test_operations_are_on_a_list(api: SoapApi) -> None:
    """What hands out or ends a session, or sets a password, is not; nor is what nobody knows."""
    target = f"/services/Soap/{api}/68.0"
    for operation in OPERATIONS[api]:
        check_soap("POST", target, operation)

    refused = {*REFUSED, "", "Query", "query ", "\uff51uery", "renewSession"}
    assert not refused & OPERATIONS[api]
    for operation in refused:
        with pytest.raises(ServiceError, match="proxy_path_refused"):
            check_soap("POST", target, operation)


def test_an_operation_belongs_to_its_api() -> None:
    """Metadata has no query, the data APIs have no deployment."""
    for target, operation in (("m/68.0", "query"), ("u/68.0", "deploy"), ("c/68.0", "deploy")):
        with pytest.raises(ServiceError):
            check_soap("POST", f"/services/Soap/{target}", operation)


@pytest.mark.parametrize("method", ["GET", "PUT", "post"])
def test_soap_is_posted(method: str) -> None:
    """Nothing else is a call."""
    with pytest.raises(ServiceError):
        check_soap(method, "/services/Soap/m/68.0", "listMetadata")


def test_every_operation_of_the_metadata_wsdl_is_proxied() -> None:
    """By a WSDL of Salesforce's that a client carries."""
    wsdl = Path(simple_salesforce.__file__).with_name("metadata.wsdl")
    root = ET.parse(wsdl).getroot()  # noqa: S314 - a file of the client's
    port = root.find("{http://schemas.xmlsoap.org/wsdl/}portType")
    assert port is not None
    named = {str(operation.get("name")) for operation in port}

    assert len(named) > 10
    assert named == OPERATIONS[SoapApi.METADATA] - {"checkStatus"}


@pytest.mark.parametrize(
    ("target", "token", "takes"),
    [
        ("/services/Soap/m/67.0", AccessToken("00D!opaque"), True),
        ("/services/Soap/m/67.0", a_jwt(), False),
        ("/services/Soap/m/68.0/00D000000000001", a_jwt(), True),
        ("/services/data", a_jwt(), True),
    ],
)
def test_old_versions_take_no_token_in_jwt_format(
    target: str, token: AccessToken, *, takes: bool
) -> None:
    """A renewed one would be of the same format."""
    assert takes_token(target, token) is takes


@given(st.text(max_size=40))
def test_any_target_is_read_or_refused(text: str) -> None:
    """Nothing else comes out."""
    try:
        api = read_soap_target(f"/services/Soap/{text}")
    except ServiceError:
        return
    assert text.startswith(api.value)
