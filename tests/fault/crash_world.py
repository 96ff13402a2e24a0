"""A simulator and one replica that can be killed anywhere, joined without `keyturn dev`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
from tests.fault.forked import Forked, nursery
from tools.walker import Walker
from tools.world import BIN

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import ConsumerSecret
from keyturn_service.bootstrap import make_key_file, open_house
from keyturn_service.domain.api_key import Right
from keyturn_service.settings import read_settings

RETURN_URL: Final = "http://127.0.0.1:9/settings"
_SCOPES: Final = frozenset({Scope("api"), Scope("refresh_token"), Scope("id"), Scope("openid")})
_PATIENCE: Final = 30.0
_WORKERS: Final = 8  # at most, that run tests beside one another


@dataclass(kw_only=True)
class CrashWorld:
    """A vendor whose only replica is killed again and again."""

    folder: Path
    said: Mapping[str, Any]
    settings: dict[str, Any]
    dev_world: dict[str, Any]
    url: str
    api_key: str = ""
    replica: Forked | None = None
    http: httpx2.Client = field(init=False)
    control: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open the clients."""
        self.http = httpx2.Client(trust_env=False, timeout=40)
        self.control = httpx2.Client(base_url=self.said["control_url"], trust_env=False, timeout=40)

    @property
    def arm(self) -> Path:
        """The file whose being there arms the replica."""
        return self.folder / "armed"

    @property
    def record(self) -> Path:
        """The file of the calls that an armed replica met."""
        return self.folder / "calls"

    @property
    def paused(self) -> Path:
        """The file that is there while an armed replica is held up."""
        return self.arm.with_suffix(".paused")

    def start(
        self,
        *,
        kill_at: str | None = None,
        pause_at: str | None = None,
        full_at: str | None = None,
    ) -> float:
        """Start the replica; return how many seconds it took to answer."""
        self.kill()  # what a test that failed left running
        began = time.monotonic()
        with (self.folder / "replica.log").open("a") as log:
            self.replica = nursery().fork(log)
        given = {
            "settings": self.settings,
            "dev_world": self.dev_world,
            "arm": str(self.arm),
            "record": str(self.record),
            "kill_at": kill_at,
            "pause_at": pause_at,
            "full_at": full_at,
        }
        self.replica.stdin.write(json.dumps(given) + "\n")
        self.replica.stdin.flush()
        if not self.replica.stdout.readline():
            raise RuntimeError((self.folder / "replica.log").read_text()[-2000:])
        return time.monotonic() - began

    def stop(self) -> None:
        """Have the replica end in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the replica."""
        self._end(signal.SIGKILL)

    def wait_until_dead(self) -> int:
        """Wait until the replica was killed by itself; return its status."""
        if self.replica is None:
            raise RuntimeError("no replica runs")
        return self.replica.wait(_PATIENCE)

    def _end(self, number: int) -> None:
        if self.replica is None:
            return
        if self.replica.poll() is None:
            self.replica.send_signal(number)
        self.replica.wait(_PATIENCE)
        for pipe in (self.replica.stdin, self.replica.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self.replica = None

    def call(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """Call the REST API."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return self.http.request(method, f"{self.url}{path}", json=body, headers=headers)

    def token(self, connection_id: str, **body: Any) -> httpx2.Response:
        """Ask for the access token."""
        return self.call("POST", f"/v1/connections/{connection_id}/access-token", body or None)

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Look how the connection stands."""
        return dict(self.call("GET", f"/v1/connections/{connection_id}").json())

    def events(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the audit events of a connection, in order."""
        events: list[dict[str, Any]] = []
        path = f"/v1/audit-events?connection_id={connection_id}&limit=200"
        cursor = ""
        while True:
            page = self.call("GET", path + cursor).json()
            events += page["data"]
            if page["next_cursor"] is None:
                return events
            cursor = f"&cursor={page['next_cursor']}"

    def refreshes(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the refreshes that the org saw."""
        asked: dict[str, str | int] = {"grant_type": "refresh_token", "since": since}
        return list(self.control.get("/journal", params=asked).json()["entries"])

    def next_entry(self) -> int:
        """Return the number of the journal's next entry."""
        return int(self.control.get("/journal").json()["next"])

    def advance(self, by: str) -> None:
        """Move the clock and see that the replica has followed."""
        wanted = self.control.post("/clock", json={"advance": by}).json()["now"]
        give_up = time.monotonic() + _PATIENCE
        body = {"customer_id": "clock", "return_url": RETURN_URL}
        while self.call("POST", "/v1/connect-sessions", body).json()["created_at"] < wanted:
            if time.monotonic() > give_up:
                raise TimeoutError("the replica does not follow the clock")

    def fault(self, name: str, **asked: Any) -> None:
        """Set a fault at the simulator."""
        self.control.post("/faults", json={"name": name, **asked}).raise_for_status()

    def incident(self, *arguments: str) -> dict[str, Any]:
        """Run `keyturn incident` beside the replica; return the envelope."""
        given = {**self.settings, "public_urls": ",".join(self.settings["public_urls"])}
        own = {f"KEYTURN_{name.upper()}": str(value) for name, value in given.items() if value}
        ended = subprocess.run(
            [BIN / "keyturn", "incident", *arguments, "--json"],
            env={**os.environ, **own, "KEYTURN_DEV_WORLD": json.dumps(self.dev_world)},
            capture_output=True,
            text=True,
            check=False,
        )
        if not ended.stdout:
            raise RuntimeError(ended.stderr[-2000:])
        said: dict[str, Any] = json.loads(ended.stdout)
        return said

    def connect(self, org_name: str, connection_id: str | None = None) -> str:
        """Connect an org, or reauthorize a connection; return its id."""
        org = next(org for org in self.said["orgs"] if org["name"] == org_name)
        admin = next(user for user in org["users"] if user["role"] == "admin")
        asked = {"customer_id": org_name.lower(), "return_url": RETURN_URL}
        if connection_id is not None:
            asked["connection_id"] = connection_id
        session = self.call("POST", "/v1/connect-sessions", asked).json()
        with Walker(httpx2.Client(trust_env=False, timeout=40)) as browser:
            browser.stop_before = RETURN_URL
            browser.get(session["url"])
            browser.submit("connect", environment=org["environment"])
            browser.submit("Login", username=admin["username"], pw=admin["password"])
            browser.submit("oaapprove")
            query = parse_qs(urlsplit(browser.stopped_at or "").query)
        code = {"confirmation_code": query["confirmation_code"][0]}
        confirmed = self.call("POST", f"/v1/connect-sessions/{session['id']}/confirm", code)
        confirmed.raise_for_status()
        return str(confirmed.json()["id"])


def second_replica(world: CrashWorld, folder: Path) -> CrashWorld:
    """Return another replica over the same database and keys, with a spool of its own."""
    [port] = free_ports(1, besides=world.settings["port"])
    url = f"http://127.0.0.1:{port}"
    settings = world.settings | {
        "public_urls": [url],
        "data_dir": str(folder / "data"),
        "key_file": str(Path(world.settings["data_dir"]) / "keyturn.key"),
        "port": port,
    }
    return CrashWorld(
        folder=folder,
        said=world.said,
        settings=settings,
        dev_world=world.dev_world,
        url=url,
        api_key=world.api_key,
    )


@contextlib.contextmanager
def crash_world(
    folder: Path, *, database_url: str = "", switches: Sequence[str] = ()
) -> Iterator[CrashWorld]:
    """Give a world whose replica is not started yet."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    argv = [str(BIN / "orgsim"), "serve", "--json", "--exit-with-stdin"]
    argv += ["--app-callback", f"{url}/oauth/callback"]
    for switch in switches:
        argv += ["--switch", switch]
    with (folder / "orgsim.log").open("a") as log:
        simulator = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        if simulator.stdout is None:
            raise RuntimeError("orgsim has no stdout")
        said = json.loads(simulator.stdout.readline())
        world = _world(folder, said, url, port, database_url)
        try:
            yield world
        finally:
            world.kill()
            world.http.close()
            world.control.close()
    finally:
        simulator.terminate()
        simulator.wait(_PATIENCE)
        for pipe in (simulator.stdin, simulator.stdout):
            if pipe is not None:
                pipe.close()


def _world(
    folder: Path, said: Mapping[str, Any], url: str, port: int, database_url: str
) -> CrashWorld:
    hosts = {
        Environment.PRODUCTION: said["login_url"],
        Environment.SANDBOX: said["sandbox_login_url"],
    }
    world = CrashWorld(
        folder=folder,
        said=said,
        url=url,
        settings={
            "public_urls": [url],
            "data_dir": str(folder / "data"),
            "database_url": database_url,
            "spool_accepts_loss": True,
            "port": port,
        },
        dev_world={
            "clock_url": said["control_url"],
            "loopback": [*hosts.values(), *(org["my_domain_url"] for org in said["orgs"])],
            "login_hosts": {url: hosts},
            "mark": said["canary"],
        },
    )
    world.api_key = asyncio.run(_install(world))
    return world


async def _install(world: CrashWorld) -> str:
    """Make key file, workspace, app and API key; return the key."""
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    app = next(app for app in world.said["apps"] if app["name"] == "Acme")
    await make_key_file(settings)
    async with open_house(settings, background=False) as house:
        workspace = await house.new_workspace("Crash")
        made = await house.wiring.register_app(
            workspace,
            "test",
            name="Acme",
            namespace="acme",
            callback_urls=[f"{world.url}/oauth/callback"],
            return_origins=["http://127.0.0.1:9"],
            scopes=_SCOPES,
            login_hosts={kind: Origin(host) for kind, host in _hosts(world).items()},
            install_urls=None,
            allow_same_org=False,
        )
        await house.wiring.put_consumer_credentials(
            workspace,
            made.id,
            "test",
            consumer_key=app["consumer_key"],
            consumer_secret=ConsumerSecret(app["consumer_secret"]),
        )
        _, key = await house.wiring.create_api_key(
            workspace, "test", name="test", rights=frozenset(Right), expires_at=None
        )
    return key


def _hosts(world: CrashWorld) -> dict[Environment, str]:
    return {
        Environment.PRODUCTION: world.said["login_url"],
        Environment.SANDBOX: world.said["sandbox_login_url"],
    }


def free_ports(count: int, *, besides: int | None = None) -> list[int]:
    """Return free ports that no outgoing connection is lent: a replica comes back to its own.

    Each worker of a run has ports of its own: one that is free because its replica was just
    killed is nobody else's.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = 15_000 + os.getppid() % 500 * _WORKERS
    found: list[int] = []
    for port in range(first + worker, 20_000, _WORKERS):
        if len(found) == count:
            return found
        if port == besides:
            continue
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            found.append(port)
    raise RuntimeError("no free port")


@contextlib.contextmanager
def reading_at(
    replicas: list[CrashWorld], *connections: str, pause: float = 0.02
) -> Iterator[list[int]]:
    """Read tokens at every replica, again and again; collect what was answered, 0 by none.

    One connection after the other, so that each read is the first of its own for long.
    """
    answers: list[int] = []
    over = threading.Event()

    def read(replica: CrashWorld) -> None:
        for connection in itertools.cycle(connections):
            if over.is_set():
                return
            try:
                answers.append(replica.token(connection).status_code)
            except httpx2.TransportError:
                answers.append(0)
            over.wait(pause)

    threads = [threading.Thread(target=read, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def is_alive(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
