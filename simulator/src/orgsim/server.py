"""Runs a world: listeners for every site, the control port and the CONNECT proxy, on one loop."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from orgsim.certificates import SALESFORCE_NAMES, Authority, Leaf, label_of
from orgsim.connect_proxy import ConnectProxy, Target
from orgsim.connection import OpenProtocol
from orgsim.control.app import make_control_app
from orgsim.control.views import apps_view, dev_hub_view, orgs_view
from orgsim.gate import Gate
from orgsim.orgs.first_world import HUB
from orgsim.orgs.offers import first_offer
from orgsim.settings import Settings
from orgsim.site_app import make_site_app
from orgsim.sites import LOGIN, SANDBOX_LOGIN, Directory, Face, Ports
from orgsim.surfaces.install_pages.routes import LINK_PATH
from orgsim.world import World

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_GRACE_SECONDS = 1
_log = logging.getLogger("orgsim")
_FREE_PORTS = range(26_000, 32_000)


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling: the command line stops all servers together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _listen(port: int) -> socket.socket:
    # asyncio sends without delay only where the protocol is named
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_LOOPBACK, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _listen_anywhere() -> socket.socket:
    """Listen on a free port below those that systems lend to outgoing connections.

    A kept world is started again on its ports; one of those could be lent away meanwhile.
    """
    first = os.getpid() * 61 % len(_FREE_PORTS)
    for port in (*_FREE_PORTS[first:], *_FREE_PORTS[:first]):
        with contextlib.suppress(OSError):
            return _listen(port)
    return _listen(0)


class Listeners:
    """All listening sockets of a run, bound before anything answers."""

    def __init__(self, sites: tuple[str, ...], *, wanted: dict[str, int]) -> None:
        self.sockets: dict[str, socket.socket] = {}
        labels = [f"plain:{site}" for site in sites] + [f"tls:{site}" for site in sites]
        for label in [*labels, "names", "control", "connect_proxy"]:
            port = wanted.get(label)
            self.sockets[label] = _listen_anywhere() if port is None else _listen(port)
        self.numbers = {label: int(held.getsockname()[1]) for label, held in self.sockets.items()}
        self.ports = Ports(
            plain={site: self.numbers[f"plain:{site}"] for site in sites},
            tls={site: self.numbers[f"tls:{site}"] for site in sites},
            names=self.numbers["names"],
            control=self.numbers["control"],
            connect_proxy=self.numbers["connect_proxy"],
        )

    def of(self, *kinds: str) -> list[socket.socket]:
        """Return the sockets of some kinds."""
        return [held for label, held in self.sockets.items() if label.split(":")[0] in kinds]

    def close(self) -> None:
        """Close what is still open."""
        for held in self.sockets.values():
            held.close()


def _wanted_ports(settings: Settings, sites: tuple[str, ...]) -> dict[str, int]:
    """Return the ports of an earlier run, or those that `--port-base` counts out."""
    file = _ports_file(settings)
    if file is not None and file.exists():
        kept = json.loads(file.read_text("utf-8"))
        return {str(label): int(port) for label, port in kept.items()}
    if settings.port_base is None:
        return {}
    customers = [site for site in sites if site != HUB.slot]
    labels = [f"plain:{site}" for site in customers] + ["control", "connect_proxy", "names"]
    labels += [f"tls:{site}" for site in customers] + [f"plain:{HUB.slot}", f"tls:{HUB.slot}"]
    return {label: settings.port_base + at for at, label in enumerate(labels)}


def _ports_file(settings: Settings) -> Path | None:
    if settings.ports_file is not None:
        return settings.ports_file
    return None if settings.data_dir is None else settings.data_dir / "ports.json"


class Running:
    """A world that answers, and what to tell about it."""

    def __init__(
        self,
        *,
        world: World,
        directory: Directory,
        authority: Authority,
        leaves: dict[str, Leaf],
    ) -> None:
        self.world = world
        self.directory = directory
        self._authority = authority
        self._leaves = leaves

    def summary(self) -> dict[str, Any]:
        """Return the one line that other programs read."""
        ports, plain = self.directory.ports, self.directory.face("plain")
        tls = self.directory.face("tls")
        return {
            "login_url": plain.origin(LOGIN),
            "sandbox_login_url": plain.origin(SANDBOX_LOGIN),
            "control_url": f"http://{_LOOPBACK}:{ports.control}",
            "canary": self.world.canary,
            "install_urls": self._install_urls(plain),
            "apps": [asdict_json(app) for app in apps_view(self.world)],
            "orgs": [asdict_json(org) for org in orgs_view(self.world, plain)],
            "dev_hub": asdict_json(dev_hub_view(self.world, plain)),
            "tls": {
                "login_url": tls.origin(LOGIN),
                "sandbox_login_url": tls.origin(SANDBOX_LOGIN),
                "connect_proxy_url": f"http://{_LOOPBACK}:{ports.connect_proxy}",
                "ca_file": str(self._authority.ca_file),
                "orgs": {org.org_id: tls.origin(org.slot) for org in self.world.subscribers},
                "dev_hub": tls.origin(self.world.hub.slot),
            },
            "certificates": {
                name: {key: str(path) for key, path in asdict(leaf).items()}
                for name, leaf in self._leaves.items()
            },
        }

    def _install_urls(self, face: Face) -> dict[str, str]:
        """Return where the package that the world has from the start is installed."""
        path = f"{LINK_PATH}?p0={first_offer(self.world).subscriber_version_id}"
        sites = {"production": LOGIN, "sandbox": SANDBOX_LOGIN}
        return {kind: f"{face.origin(site)}{path}" for kind, site in sites.items()}


def asdict_json(model: Any) -> Any:
    """Return a view's fields as JSON values."""
    return model.model_dump(mode="json")


