"""`use_cases.proxy_call`: what may be called, what is on record before a byte goes, what comes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import (
    BASIS,
    FakeAnswer,
)
from service.tests.support.proxying import CALLER, RENEWED, House, open_house
from service.tests.support.values import (
    ACCESS,
    CONNECTION,
    INSTANCE_URL,
    hash_of,
)

from keyturn_service.domain.errors import ConnectionCannotServe, ServiceError
from keyturn_service.ports import (
    AnswerLost,
    AuditUnavailable,
    OrgCall,
    OrgUnreachable,
)
from keyturn_service.use_cases.proxied_answer import ProxiedAnswer

MIB = 1024 * 1024
KEY = hash_of("key")
DATA = "/services/data/v68.0"
QUERY = OrgCall(method="GET", target=f"{DATA}/limits", headers=[], body=b"")
USERINFO = OrgCall(method="GET", target="/services/oauth2/userinfo", headers=[], body=b"")
LOGIN = OrgCall(method="GET", target="/services/oauth2/singleaccess", headers=[], body=b"")
EXPIRED = json.dumps([{"message": "Session expired", "errorCode": "INVALID_SESSION_ID"}]).encode()
NOT_ALLOWED = json.dumps([{"message": "no", "errorCode": "INSUFFICIENT_ACCESS"}]).encode()
APEX = f"{DATA}/tooling/executeAnonymous"


def post(body: bytes | AsyncIterator[bytes] = b"{}", target: str = f"{DATA}/sobjects") -> OrgCall:
    """Return a call that writes."""
    return OrgCall(method="POST", target=target, headers=[], body=body)


async def streamed(body: bytes) -> AsyncIterator[bytes]:
    """Return a body that can be read once."""
    yield body


def composite(url: str) -> bytes:
    """Return a body that makes Salesforce call something in turn."""
    asked = {"compositeRequest": [{"method": "GET", "url": url, "referenceId": "one"}]}
    return json.dumps(asked).encode()


async def read(answer: ProxiedAnswer) -> bytes:
    """Return the whole body, and end the answer."""
    body = b"".join([part async for part in answer.parts()])
    await answer.end()
    return body


async def code_of(asked: Awaitable[object]) -> tuple[str, int | None]:
    """Return the code that something is refused with, and when to come again."""
    with pytest.raises(ServiceError) as refusal:
        await asked
    return refusal.value.code, refusal.value.retry_after


@pytest.fixture
def house() -> House:
    """A use case over fakes that share a journal."""
    return open_house()


# --- by an API key -------------------------------------------------------------------------


async def test_a_call_goes_out_once_its_beginning_is_on_record(house: House) -> None:
    """What is remembered serves, where the record finds that it stands."""
    house.audit.standing.add(BASIS)

    answer = await house.call.by_key(CONNECTION, QUERY, key_hash=KEY)
    await answer.end()

    assert house.journal == ["proxy.begun", "relay.send", "proxy.ended"]
    assert house.admissions.asked == [True]


async def test_a_key_is_admitted_before_its_call_is_there(house: House) -> None:
    """By what is remembered, and with no record."""
    await house.call.admit(CONNECTION, key_hash=KEY)

    assert house.admissions.asked == [True]
    assert house.journal == []


async def test_what_does_not_stand_any_more_is_withheld_and_read_again(house: House) -> None:
    """Nothing went out by the first beginning, and its end says so."""
    answer = await house.call.by_key(CONNECTION, QUERY, key_hash=KEY)
    await answer.end()

    assert house.journal == [
        "proxy.begun",
        "proxy.ended",
        "proxy.begun",
        "relay.send",
        "proxy.ended",
    ]
    assert house.audit.of("proxy.ended")[0].detail["problem"] == "withheld"
    assert house.admissions.asked == [True, False]


async def test_nothing_goes_out_however_often_its_basis_fell(house: House) -> None:
    """Only what stood as its beginning was recorded is sent."""
    house.admissions.unsettled = 3

    await house.call.by_key(CONNECTION, QUERY, key_hash=KEY)

    assert house.admissions.asked == [True, False, False, False]
    assert house.journal == ["proxy.begun", "proxy.ended"] * 3 + ["proxy.begun", "relay.send"]


async def test_a_refused_path_renews_nothing(house: House) -> None:
    """It is refused before a token is looked at, and leaves no record of a call."""
    with pytest.raises(ServiceError, match="proxy_path_refused"):
        await house.call.by_key(CONNECTION, LOGIN, key_hash=KEY)

    assert house.admissions.renewed == 0
    assert house.journal == []


# --- through a proxy session ---------------------------------------------------------------


async def test_a_call_goes_to_the_connection_s_own_host_under_its_token(house: House) -> None:
    """Once it is on record, with the proxy session; what comes back is the org's own."""
    house.relay.next.append(FakeAnswer(status=201, body=(b"made",)))

    answer = await house(post())

    assert (answer.status, await read(answer)) == (201, b"made")
    assert house.relay.sent == [(INSTANCE_URL, post(), ACCESS)]
    assert house.journal == ["proxy.begun", "relay.send", "proxy.ended"]
    [begun] = house.audit.of("proxy.begun")
    assert begun.detail["proxy_session_id"] == "ps_one"
    assert begun.detail["request_id"] == answer.request_id


