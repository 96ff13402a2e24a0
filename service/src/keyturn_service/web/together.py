"""Send the head of an answer together with what comes right behind it.

The server below writes head and body one after the other, each by a system call of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

_LONGEST_HEAD: Final = 16 * 1024  # bytes


class Together:
    """A transport that holds a head back until the next write, or the end of this turn.

    What is written in one turn of the event loop arrives as one piece. Everything else is the
    transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, or hold a head back for a moment."""
        held, self._held = self._held, b""
        if held:
            self._transport.write(held + data)
        elif data.startswith(b"HTTP/1.1 ") and len(data) < _LONGEST_HEAD:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close, after what was held back."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        """Return a member of the transport's own."""
        return getattr(self._transport, name)
