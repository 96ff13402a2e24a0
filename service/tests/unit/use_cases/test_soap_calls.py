"""`use_cases.proxy_call`, where the call is one of SOAP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from service.tests.support.fakes import FakeAnswer
from service.tests.support.proxying import RENEWED, House, open_house
from service.tests.support.values import ACCESS

from keyturn_service.domain.errors import ServiceError
from keyturn_service.ports import AnswerLost, OpenEnvelope, OrgCall
from keyturn_service.use_cases.proxied_answer import ProxiedAnswer

DATA = "/services/data/v68.0"
EXPIRED = b'[{"message":"Session expired","errorCode":"INVALID_SESSION_ID"}]'
FAULT = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
    b"<faultcode>sf:INVALID_SESSION_ID</faultcode></e:Fault></e:Body></e:Envelope>"
)


@pytest.fixture
def house() -> House:
    """A use case over fakes that share a journal."""
    return open_house()


async def streamed(body: bytes) -> AsyncIterator[bytes]:
    """Return a body that can be read once."""
    yield body


async def read(answer: ProxiedAnswer) -> bytes:
    """Return the whole body, and end the answer."""
    body = b"".join([part async for part in answer.parts()])
    await answer.end()
    return body


async def code_of(house: House, call: OrgCall) -> str:
    """Return the code that a call is refused with."""
    with pytest.raises(ServiceError) as refusal:
        await house(call)
    return refusal.value.code


def soap(
    operation: str = "query",
    *,
    target: str = "/services/Soap/u/67.0",
    body: bytes | AsyncIterator[bytes] = b"...",
) -> OrgCall:
    """Return a SOAP call."""
    envelope = OpenEnvelope(operation=operation, before=b"<e")
    return OrgCall(method="POST", target=target, headers=[], body=body, envelope=envelope)


async def test_a_soap_call_that_met_a_dead_session_is_made_again(house: House) -> None:
    """SOAP says it by a fault, whose status is 500; its second answer is the last."""
    house.relay.next.extend([FakeAnswer(status=500, body=(FAULT,)) for _ in range(2)])

    answer = await house(soap())

    assert (answer.status, await read(answer)) == (500, FAULT)
    assert house.tokens == [ACCESS, RENEWED]
    [begun] = house.audit.of("proxy.begun")
    assert begun.detail["operation"] == "query"


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, b"<html>"), (500, FAULT.replace(b"_ID", b"")), (401, EXPIRED), (200, FAULT)],
    ids=["no fault", "another fault", "no status of SOAP's", "no status of a fault"],
)
async def test_any_other_answer_of_soap_is_handed_on(
    house: House, status: int, said: bytes
) -> None:
    """The call may have been done."""
    house.relay.next.append(FakeAnswer(status=status, body=(said,)))

    answer = await house(soap())

    assert (answer.status, await read(answer)) == (status, said)
    assert house.tokens == [ACCESS]
    assert house.admissions.rejected == [None]


async def test_a_fault_under_another_api_s_path_is_no_dead_session(house: House) -> None:
    """REST says it by 401."""
    house.relay.next.append(FakeAnswer(status=500, body=(FAULT,)))

    answer = await house(replace(soap(target=f"{DATA}/sobjects"), envelope=None))

    assert answer.status == 500
    assert house.admissions.rejected == [None]


async def test_a_soap_body_that_is_gone_is_not_sent_again(house: House) -> None:
    """But the token is renewed for its caller, who has it still."""
    house.relay.next.append(FakeAnswer(status=500, body=(FAULT,)))

    answer = await house(soap(body=streamed(b"gone")))

    assert (answer.status, await read(answer)) == (500, FAULT)
    assert house.tokens == [ACCESS]
    assert house.admissions.rejected == [None, 1]


async def test_a_soap_call_whose_answer_was_lost_is_not_repeated(house: House) -> None:
    """It may have been done."""
    house.relay.next.append(AnswerLost())

    assert await code_of(house, soap()) == "org_answer_lost"
    assert house.tokens == [ACCESS]


@pytest.mark.parametrize(
    "call",
    [soap("logout"), soap(target=f"{DATA}/sobjects"), replace(soap(), envelope=None)],
    ids=["an operation", "a path of REST's", "no envelope"],
)
async def test_what_soap_may_not_is_not_sent(house: House, call: OrgCall) -> None:
    """Nor is SOAP whose operation nobody read."""
    assert await code_of(house, call) == "proxy_path_refused"
    assert house.journal == []
