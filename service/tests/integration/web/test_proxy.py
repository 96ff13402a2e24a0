"""The proxy over HTTP: an org's own answer, streamed, under a token that never leaves."""

from __future__ import annotations

import asyncio
import gzip
import json

import httpx2
import pytest
from web_org import open_org

PREFIX = "/v1/connections/con_one/salesforce"
QUERY = "/services/data/v68.0/query?q=SELECT+Id+FROM+Account%20LIMIT%2010"


@pytest.fixture
async def org(house):
    """Return an org that the house's connection leads to."""
    async with open_org() as opened:
        house.at_org(opened.origin)
        yield opened


@pytest.fixture
async def session_id(house, admin):
    """Return the session id of a proxy session."""
    path = "/v1/connections/con_one/proxy-sessions"
    return (await house.http.post(path, headers=admin)).json()["session_id"]


async def until(done):
    """Let the others run until something is done."""
    while not done():
        await asyncio.sleep(0)


async def test_a_call_arrives_as_it_was_made(house, admin, org):
    """Method, path, query, body and headers; the token in place of the API key."""
    answer = await house.http.patch(
        f"{PREFIX}{QUERY}", headers={**admin, "Sforce-Call-Options": "client=acme"}, content=b"{}"
    )

    (seen,) = org.arrived
    assert answer.status_code == 200
    assert (seen.method, seen.target, seen.body) == ("PATCH", QUERY, b"{}")
    assert seen.header(b"sforce-call-options") == b"client=acme"
    assert seen.header(b"authorization") == b"Bearer token-in-force"
    assert seen.header(b"host") == org.origin.removeprefix("http://").encode()


async def test_the_answer_is_the_org_s_own(house, admin, org):
    """Status, headers and bytes, also of an error; and the id of the call in the trail."""
    org.status = 400
    org.headers = [(b"content-type", b"application/json"), (b"sforce-limit-info", b"api-usage=1/9")]
    org.parts = [b'[{"errorCode":', b'"MALFORMED_QUERY"}]']

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert answer.status_code == 400
    assert answer.content == b'[{"errorCode":"MALFORMED_QUERY"}]'
    assert answer.headers["sforce-limit-info"] == "api-usage=1/9"
    assert "keyturn-problem" not in answer.headers
    assert len(answer.headers.get_list("date")) == 1
    request_id = answer.headers["keyturn-request-id"]
    trail = [(event.type, event.detail["request_id"]) for event in house.memory.events]
    assert trail == [("proxy.begun", request_id), ("proxy.ended", request_id)]


async def test_no_cookie_passes(house, admin, org):
    """A cookie of the org's would be a session outside of the service."""
    org.headers = [(b"set-cookie", b"sid=canary; Path=/"), (b"content-type", b"text/plain")]

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers={**admin, "Cookie": "sid=canary"})

    assert "set-cookie" not in answer.headers
    assert org.arrived[0].header(b"cookie") is None


async def test_packed_bytes_stay_packed(house, admin, org):
    """What the org compressed is handed on as it came."""
    packed = gzip.compress(b'{"records":[]}')
    org.headers = [(b"content-encoding", b"gzip"), (b"content-length", str(len(packed)).encode())]
    org.parts = [packed]

    async with house.http.stream("GET", f"{PREFIX}{QUERY}", headers=admin) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])

    assert raw == packed


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none(house, admin, org, status):
    """Whatever length it names."""
    org.status, org.parts, org.headers = status, [], [(b"etag", b'"x"')]

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, b"", '"x"')


async def test_head_has_the_headers_alone(house, admin, org):
    """With the length that GET would have."""
    org.headers = [(b"content-length", b"11")]

    answer = await house.http.head(f"{PREFIX}{QUERY}", headers=admin)

    assert (answer.status_code, answer.headers["content-length"]) == (200, "11")


async def test_an_expired_token_is_renewed_once(house, admin, org):
    """The call is made again with its body; the caller sees the second answer alone."""
    org.refused_tokens = {b"Bearer token-in-force"}

    answer = await house.http.post(f"{PREFIX}/services/data/v68.0/x", headers=admin, content=b"{}")

    assert answer.status_code == 200
    assert [seen.body for seen in org.arrived] == [b"{}", b"{}"]
    assert org.arrived[1].header(b"authorization") == b"Bearer token-8"
    assert house.refreshing.times == 1


async def test_a_long_body_streams_up(house, admin, org):
    """The org has its first part before the caller has sent the last."""
    size, sent = 256 * 1024, 0

    async def parts():
        nonlocal sent
        for _ in range(8):
            sent += 1
            yield b"x" * size
        await org.first_part.wait()
        yield b"end"

    answer = await house.http.put(
        f"{PREFIX}/services/data/v68.0/jobs/ingest/750/batches", headers=admin, content=parts()
    )

    assert answer.status_code == 200
    assert len(org.arrived[0].body) == 8 * size + 3


