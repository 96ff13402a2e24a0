"""Starts service, simulator and Acme as one world, and says where each of them is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import ConsumerSecret
from keyturn_service.bootstrap import House, make_key_file, open_house
from keyturn_service.cli.dev.connecting import Vendor
from keyturn_service.cli.dev.hub_reader import HubReader
from keyturn_service.cli.dev.programs import (
    Program,
    executable,
    fail_when_ended,
    keep_running,
)
from keyturn_service.cli.dev.state import (
    Ports,
    Secrets,
    WorldState,
    choose_ports,
    keep_connections,
    keep_state,
    load_state,
)
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.ids import AppId, WorkspaceId
from keyturn_service.settings import DevelopmentWorld, Settings, environment_of_child, read_settings

SERVICE_NAME: Final = "connect.keyturn.example"
ACME_NAME: Final = "app.acme.example"
_CALLBACK: Final = "/oauth/callback"
_START_PAGE: Final = "/settings"
_SCOPES: Final = frozenset({Scope("api"), Scope("refresh_token"), Scope("id"), Scope("openid")})
_CONNECTED_AT_START: Final = 2
_ACTOR: Final = "keyturn dev"
_PREFIX: Final = "keyturn-dev-hub-"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller of `keyturn dev` asked for."""

    folder: Path
    database_url: str
    replicas: int
    bare: bool = False


@dataclass(kw_only=True)
class RunningWorld:
    """A world that answers: what is said of it, and its programs."""

    simulator: Program
    services: list[Program]
    acme: Program
    about: dict[str, Any] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """Return what `keyturn dev --json` prints, with the processes as they are now."""
        named = [*self.services, self.simulator, self.acme]
        processes = [{"name": program.name, "pid": program.pid} for program in named]
        return {**self.about, "processes": processes}

    async def watch(self) -> None:
        """Start killed services again; return never.

        Raises:
            ProgramFailed: a program ended for good.
        """
        watchers = [
            *(asyncio.create_task(keep_running(service)) for service in self.services),
            asyncio.create_task(fail_when_ended(self.simulator)),
            asyncio.create_task(fail_when_ended(self.acme)),
        ]
        try:
            await asyncio.gather(*watchers)
        finally:
            for watcher in watchers:
                watcher.cancel()


@contextlib.asynccontextmanager
async def running_world(options: Options) -> AsyncIterator[RunningWorld]:
    """Run a world, connected and answering, and end all of it afterwards.

    Raises:
        ProgramFailed: a program did not start.
        PageUnexpected: the first orgs could not be connected.
    """
    async with contextlib.AsyncExitStack() as to_end:
        ports = choose_ports(options.folder, replicas=options.replicas)
        reader = HubReader(folder=Path(to_end.enter_context(TemporaryDirectory(prefix=_PREFIX))))
        await asyncio.to_thread(reader.make)
        argv = [*_simulator_argv(options, ports), "--hub-reader", str(reader.certificate)]
        simulator = Program(name="orgsim", argv=argv)
        to_end.push_async_callback(simulator.stop)
        said = await simulator.start()
        hub = reader.settings(said)
        settings = [
            _service_settings(options, ports, said, number, hub=hub)
            for number in range(options.replicas)
        ]
        made = await _first_or_kept(options, ports, said, settings[0])
        state, secrets = made.state, made.secrets

        services = [_service(given, number) for number, given in enumerate(settings)]
        for service in services:
            to_end.push_async_callback(service.stop)
        await asyncio.gather(*(service.start() for service in services))
        if not state.connections:
            state = await _connect_first_orgs(state, secrets, ports, said)
            keep_connections(options.folder, state.connections)
        acme = _acme(options.folder, ports, said, secrets)
        to_end.push_async_callback(acme.stop)
        await acme.start()
        yield RunningWorld(
            simulator=simulator,
            services=services,
            acme=acme,
            about=_about(state, secrets, ports, said),
        )


@dataclass(frozen=True, kw_only=True)
class _Made:
    state: WorldState
    secrets: Secrets


async def _first_or_kept(
    options: Options, ports: Ports, said: Mapping[str, Any], settings: Settings
) -> _Made:
    """Load what an earlier start made, or make workspace, app and API keys."""
    await make_key_file(settings)
    async with open_house(settings, background=False) as house:
        kept = await load_state(options.folder, ports, house.vault)
        if kept is not None:
            return _Made(state=kept[0], secrets=kept[1])
        made = await _make(house, ports, said, bare=options.bare)
        await keep_state(options.folder, made.state, made.secrets, house.vault)
        return made


