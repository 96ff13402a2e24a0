"""Where an envelope holds its session, and what is refused as it could be read in two ways."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.soap import (
    ENVELOPE_NAMESPACE,
    HEAD,
    EnvelopeReader,
    EnvelopeRefused,
    SoapApi,
    fault_code,
)

METADATA = "http://soap.sforce.com/2006/04/metadata"
ID = "00D5g000004bLxZ!AbC_1.23"
SESSION = f"<SessionHeader><sessionId>{ID}</sessionId></SessionHeader>"
OPERATION = "<listMetadata><queries><type>Flow</type></queries></listMetadata>"
MIB = 1024 * 1024


def envelope(header=SESSION, body=OPERATION, *, before="", behind="", namespace=METADATA):
    """Return an envelope as jsforce writes it."""
    return (
        f'{before}<e:Envelope xmlns:e="{ENVELOPE_NAMESPACE}"><e:Header xmlns="{namespace}">{header}'
        f'</e:Header><e:Body xmlns="{namespace}">{body}</e:Body>{behind}</e:Envelope>'
    ).encode()


def read(data, *, step=None, api=SoapApi.METADATA):
    """Read a whole envelope, in pieces of some bytes."""
    reader = EnvelopeReader(api)
    step = step or len(data) or 1
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    reader.end()
    return reader


def refusal(data, *, step=None):
    """Return what an envelope is refused for; no word of it is what stood there."""
    with pytest.raises(EnvelopeRefused) as refused:
        read(data, step=step)
    assert ID not in str(refused.value)
    return refused.value.place, refused.value.reason


WRITTEN = [
    envelope(),
    envelope(before='<?xml version="1.0" encoding="UTF-8"?>\n<!-- a client\'s word -->'),
    envelope(before='\ufeff<?xml version="1.0" encoding="utf-8" standalone="yes"?>'),
    envelope(f"<CallOptions><client>ü</client></CallOptions>{SESSION}<AllOrNoneHeader/>"),
    envelope(f"<!-- here -->{SESSION}"),
    envelope(f"<SessionHeader>\n  <sessionId>\n{ID} </sessionId>\n</SessionHeader>"),
    (
        f'<S:Envelope xmlns:S="{ENVELOPE_NAMESPACE}" xmlns:m="{METADATA}">'
        f'<S:Header><m:SessionHeader S:mustUnderstand="1"><m:sessionId xmlns:x="urn:x">{ID}'
        "</m:sessionId></m:SessionHeader></S:Header><S:Body><m:listMetadata/></S:Body></S:Envelope>"
    ).encode(),
]


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize("data", WRITTEN)
def test_session_and_operation_are_found(data, step):
    """Whatever the prefixes, and however the pieces are cut; the bytes are the id's own."""
    reader = read(data, step=step)

    place = reader.session
    assert place.text == ID
    assert data[place.start : place.end].decode().strip() == ID
    assert reader.operation == "listMetadata"
    assert ID not in repr(place)


@pytest.mark.parametrize("api", SoapApi)
def test_each_api_has_its_namespace(api):
    """What one API takes is none of another's."""
    data = envelope(namespace=api.namespace)

    assert read(data, api=api).session.text == ID
    assert "sforce.com" in api.fault_namespace
    for other in set(SoapApi) - {api}:
        with pytest.raises(EnvelopeRefused):
            read(data, api=other)


@pytest.mark.parametrize(
    "data",
    [
        envelope(""),
        envelope("", SESSION),
        envelope("<SessionHeader/>"),
        envelope("<SessionHeader><sessionId/></SessionHeader>"),
        f'<Envelope xmlns="{ENVELOPE_NAMESPACE}"><Body><login xmlns="{METADATA}"/></Body>'
        "</Envelope>".encode(),
    ],
)
def test_an_envelope_may_have_no_session(data):
    """A login has none; whether that is taken is for another to say."""
    reader = read(data)

    assert reader.session is None
    assert reader.operation in {"listMetadata", "login", "SessionHeader"}


