"""Calls that go to an org, and whose answer it is that comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyturn as sdk
from keyturn.proxied import salesforce_call, salesforce_errors

LIMITS = "/services/data/v68.0/limits"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


async def test_a_call_goes_to_the_same_path_of_the_org(keyturn, service):
    """Path, query, body and headers are the caller's; the access token is not its business."""
    service.relays(200, {"totalSize": 1}, sforce_limit_info="api-usage=1/15000")

    answer = await keyturn(
        lambda it: it.connection("con_1").request(
            "post",
            f"{LIMITS}?a=1",
            params={"q": "Name = 'Ä&B'", "explain": True, "none": None},
            json={"x": 1},
            headers={"Sforce-Auto-Assign": "FALSE"},
        )
    )

    query = "a=1&q=Name%20%3D%20%27%C3%84%26B%27&explain=true"
    assert service.asked == [f"POST /v1/connections/con_1/salesforce{LIMITS}?{query}"]
    assert service.body() == {"x": 1}
    assert service.last.headers["sforce-auto-assign"] == "FALSE"
    assert answer.json() == {"totalSize": 1}
    assert (answer.status, answer.headers["sforce-limit-info"]) == (200, "api-usage=1/15000")


async def test_a_path_may_be_escaped_already(keyturn, service):
    """Escapes stay; what is not ASCII gets them."""
    service.relays(200, {})

    await keyturn(
        lambda it: it.connection("con_1").request("GET", "services/data/v68.0/x/a%20b/ä@{r.id}")
    )

    assert service.last.url.raw_path.endswith(b"/x/a%20b/%C3%A4@%7Br.id%7D")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example/x",
        "https://evil.example/services/data",
        "/services/../../../v1/api-keys",
        "/services/%2e%2e/x",
        "/services/.",
        "/services//data",
    ],
)
async def test_a_path_that_leads_elsewhere_is_refused(keyturn, service, path):
    """A path from outside cannot reach the service's own API with the vendor's key."""
    with pytest.raises(ValueError, match="path of the org"):
        await keyturn(lambda it: it.connection("con_1").request("GET", path))

    assert service.requests == []


@given(st.text(max_size=60))
def test_any_path_stays_below_the_connection(path):
    """Whatever is asked for, the target is one of this connection's org, or none."""
    try:
        call = salesforce_call("con_1", "GET", path)
    except ValueError:
        return

    plain = call.target.partition("?")[0]
    assert plain.startswith("/v1/connections/con_1/salesforce/")
    assert not {".", ".."} & {*plain.split("/")}
    assert call.target.isascii()
    assert "#" not in call.target


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"headers": {"authorization": "Bearer x"}}, "Authorization"),
        ({"json": {}, "content": b"x"}, "not both"),
    ],
)
async def test_mistakes_are_found_before_anything_is_sent(keyturn, service, mistake, said):
    """A second credential, or two bodies."""
    with pytest.raises(ValueError, match=said):
        await keyturn(lambda it: it.connection("con_1").request("GET", LIMITS, **mistake))

    assert service.requests == []


async def test_a_refusal_of_salesforces_keeps_status_and_body(keyturn, service):
    """The caller sees what the org said, in its own words."""
    body = [
        {"message": "Required fields are missing: [LastName]",
         "errorCode": "REQUIRED_FIELD_MISSING", "fields": ["LastName"]}
    ]  # fmt: skip
    service.relays(400, body)

    with pytest.raises(sdk.SalesforceError, match="Required fields are missing") as caught:
        await keyturn(lambda it: it.connection("con_1").request("GET", LIMITS))

    error = caught.value
    assert (error.status, error.json()) == (400, body)
    assert error.error_code == "REQUIRED_FIELD_MISSING"
    assert error.error_codes == ("REQUIRED_FIELD_MISSING",)
    assert error.errors[0].fields == ("LastName",)
    assert (error.code, error.who, error.remedy) == ("salesforce_error", "vendor", "reconfigure")


