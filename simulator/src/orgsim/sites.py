"""Sites of a world and the faces they show.

A site is a login host or one org's My Domain. A face is how a caller reached it: a plain port, a
TLS port, or a true-looking name. Every URL handed out keeps the face of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FaceKind = Literal["plain", "tls", "names"]

LOGIN = "login"
SANDBOX_LOGIN = "sandbox_login"
LOGIN_HOSTS = {LOGIN: "login.salesforce.com", SANDBOX_LOGIN: "test.salesforce.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where everything listens; `plain` and `tls` go by site."""

    plain: Mapping[str, int]
    tls: Mapping[str, int]
    names: int
    control: int
    connect_proxy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One way of reaching the world.

    `loopback` is the host that the caller used for a port: `127.0.0.1` or `localhost`.
    """

    kind: FaceKind
    loopback: str
    ports: Ports
    hosts: Mapping[str, str]

    @property
    def secure(self) -> bool:
        """Whether calls on this face are encrypted."""
        return self.kind != "plain"

    def origin(self, site: str) -> str:
        """Return the origin of a site as seen on this face."""
        if self.kind == "names":
            return f"https://{self.hosts[site]}"
        if self.kind == "tls":
            return f"https://{self.loopback}:{self.ports.tls[site]}"
        return f"http://{self.loopback}:{self.ports.plain[site]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """All sites by port and by name."""

    ports: Ports
    hosts: Mapping[str, str]

    def face(self, kind: FaceKind, loopback: str = "127.0.0.1") -> Face:
        """Return a face, for URLs that no call asked for."""
        return Face(kind=kind, loopback=loopback, ports=self.ports, hosts=self.hosts)

    def locate(self, *, port: int, secure: bool, host_header: str) -> tuple[str, Face] | None:
        """Find the site a call is meant for, and the face it came by; None where there is none."""
        name = host_header.rsplit(":", 1)[0].lower() if host_header else ""
        if secure:
            for site, host in self.hosts.items():
                if host == name:
                    return site, self.face("names")
        listening = self.ports.tls if secure else self.ports.plain
        loopback = "localhost" if name == "localhost" else "127.0.0.1"
        for site, its_port in listening.items():
            if its_port == port:
                return site, self.face("tls" if secure else "plain", loopback)
        return None
