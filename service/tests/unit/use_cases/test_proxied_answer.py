"""`use_cases.proxied_answer`: an answer on its way through, and the two records of its call."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass, replace

import pytest
from service.tests.support.fakes import BASIS, FakeAnswer, FakeClock, RecordingAudit
from service.tests.support.values import API_KEY, CONNECTION, START, WORKSPACE
from structlog.testing import capture_logs

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.ports import AnswerLost, AuditUnavailable, OpenEnvelope, OrgCall
from keyturn_service.use_cases.proxied_answer import (
    PeekedAnswer,
    ProxiedAnswer,
    ProxyCaller,
    ProxyRecord,
)

KIB = 1024
HEADERS = ((b"content-type", b"application/json"), (b"sforce-limit-info", b"api-usage=18/5000"))
EXPIRED = json.dumps([{"message": "Session expired", "errorCode": "INVALID_SESSION_ID"}]).encode()
NOT_ALLOWED = b'[{"message":"no","errorCode":"INSUFFICIENT_ACCESS"}]'
PACKED = ((b"content-encoding", b" GZip "),)


@dataclass(kw_only=True)
class Call:
    """A proxied call with its record."""

    record: ProxyRecord
    audit: RecordingAudit
    clock: FakeClock

    @property
    def ended(self) -> AuditEvent:
        """The record of its end."""
        [event] = self.audit.of("proxy.ended")
        return event


def a_call(*, proxy_session_id: str | None = None) -> Call:
    """Return a call that is about to be made."""
    audit, clock = RecordingAudit([]), FakeClock()
    caller = ProxyCaller(
        workspace_id=WORKSPACE, actor=API_KEY, unsafe=False, proxy_session_id=proxy_session_id
    )
    record = ProxyRecord(
        audit=audit,
        clock=clock,
        caller=caller,
        connection_id=CONNECTION,
        request_id="req_one",
        started=clock.monotonic(),
    )
    return Call(record=record, audit=audit, clock=clock)


def query(target: str) -> OrgCall:
    """Return a call that reads."""
    return OrgCall(method="GET", target=target, headers=[], body=b"")


async def read(answer: ProxiedAnswer | PeekedAnswer) -> bytes:
    """Return the whole body."""
    return b"".join([part async for part in answer.parts()])


# --- the records ---------------------------------------------------------------------------


async def test_the_beginning_says_who_calls_what_under_which_token() -> None:
    """Without the query, which may hold what the customer's records say."""
    call = a_call()

    assert await call.record.begun(query("/services/data/v68.0/query?q=SELECT"), generation=7)

    assert call.audit.events == [
        AuditEvent(
            type="proxy.begun",
            at=START,
            workspace_id=WORKSPACE,
            actor=API_KEY,
            connection_id=CONNECTION,
            detail={
                "request_id": "req_one",
                "method": "GET",
                "path": "/services/data/v68.0/query",
                "generation": 7,
            },
        )
    ]


async def test_the_beginning_names_a_proxy_session() -> None:
    """An API key may have several, in clients of other people."""
    call = a_call(proxy_session_id="ps_one")

    await call.record.begun(query("/services/data"), generation=1)

    [event] = call.audit.events
    assert event.detail["proxy_session_id"] == "ps_one"


async def test_the_beginning_names_the_operation_of_soap() -> None:
    """All of them have the same path."""
    call = a_call()
    envelope = OpenEnvelope(operation="listMetadata", before=b"<secret")

    await call.record.begun(
        replace(query("/services/Soap/m/68.0"), envelope=envelope), generation=1
    )

    [event] = call.audit.events
    assert event.detail["operation"] == "listMetadata"
    assert "secret" not in str(event)


async def test_a_long_path_does_not_fill_the_trail() -> None:
    """The caller chooses it; 200 characters say what was called."""
    call = a_call()

    await call.record.begun(query(f"/services/data/{'x' * 5000}"), generation=1)

    [event] = call.audit.events
    assert len(str(event.detail["path"])) == 200


@pytest.mark.parametrize("stands", [True, False])
async def test_the_beginning_tells_whether_its_basis_stands(*, stands: bool) -> None:
    """What is recorded on something that changed gives no right to send."""
    call = a_call()
    if stands:
        call.audit.standing.add(BASIS)

    begun = await call.record.begun(query("/services/data"), generation=1, basis=BASIS)

    assert begun is stands
    assert call.audit.types == ["proxy.begun"]


async def test_the_end_says_how_long_it_took() -> None:
    """By the machine's own clock, whatever the time of day did meanwhile."""
    call = a_call()
    call.clock.advance(milliseconds=1500)
    call.clock.advance(machine=False, hours=1)

    await call.record.ended(status=200, received=12, problem=None)

    assert call.ended.detail == {
        "request_id": "req_one",
        "status": 200,
        "bytes": 12,
        "duration_ms": 1500,
    }


async def test_an_end_that_cannot_be_recorded_costs_nobody_the_answer() -> None:
    """The beginning is on record; that the end is not is logged."""
    call = a_call()
    call.audit.down = True

    with capture_logs() as logs:
        await call.record.ended(status=200, received=12, problem=None)

    assert [(said["event"], said["connection_id"]) for said in logs] == [
        ("proxy_end_unrecorded", CONNECTION)
    ]
    with pytest.raises(AuditUnavailable):
        await call.record.begun(query("/services/data"), generation=1)


