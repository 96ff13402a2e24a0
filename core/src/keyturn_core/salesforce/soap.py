"""SOAP as Salesforce's APIs speak it: where an envelope holds its session, and what it asks for.

An envelope is read as it arrives and never kept as a whole. What two readers could understand
differently is refused, so that whoever reads it next finds the same session and operation.

Spec: SOAP 1.1 sections 3 and 4; SOAP API Developer Guide, "SOAP Headers"; Metadata API
Developer Guide, "Metadata API SOAP Headers".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from xml.parsers import expat

from keyturn_core.errors import CoreError, Remedy, Who

ENVELOPE_NAMESPACE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
HEAD: Final = 64 * 1024
"""Bytes of an envelope within which the session has ended and the operation has begun."""
_ENVELOPE: Final = f"{ENVELOPE_NAMESPACE} Envelope"
_HEADER: Final = f"{ENVELOPE_NAMESPACE} Header"
_BODY: Final = f"{ENVELOPE_NAMESPACE} Body"
_FAULT_CODE: Final = (_ENVELOPE, _BODY, f"{ENVELOPE_NAMESPACE} Fault", "faultcode")
_MUST_UNDERSTAND: Final = f"{ENVELOPE_NAMESPACE} mustUnderstand"
_LONGEST: Final = 64 * 1024 * 1024  # bytes; Salesforce takes 50 MB of a zip file in base64
_LONGEST_TOKEN: Final = 64 * 1024  # bytes of a tag or comment, which the parser holds as a whole
_DEEPEST: Final = 200  # elements inside one another; each costs the parser memory until it ends
_MOST_NAMES: Final = 20_000  # which the parser remembers for ever
_LONGEST_NAME: Final = 1024  # characters, a namespace's included: each element's is written anew
_IN_ENVELOPE, _IN_PART, _IN_BLOCK = 1, 2, 3  # elements around one that begins


class SoapApi(StrEnum):
    """An API that takes SOAP, by its letter in the path."""

    METADATA = "m"
    PARTNER = "u"
    ENTERPRISE = "c"

    @property
    def namespace(self) -> str:
        """The namespace of the API's headers and operations."""
        return _NAMESPACES[self]

    @property
    def fault_namespace(self) -> str:
        """The namespace of its fault codes, written with the prefix `sf`."""
        return _FAULT_NAMESPACES[self]


_NAMESPACES: Final = {
    SoapApi.METADATA: "http://soap.sforce.com/2006/04/metadata",
    SoapApi.PARTNER: "urn:partner.soap.sforce.com",
    SoapApi.ENTERPRISE: "urn:enterprise.soap.sforce.com",
}
_FAULT_NAMESPACES: Final = {
    SoapApi.METADATA: "http://soap.sforce.com/2006/04/metadata",
    SoapApi.PARTNER: "urn:fault.partner.soap.sforce.com",
    SoapApi.ENTERPRISE: "urn:fault.enterprise.soap.sforce.com",
}


class EnvelopeRefused(CoreError):
    """An envelope could be understood in more than one way, or in none.

    `place` is the part of the envelope; neither text repeats what stands there.
    """

    code = "invalid_request"
    remedy = Remedy.RECONFIGURE
    who = Who.VENDOR

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SessionPlace:
    """Where a session id stands, in bytes of the envelope. `text` is a secret."""

    text: str
    start: int
    end: int


