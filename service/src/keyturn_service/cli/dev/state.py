"""What a development world keeps in its folder, so that it can be started again as it was."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.place import Place
from keyturn_service.vault.vault import Vault

_FILE: Final = "dev.json"
_LOCK: Final = "dev.lock"
_PORTS: Final = range(20_000, 26_000)


class StateRefused(Exception):
    """The folder cannot be used; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Loopback ports of the programs that we start; the simulator keeps its own."""

    services: tuple[int, ...]
    service_tls: int
    acme: int
    acme_tls: int


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """The secrets of a world, sealed at rest."""

    api_key: str
    acme_api_key: str
    acme_session_key: str
    users: tuple[dict[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class WorldState:
    """What was made at the first start."""

    ports: Ports
    workspace_id: str
    app_id: str | None
    """None in a world that began without an app."""
    connections: tuple[dict[str, str], ...]


@contextlib.contextmanager
def world_folder(kept: Path | None) -> Iterator[Path]:
    """Give a folder for the world: the kept one, locked, or one that is removed afterwards.

    Raises:
        StateRefused: another world runs on the folder.
    """
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="keyturn-dev-", ignore_cleanup_errors=True) as made:
            yield Path(made)
        return
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (kept / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateRefused(
                f"another `keyturn dev` runs on {kept}; end it, or name another folder"
            ) from None
        yield kept


def choose_ports(folder: Path, *, replicas: int) -> Ports:
    """Return the ports of the last start, and free ones for what is new."""
    known = _read(folder).get("ports", {})
    services = list(known.get("services", []))[:replicas]
    fresh = iter(_free_ports(replicas - len(services) + 3))
    while len(services) < replicas:
        services.append(next(fresh))
    return Ports(
        services=tuple(services),
        service_tls=known.get("service_tls") or next(fresh),
        acme=known.get("acme") or next(fresh),
        acme_tls=known.get("acme_tls") or next(fresh),
    )


async def load_state(folder: Path, ports: Ports, vault: Vault) -> tuple[WorldState, Secrets] | None:
    """Return what an earlier start made; None where none came to its end.

    Raises:
        StateRefused: it was sealed with another key file.
    """
    kept = _read(folder)
    if not kept:
        return None
    state = WorldState(
        ports=ports,
        workspace_id=kept["workspace_id"],
        app_id=kept["app_id"],
        connections=tuple(kept["connections"]),
    )
    try:
        opened = await vault.open(base64.b64decode(kept["sealed"]), _place(state.workspace_id))
    except CannotOpen:
        raise StateRefused(
            f"{folder / _FILE} was sealed with another key; start with a new folder"
        ) from None
    secrets: dict[str, Any] = json.loads(opened)
    return state, Secrets(**{**secrets, "users": tuple(secrets["users"])})


async def keep_state(folder: Path, state: WorldState, secrets: Secrets, vault: Vault) -> None:
    """Keep what a start made; all of it or nothing."""
    sealed = await vault.seal(json.dumps(asdict(secrets)).encode(), _place(state.workspace_id))
    _write(folder, {**asdict(state), "sealed": base64.b64encode(sealed).decode()})


def keep_connections(folder: Path, connections: Sequence[dict[str, str]]) -> None:
    """Keep which orgs were connected at the first start."""
    _write(folder, {**_read(folder), "connections": list(connections)})


def _write(folder: Path, kept: Mapping[str, Any]) -> None:
    beside = folder / f"{_FILE}.new"
    with beside.open("w") as file:
        file.write(json.dumps(kept, indent=1))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / _FILE)


def _place(workspace_id: str) -> Place:
    return Place(workspace_id=workspace_id, table="dev", row="state", column="secrets")


def _read(folder: Path) -> dict[str, Any]:
    path = folder / _FILE
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return kept


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now, all different.

    They lie below those that systems lend to outgoing connections: one of those could be lent
    away while a service is started again on it.
    """
    place = int.from_bytes(SystemRandomness().token_bytes(4)) % len(_PORTS)
    ports: list[int] = []
    for port in (*_PORTS[place:], *_PORTS[:place]):
        if len(ports) == count:
            break
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                ports.append(port)
    return ports