# --- on its way through --------------------------------------------------------------------


async def test_an_answer_passes_as_it_came() -> None:
    """Status, headers and bytes are the org's; the call's id is ours."""
    call = a_call()
    answer = ProxiedAnswer(
        FakeAnswer(status=201, headers=HEADERS, body=(b'{"id"', b":1}")), call.record
    )

    assert await read(answer) == b'{"id":1}'
    await answer.end()

    assert (answer.status, answer.headers, answer.request_id) == (201, HEADERS, "req_one")
    assert (call.ended.detail["status"], call.ended.detail["bytes"]) == (201, 8)
    assert "problem" not in call.ended.detail


async def test_a_caller_that_leaves_is_told_from_a_whole_answer() -> None:
    """The record counts what was taken, and the org's answer is let go of."""
    call, of_org = a_call(), FakeAnswer(body=(b"one", b"two"))
    answer = ProxiedAnswer(of_org, call.record)

    await anext(answer.parts())
    await answer.end()

    assert of_org.closed
    assert (call.ended.detail["bytes"], call.ended.detail["problem"]) == (3, "client_gone")


async def test_an_answer_that_breaks_off_is_told_from_a_whole_one() -> None:
    """Whoever hands it on hears of it, so that half an answer is not taken for all of it."""
    call = a_call()
    answer = ProxiedAnswer(FakeAnswer(body=(b"half",), breaks=AnswerLost()), call.record)

    with pytest.raises(AnswerLost):
        await read(answer)
    await answer.end()

    assert (call.ended.detail["bytes"], call.ended.detail["problem"]) == (4, "answer_lost")


# --- looked into ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expired"),
    [
        (FakeAnswer(status=401, body=(EXPIRED[:9], EXPIRED[9:])), True),
        (FakeAnswer(status=401, body=(gzip.compress(EXPIRED),), headers=PACKED), True),
        (FakeAnswer(status=403, body=(b"Bad_OAuth_Token",)), True),
        (FakeAnswer(status=401, body=(NOT_ALLOWED,)), False),
        (FakeAnswer(status=403, body=(EXPIRED,)), False),
        (FakeAnswer(status=401, body=()), False),
        (FakeAnswer(status=401, body=(b"no gzip at all",), headers=PACKED), False),
        (FakeAnswer(status=401, body=(gzip.compress(EXPIRED),)), False),
        (FakeAnswer(status=401, body=(EXPIRED, b" " * 64 * KIB, b"\n")), False),
    ],
    ids=[
        "in two parts",
        "packed",
        "plain word",
        "not allowed",
        "about a permission",
        "empty",
        "badly packed",
        "packed unsaid",
        "too long",
    ],
)
async def test_an_answer_tells_whether_the_session_is_dead(
    answer: FakeAnswer, *, expired: bool
) -> None:
    """Only where the org has said so, whole, is a call made again; looking takes nothing away."""
    whole = b"".join(answer.body)
    peeked = PeekedAnswer(answer)

    await peeked.peek()

    assert peeked.says_expired() is expired
    assert (peeked.status, peeked.headers) == (answer.status, answer.headers)
    assert await read(peeked) == whole


async def test_a_packed_answer_is_unpacked_no_further_than_a_refusal_can_go() -> None:
    """A few bytes that unpack to gigabytes do not fill the memory."""
    bomb = gzip.compress(b" " * 32 * KIB * KIB + EXPIRED)
    peeked = PeekedAnswer(FakeAnswer(status=401, body=(bomb,), headers=PACKED))

    await peeked.peek()

    assert len(bomb) < 64 * KIB
    assert not peeked.says_expired()


async def test_an_answer_that_was_looked_into_is_let_go_of() -> None:
    """Its connection does not stay open behind it."""
    of_org = FakeAnswer(status=401)

    await PeekedAnswer(of_org).close()

    assert of_org.closed


async def test_a_look_finds_that_the_answer_breaks_off() -> None:
    """What is not whole is not read for a verdict."""
    peeked = PeekedAnswer(FakeAnswer(status=401, body=(EXPIRED,), breaks=AnswerLost()))

    with pytest.raises(AnswerLost):
        await peeked.peek()

    assert not peeked.says_expired()


async def test_a_caller_that_leaves_while_the_beginning_is_recorded_ends_the_call() -> None:
    """The beginning is written whoever waits for it; without an end it says that a call may go."""
    call, begun = a_call(), asyncio.Event()

    class Slow(RecordingAudit):
        """Writes, and is slow to say so."""

        async def record(self, event: AuditEvent, *, urgent: bool = True) -> None:
            await call.audit.record(event)
            if urgent:
                begun.set()
                await asyncio.Event().wait()

    record = replace(call.record, audit=Slow([]))
    calling = asyncio.create_task(record.begun(query("/"), generation=1))
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert call.audit.types == ["proxy.begun", "proxy.ended"]
    assert (call.ended.detail["status"], call.ended.detail["problem"]) == (None, "client_gone")