async def _make(house: House, ports: Ports, said: Mapping[str, Any], *, bare: bool) -> _Made:
    workspace = await house.new_workspace("Acme (development)")
    app_id = None if bare else await _register_app(house, workspace, ports, said)
    _, api_key = await house.wiring.create_api_key(
        workspace, _ACTOR, name="development", rights=frozenset(Right), expires_at=None
    )
    _, acme_key = await house.wiring.create_api_key(
        workspace,
        _ACTOR,
        name="Acme",
        rights=frozenset(Right) - {Right.ADMIN, Right.PROXY_UNSAFE},
        expires_at=None,
    )
    secrets = Secrets(
        api_key=api_key,
        acme_api_key=acme_key,
        acme_session_key=_text(house, 32),
        users=tuple(
            {
                "username": f"{_customer(org)}@acme.example",
                "password": f"{said['canary']}-{_text(house, 9)}",
                "customer_id": _customer(org),
            }
            for org in said["orgs"]
        ),
    )
    state = WorldState(ports=ports, workspace_id=workspace, app_id=app_id, connections=())
    return _Made(state=state, secrets=secrets)


async def _register_app(
    house: House, workspace: WorkspaceId, ports: Ports, said: Mapping[str, Any]
) -> AppId:
    """Register the app that the simulated orgs know from the start."""
    described = next(app for app in said["apps"] if app["name"] == "Acme")
    app = await house.wiring.register_app(
        workspace,
        _ACTOR,
        name="Acme",
        namespace=described["namespace"],
        callback_urls=_callbacks(ports),
        return_origins=_acme_faces(ports),
        scopes=_SCOPES,
        login_hosts=None,
        install_urls=_install_urls(described),
        allow_same_org=False,
        start_url=f"{_acme_faces(ports)[0]}{_START_PAGE}",
    )
    await house.wiring.put_consumer_credentials(
        workspace,
        app.id,
        _ACTOR,
        consumer_key=described["consumer_key"],
        consumer_secret=ConsumerSecret(described["consumer_secret"]),
    )
    return app.id


def _install_urls(described: Mapping[str, Any]) -> dict[Environment, str]:
    """Return where the simulator installs Acme's package, by the names of its login hosts."""
    path = f"/packaging/installPackage.apexp?p0={described['subscriber_version_id']}"
    return {environment: f"{host}{path}" for environment, host in LOGIN_HOSTS.items()}


def _text(house: House, count: int) -> str:
    return base64.urlsafe_b64encode(house.randomness.token_bytes(count)).rstrip(b"=").decode()


def _customer(org: Mapping[str, Any]) -> str:
    return str(org["name"]).lower().replace(" ", "-")


async def _connect_first_orgs(
    state: WorldState, secrets: Secrets, ports: Ports, said: Mapping[str, Any]
) -> WorldState:
    """Connect the first orgs that have the package, through the real flow."""
    vendor = Vendor(
        service_url=_service_urls(ports)[0],
        api_key=secrets.api_key,
        return_url=f"{_acme_faces(ports)[0]}{_START_PAGE}",
    )
    ready = [
        org
        for org in said["orgs"]
        if org["package_installed"]
        and org["environment"] == "production"
        and org["permitted_users"] == "all"
    ][:_CONNECTED_AT_START]
    made = [await vendor.connect(_customer(org), org) for org in ready]
    kept = ("id", "customer_id", "org_id", "environment")
    return WorldState(
        ports=ports,
        workspace_id=state.workspace_id,
        app_id=state.app_id,
        connections=tuple({name: connection[name] for name in kept} for connection in made),
    )


# --- where everything is --------------------------------------------------------------------


def _service_urls(ports: Ports) -> list[Origin]:
    return [Origin(f"http://127.0.0.1:{port}") for port in ports.services]


def _service_faces(ports: Ports) -> list[Origin]:
    tls = Origin(f"https://127.0.0.1:{ports.service_tls}")
    return [*_service_urls(ports), tls, Origin(f"https://{SERVICE_NAME}")]


def _acme_faces(ports: Ports) -> list[str]:
    return [
        f"http://127.0.0.1:{ports.acme}",
        f"https://127.0.0.1:{ports.acme_tls}",
        f"https://{ACME_NAME}",
    ]


def _callbacks(ports: Ports) -> list[str]:
    return [f"{face}{_CALLBACK}" for face in _service_faces(ports)]


# --- the programs ---------------------------------------------------------------------------


def _simulator_argv(options: Options, ports: Ports) -> list[str]:
    folder = options.folder
    argv = [executable("orgsim"), "serve", "--json", "--exit-with-stdin"]
    argv += ["--data", str(folder / "orgsim"), "--tls-dir", str(folder / "tls")]
    argv += ["--issue", SERVICE_NAME, "--issue", ACME_NAME]
    argv += ["--route", f"{SERVICE_NAME}=127.0.0.1:{ports.service_tls}"]
    argv += ["--route", f"{ACME_NAME}=127.0.0.1:{ports.acme_tls}"]
    for url in _callbacks(ports):
        argv += ["--app-callback", url]
    for face in _acme_faces(ports):
        argv += ["--post-install-url", f"{face}{_START_PAGE}"]
    if options.bare:
        argv.append("--bare")
    return argv


