"""`keyturn dev`: how long a killed service is away, by a watch; with nothing beside."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import httpx2
from tests.support.vendor import Vendor
from tools.world import running_world

_AT_REST = 0.5  # seconds in which a service that is loaded takes no processor time


def test_a_killed_service_is_back_on_its_port(tmp_path: Path) -> None:
    """Within two seconds, with the same connections; the best of three on a busy machine.

    Its stand-in has to be loaded: a service that is killed twice in three seconds takes as long as
    loading takes.
    """
    with running_world(log=tmp_path / "dev.log") as world:
        connection = world.line["connections"][0]["id"]
        path = f"{world.service_url}/v1/connections/{connection}"
        headers = {"Authorization": f"Bearer {world.api_key}"}
        port = world.service_url.rpartition(":")[2]
        with httpx2.Client(trust_env=False, headers=headers) as http:
            assert min(_seconds_down(http, path, port) for _ in range(3)) < 2


def _seconds_down(http: httpx2.Client, url: str, port: str) -> float:
    _await_stand_in()
    assert _answers(http, url)
    os.kill(_listener(port), signal.SIGKILL)
    began = time.monotonic()
    Vendor.until(lambda: _answers(http, url), seconds=20)
    return time.monotonic() - began


def _await_stand_in() -> None:
    """Wait until all service processes are loaded: they take no processor time any more."""
    seen = [(time.monotonic(), _processor_time())]

    def at_rest() -> bool:
        now, taken = time.monotonic(), _processor_time()
        if taken != seen[0][1]:
            seen[0] = (now, taken)
        return now - seen[0][0] > _AT_REST

    Vendor.until(at_rest)


def _processor_time() -> int:
    """Return the ticks that service processes of development worlds took, to tenths of a second."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"--dev-world-on-stdin" in (process / "cmdline").read_bytes():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) // 10
    return ticks


def _listener(port: str) -> int:
    """Return the process that listens on a port of loopback."""
    wanted = f"0100007F:{int(port):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(row[9] for row in rows if row[1] == wanted and row[3] == "0A")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) == f"socket:[{inode}]":
                return int(descriptor.parts[2])
    raise LookupError(port)


def _answers(http: httpx2.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx2.TransportError:
        return False