class EnvelopeReader:
    """Reads one envelope, piece by piece, strictly.

    `session` and `operation` are there once the operation has begun; `session` stays None in an
    envelope without one. UTF-8 only; no document type, hence no entities; no processing
    instructions; one Header, one Body and one operation. What it costs is bounded: the length,
    the depth, and how many and how long the names and tags are.
    """

    session: SessionPlace | None = None
    operation: str | None = None
    passed: int = 0
    """Bytes that the parser is done with; what was fed behind them it has yet to understand."""

    def __init__(self, api: SoapApi) -> None:
        self._session_header = f"{api.namespace} SessionHeader"
        self._session_id = f"{api.namespace} sessionId"
        self._namespace = api.namespace
        self._head = bytearray()
        self._fed = 0
        self._open: list[str] = []
        self._names: set[str] = set()
        self._parts: list[str] = []
        self._session_headers = 0
        self._session_ids = 0
        self._text: list[str] = []
        self._start: int | None = None
        # The encoding is said, so that no declaration is believed: it is compared instead.
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = False
        # Since 2.6 expat may leave for later what it was fed. Older ones cannot be told.
        getattr(parser, "SetReparseDeferralEnabled", bool)(False)
        parser.StartNamespaceDeclHandler = self._declares
        parser.StartElementHandler = self._begins
        parser.EndElementHandler = self._ends
        parser.XmlDeclHandler = _check_declaration
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.ProcessingInstructionHandler = _refuse_instruction
        parser.CommentHandler = self._check_plain
        parser.StartCdataSectionHandler = self._check_plain
        self._parser = parser

    def feed(self, part: bytes) -> None:
        """Read on.

        Raises:
            EnvelopeRefused: it is not taken.
        """
        if b"\0" in part:  # UTF-16, which the parser would take for its byte order mark
            raise EnvelopeRefused("Envelope", "is no XML in UTF-8")
        if len(self._head) < HEAD:
            self._head += part[: HEAD - len(self._head)]
        self._fed += len(part)
        if self._fed > _LONGEST:
            raise EnvelopeRefused("Envelope", "is longer than 64 MB")
        self._parse(part, last=False)
        if self.operation is None and self._fed >= HEAD:
            raise _late()
        if self._fed - self.passed > _LONGEST_TOKEN:
            raise EnvelopeRefused("Envelope", "a tag or comment in it is longer than 64 KB")

    def end(self) -> None:
        """See that the envelope is whole.

        Raises:
            EnvelopeRefused: it is not.
        """
        self._parse(b"", last=True)
        if self.operation is None:
            raise EnvelopeRefused("Envelope.Body", "names no operation")

    def _parse(self, part: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(part, last)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise EnvelopeRefused("Envelope", f"is no XML in UTF-8: {reason}") from error
        # It is -1 where the parser left all for later.
        self.passed = max(self.passed, self._parser.CurrentByteIndex)

    def _declares(self, prefix: str | None, uri: str | None) -> None:
        self._remember(prefix or "", uri or "")

    def _remember(self, *names: str) -> None:
        """Count names as the parser does, which keeps each that it ever met."""
        for name in names:
            if name in self._names:
                continue
            if len(name) > _LONGEST_NAME:
                raise EnvelopeRefused("Envelope", "a name in it is longer than 1,024 characters")
            if len(self._names) == _MOST_NAMES:
                raise EnvelopeRefused("Envelope", "it holds more than 20,000 different names")
            self._names.add(name)

    def _begins(self, name: str, attributes: dict[str, str]) -> None:
        self._remember(name, *attributes)
        depth = len(self._open)
        if depth == 0 and name != _ENVELOPE:
            raise EnvelopeRefused("Envelope", "is none of SOAP 1.1")
        if depth == _DEEPEST:
            raise EnvelopeRefused("Envelope", "its elements are more than 200 deep")
        if depth == _IN_ENVELOPE:
            self._part_begins(name)
        elif depth == _IN_PART:
            self._block_begins(name)
        elif self._in_session_header():
            self._of_session_begins(name, depth)
        self._open.append(name)
        if attributes.keys() - {_MUST_UNDERSTAND} and self._in_session_header():
            raise _ambiguous("has an attribute other than mustUnderstand")

    def _in_session_header(self) -> bool:
        return self._open[_IN_ENVELOPE:_IN_BLOCK] == [_HEADER, self._session_header]

    def _part_begins(self, name: str) -> None:
        """Take a Header before the Body, and the Body."""
        if name not in {_HEADER, _BODY} or name in self._parts or _BODY in self._parts:
            raise EnvelopeRefused("Envelope", "holds more than one Header and then one Body")
        self._parts.append(name)

    def _block_begins(self, name: str) -> None:
        """Take a header block, or the operation."""
        if self._open[-1] == _HEADER:
            if name.rpartition(" ")[2].casefold() != "sessionheader":
                return
            self._session_headers += 1
            if name != self._session_header or self._session_headers > 1:
                raise _ambiguous("stands there twice, or not in the API's namespace")
            return
        if self.operation is not None:
            raise EnvelopeRefused("Envelope.Body", "holds more than one operation")
        namespace, _, local = name.rpartition(" ")
        if namespace != self._namespace:
            raise EnvelopeRefused("Envelope.Body", "the operation is not in the API's namespace")
        if self._parser.CurrentByteIndex >= HEAD:
            raise _late()
        self.operation = local

    def _of_session_begins(self, name: str, depth: int) -> None:
        """Take the one session id."""
        self._session_ids += 1
        if depth != _IN_BLOCK or name != self._session_id or self._session_ids > 1:
            raise _ambiguous("holds more than one sessionId of the API's namespace")
        self._parser.CharacterDataHandler = self._text_comes

    def _text_comes(self, text: str) -> None:
        if self._start is None:
            self._start = self._parser.CurrentByteIndex
        self._text.append(text)

    def _ends(self, name: str) -> None:
        del name  # the last that began
        self._open.pop()
        if len(self._open) != _IN_BLOCK or not self._in_session_header():
            return
        self._parser.CharacterDataHandler = None
        if self._start is not None:
            self.session = self._place(self._start, self._parser.CurrentByteIndex)

    def _place(self, start: int, end: int) -> SessionPlace:
        """Return where the session stands; its bytes are its characters, with no references."""
        if end >= HEAD:
            raise _late()
        text = "".join(self._text)
        if self._head[start:end] != text.encode():
            raise _ambiguous("the sessionId is not written plainly")
        return SessionPlace(text=text.strip(" \t\r\n"), start=start, end=end)

    def _check_plain(self, comment: str = "") -> None:
        """Refuse a comment or CDATA section about the session."""
        del comment
        if self._in_session_header():
            raise _ambiguous("holds a comment or a CDATA section")


def fault_code(body: bytes) -> str | None:
    """Return the code of a SOAP fault without its prefix, None where `body` is no fault.

    Spec: SOAP 1.1 section 4.4.
    """
    found: list[str] = []
    open_elements: list[str] = []

    def begins(name: str, attributes: dict[str, str]) -> None:
        del attributes
        open_elements.append(name)

    def ends(name: str) -> None:
        del name
        open_elements.pop()

    def text_comes(text: str) -> None:
        if tuple(open_elements) == _FAULT_CODE:
            found.append(text)

    parser = expat.ParserCreate(None, " ")
    parser.StartElementHandler = begins
    parser.EndElementHandler = ends
    parser.CharacterDataHandler = text_comes
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, EnvelopeRefused, LookupError, ValueError):  # the last: encodings
        return None
    return "".join(found).strip().rpartition(":")[2] or None


def _check_declaration(version: str, encoding: str | None, standalone: int) -> None:
    del version, standalone
    if encoding is not None and encoding.casefold() != "utf-8":
        raise EnvelopeRefused("Envelope", "is declared in another encoding than UTF-8")


def _refuse_doctype(name: str, system: str | None, public: str | None, internal: int) -> None:
    del name, system, public, internal
    raise EnvelopeRefused("Envelope", "has a document type")


def _refuse_instruction(target: str, data: str) -> None:
    del target, data
    raise EnvelopeRefused("Envelope", "has a processing instruction")


def _ambiguous(reason: str) -> EnvelopeRefused:
    return EnvelopeRefused("Envelope.Header.SessionHeader", reason)


def _late() -> EnvelopeRefused:
    return EnvelopeRefused("Envelope", "session and operation are not within its first 64 KB")
