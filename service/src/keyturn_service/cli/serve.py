"""`keyturn serve`: one replica of the service."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import uvicorn
import uvloop

from keyturn_service.bootstrap import CannotStart, Parts, open_house
from keyturn_service.bootstrap_web import joined_web
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.settings import Settings, SettingsRefused, read_settings
from keyturn_service.web.patience import PatientProtocol

_DRAIN_SECONDS: Final = 5
_YOUNG: Final = 10_000  # objects more than before; Python's own is 700


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Say in one line of JSON when it answers.")
@click.option("--dev-world-on-stdin", "from_dev", is_flag=True, hidden=True)
def serve(*, as_json: bool, from_dev: bool) -> None:
    r"""Run one replica of the service, set up by KEYTURN_… in the environment.

    Brings the database's tables up to date first. Ends on SIGTERM and SIGINT with status 0
    after the calls under way, and after a minute at most; status 1 says that it could not
    start, and why.

    \b
    Example:
      KEYTURN_PUBLIC_URLS=https://connect.acme.example keyturn serve
    """
    log_to_stderr()
    try:
        settings = _settings(from_dev=from_dev)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_replica(settings, as_json=as_json, until_stdin_ends=from_dev))
    except (SettingsRefused, CannotStart) as error:
        click.echo(f"keyturn serve: {error}", err=True)
        sys.exit(1)


def _settings(*, from_dev: bool) -> Settings:
    """Read the settings; `keyturn dev` hands its world over as the first line of stdin."""
    if not from_dev:
        return read_settings()
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)  # prepared, and never needed
    return read_settings(dev_world=json.loads(line))


async def run_replica(
    settings: Settings,
    *,
    as_json: bool,
    until_stdin_ends: bool,
    between: Callable[[Parts], Parts] = lambda parts: parts,
) -> None:
    """Serve until told to stop. `between` may put something between use cases and adapters.

    Raises:
        CannotStart: a port is taken, a certificate cannot be used, or the house not be opened.
    """
    told = asyncio.Event()
    with _told_to_stop(told, watch_stdin=until_stdin_ends):
        async with open_house(settings, between=between) as house:
            servers = [_Server(config) for config in _configs(settings, joined_web(house.wiring))]
            serving = [asyncio.create_task(server.serve()) for server in servers]
            try:
                await _until_started(servers, serving)
                _settle_memory()
                if as_json:
                    click.echo(json.dumps({"urls": list(settings.public_urls)}))
                stopping = asyncio.create_task(told.wait())
                await asyncio.wait({stopping, *serving}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
            finally:
                for server in servers:
                    server.should_exit = True
                ended = await asyncio.gather(*serving, return_exceptions=True)
            for one in ended:
                if isinstance(one, BaseException):
                    raise one


def _configs(settings: Settings, app: Any) -> list[uvicorn.Config]:
    common: dict[str, Any] = {
        "host": settings.host,
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": _DRAIN_SECONDS,
        "http": PatientProtocol,
        "ws": "none",
    }
    configs = [uvicorn.Config(app, port=settings.port, **common)]
    if settings.tls_port is not None:
        configs.append(
            uvicorn.Config(
                app,
                port=settings.tls_port,
                ssl_certfile=settings.tls_cert_file,
                ssl_keyfile=settings.tls_key_file,
                **common,
            )
        )
        _see_certificate(configs[-1])
    return configs


def _see_certificate(config: uvicorn.Config) -> None:
    """See that what HTTPS is to be served with can be read, and fits together.

    Raises:
        CannotStart: it cannot.
    """
    files = {
        "KEYTURN_TLS_CERT_FILE": config.ssl_certfile,
        "KEYTURN_TLS_KEY_FILE": config.ssl_keyfile,
    }
    for setting, path in files.items():
        try:
            Path(str(path)).read_bytes()
        except OSError as error:
            raise CannotStart(f"{setting}: cannot read {path}: {error.strerror}") from None
    try:
        config.load()
    except ssl.SSLError as error:
        raise CannotStart(
            f"{' and '.join(files)}: {files['KEYTURN_TLS_CERT_FILE']} has to be a chain of"
            " certificates in PEM, the service's own first, and the other file its private key"
            f" ({error.reason or error})"
        ) from None


class _Server(uvicorn.Server):
    """A server whose end is decided by us: two of them share one process and its signals."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen.

        Raises:
            CannotStart: it cannot; the library would end the process.
        """
        try:
            await super().startup(sockets)
        except (SystemExit, UnicodeError) as ended:  # a name that is none in the DNS
            because = ended.__context__
            words = because.strerror if isinstance(because, OSError) else None
            raise CannotStart(
                f"cannot listen on {self.config.host} port {self.config.port}"
                f" ({words or 'no reason was given'}): another program may be there, or"
                " KEYTURN_HOST is no address of this machine"
            ) from None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _settle_memory() -> None:
    """Spare what stands at the start from being looked through for garbage, time and again.

    It is some hundred thousand objects, and stays. Young objects are looked through less often
    too: nearly all of ours go by their count.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


async def _until_started(servers: list[_Server], serving: list[asyncio.Task[None]]) -> None:
    """Wait until every port answers.

    Raises:
        CannotStart: a port is taken.
    """
    while not all(server.started for server in servers):
        for task in serving:
            if task.done():
                task.result()
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def _told_to_stop(told: asyncio.Event, *, watch_stdin: bool) -> Iterator[None]:
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
    yield