def _config(app: Any, leaf: Leaf | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=60,
        ssl_certfile=None if leaf is None else str(leaf.cert_file),
        ssl_keyfile=None if leaf is None else str(leaf.key_file),
    )


def _finder(world: World, ports: Ports, settings: Settings) -> Any:
    """Return the look-up of the CONNECT proxy: known names, everything else refused."""
    routes = {name.lower(): (host, port) for name, host, port in settings.routes}

    def find(name: str) -> Target | None:
        if name in routes:
            return routes[name]
        if name in world.hosts.values():
            return (_LOOPBACK, ports.names)
        return None

    return find


def _tls_folder(settings: Settings, stack: contextlib.ExitStack) -> Path:
    """Return where certificates lie; a temporary folder only where nothing is to be kept."""
    if settings.tls_dir is not None:
        return settings.tls_dir
    if settings.data_dir is not None:
        return settings.data_dir / "tls"
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orgsim-")))


@contextlib.asynccontextmanager
async def running_world(settings: Settings) -> AsyncIterator[Running]:
    """Start a world, and stop it at the end of the block."""
    with contextlib.ExitStack() as stack:
        world = World(settings)
        stack.callback(world.close)
        sites = (LOGIN, SANDBOX_LOGIN, *(org.slot for org in world.orgs))
        listeners = Listeners(sites, wanted=_wanted_ports(settings, sites))
        stack.callback(listeners.close)
        file = _ports_file(settings)
        if file is not None:
            file.write_text(json.dumps(listeners.numbers), "utf-8")
        authority = Authority(_tls_folder(settings, stack))
        leaf = authority.issue("salesforce", SALESFORCE_NAMES)
        leaves = {name: authority.issue(label_of(name), (name,)) for name in settings.issue}
        directory = Directory(ports=listeners.ports, hosts=world.hosts)
        running = Running(world=world, directory=directory, authority=authority, leaves=leaves)
        async with _serving(running, listeners, leaf, settings):
            yield running


@contextlib.asynccontextmanager
async def _serving(
    running: Running, listeners: Listeners, leaf: Leaf, settings: Settings
) -> AsyncIterator[None]:
    world, directory = running.world, running.directory
    gate = Gate(world=world, directory=directory, app=make_site_app(world))
    control = make_control_app(world, directory)
    servers = [
        (_QuietServer(_config(gate)), listeners.of("plain")),
        (_QuietServer(_config(gate, leaf)), listeners.of("tls", "names")),
        (_QuietServer(_config(control)), listeners.of("control")),
    ]
    proxy = ConnectProxy(_finder(world, listeners.ports, settings))
    proxy_server = await asyncio.start_server(
        proxy, sock=listeners.sockets["connect_proxy"], limit=65_536
    )
    tasks = [asyncio.create_task(server.serve(sockets=held)) for server, held in servers]
    try:
        await _until_started([server for server, _ in servers], tasks)
        _log.info("orgsim answers", extra={"orgs": len(world.orgs)})
        yield
    finally:
        proxy_server.close()
        await proxy.close()
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_started(servers: list[_QuietServer], tasks: list[asyncio.Task[None]]) -> None:
    while not all(server.started for server in servers):
        for task in tasks:
            if task.done():
                task.result()
                raise RuntimeError("a listener ended before it answered")
        await asyncio.sleep(0.01)