async def test_a_long_answer_streams_down(house, admin, org):
    """Nothing is held back, whatever its length."""
    org.parts = [b"y" * 65_536] * 64

    async with house.http.stream("GET", f"{PREFIX}{QUERY}", headers=admin) as answer:
        received = sum([len(part) async for part in answer.aiter_raw()])

    assert received == 64 * 65_536
    assert house.memory.events[-1].detail["bytes"] == received


async def test_an_answer_that_breaks_off_breaks_off_here(house, admin, org):
    """The caller must not take half an answer for a whole one."""
    org.parts, org.breaks = [b'{"records":['], True

    with pytest.raises(httpx2.RemoteProtocolError):
        await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert house.memory.events[-1].detail["problem"] == "answer_lost"


async def test_a_refusal_that_breaks_off_is_no_answer(house, admin, org):
    """It may have meant a dead session or a missing permission: the caller may ask again."""
    org.status, org.parts, org.breaks = 401, [b'[{"errorCode":'], True

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert (answer.status_code, answer.json()["code"]) == (503, "org_unavailable")
    assert house.memory.events[-1].detail["problem"] == "org_unavailable"


async def test_a_call_ends_when_its_caller_leaves(house, admin, org):
    """The org is let go of, and the trail says who ended it."""
    org.hold = asyncio.Event()
    call = asyncio.create_task(house.http.get(f"{PREFIX}{QUERY}", headers=admin))
    await until(lambda: org.arrived)
    call.cancel()

    await asyncio.wait_for(org.left.wait(), 5)
    await until(lambda: house.memory.events[-1].type == "proxy.ended")
    assert house.memory.events[-1].detail["problem"] == "client_gone"


async def test_a_long_upload_ends_when_its_caller_leaves(house, admin, org):
    """In the middle of its body."""

    async def parts():
        for _ in range(8):
            yield b"x" * 256 * 1024
        await asyncio.Event().wait()
        yield b"never"

    call = asyncio.create_task(
        house.http.put(f"{PREFIX}/services/data/v68.0/x", headers=admin, content=parts())
    )
    await org.first_part.wait()
    call.cancel()

    await asyncio.wait_for(org.left.wait(), 5)
    await until(lambda: house.memory.events[-1].type == "proxy.ended")
    assert house.memory.events[-1].detail["problem"] == "client_gone"


@pytest.mark.parametrize(
    "path",
    [
        "/services/oauth2/token",
        "/secur/frontdoor.jsp?sid=x",  # codespell:ignore secur
        "/services/Soap/s/68.0",
        "/services/data/v68.0/../../oauth2/token",
        "/services/data/v68.0/%2e%2e/%2e%2e/oauth2/token",
        "/services%2Fdata",
        "//evil.example/services/data",
        "/",
        "",
    ],
)
async def test_what_could_hand_out_a_session_is_refused(house, admin, org, path):
    """By a problem, before anything is sent."""
    request = house.http.build_request("GET", f"{PREFIX}/x", headers=admin)
    request.url = request.url.copy_with(raw_path=f"{PREFIX}{path}".encode())
    answer = await house.http.send(request)

    assert answer.headers["keyturn-problem"] in {"proxy_path_refused", "not_found"}
    assert answer.status_code in {403, 404}
    assert org.arrived == []


@pytest.mark.filterwarnings("ignore:Sending a large body")  # aiohttp's advice for long bytes
async def test_subrequests_are_looked_into(house, admin, org):
    """A composite body that names a refused path is not sent; a long one that does not is."""
    good = {"url": "/services/data/v68.0/sobjects/Account", "body": {"x": "y" * 2_000_000}}
    bad = {"url": "/services/oauth2/token"}
    path = f"{PREFIX}/services/data/v68.0/composite"

    refused = await house.http.post(path, headers=admin, json={"compositeRequest": [bad]})
    passed = await house.http.post(path, headers=admin, json={"compositeRequest": [good]})

    assert refused.headers["keyturn-problem"] == "proxy_path_refused"
    assert passed.status_code == 200
    assert len(org.arrived) == 1


@pytest.mark.usefixtures("org")
async def test_anonymous_apex_needs_its_right(house, admin):
    """`proxy` alone does not run code."""
    key = house.add_key("kt_live_may-proxy-but-not-unsafe", "proxy")
    path = f"{PREFIX}/services/data/v68.0/tooling/executeAnonymous/?anonymousBody=x"

    weak = await house.http.get(path, headers=house.headers(key))
    strong = await house.http.get(path, headers=admin)

    assert (weak.status_code, strong.status_code) == (403, 200)


async def test_a_connection_s_id_has_a_shape(house, admin):
    """What cannot be an id is not looked for."""
    answer = await house.http.get("/v1/connections/con%00one/salesforce/x", headers=admin)

    assert answer.status_code == 404
    assert house.memory.lookups == 0


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
async def test_methods_that_no_api_has_are_refused(house, admin, org, method):
    """TRACE would show the token to who asks for an echo."""
    answer = await house.http.request(method, f"{PREFIX}/services/data", headers=admin)

    assert answer.status_code in {400, 405}
    assert org.arrived == []


