"""A SOAP request on its way up, however the server cuts it; and every problem as a fault."""

from __future__ import annotations

import asyncio
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.soap import ENVELOPE_NAMESPACE, EnvelopeRefused, SoapApi
from keyturn_service.web.problems import InvalidRequest, problem_of, problem_of_code
from keyturn_service.web.refusals import ENTRIES
from keyturn_service.web.soap import SoapUpload, fault_of, speaks_soap

ID = f"00D5g000004bLxZ!{'x' * 43}"
MIB = 1024 * 1024
METADATA = "/services/Soap/m/68.0"


def envelope(size, *, behind=""):
    """Return an envelope whose operation has a text of some bytes."""
    api = SoapApi.METADATA.namespace
    return (
        f'<e:Envelope xmlns:e="{ENVELOPE_NAMESPACE}" xmlns="{api}"><e:Header><SessionHeader>'
        f"<sessionId>{ID}</sessionId></SessionHeader></e:Header><e:Body><deploy>{'A' * size}"
        f"</deploy>{behind}</e:Body></e:Envelope>"
    ).encode()


def scope(path=METADATA, method="POST", length=0):
    """Return a request's scope."""
    headers = [(b"content-type", b"text/xml"), (b"content-length", str(length).encode())]
    return {"type": "http", "method": method, "path": path, "headers": headers}


async def carried(sent, step):
    """Return what goes out of a body that comes in pieces: before the token, and behind it."""
    messages = asyncio.Queue()
    for start in range(0, len(sent), step):
        more = start + step < len(sent)
        part = sent[start : start + step]
        messages.put_nowait({"type": "http.request", "body": part, "more_body": more})
    soap = SoapUpload(scope(length=len(sent)), METADATA, messages.get)
    assert await soap.glimpse() == ID
    await soap.open()
    assert soap.session_id(None) == ID
    call = await soap.call()
    body = call.body
    if not isinstance(body, bytes):
        body = b"".join([part async for part in body])
    stated = int(dict(call.headers)[b"content-length"])
    assert stated == len(call.envelope.before) + len(body)
    return call.envelope.before, body


@pytest.mark.parametrize("size", [1, 70_000, MIB, 3 * MIB])
@pytest.mark.parametrize("step", [4 * MIB, 65_536, 100_000])
async def test_a_body_is_cut_open_where_its_session_stood(size, step):
    """Whether it comes in one piece or in many, and is held or not."""
    sent = envelope(size)

    before, behind = await carried(sent, step)

    assert (before, behind) == tuple(sent.split(ID.encode()))


@given(st.integers(1, 800))
def test_any_pieces_of_a_short_body_make_the_same_call(step):
    """Nothing hangs on where the server cuts."""
    sent = envelope(9)

    before, behind = asyncio.run(carried(sent, step))

    assert before + ID.encode() + behind == sent


async def test_the_last_part_waits_for_the_end_of_the_check():
    """What is found late is found before it leaves, and is why the call broke off."""
    sent = envelope(2 * MIB, behind="<logout/>")
    messages = asyncio.Queue()
    for start in range(0, len(sent), 65_536):
        more = start + 65_536 < len(sent)
        part = sent[start : start + 65_536]
        messages.put_nowait({"type": "http.request", "body": part, "more_body": more})
    soap = SoapUpload(scope(length=len(sent)), METADATA, messages.get)
    await soap.glimpse()
    await soap.open()
    call = await soap.call()

    left = bytearray()

    async def send():
        async for part in call.body:
            left.extend(part)

    with pytest.raises(EnvelopeRefused, match="more than one operation"):
        await send()

    assert b"</deploy>" not in left
    assert isinstance(soap.refusal, InvalidRequest)


async def test_what_is_not_understood_yet_waits():
    """However many parts come: a comment leaves once it has ended."""
    head, _, tail = envelope(2 * MIB, behind="|").partition(b"|")
    pieces = [head, b"<!--", b"c" * 9, b"c" * 9, b"-->" + tail, b" "]
    messages = asyncio.Queue()
    for number, part in enumerate(pieces, 1):
        more = number < len(pieces)
        messages.put_nowait({"type": "http.request", "body": part, "more_body": more})
    soap = SoapUpload(scope(length=len(b"".join(pieces))), METADATA, messages.get)
    await soap.glimpse()
    await soap.open()
    call = await soap.call()

    left = [part async for part in call.body]

    assert left == [head[call_end(head) :], b"<!--" + b"c" * 18, b"-->" + tail, b" "]


def call_end(sent):
    """Return where the session id ends."""
    return sent.index(ID.encode()) + len(ID)


async def test_others_have_their_turn_while_an_envelope_is_read():
    """However much of it came at once."""
    sent = envelope(MIB // 2)
    soap = SoapUpload(scope(length=len(sent)), METADATA, _in_one(sent))
    turns = 0

    async def another():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(another())
    await soap.glimpse()
    await soap.open()
    opened = turns
    await soap.call()
    other.cancel()

    assert opened >= 2
    assert turns >= 30


def _in_one(sent):
    async def receive():
        return {"type": "http.request", "body": sent, "more_body": False}

    return receive


async def test_of_a_stranger_s_envelope_only_the_beginning_is_read():
    """What is wrong behind it is found once it is known who calls."""
    sent = envelope(100_000, behind="<logout/>")
    soap = SoapUpload(scope(length=len(sent)), METADATA, _in_one(sent))

    await soap.glimpse()
    await soap.open()

    with pytest.raises(InvalidRequest, match="more than one operation"):
        await soap.call()


@pytest.mark.parametrize("code", ENTRIES)
@pytest.mark.parametrize("path", [METADATA, "/v1/connections/con_a/salesforce/services/Soap/u/1.0"])
def test_every_problem_can_be_told_as_a_fault(code, path):
    """Well-formed, with a code whose prefix is bound, and the problem's code in the header."""
    answer = fault_of(scope(path), problem_of_code(code))

    root = ET.fromstring(answer.body)  # noqa: S314 - our own answer
    found = root.find(f".//{{{ENVELOPE_NAMESPACE}}}Fault")
    prefix = found.findtext("faultcode").partition(":")[0]
    assert answer.status_code == 500
    assert answer.headers["keyturn-problem"] == code
    assert code in found.findtext("faultstring")
    assert f"xmlns:{prefix}=".encode() in answer.body


def test_what_stood_in_a_request_is_not_in_its_fault():
    """Only where it stood, as text."""
    answer = fault_of(scope(), problem_of(InvalidRequest("Envelope", "is <odd>")))

    assert b"[Envelope: is &lt;odd&gt;]" in answer.body


@pytest.mark.parametrize(
    ("path", "method", "code", "soap"),
    [
        (METADATA, "POST", "unauthorized", True),
        (f"/{METADATA}", "POST", "unauthorized", True),
        (f"/v1/connections/con_a/salesforce{METADATA}", "POST", "not_found", True),
        (METADATA, "GET", "method_not_allowed", False),
        (METADATA, "POST", "misdirected_request", False),
        ("/services/data", "POST", "unauthorized", False),
        ("/v1/connections/con_a", "POST", "unauthorized", False),
        ("/v1/connections/con_a/salesforce/services/data", "POST", "unauthorized", False),
    ],
)
def test_faults_are_for_those_who_speak_soap(path, method, code, *, soap):
    """All others are told problems."""
    assert speaks_soap(scope(path, method), problem_of_code(code)) is soap
