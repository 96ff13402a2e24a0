"""Programs of the bench: how they start, say their port, and end with the one that started them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import uvicorn

_BACKLOG: Final = 256
_ENDS_WITHIN: Final = 15  # seconds


def announce(port: int) -> None:
    """Say on standard output where this program answers."""
    print(json.dumps({"port": port}), flush=True)


def serve(app: Any) -> None:
    """Serve an application as the service does, on a free port of loopback that is announced."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    announce(listener.getsockname()[1])
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False
    )
    uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def running(
    *arguments: str, told: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """Run a Python program, hand it a line, and give the first line of JSON that it prints.

    Raises:
        RuntimeError: it ended before it said anything.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=None if environment is None else dict(environment),
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        process.stdin.write(f"{told}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(arguments)} ended with status {process.wait()}")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
