"""Runs Acme: a plain port, a TLS port where asked for, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette

from acme.accounts import Accounts
from acme.app import make_app
from acme.clock import Clock
from acme.config import Config
from acme.faces import open_faces
from acme.sessions import Sessions
from acme.web import Acme, page_templates

_DRAIN_SECONDS: Final = 3


class CannotServe(Exception):
    """Acme cannot start; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where Acme listens, on this machine only. `tls` has its certificate and key."""

    plain: int
    tls: int | None = None
    cert: Path | None = None
    key: Path | None = None


async def serve(
    config: Config, ports: Ports, *, ready: Callable[[], None], until_stdin_ends: bool
) -> None:
    """Serve until told to stop.

    Raises:
        CannotServe: a port is taken, or the configuration cannot be used.
    """
    told = asyncio.Event()
    _stop_when_told(told, watch_stdin=until_stdin_ends)
    try:
        faces = open_faces(config)
    except (ValueError, OSError) as error:
        raise CannotServe(str(error)) from error
    acme = Acme(
        accounts=Accounts(config.users),
        sessions=Sessions(config.session_key),
        faces=faces,
        clock=Clock(),
        pages=page_templates(),
    )
    following = None
    if config.clock_url is not None:
        following = asyncio.create_task(acme.clock.follow(config.clock_url))
    try:
        await _run(make_app(acme), ports, told, ready)
    finally:
        if following is not None:
            following.cancel()
        await faces.close()


async def _run(
    app: Starlette, ports: Ports, told: asyncio.Event, ready: Callable[[], None]
) -> None:
    with contextlib.ExitStack() as open_ones:
        servers = [
            (_Server(config), open_ones.enter_context(_listen(config.port)))
            for config in _configs(app, ports)
        ]
        serving = [
            asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers
        ]
        stopping = asyncio.create_task(told.wait())
        try:
            for server, _ in servers:
                await server.answers.wait()
            ready()
            await asyncio.wait({stopping, *serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*serving)


def _configs(app: Starlette, ports: Ports) -> Iterator[uvicorn.Config]:
    common: dict[str, Any] = {
        "host": "127.0.0.1",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,  # confirmation codes are in queries
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": _DRAIN_SECONDS,
    }
    configs = [uvicorn.Config(app, port=ports.plain, **common)]
    if ports.tls is not None:
        secure: dict[str, Any] = {"ssl_certfile": ports.cert, "ssl_keyfile": ports.key}
        configs.append(uvicorn.Config(app, port=ports.tls, **common, **secure))
    for config in configs:
        try:
            config.load()
        except OSError as error:
            raise CannotServe(f"cannot use certificate or key: {error.strerror}") from error
        yield config


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback.

    Raises:
        CannotServe: the port is taken.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise CannotServe(f"cannot listen on port {port}: {error.strerror}") from error
    return listener


class _Server(uvicorn.Server):
    """A server whose end is decided by us: two of them share one process and its signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _stop_when_told(told: asyncio.Event, *, watch_stdin: bool) -> None:
    """Set `told` on SIGTERM, SIGINT and, where asked for, at the end of standard input."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            told.set()

    if watch_stdin:
        loop.add_reader(sys.stdin.fileno(), read)
