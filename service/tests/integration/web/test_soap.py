"""SOAP through the proxy: the session is in the envelope, and refusals are faults."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from web_house import TOKEN
from web_org import FAULT, open_org

from keyturn_core.secrets import AccessToken

MIB = 1024 * 1024
PREFIX = "/v1/connections/con_one/salesforce"
METADATA = "/services/Soap/m/68.0"
NAMESPACES = {
    "m": "http://soap.sforce.com/2006/04/metadata",
    "u": "urn:partner.soap.sforce.com",
    "c": "urn:enterprise.soap.sforce.com",
}
XML = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "whatever"}


@pytest.fixture
async def org(house):
    """Return an org that the house's connection leads to."""
    async with open_org() as opened:
        house.at_org(opened.origin)
        opened.headers = [(b"content-type", b"text/xml;charset=UTF-8")]
        opened.parts = [b"<answer/>"]
        yield opened


@pytest.fixture
async def session_id(house, admin):
    """Return the session id of a proxy session."""
    path = "/v1/connections/con_one/proxy-sessions"
    return (await house.http.post(path, headers=admin)).json()["session_id"]


def envelope(session_id, operation="<listMetadata/>", *, api="m", header=None):
    """Return an envelope with a session; None: without one."""
    if header is None:
        header = "" if session_id is None else _session(session_id)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<soapenv:Header xmlns="{NAMESPACES[api]}">{header}</soapenv:Header>'
        f'<soapenv:Body xmlns="{NAMESPACES[api]}">{operation}</soapenv:Body></soapenv:Envelope>'
    ).encode()


def _session(session_id):
    return f"<SessionHeader><sessionId>{session_id}</sessionId></SessionHeader>"


def fault(answer):
    """Return code, text and problem of a fault; SOAP has one status for all."""
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    root = ET.fromstring(answer.content)  # noqa: S314 - our own answer
    found = root.find(".//{http://schemas.xmlsoap.org/soap/envelope/}Fault")
    return (
        found.findtext("faultcode"),
        found.findtext("faultstring"),
        answer.headers["keyturn-problem"],
    )


async def post(house, body, path=METADATA, **headers):
    """Call, as a SOAP client does."""
    return await house.http.post(path, headers={**XML, **headers}, content=body)


@pytest.mark.parametrize("operation", ["m describeMetadata", "u query", "c getUserInfo"])
@pytest.mark.parametrize("behind", ["", "/", "/00D5g000004bLxZEAU"])
async def test_the_session_in_the_envelope_opens_its_connection(
    house, org, session_id, operation, behind
):
    """The access token stands in its place, and all else is as it was sent."""
    api, _, name = operation.partition(" ")
    operation = f"<{name}><x>1 &lt; 2</x></{name}>"
    path = f"/services/Soap/{api}/68.0{behind}"

    answer = await post(house, envelope(session_id, operation, api=api), path)

    (seen,) = org.arrived
    assert (answer.status_code, answer.content) == (200, b"<answer/>")
    assert (seen.method, seen.target) == ("POST", path)
    assert seen.body == envelope(TOKEN, operation, api=api)
    assert seen.header(b"authorization") is None
    assert seen.header(b"soapaction") == b'""'
    assert seen.header(b"content-length") == str(len(seen.body)).encode()
    trail = [(event.type, event.detail.get("operation")) for event in house.memory.events[-2:]]
    assert trail == [("proxy.begun", name), ("proxy.ended", None)]
    assert house.memory.events[-2].detail["proxy_session_id"].startswith("ps_")
    assert TOKEN not in str(house.memory.events)
    assert session_id not in str(house.memory.events)


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "X-SFDC-Session: {}"])
async def test_a_header_may_say_it_once_more(house, org, session_id, header):
    """Where it is the same; the session's id reaches no org in any of them."""
    name, _, value = header.format(session_id).partition(": ")

    answer = await post(house, envelope(session_id), **{name: value})

    (seen,) = org.arrived
    assert answer.status_code == 200
    assert session_id.encode() not in seen.body + b" ".join(value for _, value in seen.headers)


async def test_a_token_is_written_as_text(house, org, session_id):
    """Whatever characters it has."""
    tokens = house.memory.tokens["con_one"]
    house.memory.tokens["con_one"] = replace(tokens, access_token=AccessToken("a<b>&c"))

    await post(house, envelope(session_id))

    assert org.arrived[0].body == envelope("a&lt;b&gt;&amp;c")


async def test_an_expired_token_is_renewed_once(house, org, session_id):
    """The fault of a dead session means that nothing was done."""
    org.refused_sessions = {TOKEN.encode()}

    answer = await post(house, envelope(session_id))

    assert answer.status_code == 200
    assert [seen.body for seen in org.arrived] == [envelope(TOKEN), envelope("token-8")]
    assert house.refreshing.times == 1
    assert [event.type for event in house.memory.events[-2:]] == ["proxy.begun", "proxy.ended"]


