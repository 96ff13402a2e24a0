"""By which of its public URLs a request reached the service."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import Scope

from keyturn_core.salesforce.hosts import Origin

_STANDARD_PORTS: Final = {"http": ":80", "https": ":443"}


class Faces:
    """The public URLs, found by a request's `Host`.

    The scheme decides between two that differ in nothing else. It does not have to fit: behind
    something that ends TLS a request for an https face comes in as plain http.
    """

    def __init__(self, public_urls: Sequence[str]) -> None:
        self._first = Origin(public_urls[0])
        self._by_scheme: dict[tuple[str, str], Origin] = {}
        self._by_host: dict[str, Origin] = {}
        self._found = lru_cache(maxsize=64)(self._look)
        for url in public_urls:
            parts = urlsplit(url)
            self._by_scheme[parts.scheme, parts.netloc] = Origin(url)
            self._by_host.setdefault(parts.netloc, Origin(url))

    @property
    def first(self) -> Origin:
        """The face that is named where a request came by none."""
        return self._first

    def find(self, scope: Scope) -> Origin | None:
        """Return the face that a request came by, None where its host is none of ours."""
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1:
            return None
        return self._found(scope.get("scheme", "http"), named[0])

    def _look(self, scheme: str, named: bytes) -> Origin | None:
        host = named.decode("latin-1").lower()
        exact = self._by_scheme.get((scheme, host.removesuffix(_STANDARD_PORTS.get(scheme, ""))))
        return exact or self._by_host.get(host.removesuffix(":443"))

    def of(self, scope: Scope) -> Origin:
        """Return the face that a request came by, the first one where by none."""
        return self.find(scope) or self._first


def face_of(request: HTTPConnection, public_urls: Sequence[str]) -> Origin:
    """Return the public URL that a request came by, the first one where by none."""
    return Faces(public_urls).of(request.scope)
