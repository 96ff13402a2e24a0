"""How long and how much a connection may ask before anybody has to look at it.

The server below waits for ever for the end of a request's head or body, and keeps a head of any
length. A stranger with many connections could use up its files or its memory that way.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from keyturn_service.web.together import Together

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
    b"content-length: 0\r\n\r\n"
)


class PatientProtocol(HttpToolsProtocol):
    """One connection whose requests have to come in time.

    A head is whole within `head_seconds` and `head_bytes`. Of a body `body_bytes` come in each
    `body_seconds`, unless we are the ones who do not read. One timer a connection looks at
    that now and then: nearly all requests are over before it does, and cost none.
    """

    head_seconds: ClassVar[float] = 15.0
    head_bytes: ClassVar[int] = 64 * 1024
    body_seconds: ClassVar[float] = 30.0
    body_bytes: ClassVar[int] = 1024

    _in_head = True
    _in_body = False
    _refused = False
    _began = 0.0  # when we began to wait for what we wait for, by the loop's clock
    _seen = 0  # bytes that came since
    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(Together(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what came; a head that grows too long is not read on."""
        if self._refused:
            return
        if self._in_head and not self._seen:
            self._wait()  # the next request on a connection that was kept
        self._seen += len(data)
        super().data_received(data)
        if self._in_head and self._seen > self.head_bytes:
            self._refuse(_LONG)

    def on_headers_complete(self) -> None:
        """Wait for the body now, if there is one."""
        self._in_head, self._in_body = False, True
        if self._seen > self.head_bytes and self._head_size() > self.head_bytes:
            self._refuse(_LONG)
            return
        super().on_headers_complete()
        self._wait()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body, unless its head was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next head: the request is whole."""
        self._in_head, self._in_body = True, False
        self._seen = 0
        if not self._refused:
            super().on_message_complete()

    def _head_size(self) -> int:
        """Return the bytes of the head that has just ended; more may have come with it."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _wait(self) -> None:
        """Begin to wait for a head, or for the next part of a body."""
        self._began, self._seen = self.loop.time(), 0
        if self._looking is None:
            self._look_in(self._limit())

    def _limit(self) -> float:
        return self.body_seconds if self._in_body else self.head_seconds

    def _look_in(self, seconds: float) -> None:
        self._looking = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """See whether what we wait for is late."""
        self._looking = None
        left = self._began + self._limit() - self.loop.time()
        if left > 0:
            self._look_in(left)
        elif self._in_body:
            if not self.flow.read_paused and self._seen < self.body_bytes:
                self._refuse(b"")  # an answer may be on its way already
            else:
                self._wait()
        elif self._answering():
            self._wait()  # sent ahead of an answer that is on its way
        elif self._seen or not self._answered():
            self._refuse(_LATE)

    def _answering(self) -> bool:
        under_way: RequestResponseCycle | None = self.cycle  # None before the first request
        return under_way is not None and not under_way.response_complete

    def _answered(self) -> bool:
        """Tell whether a request was answered: then the server's own patience ends the silence."""
        return self.cycle is not None

    def _refuse(self, answer: bytes) -> None:
        self._stop()
        self._refused = True
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def _stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