def _service_settings(
    options: Options,
    ports: Ports,
    said: Mapping[str, Any],
    number: int,
    *,
    hub: Mapping[str, Any],
) -> Settings:
    """Return the settings of one replica; the first one also serves TLS."""
    data, tls, certificate = options.folder / "service", said["tls"], None
    if number == 0:
        certificate = said["certificates"][SERVICE_NAME]
    return read_settings(
        public_urls=tuple(_service_faces(ports)),
        data_dir=data,
        database_url=options.database_url,
        key_file=data / "keyturn.key",
        spool_dir=data / f"spool-{number + 1}",
        spool_accepts_loss=True,
        **hub,
        egress_proxy_url=tls["connect_proxy_url"],
        ca_file=tls["ca_file"],
        host="127.0.0.1",
        port=ports.services[number],
        tls_port=ports.service_tls if certificate else None,
        tls_cert_file=certificate["cert_file"] if certificate else None,
        tls_key_file=certificate["key_file"] if certificate else None,
        dev_world=_development_world(ports, said),
    )


def _development_world(ports: Ports, said: Mapping[str, Any]) -> DevelopmentWorld:
    tls = said["tls"]
    plain = {
        Environment.PRODUCTION: Origin(said["login_url"]),
        Environment.SANDBOX: Origin(said["sandbox_login_url"]),
    }
    secure = {
        Environment.PRODUCTION: Origin(tls["login_url"]),
        Environment.SANDBOX: Origin(tls["sandbox_login_url"]),
    }
    my_domains = [Origin(org["my_domain_url"]) for org in said["orgs"]]
    my_domains.append(Origin(said["dev_hub"]["my_domain_url"]))
    secure_domains = [Origin(url) for url in tls["orgs"].values()]
    faces: dict[str, Mapping[Environment, Origin]] = dict.fromkeys(_service_urls(ports), plain)
    faces[f"https://127.0.0.1:{ports.service_tls}"] = secure
    return DevelopmentWorld(
        clock_url=said["control_url"],
        loopback=frozenset([*plain.values(), *secure.values(), *my_domains, *secure_domains]),
        login_hosts=faces,
        mark=said["canary"],
    )


def _service(settings: Settings, number: int) -> Program:
    return Program(
        name="service" if number == 0 else f"service-{number + 1}",
        argv=[executable("keyturn"), "serve", "--json", "--dev-world-on-stdin"],
        environment=environment_of_child(settings),
        first_input=settings.dev_world.model_dump_json() if settings.dev_world else None,
    )


def _acme(folder: Path, ports: Ports, said: Mapping[str, Any], secrets: Secrets) -> Program:
    """Write Acme's configuration, which it removes after reading, and return the program."""
    config = {
        "service_urls": dict(zip(_acme_faces(ports), _acme_service_urls(ports), strict=True)),
        "api_key": secrets.acme_api_key,
        "users": list(secrets.users),
        "session_key": secrets.acme_session_key,
        "clock_url": said["control_url"],
        "connect_proxy_url": said["tls"]["connect_proxy_url"],
        "ca_file": said["tls"]["ca_file"],
    }
    path = folder / "acme.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(json.dumps(config))
    certificate = said["certificates"][ACME_NAME]
    argv = [executable("keyturn-acme"), "serve", "--json", "--exit-with-stdin"]
    argv += ["--config", str(path), "--port", str(ports.acme), "--tls-port", str(ports.acme_tls)]
    argv += ["--cert", certificate["cert_file"], "--key", certificate["key_file"]]
    return Program(name="acme", argv=argv)


def _acme_service_urls(ports: Ports) -> Sequence[str]:
    return [
        _service_urls(ports)[0],
        f"https://127.0.0.1:{ports.service_tls}",
        f"https://{SERVICE_NAME}",
    ]


def _about(
    state: WorldState, secrets: Secrets, ports: Ports, said: Mapping[str, Any]
) -> dict[str, Any]:
    tls = said["tls"]
    simulator = (
        "login_url",
        "sandbox_login_url",
        "control_url",
        "canary",
        "apps",
        "install_urls",
        "orgs",
        "dev_hub",
    )
    return {
        "service_url": _service_urls(ports)[0],
        "service_urls": _service_urls(ports),
        "api_key": secrets.api_key,
        "workspace_id": state.workspace_id,
        "app_id": state.app_id,
        "acme": {"url": _acme_faces(ports)[0], "users": list(secrets.users)},
        "connections": list(state.connections),
        "simulator": {name: said[name] for name in simulator},
        "tls": {
            **tls,
            "service_url": f"https://127.0.0.1:{ports.service_tls}",
            "acme_url": f"https://127.0.0.1:{ports.acme_tls}",
            "names": {
                "acme": f"https://{ACME_NAME}",
                "service": f"https://{SERVICE_NAME}",
                "login": "https://login.salesforce.com",
                "sandbox_login": "https://test.salesforce.com",
            },
        },
    }