async def test_a_refused_path_is_refused_before_a_token_is_looked_for(house: House) -> None:
    """Nothing is recorded of it, and nothing sent."""
    assert await code_of(house(LOGIN)) == ("proxy_path_refused", None)

    assert (house.admissions.rejected, house.journal) == ([], [])


async def test_without_audit_nothing_is_sent(house: House) -> None:
    """Though path and token are right."""
    house.audit.down = True

    with pytest.raises(AuditUnavailable):
        await house(QUERY)

    assert house.journal == []


# --- a token that turns out to be dead -----------------------------------------------------


@pytest.mark.parametrize(
    ("call", "status", "said"),
    [(QUERY, 401, EXPIRED), (post(), 401, EXPIRED), (USERINFO, 403, b"Bad_OAuth_Token")],
    ids=["a read", "a write", "an identity"],
)
async def test_a_call_that_met_a_dead_session_is_made_again(
    house: House, call: OrgCall, status: int, said: bytes
) -> None:
    """Whatever its method: the org has done nothing; it goes out under a renewed token."""
    dead = FakeAnswer(status=status, body=(said,))
    house.relay.next.extend([dead, FakeAnswer(body=(b"done",))])

    answer = await house(call)

    assert (answer.status, await read(answer)) == (200, b"done")
    assert house.tokens == [ACCESS, RENEWED]
    assert house.admissions.rejected == [None, 1]
    assert dead.closed
    assert house.problem is None


async def test_a_call_is_made_again_once(house: House) -> None:
    """A renewed token that is refused, too, is the org's last word."""
    house.relay.next.extend(FakeAnswer(status=401, body=(EXPIRED,)) for _ in range(3))

    answer = await house(QUERY)

    assert (answer.status, await read(answer)) == (401, EXPIRED)
    assert house.tokens == [ACCESS, RENEWED]


async def test_a_body_that_is_gone_is_not_sent_again(house: House) -> None:
    """Its caller gets the org's answer, has the body still, and finds a token that serves."""
    house.relay.next.append(FakeAnswer(status=401, body=(EXPIRED,)))

    answer = await house(post(streamed(b"gone")))

    assert (answer.status, await read(answer)) == (401, EXPIRED)
    assert house.tokens == [ACCESS]
    assert house.admissions.rejected == [None, 1]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_that_no_new_token_mends_is_handed_on(house: House, status: int) -> None:
    """As the org gave it: renewing would not help."""
    house.relay.next.append(FakeAnswer(status=status, body=(NOT_ALLOWED,)))

    answer = await house(QUERY)

    assert (answer.status, await read(answer)) == (status, NOT_ALLOWED)
    assert house.admissions.rejected == [None]


async def test_where_no_token_can_be_had_the_call_ends_with_why(house: House) -> None:
    """The org's answer is let go of, and the trail has the code."""
    dead = FakeAnswer(status=401, body=(EXPIRED,))
    house.relay.next.append(dead)
    house.admissions.refusal = ConnectionCannotServe("reauthorization_required")

    assert await code_of(house(QUERY)) == ("reauthorization_required", None)

    assert dead.closed
    assert house.problem == "reauthorization_required"


# --- answers that do not come --------------------------------------------------------------


