"""Web addresses of `keyturn.toml`: as Salesforce's fields and the service's API take them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
_VISIBLE: Final = re.compile(r"[!-\[\]-~]+")  # ASCII without blank and backslash
_ORIGIN: Final = re.compile(
    r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?", re.ASCII
)  # as the service's API has it


def https_url(text: str) -> str:
    """Return a whole https URL.

    Raises:
        ValueError: it is none.
    """
    parts = _split(text)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise ValueError("write a whole https URL, such as https://acme.example/logo.png")
    return text


def web_url(text: str) -> str:
    """Return a whole https URL, or one of this machine.

    Raises:
        ValueError: it is none.
    """
    parts = _split(text)
    if parts.scheme == "http" and parts.hostname in LOOPBACK and "@" not in parts.netloc:
        return text
    return https_url(text)


def page_url(text: str) -> str:
    """Return the URL of a page that the service sends browsers to.

    Raises:
        ValueError: it is none, or has a fragment.
    """
    if "#" in text:
        raise ValueError("write the page's URL without #fragment: the service takes none")
    return web_url(text)


def service_url(text: str) -> str:
    """Return the address of the service, which answers at the root of its host.

    Raises:
        ValueError: it is more than scheme, host and port.
    """
    parts = _split(web_url(text))
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError(
            "write the service's address alone, such as https://connect.acme.example: "
            "it answers at the root of its host, so there is no path and no query"
        )
    return text


def origin(text: str) -> str:
    """Return an origin, as the service takes those that browsers go back to.

    Raises:
        ValueError: it is none.
    """
    _split(text)
    if not _ORIGIN.fullmatch(text):
        raise ValueError(
            "write an origin, such as https://app.acme.example: "
            "scheme, host and port, without path and without a slash at its end"
        )
    return text


def callback_url(text: str) -> str:
    """Return a callback URL that Salesforce takes.

    Raises:
        ValueError: it is none.
    """
    parts = _split(text)
    if not parts.scheme or "#" in text or "*" in text:
        raise ValueError("write the whole callback URL, without wildcard and without #fragment")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("only https; plain http is for localhost alone")
    if parts.scheme in {"http", "https"} and not parts.hostname:
        raise ValueError("write the whole callback URL, with its host")
    return text


def _split(text: str) -> SplitResult:
    if not _VISIBLE.fullmatch(text):
        raise ValueError(
            "a URL is of visible ASCII characters, without backslash: write others as %C3%A9, "
            "hosts as xn--…"
        )
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError("its port is no number up to 65535") from error
    if port is None and parts.netloc.endswith(":"):
        raise ValueError("a colon behind the host has a port after it")
    return parts