@pytest.mark.parametrize(
    ("code", "status"), [("reauthorization_required", 409), ("org_unavailable", 503)]
)
@pytest.mark.usefixtures("org")
async def test_a_connection_that_cannot_serve_says_so(house, admin, code, status):
    """By a problem that no answer of Salesforce's is taken for."""
    house.cannot_serve(code)

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert (answer.status_code, answer.headers["keyturn-problem"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_org_that_is_not_there_is_unavailable(house, admin):
    """A port where nobody listens."""
    async with open_org() as gone:
        house.at_org(gone.origin)

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert (answer.status_code, answer.headers["keyturn-problem"]) == (503, "org_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_nothing_is_sent_that_is_not_recorded(house, admin, org):
    """Where the trail cannot be written."""
    house.memory.audit_down = True

    answer = await house.http.get(f"{PREFIX}{QUERY}", headers=admin)

    assert answer.headers["keyturn-problem"] == "audit_unavailable"
    assert org.arrived == []


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "Authorization: OAuth {}", "X-SFDC-Session: {}"]
)
@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_a_proxy_session_opens_its_connection(house, org, session_id, header, prefix):
    """At the root and by the connection's path, in each header that clients use."""
    name, _, value = header.format(session_id).partition(": ")

    answer = await house.http.get(f"{prefix}{QUERY}", headers={name: value})

    (seen,) = org.arrived
    assert answer.status_code == 200
    assert seen.target == QUERY
    assert seen.header(b"authorization") == b"Bearer token-in-force"
    assert session_id.encode() not in b" ".join(value for _, value in seen.headers)
    assert house.memory.events[-2].detail["proxy_session_id"].startswith("ps_")


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        (f"/{QUERY}", QUERY),
        ("//services/oauth2/token", None),
        ("///services/data", None),
        ("//services//data", None),
        ("//id/00D000000000001/005000000000001", None),
    ],
)
async def test_one_slash_too_many_before_services_is_dropped(house, org, session_id, path, arrives):
    """So calls `sf` after a login by token; what goes out has one, and all else is refused."""
    headers = {"Authorization": f"Bearer {session_id}"}
    request = house.http.build_request("GET", "/x", headers=headers)
    request.url = request.url.copy_with(raw_path=path.encode())

    answer = await house.http.send(request)

    assert [seen.target for seen in org.arrived] == ([arrives] if arrives else [])
    assert answer.headers.get("keyturn-problem") in {None, "proxy_path_refused", "not_found"}


async def test_a_proxy_session_is_for_one_connection(house, org, session_id):
    """Another connection's path does not open with it."""
    house.add_connection("con_two", instance_url=org.origin)

    answer = await house.http.get(
        f"/v1/connections/con_two/salesforce{QUERY}",
        headers={"Authorization": f"Bearer {session_id}"},
    )

    assert answer.status_code == 404
    assert org.arrived == []


@pytest.mark.usefixtures("org")
async def test_a_proxy_session_ends_by_time_and_with_its_key(house, admin):
    """At most with its `ttl`, and at once with the API key that opened it."""
    own = house.headers(house.add_key("kt_live_opens-proxy-sessions", "proxy"))
    path = "/v1/connections/con_one/proxy-sessions"
    short = (await house.http.post(path, headers=admin, json={"ttl": "PT10M"})).json()
    bound = (await house.http.post(path, headers=own)).json()

    async def status(session):
        headers = {"Authorization": f"Bearer {session['session_id']}"}
        return (await house.http.get(QUERY, headers=headers)).status_code

    before = await status(short), await status(bound)
    house.clock.advance(minutes=10)
    del house.memory.keys["key_1"]
    after = await status(short), await status(bound)

    assert short["expires_at"] == "2026-11-24T12:10:00Z"
    assert (before, after) == ((200, 200), (401, 401))


async def test_a_long_ttl_is_cut(house, admin):
    """Twelve hours are the most."""
    path = "/v1/connections/con_one/proxy-sessions"

    session = await house.http.post(path, headers=admin, json={"ttl": "P1DT2H30M"})

    assert session.json()["expires_at"] == "2026-11-25T00:00:00Z"


@pytest.mark.parametrize("ttl", ["PT", "2 hours", 7200, "P", "-PT2H", "PT1.5H", "P1M"])
async def test_a_ttl_is_an_iso_8601_duration(house, admin, ttl):
    """Numbers, and months of unknown length, are none."""
    answer = await house.http.post(
        "/v1/connections/con_one/proxy-sessions", headers=admin, json={"ttl": ttl}
    )

    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/services/data", "/id/00D000000000001/005000000000001"])
async def test_an_api_key_opens_nothing_at_the_root(house, admin, org, path):
    """There it would not say which connection is meant."""
    answer = await house.http.get(path, headers=admin)

    assert (answer.status_code, answer.headers["keyturn-problem"]) == (401, "unauthorized")
    assert org.arrived == []


async def test_a_session_id_has_the_shape_that_clients_check_for(session_id):
    """`<org id, 15>!` and 43 characters."""
    org_id, _, rest = session_id.partition("!")

    assert org_id == "00D5g000004bLxZ"
    assert len(rest) == 43
    assert rest.replace("_", "").replace(".", "").isalnum()
    assert json.dumps(session_id).isascii()
