"""Ends a connection in the middle of an exchange, as networks do.

uvicorn gives an application no way to its socket; the protocol class here hands the transport on
in the ASGI scope.
"""

import socket
import struct
from asyncio import Transport

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_KEY = "orgsim.transport"
_NO_LINGER = struct.pack("ii", 1, 0)


class OpenProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the transport in the scope of each request."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {_KEY: {"transport": self.transport}}


def _transport(scope: Scope) -> Transport:
    transport = scope["extensions"][_KEY]["transport"]
    if not isinstance(transport, Transport):
        raise TypeError("the server has no transport to close")
    return transport


async def _until_gone(receive: Receive) -> None:
    """Wait until the server has noticed, so that it writes nothing more."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def close_connection(scope: Scope, receive: Receive) -> None:
    """Send what was written, then close: the peer sees an end in the middle."""
    _transport(scope).close()
    await _until_gone(receive)


async def reset_connection(scope: Scope, receive: Receive) -> None:
    """Close with a reset: the peer sees `ECONNRESET`.

    Spec: RFC 9293 section 3.10.7; `SO_LINGER` of zero makes the kernel send RST.
    """
    transport = _transport(scope)
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
    await _until_gone(receive)
