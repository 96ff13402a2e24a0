"""What both clients need to carry calls over HTTP, written once."""

from __future__ import annotations

from importlib.metadata import version
from ipaddress import ip_address
from typing import Final, TypedDict
from urllib.parse import urlsplit

import httpx2

from keyturn.retrying import NoAnswer, Send
from keyturn.wire import Answer

API_VERSION: Final = "68.0"
"""The newest version of Salesforce's APIs in November 2026; all orgs have it."""

_CONNECT_SECONDS: Final = 10.0
_NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class Options(TypedDict):
    """What an HTTP client is made with."""

    headers: dict[str, str]
    timeout: httpx2.Timeout
    trust_env: bool


def base_url(url: str, *, allow_plain_http: bool) -> str:
    """Return the address that paths of the REST API are put behind.

    Raises:
        ValueError: it is none, or the API key would cross a network in the clear.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("give the service's URL, such as https://connect.acme.example")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("the service's URL has no user, query or fragment")
    if parts.scheme == "http" and not (allow_plain_http or is_loopback(parts.hostname)):
        raise ValueError(
            "the API key would be readable on its way: use https, or allow_plain_http=True"
            " on a network where nobody listens"
        )
    return url.rstrip("/")


def options(url: str, *, api_key: str, timeout: float) -> Options:
    """Return what the HTTP client of either kind is made with.

    Raises:
        ValueError: the API key is empty, or holds what no API key has.
    """
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("give the API key, as it was shown when it was created")
    return Options(
        headers={
            "Authorization": f"Bearer {api_key}",
            "Accept": "application/json",
            "User-Agent": f"keyturn-python/{version('keyturn')}",
        },
        timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        trust_env=not is_loopback(urlsplit(url).hostname or ""),
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine; a proxy from the environment never leads there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def headers_of(send: Send) -> dict[str, str]:
    """Return the headers of a call's own."""
    key = {"Idempotency-Key": send.key} if send.key is not None else {}
    return {**send.call.headers, **key}


def answer_of(response: httpx2.Response) -> Answer:
    """Return a response, read already, as a value."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=response.content)


def no_answer(error: httpx2.RequestError) -> NoAnswer:
    """Say what is known where no whole answer came. Its text could quote the request."""
    return NoAnswer(sent=not isinstance(error, _NOT_SENT), reason=type(error).__name__)