@pytest.mark.parametrize("error", [OrgUnreachable(), AnswerLost()])
async def test_a_read_without_an_answer_is_sent_a_second_time(
    house: House, error: OrgUnreachable
) -> None:
    """A pooled connection may have been closed in the same moment; a read does no harm twice."""
    house.relay.next.extend([error, FakeAnswer(body=(b"read",))])

    assert await read(await house(QUERY)) == b"read"

    assert house.tokens == [ACCESS, ACCESS]
    assert house.problem is None


@pytest.mark.parametrize("error", [OrgUnreachable, AnswerLost])
async def test_a_read_is_not_sent_a_third_time(house: House, error: type[OrgUnreachable]) -> None:
    """Its caller may ask again soon."""
    house.relay.next.extend([error(), error()])

    assert await code_of(house(QUERY)) == ("org_unavailable", 5)

    assert len(house.relay.sent) == 2
    assert house.problem == "org_unavailable"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("error", "told"),
    [(OrgUnreachable(), ("org_unavailable", 5)), (AnswerLost(), ("org_answer_lost", None))],
    ids=["never left", "lost"],
)
async def test_code_that_runs_by_get_is_no_read(
    house: House, method: str, error: OrgUnreachable, told: tuple[str, int | None]
) -> None:
    """Anonymous Apex may have done its work before its answer was lost, however it is spelled."""
    house.relay.next.append(error)
    target = f"{DATA}/tooling/EXECUTE%41nonymous/?anonymousBody=insert%20x;"
    call = OrgCall(method=method, target=target, headers=[], body=b"")

    assert await code_of(house(call, replace(CALLER, unsafe=True))) == told

    assert len(house.relay.sent) == 1
    assert house.problem == told[0]


async def test_a_read_whose_body_is_gone_is_sent_once(house: House) -> None:
    """There is nothing left to send."""
    house.relay.next.append(OrgUnreachable())
    call = OrgCall(method="GET", target=QUERY.target, headers=[], body=streamed(b"gone"))

    assert await code_of(house(call)) == ("org_unavailable", 5)

    assert len(house.relay.sent) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [(OrgUnreachable(), ("org_unavailable", 5)), (AnswerLost(), ("org_answer_lost", None))],
    ids=["never left", "lost"],
)
async def test_a_write_without_an_answer_is_never_sent_again(
    house: House, error: OrgUnreachable, told: tuple[str, int | None]
) -> None:
    """Where it may have been done, its caller is not told to ask again."""
    house.relay.next.append(error)

    assert await code_of(house(post())) == told

    assert len(house.relay.sent) == 1
    assert house.problem == told[0]


@pytest.mark.parametrize(
    ("call", "told"),
    [(QUERY, ("org_unavailable", 5)), (post(), ("org_answer_lost", None))],
    ids=["a read", "a write"],
)
async def test_a_refusal_that_breaks_off_is_no_answer(
    house: House, call: OrgCall, told: tuple[str, int | None]
) -> None:
    """Half of it does not say whether the session is dead, so nothing is renewed for it."""
    half = FakeAnswer(status=401, body=(EXPIRED[:9],), breaks=AnswerLost())
    house.relay.next.append(half)

    assert await code_of(house(call)) == told

    assert half.closed
    assert house.admissions.rejected == [None]
    assert house.problem == told[0]


@pytest.mark.parametrize(
    ("error", "problem"),
    [(asyncio.CancelledError(), "client_gone"), (RuntimeError("a bug"), "failed")],
)
async def test_the_trail_says_what_ended_a_call_before_its_answer(
    house: House, error: BaseException, problem: str
) -> None:
    """A caller that left is told from a fault of ours; no text of the fault is kept."""
    house.relay.next.append(error)

    with pytest.raises(type(error)):
        await house(post())

    assert house.problem == problem


# --- bodies that ask for other paths -------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
async def test_a_composite_body_is_looked_into(house: House, *, packed: bool) -> None:
    """What Salesforce calls in turn is refused like a path of its own, packed or not."""
    headers = [(b"content-encoding", b"gzip")] if packed else []

    def asking(url: str) -> OrgCall:
        body = gzip.compress(composite(url)) if packed else composite(url)
        return OrgCall(method="POST", target=f"{DATA}/composite", headers=headers, body=body)

    assert await code_of(house(asking(APEX))) == ("proxy_path_refused", None)
    assert house.relay.sent == []

    await house(asking(QUERY.target))
    assert [call for _, call, _ in house.relay.sent] == [asking(QUERY.target)]


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip at all",
        gzip.compress(composite(QUERY.target))[:-9],
        gzip.compress(composite(QUERY.target)) + gzip.compress(composite(APEX)),
        gzip.compress(composite(QUERY.target) + b" " * 17 * MIB),
    ],
    ids=["not packed", "cut off", "two of them", "too long"],
)
async def test_a_packed_body_that_others_may_read_differently_is_refused(
    house: House, body: bytes
) -> None:
    """What cannot be looked into as a whole is not let through."""
    call = OrgCall(
        method="POST",
        target=f"{DATA}/composite",
        headers=[(b"content-encoding", b"gzip")],
        body=body,
    )

    assert await code_of(house(call)) == ("proxy_path_refused", None)


