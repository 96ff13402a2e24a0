"""An org that the proxy calls: it keeps what arrived, and answers as a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

from web_house import a_port, serving

EXPIRED = json.dumps(
    [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
).encode()
FAULT = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv='
    b'"http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="http://soap.sforce.com/2006/04/metadata">'
    b"<soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>"
    b"INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session</faultstring>"
    b"</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)


@dataclass(kw_only=True)
class Arrived:
    """One request as the org saw it."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name):
        """Return a header's value, None where it did not come."""
        return dict(self.headers).get(name)


@dataclass(kw_only=True)
class Org:
    """What an org does: `answers` are taken one after another, then `answer` for ever."""

    origin: str
    arrived: list[Arrived] = field(default_factory=list)
    unfinished: list[bytes] = field(default_factory=list)  # bodies that broke off
    status: int = 200
    headers: list = field(default_factory=lambda: [(b"content-type", b"application/json")])
    parts: list = field(default_factory=lambda: [b'{"ok":true}'])
    refused_tokens: set = field(default_factory=set)
    refused_sessions: set = field(default_factory=set)  # of SOAP
    hold: asyncio.Event | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)
    breaks: bool = False
    first_part: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope, receive, send):
        """Answer one request."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.unfinished.append(bytes(body))
                self.left.set()
                return
            body += message.get("body", b"")
            self.first_part.set()
            more = message.get("more_body", False)
        self.arrived.append(_arrived(scope, bytes(body)))
        token = self.arrived[-1].header(b"authorization")
        if token in self.refused_tokens:
            await _answer(send, 401, [(b"content-type", b"application/json")], [EXPIRED])
            return
        if any(b">%b<" % session in body for session in self.refused_sessions):
            await _answer(send, 500, [(b"content-type", b"text/xml;charset=UTF-8")], [FAULT])
            return
        if self.hold is not None:
            await self._until_told(receive)
            return
        await _answer(send, self.status, self.headers, self.parts, whole=not self.breaks)

    async def _until_told(self, receive):
        message = await receive()
        assert message["type"] == "http.disconnect"
        self.left.set()


def _arrived(scope, body):
    query = scope["query_string"].decode()
    target = scope["raw_path"].decode() + (f"?{query}" if query else "")
    return Arrived(method=scope["method"], target=target, headers=list(scope["headers"]), body=body)


async def _answer(send, status, headers, parts, *, whole=True):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    if whole:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextlib.asynccontextmanager
async def open_org():
    """Serve an org on a loopback port."""
    listening, origin = a_port()
    org = Org(origin=origin)
    async with serving(org, listening):
        yield org
