"""Which headers pass between a proxy's caller and an org, each way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What tells the org about our caller's way to us, or opens another session than ours.
_STAY_HERE: Final = frozenset(
    {
        b"authorization",
        b"cookie",
        b"cookie2",
        b"expect",
        b"forwarded",
        b"host",
        b"via",
        b"x-real-ip",
        b"x-sfdc-session",
    }
)
# What opens a session, or speaks of the org's host and would be taken for ours.
_STAY_THERE: Final = frozenset(
    {
        b"alt-svc",
        b"clear-site-data",
        b"public-key-pins",
        b"set-cookie",
        b"set-cookie2",
        b"strict-transport-security",
    }
)

Headers = Sequence[tuple[bytes, bytes]]


def upwards(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return what an org may see of a caller's headers. Names are in lower case.

    Spec: RFC 9110 section 7.6.1.
    """
    dropped = _HOP_BY_HOP | _STAY_HERE | _named_by_connection(headers)
    return [
        (name, value)
        for name, value in headers
        if name not in dropped and not name.startswith((b"x-forwarded-", b"keyturn-"))
    ]


def downwards(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return what a caller may see of an org's headers, names in lower case.

    Spec: RFC 9110 section 7.6.1.
    """
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _HOP_BY_HOP | _STAY_THERE | _named_by_connection(lowered)
    return [
        (name, value)
        for name, value in lowered
        if name not in dropped and not name.startswith(b"keyturn-")
    ]


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Return the header names that `Connection` says are for one hop."""
    return frozenset(
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    )