async def test_a_composite_body_that_streams_is_refused(house: House) -> None:
    """It would have left before it was looked into."""
    call = post(streamed(composite(QUERY.target)), target=f"{DATA}/composite")

    assert await code_of(house(call)) == ("proxy_path_refused", None)


# --- as a whole ----------------------------------------------------------------------------


async def buffered(house: House, method: str = "get", **asked: Any) -> bytes:
    """Make a JSON call and return the answer's body."""
    path = asked.pop("path", f"{DATA}/limits")
    answer = await house.call.buffered(CALLER, CONNECTION, method=method, path=path, **asked)
    return answer.body


async def test_a_whole_answer_is_the_org_s_own(house: House) -> None:
    """Status, headers and all parts of the body; then the call is over."""
    headers = ((b"content-type", b"application/json"),)
    house.relay.next.append(FakeAnswer(status=404, headers=headers, body=(b"[", b"]")))

    answer = await house.call.buffered(CALLER, CONNECTION, method="GET", path=f"{DATA}/limits")

    assert (answer.status, answer.headers, answer.body) == (404, headers, b"[]")
    assert house.journal == ["proxy.begun", "relay.send", "proxy.ended"]
    assert house.problem is None


@pytest.mark.parametrize(
    ("asked", "target", "body"),
    [
        ({"method": "get"}, f"{DATA}/limits", b""),
        ({"method": "GET", "query": {"q": "a b&c"}}, f"{DATA}/limits?q=a+b%26c", b""),
        (
            {"method": "GET", "path": f"{DATA}/query?q=x", "query": {"all": "1"}},
            f"{DATA}/query?q=x&all=1",
            b"",
        ),
        ({"method": "post", "data": {"Name": "Ö"}}, f"{DATA}/limits", b'{"Name": "\\u00d6"}'),
        ({"method": "POST", "data": []}, f"{DATA}/limits", b"[]"),
    ],
    ids=["bare", "query", "two queries", "data", "empty data"],
)
async def test_a_json_call_is_written_as_salesforce_reads_it(
    house: House, asked: dict[str, Any], target: str, body: bytes
) -> None:
    """The method in capitals, the query behind what the path has, a type only with a body."""
    await buffered(house, **asked)

    [(_, call, _)] = house.relay.sent
    assert (call.method, call.target, call.body) == (asked["method"].upper(), target, body)
    typed = (b"content-type", b"application/json") in call.headers
    assert typed is bool(body)


async def test_an_answer_that_is_too_long_to_keep_is_refused(house: House) -> None:
    """32 MiB are handed on as a whole, a byte more is not; its call is over all the same."""
    half = b" " * 16 * MIB
    house.relay.next.append(FakeAnswer(body=(half, half)))
    assert len(await buffered(house)) == 32 * MIB
    house.audit.events.clear()
    house.relay.next.append(longer := FakeAnswer(body=(half, half, b".", b"never read")))

    assert await code_of(buffered(house)) == ("unexpected_answer", None)

    assert longer.closed
    assert house.problem == "client_gone"


@pytest.mark.parametrize(
    ("method", "told"),
    [("GET", ("org_unavailable", 5)), ("PATCH", ("org_answer_lost", None))],
)
async def test_a_whole_answer_that_breaks_off_is_none(
    house: House, method: str, told: tuple[str, int | None]
) -> None:
    """A read may be asked again; a write has been done, whatever its answer would have said."""
    broken = FakeAnswer(body=(b"[",), breaks=AnswerLost())
    house.relay.next.append(broken)

    assert await code_of(buffered(house, method)) == told

    assert broken.closed
    assert house.problem == "answer_lost"