async def test_a_second_fault_is_the_org_s_last_word(house, org, session_id):
    """It is handed on as it came."""
    org.refused_sessions = {TOKEN.encode(), b"token-8"}

    answer = await post(house, envelope(session_id))

    assert (answer.status_code, answer.content) == (500, FAULT)
    assert "keyturn-problem" not in answer.headers
    assert len(org.arrived) == 2


async def test_another_fault_is_handed_on(house, org, session_id):
    """A call that may have changed something is not made again."""
    org.status, org.parts = 500, [FAULT.replace(b"SESSION_ID", b"FIELD")]

    answer = await post(house, envelope(session_id))

    assert (answer.status_code, answer.content) == (500, FAULT.replace(b"SESSION_ID", b"FIELD"))
    assert (len(org.arrived), house.refreshing.times) == (1, 0)


def deployment(session_id, size):
    """Return an envelope with a zip file of some bytes."""
    return envelope(session_id, f"<deploy><ZipFile>{'A' * size}</ZipFile></deploy>")


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("size", [10, 100_000, 3 * MIB])
@pytest.mark.filterwarnings("ignore:Sending a large body")  # aiohttp's advice for long bytes
async def test_a_body_of_any_length_arrives_whole(house, org, session_id, size, sized):
    """Whether its length was stated or not."""
    sent = deployment(session_id, size)

    async def parts():
        for start in range(0, len(sent), 10_000):
            yield sent[start : start + 10_000]

    answer = await post(house, sent if sized else parts())

    (seen,) = org.arrived
    assert answer.status_code == 200
    assert seen.body == deployment(TOKEN, size)
    stated = seen.header(b"content-length")
    assert stated in {str(len(seen.body)).encode(), None}
    assert sized is False or stated is not None


async def test_a_long_body_streams_up(house, org, session_id):
    """The org has its first part before the caller has sent the last."""
    head, _, tail = deployment(session_id, 2).partition(b"AA")

    async def parts():
        yield head
        for _ in range(8):
            yield b"A" * 256 * 1024
        await org.first_part.wait()
        yield tail

    answer = await post(house, parts())

    assert answer.status_code == 200
    assert org.arrived[0].body == deployment(TOKEN, 2 * MIB)


async def test_a_long_body_is_not_sent_again(house, org, session_id):
    """Its caller has the fault and the body, and finds a token that serves."""
    org.refused_sessions = {TOKEN.encode()}

    first = await post(house, deployment(session_id, 2 * MIB))
    second = await post(house, deployment(session_id, 2 * MIB))

    assert (first.content, second.content) == (FAULT, b"<answer/>")
    assert house.refreshing.times == 1


@pytest.mark.parametrize("size", [10, 2 * MIB])
async def test_a_second_operation_never_arrives(house, org, session_id, size):
    """However late it comes: the whole is read before its last byte leaves."""
    sent = deployment(session_id, size).replace(b"</deploy>", b"</deploy><logout/>")

    answer = await post(house, sent)

    code, text, problem = fault(answer)
    assert (code, problem) == ("keyturn:invalid_request", "invalid_request")
    assert "more than one operation" in text
    assert org.arrived == []
    assert not any(b"logout" in body for body in org.unfinished)


@pytest.mark.parametrize(
    ("api", "operation"),
    [
        ("u", "login"),
        ("u", "logout"),
        ("u", "invalidateSessions"),
        ("u", "setPassword"),
        ("u", "resetPassword"),
        ("c", "changeOwnPassword"),
        ("m", "executeAnonymous"),
        ("m", "whatever"),
    ],
)
async def test_what_could_hand_out_a_session_is_refused(house, org, session_id, api, operation):
    """With and without a session."""
    for shown in (session_id, None):
        body = envelope(shown, f"<{operation}/>", api=api)
        answer = await post(house, body, f"/services/Soap/{api}/64.0")

        code, text, problem = fault(answer)
        assert (code, problem) == ("keyturn:proxy_path_refused", "proxy_path_refused")
        assert "SOAP" in text
    assert org.arrived == []


@pytest.mark.parametrize(
    "path",
    [
        "/services/Soap/s/68.0",
        "/services/Soap/T/68.0",
        "/services/Soap/class/Acme",
        "/services/Soap/x",
        "/services/Soap/m/68.0?wsdl",
        "/services/Soap/m/68.0/%2e%2e/s",
    ],
)
async def test_everything_else_of_soap_is_refused(house, org, session_id, path):
    """Also for who may run anonymous Apex: by REST."""
    request = house.http.build_request("POST", "/x", headers=XML, content=envelope(session_id))
    request.url = request.url.copy_with(raw_path=path.encode())

    answer = await house.http.send(request)

    assert fault(answer)[2] == "proxy_path_refused"
    assert org.arrived == []


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_soap_is_posted(house, admin, org, method, prefix):
    """Who asks otherwise is no SOAP client, and gets a problem."""
    answer = await house.http.request(method, f"{prefix}{METADATA}", headers=admin)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "application/problem+json"
    assert org.arrived == []


