"""Start and stop a development world as any program would: by `keyturn dev --json`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_STARTS_WITHIN: Final = 90  # seconds
_STOPS_WITHIN: Final = 15  # seconds
BIN: Final = Path(sys.executable).parent


class World:
    """A running development world: the one line that `keyturn dev --json` printed."""

    def __init__(self, process: subprocess.Popen[str], line: dict[str, Any]) -> None:
        self.process = process
        self.line = line

    @property
    def service_url(self) -> str:
        """The service's address."""
        return str(self.line["service_url"])

    @property
    def api_key(self) -> str:
        """An API key with all rights."""
        return str(self.line["api_key"])

    @property
    def control_url(self) -> str:
        """The simulator's control port."""
        return str(self.line["simulator"]["control_url"])

    @property
    def canary(self) -> str:
        """The mark that every secret of the world carries inside."""
        return str(self.line["simulator"]["canary"])

    def orgs(self) -> list[dict[str, Any]]:
        """The orgs, with their users' passwords."""
        return list(self.line["simulator"]["orgs"])

    def org(self, org_id: str) -> dict[str, Any]:
        """The org with that id."""
        return next(org for org in self.orgs() if org["org_id"] == org_id)

    def org_named(self, name: str) -> dict[str, Any]:
        """The org of that name."""
        return next(org for org in self.orgs() if org["name"] == name)

    def unconnected_org(self) -> dict[str, Any]:
        """An org that has the package, lets all users in and is not connected yet."""
        connected = {connection["org_id"] for connection in self.line["connections"]}
        return next(
            org
            for org in self.orgs()
            if org["package_installed"]
            and org["environment"] == "production"
            and org["permitted_users"] == "all"
            and org["org_id"] not in connected
        )

    def unconnected_user(self) -> dict[str, Any]:
        """A user of Acme's whose customer is not connected yet."""
        connected = {connection["customer_id"] for connection in self.line["connections"]}
        return next(
            user for user in self.line["acme"]["users"] if user["customer_id"] not in connected
        )

    def stop(self) -> int:
        """End the world; return the exit status of `keyturn dev`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(_STOPS_WITHIN)


@contextmanager
def running_world(
    *options: str, log: Path | None = None, environment: dict[str, str] | None = None
) -> Iterator[World]:
    """Run `keyturn dev --json` with `options`; its log goes to `log`, else to our stderr."""
    command = [str(BIN / "keyturn"), "dev", "--json", *options]
    errors = log.open("a") if log is not None else None
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        world = World(process, _first_line(process))
        try:
            yield world
        finally:
            world.stop()
            if process.stdout is not None:
                process.stdout.close()
    finally:
        if errors is not None:
            errors.close()


def _first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    if process.stdout is None:
        raise RuntimeError("keyturn dev has no stdout")
    line = process.stdout.readline()
    if not line:
        status = process.wait(_STARTS_WITHIN)
        raise RuntimeError(f"keyturn dev ended with status {status} before it was ready")
    read: dict[str, Any] = json.loads(line)
    return read
