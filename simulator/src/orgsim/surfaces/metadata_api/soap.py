"""SOAP envelopes, read and written.

Calls are told by their body: clients send any `SOAPAction`, or none.

Spec: SOAP 1.1; Metadata API WSDL.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from orgsim.metadata.xml_text import NAMESPACE, Node, NotXml, parse

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_OPEN = (
    f'<soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns="{NAMESPACE}"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
)
_CLOSE = "</soapenv:Body></soapenv:Envelope>"


class Written(str):
    """A value that is XML already."""

    __slots__ = ()


class Fault(Exception):
    """A call is answered with a fault."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message

    def text(self) -> bytes:
        """Return the envelope; the HTTP status is 500."""
        fault = (
            f"<soapenv:Fault><faultcode>sf:{self.code}</faultcode><faultstring>{self.code}: "
            f"{escape(self.message)}</faultstring></soapenv:Fault>"
        )
        opened = _OPEN.replace(f' xmlns="{NAMESPACE}"', f' xmlns:sf="{NAMESPACE}"')
        return f"{_HEAD}{opened}{fault}{_CLOSE}".encode()


def read_call(body: bytes) -> tuple[Node, str | None]:
    """Return the operation's element and the session ID of the header.

    Raises:
        Fault: this is no envelope with an operation.
    """
    try:
        envelope = parse(body)
    except NotXml as error:
        raise Fault("UNKNOWN_EXCEPTION", str(error)) from error
    inside = envelope.find("Body")
    if envelope.name != "Envelope" or inside is None or not inside.children:
        raise Fault("UNKNOWN_EXCEPTION", "No operation available for request")
    header = envelope.find("Header") or Node("Header")
    session = header.find("SessionHeader") or Node("SessionHeader")
    return inside.children[0], session.value("sessionId") or None


def answer(operation: str, result: Any) -> bytes:
    """Return the envelope of an answer; `result` is one value or a list of them."""
    results = result if isinstance(result, list) else [result]
    inner = "".join(_element("result", value) for value in results)
    return f"{_HEAD}{_OPEN}<{operation}Response>{inner}</{operation}Response>{_CLOSE}".encode()


def _element(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case Mapping():
            inner = "".join(_element(key, part) for key, part in value.items())
            return f"<{name}>{inner}</{name}>"
        case str():
            return value if isinstance(value, Written) else f"<{name}>{escape(value)}</{name}>"
        case bool():
            return f"<{name}>{str(value).lower()}</{name}>"
        case Sequence():
            return "".join(_element(name, part) for part in value)
        case _:
            return f"<{name}>{value}</{name}>"