SESSIONS = "Envelope.Header.SessionHeader"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
OTHER = f'<SessionHeader xmlns="urn:x"><sessionId>{ID}</sessionId></SessionHeader>'
HOSTILE = {
    "two sessions": (envelope(SESSION * 2), SESSIONS),
    "a session of another namespace": (envelope(OTHER), SESSIONS),
    "and one of ours": (envelope(SESSION + OTHER), SESSIONS),
    "a session in other letters": (envelope(SESSION.replace("Header", "HEADER")), SESSIONS),
    "two ids": (
        envelope(SESSION.replace("</SessionH", "<sessionId>x</sessionId></SessionH")),
        SESSIONS,
    ),
    "an id of another namespace": (
        envelope(SESSION.replace("<sessionId", '<sessionId xmlns="urn:x"')),
        SESSIONS,
    ),
    "an element in the id": (envelope(SESSION.replace(ID, f"{ID}<x/>")), SESSIONS),
    "a comment in the id": (envelope(SESSION.replace(ID, f"00D<!-- -->{ID}")), SESSIONS),
    "CDATA as the id": (envelope(SESSION.replace(ID, f"<![CDATA[{ID}]]>")), SESSIONS),
    "references in the id": (envelope(SESSION.replace("!", "&#33;")), SESSIONS),
    "no id after all": (
        envelope(SESSION.replace("<sessionId", f'<sessionId xmlns:i="{XSI}" i:nil="true"')),
        SESSIONS,
    ),
    "for another actor": (
        envelope(SESSION.replace("<SessionHeader", '<SessionHeader e:actor="urn:x"')),
        SESSIONS,
    ),
    "a reference for an id": (
        envelope(SESSION.replace("<sessionId", '<sessionId href="#x"')),
        SESSIONS,
    ),
    "a document type": (
        envelope(before='<!DOCTYPE e [<!ENTITY x "y">]>', header=SESSION),
        "Envelope",
    ),
    "an entity that nobody declared": (envelope(SESSION.replace(ID, "&x;")), "Envelope"),
    "a processing instruction": (envelope(before="<?php x?>"), "Envelope"),
    "another encoding": (envelope(before='<?xml version="1.0" encoding="UTF-7"?>'), "Envelope"),
    "a part that is none": (envelope(behind="<x/>"), "Envelope"),
    "a second header": (envelope(behind="<e:Header/>"), "Envelope"),
    "a second body": (envelope(behind="<e:Body/>"), "Envelope"),
    "two operations": (envelope(body=OPERATION + "<logout/>"), "Envelope.Body"),
    "an operation of another namespace": (
        envelope(body='<logout xmlns="urn:x"/>'),
        "Envelope.Body",
    ),
    "no operation": (envelope(body=""), "Envelope.Body"),
    "no envelope": (b"<Envelope/>", "Envelope"),
    "UTF-16": (envelope().decode().encode("utf-16"), "Envelope"),
    "UTF-16 without its mark": (envelope().decode().encode("utf-16-le"), "Envelope"),
    "no UTF-8": (envelope(SESSION.replace(ID, "x")).replace(b">x<", b">\xe4<"), "Envelope"),
    "nothing": (b"", "Envelope"),
    "half": (envelope()[:-9], "Envelope"),
    "more behind it": (envelope() + b"<x/>", "Envelope"),
    "no bound": (envelope(body="<a>" * 300), "Envelope"),
    "SOAP 1.2": (
        envelope().replace(ENVELOPE_NAMESPACE.encode(), b"http://www.w3.org/2003/05/soap-envelope"),
        "Envelope",
    ),
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_be_read_in_two_ways_is_refused(name, step):
    """With the part that it is about."""
    data, place = HOSTILE[name]

    assert refusal(data, step=step)[0] == place


@pytest.mark.parametrize(
    "data",
    [
        envelope(f"<!--{'x' * HEAD}-->{SESSION}"),
        envelope(f"{SESSION}<!--{'x' * HEAD}-->"),
        envelope(f"<SessionHeader><sessionId>{'x' * HEAD}</sessionId></SessionHeader>"),
    ],
)
@pytest.mark.parametrize("step", [None, 4096])
def test_session_and_operation_come_early(data, step):
    """Nobody looks for them for ever."""
    assert "64 KB" in refusal(data, step=step)[1]


def test_a_long_operation_is_read_as_it_goes_by():
    """Its text is kept by nobody, whatever its length."""
    data = envelope(body=f"<deploy><ZipFile>{'A' * 3 * MIB}</ZipFile></deploy>")

    assert read(data, step=65536).operation == "deploy"


COSTLY = {
    "longer than 64 KB": f'<a b="{"x" * 90_000}"/>',
    "more than 20,000 different names": "".join(f"<a{number}/>" for number in range(20_001)),
    "20,000 different names": "".join(f'<a b{number}=""/>' for number in range(20_001)),
    "than 20,000 different": "".join(f'<a xmlns:b{n}="urn:x"/>' for n in range(20_001)),
    "longer than 1,024 characters": f'<a xmlns:b="{"x" * 1025}"/>',
    "200 deep": "<a>" * 300,
    "longer than 64 MB": "A" * 64 * MIB,
}


@pytest.mark.parametrize("why", COSTLY)
def test_what_would_cost_the_parser_too_much_is_given_up(why):
    """It would have to hold it, or to remember it for ever."""
    data = envelope(body=f"<deploy>{COSTLY[why]}</deploy>")

    assert why in refusal(data, step=16384)[1]


def test_what_the_parser_has_yet_to_understand_is_not_passed():
    """A tag or comment counts once it has ended."""
    head, _, tail = envelope(body="<deploy>|</deploy>").partition(b"|")
    comment = (b"<!--", b"c" * 999, b"--")
    reader = EnvelopeReader(SoapApi.METADATA)

    reader.feed(head)
    assert reader.passed == len(head)
    for part in comment:
        reader.feed(part)
        assert reader.passed == len(head)
    reader.feed(b">" + tail)
    reader.end()
    assert reader.passed == len(head + b"".join(comment) + b">" + tail)


def test_a_refusal_says_what_can_be_done():
    """The vendor's client has to write it otherwise."""
    refused = EnvelopeRefused("Envelope", "is odd")

    assert (refused.remedy, refused.who) == (Remedy.RECONFIGURE, Who.VENDOR)
    assert str(refused) == "Envelope: is odd"


@given(st.binary(max_size=300), st.integers(0, len(envelope())), st.integers(0, 40))
def test_any_bytes_are_read_or_refused(junk, at, over):
    """And what is read has its session where it says."""
    data = envelope()[:at] + junk + envelope()[at + over :]
    try:
        reader = read(data)
    except EnvelopeRefused:
        return
    place = reader.session
    if place is not None:
        assert data[place.start : place.end].decode().strip() == place.text


PIECES = [
    SESSION,
    OTHER,
    ID,
    "<SessionHeader>",
    "</SessionHeader>",
    "<sessionId>",
    "</sessionId>",
    "<e:Header>",
    "</e:Header>",
    f'<e:Header xmlns="{METADATA}">',
    f'<e:Body xmlns="{METADATA}">',
    "<e:Body>",
    "</e:Body>",
    "<x>",
    "</x>",
    "<listMetadata/>",
    "<logout/>",
    f'<m:logout xmlns:m="{METADATA}"/>',
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "&#33;",
    "&lt;",
    " ",
    "\r\n",
    "é",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=8),
    st.lists(st.sampled_from(PIECES), max_size=8),
)
def test_another_parser_finds_the_token_where_it_was_put(header, body):
    """What is taken is, with the token in it, one envelope with that session and operation."""
    data = envelope("".join([*header, SESSION]), "".join([*body, OPERATION]))
    _compare(data)
    _compare(envelope("".join(header), "".join(body)))


