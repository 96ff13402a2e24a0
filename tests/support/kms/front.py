"""A proxy that answers CONNECT and stands for every host behind it, by certificates of its own.

The providers' clients are given nothing but what their users give them: HTTPS_PROXY, a file of
certificates, credentials. It does not speak HTTP/2, keeps no real host reachable, and takes plain
HTTP for no host.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from orgsim.certificates import Authority


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    host: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(status: int, body: object, **headers: str) -> Answer:
    """Return an answer in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **named},
    )


class StandIn(Protocol):
    """A service behind some names."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names, with port where it is not 443; `*` stands for the first label."""
        ...

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        ...


class Front:
    """The proxy, and how it misbehaves.

    `away`: connections are cut. `garbled`: something in between answers with a page of its own.
    `held`: a request waits until the event is set, then its connection is cut.
    """

    def __init__(self, folder: Path, stand_ins: list[StandIn]) -> None:
        authority = Authority(folder)
        names = {host.partition(":")[0] for each in stand_ins for host in each.hosts}
        leaf = authority.issue("kms", tuple(sorted(names)))
        self.ca_file = authority.ca_file
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(leaf.cert_file, leaf.key_file)
        self.stand_ins = {host: each for each in stand_ins for host in each.hosts}
        self.away = False
        self.garbled = False
        self.held: threading.Event | None = None
        self.asked: list[Asked] = []

    def behind(self, host: str) -> StandIn | None:
        """Return who answers for a name."""
        plain = host.removesuffix(":443")
        return self.stand_ins.get(plain) or self.stand_ins.get(f"*.{plain.partition('.')[2]}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    front: Front
    host = ""

    def do_CONNECT(self) -> None:
        """Let a client through to a name that somebody stands for."""
        if self.front.away or self.front.behind(self.path) is None:
            self.close_connection = True
            return
        self.host = self.path
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        try:
            self.connection = self.front.tls.wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def do_POST(self) -> None:
        """Have the stand-in answer."""
        front, behind = self.front, self.front.behind(self.host)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if front.held is not None:
            front.held.wait(30)
        if front.away or front.held is not None or behind is None:
            self.close_connection = True
            return
        asked = Asked(
            host=self.host.removesuffix(":443"),
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        front.asked.append(asked)
        answer = Answer(body=b"<html>") if front.garbled else behind.answer(asked)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    do_GET = do_PUT = do_POST  # noqa: N815 - the base class calls them so

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Close the connection, in whatever state it is."""
        try:
            super().finish()
        except (OSError, ValueError):
            pass
        finally:
            self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def running_front(folder: Path, stand_ins: list[StandIn]) -> Iterator[tuple[Front, str]]:
    """Run the proxy; give it and its URL."""
    front = Front(folder, stand_ins)
    handler = type("Handler", (_Handler,), {"front": front})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield front, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        if front.held is not None:
            front.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
