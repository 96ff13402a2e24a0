"""The addresses by which browsers reach Acme, and the service's address that goes with each."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx2

from acme.config import Config
from keyturn import AsyncKeyturn

MakeTransport = Callable[[str], httpx2.AsyncBaseTransport]
NAMESPACE: Final = "acme"  # of Acme's managed package
_STANDARD_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One origin of Acme's. `service_origin` is where browsers are sent to connect."""

    origin: str
    service_origin: str
    keyturn: AsyncKeyturn


class Faces:
    """All origins of Acme's."""

    def __init__(self, faces: Mapping[str, Face]) -> None:
        self._faces = faces

    def of(self, scheme: str, host: str) -> Face | None:
        """Return the face that a request came by, None where Acme is not called that."""
        plain = host.lower().removesuffix(_STANDARD_PORTS.get(scheme, ""))
        return self._faces.get(f"{scheme}://{plain}")

    async def close(self) -> None:
        """Close the connections to the service."""
        for face in self._faces.values():
            await face.keyturn.close()


def open_faces(config: Config, make_transport: MakeTransport | None = None) -> Faces:
    """Return the faces of a configuration, each with a client of its own.

    Raises:
        ValueError: a URL or the API key cannot be used.
    """
    transport = make_transport or _transports(config)
    faces = {}
    for origin, url in config.service_urls.items():
        client = AsyncKeyturn(
            url, api_key=config.api_key, namespace=NAMESPACE, transport=transport(url)
        )
        parts = urlsplit(url)
        faces[origin] = Face(
            origin=origin,
            service_origin=f"{parts.scheme}://{parts.netloc}",
            keyturn=client,
        )
    return Faces(faces)


def _transports(config: Config) -> MakeTransport:
    """Return how to reach a URL: names of a simulated world through its proxy."""
    context = ssl.create_default_context()
    if config.ca_file is not None:
        context.load_verify_locations(config.ca_file)

    def transport(url: str) -> httpx2.AsyncBaseTransport:
        proxied = config.connect_proxy_url is not None and not _is_here(url)
        proxy = (
            httpx2.Proxy(config.connect_proxy_url) if proxied and config.connect_proxy_url else None
        )
        return httpx2.AsyncHTTPTransport(verify=context, proxy=proxy, trust_env=False)

    return transport


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