@pytest.mark.parametrize("shown", ["made up", f"00D5g000004bLxZ!{'x' * 43}", "00Dx!token"])
@pytest.mark.parametrize(("api", "names"), [("m", "metadata"), ("u", "urn:fault.partner")])
async def test_a_session_that_opens_nothing_looks_expired(house, org, shown, api, names):
    """By Salesforce's own code, in its namespace, so that clients know it."""
    answer = await post(house, envelope(shown, "<x/>".replace("x", _any(api)), api=api), _path(api))

    code, text, problem = fault(answer)
    assert (code, problem) == ("sf:INVALID_SESSION_ID", "unauthorized")
    assert re.search(r"<faultcode>[a-zA-Z]+:INVALID_SESSION_ID</faultcode>", answer.text)
    assert text.startswith("INVALID_SESSION_ID: ")
    assert shown not in answer.text
    assert names in answer.text
    assert org.arrived == []


def _any(api):
    return "listMetadata" if api == "m" else "query"


def _path(api):
    return f"/services/Soap/{api}/68.0"


async def test_a_session_that_is_over_looks_expired(house, org, session_id):
    """Twelve hours are the most."""
    house.clock.advance(hours=13)

    assert fault(await post(house, envelope(session_id)))[0] == "sf:INVALID_SESSION_ID"
    assert org.arrived == []


LATE = {
    "SOAP": (METADATA, XML, b"SOAP"),
    "REST": ("/services/data/v68.0/sobjects/Lead", {}, b'{"a": 1}'),
    "SOAP by its connection": (f"{PREFIX}{METADATA}", XML, b"SOAP"),
    "REST by its connection": (f"{PREFIX}/services/data/v68.0/sobjects/Lead", {}, b"{}"),
}


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("name", LATE)
async def test_a_session_that_ends_while_a_body_is_read_serves_no_more(
    house, org, session_id, name, *, late
):
    """It is looked up again, where the body took longer than a moment."""
    path, headers, sent = LATE[name]
    sent = deployment(session_id, 100_000) if sent == b"SOAP" else sent
    headers = {**headers, "Authorization": f"Bearer {session_id}"}
    tokens = house.memory.tokens["con_one"]
    in_days = house.clock.now() + timedelta(days=3)
    house.memory.tokens["con_one"] = replace(tokens, expires_at=in_days)
    house.memory.looked.clear()

    async def parts():
        yield sent[:-1]
        await house.memory.looked.wait()
        if late:
            house.clock.advance(hours=13)
        yield sent[-1:]

    answer = await house.http.post(path, headers=headers, content=parts())

    problem = answer.headers.get("keyturn-problem")
    assert (problem, len(org.arrived)) == (("unauthorized", 0) if late else (None, 1))


async def test_made_up_sessions_are_counted(house, org):
    """As everywhere: a flood of guesses does not reach the database."""
    codes = [
        fault(await post(house, envelope(f"00D5g000004bLxZ!{number:043}")))[2]
        for number in range(61)
    ]

    assert set(codes[:60]) == {"unauthorized"}
    assert codes[60] == "too_many_failures"
    assert org.arrived == []