@pytest.mark.parametrize(
    ("status", "code", "mended"),
    [
        (403, "INSUFFICIENT_ACCESS_OR_READONLY", ("ask_admin", "admin")),
        (403, "REQUEST_LIMIT_EXCEEDED", ("retry", "admin")),
        (401, "INVALID_AUTH_HEADER", ("retry", "vendor")),
        (500, "UNKNOWN_EXCEPTION", ("retry", "salesforce")),
        (404, "NOT_FOUND", ("reconfigure", "vendor")),
    ],
)
async def test_a_refusal_of_salesforces_says_who_can_mend_it(
    keyturn, service, status, code, mended
):
    """As all errors do."""
    service.relays(status, [{"message": "no", "errorCode": code}])

    with pytest.raises(sdk.SalesforceError) as caught:
        await keyturn(lambda it: it.connection("con_1").request("POST", LIMITS))

    assert (caught.value.remedy, caught.value.who) == mended


async def test_a_refusal_of_the_services_own_is_no_salesforce_error(keyturn, service):
    """The header tells them apart, whatever the status."""
    service.refuses(409, "connection_revoked", keyturn_request_id="req_1")

    with pytest.raises(sdk.ConnectionRevoked):
        await keyturn(lambda it: it.connection("con_1").request("GET", LIMITS))


@pytest.mark.parametrize("status", [409, 503])
async def test_a_problem_of_the_orgs_own_is_salesforces_answer(keyturn, service, status):
    """Apex REST of the customer's may write one; the service's mark is not on it."""
    body = {"code": "connection_revoked", "title": "no", "status": status}
    service.relays(status, body, content_type="application/problem+json")

    with pytest.raises(sdk.SalesforceError) as caught:
        await keyturn(lambda it: it.connection("con_1").request("POST", LIMITS))

    assert (caught.value.status, caught.value.json()) == (status, body)
    assert len(service.requests) == 1


async def test_a_problem_whose_mark_was_lost_is_read_and_not_repeated(keyturn, service):
    """Something in between dropped the header: nobody knows what was done."""
    body = {"code": "org_unavailable", "title": "no", "status": 503}
    service.answers(503, body, content_type="application/problem+json")

    with pytest.raises(sdk.KeyturnError) as caught:
        await keyturn(lambda it: it.connection("con_1").request("POST", LIMITS))

    assert caught.value.code == "org_unavailable"
    assert len(service.requests) == 1


async def test_a_page_in_between_is_nobodys_answer(keyturn, service):
    """A load balancer's refusal carries neither mark."""
    service.answers(413, b"<html>too large</html>", content_type="text/html")

    with pytest.raises(sdk.UnexpectedAnswer):
        await keyturn(lambda it: it.connection("con_1").request("POST", LIMITS))


@pytest.mark.parametrize("status", [204, 300, 304])
async def test_what_is_no_refusal_is_handed_on(keyturn, service, status):
    """Empty, several matches, unchanged: the caller knows what they mean."""
    service.relays(status, b"")

    answer = await keyturn(lambda it: it.connection("con_1").request("GET", LIMITS))

    assert (answer.status, answer.text) == (status, "")


async def test_a_session_that_ended_is_no_error_of_the_callers(keyturn, service):
    """Salesforce did nothing and the service has renewed: even a write is made once more."""
    service.relays(401, EXPIRED)
    service.relays(201, {"id": "003"})

    answer = await keyturn(
        lambda it: it.connection("con_1").request("POST", LIMITS, content=b"body")
    )

    assert answer.status == 201
    assert [request.content for request in service.requests] == [b"body", b"body"]


async def test_a_session_that_ends_twice_is_an_error(keyturn, service):
    """Or a loop would burn the org's allowance."""
    service.relays(401, EXPIRED)
    service.relays(401, EXPIRED)

    with pytest.raises(sdk.SalesforceError) as caught:
        await keyturn(lambda it: it.connection("con_1").request("GET", LIMITS))

    assert caught.value.error_code == "INVALID_SESSION_ID"
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b'[{"errorCode": "A"}, {"errorCode": "B"}]', ["A", "B"]),
        (b'{"error": "invalid_grant", "error_description": "x"}', ["invalid_grant"]),
        (b'[{"isSuccess": false, "errors": [{"statusCode": "C", "fields": null}]}]', ["C"]),
        (b'{"errors": [], "success": false}', []),
        (b"<html>", []),
        (b"\xff", []),
        (b"5", []),
        (b"", []),
    ],
)
def test_errors_are_found_in_each_shape_that_salesforce_writes(body, codes):
    """And a body that is none of them names no error."""
    assert [item.code for item in salesforce_errors(body)] == codes


@given(st.binary(max_size=200))
def test_any_body_is_read(body):
    """Whatever an org answers, reading it for errors does not fail."""
    assert isinstance(salesforce_errors(body), tuple)
