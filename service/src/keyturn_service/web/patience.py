"""How long and how much a connection may ask before anybody has to look at it.

The server below waits for ever for the end of a request's head or body, and keeps a head of any
length. A stranger with many connections could use up its files or its memory that way.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
    b"content-length: 0\r\n\r\n"
)


class PatientProtocol(HttpToolsProtocol):
    """One connection whose requests have to come in time.

    A head is whole within `head_seconds` and `head_bytes`. Of a body `body_bytes` come in each
    `body_seconds`, unless we are the ones who do not read.
    """

    head_seconds: ClassVar[float] = 15.0
    head_bytes: ClassVar[int] = 64 * 1024
    body_seconds: ClassVar[float] = 30.0
    body_bytes: ClassVar[int] = 1024

    _in_head = True
    _in_body = False
    _refused = False
    _seen = 0  # bytes that came since the clock was set
    _head_size = 0  # bytes of the head that the parser has told of
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what came; a head that grows too long is not read on."""
        if self._refused:
            return
        if self._in_head and self._clock is None:
            self._wait_for_head()  # the next request on a connection that was kept
        self._seen += len(data)
        super().data_received(data)
        if self._in_head and self._seen > self.head_bytes:
            self._refuse(_LONG)

    def on_url(self, url: bytes) -> None:
        """Count a part of the head."""
        self._head_size += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a part of the head."""
        self._head_size += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Wait for the body now, if there is one."""
        self._stop()
        self._in_head, self._in_body = False, True
        if self._head_size > self.head_bytes:
            self._refuse(_LONG)
            return
        super().on_headers_complete()
        self._wait_for_body()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body, unless its head was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next head: the request is whole."""
        self._stop()
        self._in_head, self._in_body = True, False
        self._seen = self._head_size = 0
        if not self._refused:
            super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._seen = 0
        self._clock = self.loop.call_later(self.head_seconds, self._look_at_head)

    def _look_at_head(self) -> None:
        under_way: RequestResponseCycle | None = self.cycle  # None before the first request
        if under_way is not None and not under_way.response_complete:
            self._wait_for_head()  # sent ahead of an answer that is on its way
        else:
            self._refuse(_LATE)

    def _wait_for_body(self) -> None:
        self._seen = 0
        self._clock = self.loop.call_later(self.body_seconds, self._look_at_body)

    def _look_at_body(self) -> None:
        if self.flow.read_paused or self._seen >= self.body_bytes:
            self._wait_for_body()
        else:
            self._refuse(b"")  # an answer may be on its way already

    def _refuse(self, answer: bytes) -> None:
        self._stop()
        self._refused = True
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