STRANGE = {
    "no XML": b"{}",
    "no session": envelope(None),
    "an API key": envelope("kt_live_all-rights-of-this-workspace"),
    "an operation": envelope(None, "<logout/>"),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_a_stranger_s_envelopes_are_counted(house, org, session_id, name):
    """Whatever is wrong with them; who opened something before is not held back by that."""
    assert (await post(house, envelope(session_id))).status_code == 200

    problems = [fault(await post(house, STRANGE[name]))[2] for _ in range(61)]

    assert "too_many_failures" not in problems[:60]
    assert problems[60] == "too_many_failures"
    assert fault(await post(house, envelope("x" * 59)))[2] == "too_many_failures"
    assert (await post(house, envelope(session_id))).status_code == 200
    assert len(org.arrived) == 2


@pytest.mark.usefixtures("org")
async def test_a_known_caller_s_refusals_are_not_a_stranger_s(house, session_id):
    """Its neighbours behind the same address may still come."""
    await post(house, envelope(session_id))
    for _ in range(61):
        answer = await post(house, envelope(session_id, "<whatever/>"))
        assert fault(answer)[2] == "proxy_path_refused"

    assert fault(await post(house, envelope(None)))[2] == "invalid_request"


async def test_a_wrong_key_is_counted_before_its_envelope_is_looked_into(house, org):
    """As for REST: it hears of nothing else."""
    problems = []
    for number in range(61):
        wrong = {"Authorization": f"Bearer kt_live_{number:030}"}
        answer = await post(house, b"{}", f"{PREFIX}{METADATA}", **wrong)
        problems.append(fault(answer)[2])

    assert set(problems[:60]) == {"unauthorized"}
    assert problems[60] == "too_many_failures"
    assert org.arrived == []


REFUSED = {
    "no session": (lambda _: envelope(None), "is missing"),
    "an API key": (lambda _: envelope("kt_live_all-rights-of-this-workspace"), "API key"),
    "two": (lambda one: envelope(one, header=_session(one) * 2), "stands there twice"),
    "CDATA": (lambda one: envelope(f"<![CDATA[{one}]]>"), "CDATA"),
    "a document type": (lambda one: b"<!DOCTYPE x>" + envelope(one)[38:], "document type"),
    "no XML": (lambda _: b"{}", "no XML"),
    "too late": (
        lambda one: envelope(None, header=f"<x>{'x' * 70_000}</x>{_session(one)}"),
        "64 KB",
    ),
    "another API's": (lambda one: envelope(one, "<query/>", api="u"), "namespace"),
    "half": (lambda one: envelope(one)[:-1], "no XML"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_envelope_that_is_not_taken_says_why(house, org, session_id, name):
    """With the place, and nothing of what stood there."""
    body, why = REFUSED[name]

    answer = await post(house, body(session_id))

    code, text, problem = fault(answer)
    assert (code, problem) == ("keyturn:invalid_request", "invalid_request")
    assert why in text
    assert session_id not in text
    assert org.arrived == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/xml; charset=utf-16"},
        {"Content-Type": "application/soap+xml"},
        {"Content-Type": "multipart/related; type=text/xml"},
        {"Content-Type": "text/xml; charset=utf-8; charset=utf-7"},
        {"Content-Encoding": "gzip"},
        {"Authorization": "Bearer kt_live_all-rights-of-this-workspace"},
        {"X-SFDC-Session": f"00D5g000004bLxZ!{'x' * 43}"},
    ],
)
async def test_headers_that_say_otherwise_are_refused(house, org, session_id, headers):
    """Another encoding, packed bytes, another session."""
    answer = await post(house, envelope(session_id), **headers)

    assert fault(answer)[2] == "invalid_request"
    assert org.arrived == []


async def test_an_api_key_replaces_whatever_stands_there(house, admin, org):
    """Where the path names the connection, a header says who calls."""
    answer = await post(house, envelope("anything"), f"{PREFIX}{METADATA}", **admin)

    assert answer.status_code == 200
    assert org.arrived[0].target == METADATA
    assert org.arrived[0].body == envelope(TOKEN)
    assert house.memory.events[-2].detail["operation"] == "listMetadata"


async def test_a_proxy_session_in_a_header_does_too(house, org, session_id):
    """By the connection's path."""
    headers = {"Authorization": f"Bearer {session_id}"}

    answer = await post(house, envelope("anything"), f"{PREFIX}{METADATA}", **headers)

    assert answer.status_code == 200
    assert org.arrived[0].body == envelope(TOKEN)


async def test_by_the_connection_s_path_nobody_is_known_by_the_envelope(house, org, session_id):
    """A header is missing, as for REST."""
    answer = await post(house, envelope(session_id), f"{PREFIX}{METADATA}")

    assert fault(answer)[0] == "sf:INVALID_SESSION_ID"
    assert org.arrived == []


@pytest.mark.parametrize("code", ["reauthorization_required", "org_unavailable"])
@pytest.mark.usefixtures("org")
async def test_a_connection_that_cannot_serve_says_so(house, session_id, code):
    """By a code of ours and the remedy; when to come again stands where it always does."""
    house.cannot_serve(code, retry_after=7)

    answer = await post(house, envelope(session_id))

    found, text, problem = fault(answer)
    assert (found, problem) == (f"keyturn:{code}", code)
    assert "Remedy: " in text
    assert answer.headers["retry-after"] == "7"


async def test_nothing_is_sent_that_is_not_recorded(house, org, session_id):
    """Where the trail cannot be written."""
    house.memory.audit_down = True

    assert fault(await post(house, envelope(session_id)))[2] == "audit_unavailable"
    assert org.arrived == []


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_a_caller_that_leaves_in_the_middle_is_let_go(house, admin, org, prefix):
    """Before anybody knows who it was."""
    begun = asyncio.Event()

    async def parts():
        yield b"<e"
        begun.set()
        await asyncio.Event().wait()
        yield b"never"

    headers = {**XML, **admin}
    call = asyncio.create_task(
        house.http.post(f"{prefix}{METADATA}", headers=headers, content=parts())
    )
    await begun.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert (await house.http.get("/healthz")).status_code == 200
    assert org.arrived == []