def _compare(data):
    try:
        reader = read(data)
    except EnvelopeRefused:
        return
    place = reader.session
    if place is None:
        return
    root = ET.fromstring(data[: place.start] + b"the-token" + data[place.end :])  # noqa: S314
    header, (operation,) = root
    found = [block for block in header if block.tag.lower().endswith("}sessionheader")]
    assert [block.tag for block in found] == [f"{{{METADATA}}}SessionHeader"]
    assert [child.text for child in found[0]] == ["the-token"]
    assert operation.tag == f"{{{METADATA}}}{reader.operation}"


def fault(code="sf:INVALID_SESSION_ID", name="e:Fault"):
    """Return a fault as Salesforce writes one."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{ENVELOPE_NAMESPACE}"'
        f' xmlns:sf="{METADATA}"><e:Body><{name}><faultcode>{code}</faultcode><faultstring>x'
        f"</faultstring></{name}></e:Body></e:Envelope>"
    ).encode()


@pytest.mark.parametrize(
    "code", ["sf:INVALID_SESSION_ID", "INVALID_SESSION_ID", " x:INVALID_SESSION_ID\n"]
)
def test_a_fault_has_a_code(code):
    """Without the prefix, which is whatever its writer likes."""
    assert fault_code(fault(code)) == "INVALID_SESSION_ID"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        fault("sf:"),
        fault(name="e:Other"),
        fault(name="Fault"),
        b"<!DOCTYPE x>" + fault().partition(b"?>")[2],
        fault()[:-3],
        *(fault().replace(b"UTF-8", name) for name in (b"odd", b"shift_jis", b"punycode")),
    ],
)
def test_what_is_no_fault_has_none(body):
    """Nor has one that broke off."""
    assert fault_code(body) is None
