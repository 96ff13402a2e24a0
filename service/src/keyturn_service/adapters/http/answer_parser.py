"""Reads one HTTP/1.1 answer as it arrives and keeps every byte of what came."""

from __future__ import annotations

import zlib
from typing import Final

import httptools

_HEAD_LIMIT: Final = 64 * 1024  # bytes of status line and headers
_FINAL: Final = 200  # what is below is an interim answer
_WINDOW: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS}


class AnswerParser:
    """One answer, fed in parts.

    `status` is None until a final status line with all its headers came. `complete` says that
    the whole body came, of the length it was promised; an answer that ends with its connection
    is complete where that one was closed in order.
    """

    def __init__(self, *, limit: int) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.finished = False
        self.complete = False
        self._limit = limit
        self._body = bytearray()
        self._head_bytes = 0
        self._framed = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Read the next bytes; `finished` then says whether more are wanted."""
        if self.finished:
            return
        if self.status is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._stop(complete=False)
        if self.status is None and self._head_bytes > _HEAD_LIMIT:
            self._stop(complete=False)

    def end(self, *, clean: bool) -> None:
        """Note that the connection ended; `clean` where the other side closed it in order."""
        if not self.finished:
            self._stop(complete=clean and self.status is not None and not self._framed)

    def body(self) -> bytes:
        """Return what came of the body, unpacked as far as it goes."""
        window = _WINDOW.get(self.headers.get("content-encoding", "").strip().lower())
        if window is None:
            return bytes(self._body)
        unpacking = zlib.decompressobj(window)
        try:
            unpacked = unpacking.decompress(bytes(self._body), self._limit)
        except zlib.error:
            self.complete = False
            return bytes(self._body)
        self.complete = self.complete and unpacking.eof
        return unpacked

    def _stop(self, *, complete: bool) -> None:
        self.finished = True
        self.complete = complete

    # --- what httptools calls ---

    def on_message_begin(self) -> None:
        """Start over after an interim answer; a second final one is no part of ours."""
        if self.finished:
            self.complete = False
        self.headers = {} if self.status is None else self.headers

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; of a doubled one the first."""
        if not self.finished:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Keep the status of a final answer."""
        status = self._parser.get_status_code()
        if status >= _FINAL and not self.finished:
            self.status = status
            chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
            self._framed = chunked or "content-length" in self.headers

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, up to the limit."""
        if self.finished:
            return
        room = self._limit - len(self._body)
        self._body += part[:room]
        if len(part) > room:
            self._stop(complete=False)

    def on_message_complete(self) -> None:
        """Note the end of a final answer that says how long it is."""
        if self.status is not None and not self.finished:
            self._stop(complete=True)
