"""`orgsim serve` as a program, with its control port."""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx2

COMMAND = str(Path(sys.executable).parent / "orgsim")
_ENDS_WITHIN = 10  # seconds


class OrgsimProgram:
    """A running `orgsim serve`."""

    def __init__(self, *arguments: str, seed: int = 7) -> None:
        self._arguments = (COMMAND, "serve", "--json", "--seed", str(seed), *arguments)
        self._seed = seed
        self.status: int | None = None
        self.stderr = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RuntimeError(f"orgsim did not start: {self.process.communicate()[1]}")
        self.line: dict[str, Any] = json.loads(line)
        self.control = httpx2.Client(base_url=self.line["control_url"], trust_env=False, timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self.end()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, unless it has ended, and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended() if self.status is None else self.status

    def ended(self) -> int:
        """Wait for the end and return the exit status."""
        try:
            self.status = self.process.wait(_ENDS_WITHIN)
        finally:
            self.process.kill()
            self.stderr = self.process.stderr.read() if self.process.stderr else ""
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        return self.status

    # -- the control port -------------------------------------------------------------------

    def reset(self, *, hostile: bool = False, seed: int | None = None) -> None:
        """Make a fresh world."""
        body = {"seed": self._seed if seed is None else seed, "hostile": hostile}
        answer = self.control.post("/reset", json=body)
        assert answer.status_code == 204, answer.text

    def advance(self, duration: str) -> None:
        """Move the clock."""
        answer = self.control.post("/clock", json={"advance": duration})
        assert answer.status_code == 200, answer.text

    def fault(self, name: str, **named: Any) -> str:
        """Set a fault and return its id."""
        answer = self.control.post("/faults", json={"name": name, **named})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def switch(self, **switches: Any) -> None:
        """Decide open questions."""
        answer = self.control.patch("/switches", json=switches)
        assert answer.status_code == 200, answer.text

    def change_app(self, name: str = "Acme", **fields: Any) -> None:
        """Change the developer's settings of an app."""
        answer = self.control.patch(f"/apps/{name}", json=fields)
        assert answer.status_code == 200, answer.text

    def change_policy(self, org: dict[str, Any], app: str = "Acme", **fields: Any) -> None:
        """Change an admin's policies for an app."""
        answer = self.control.patch(f"/orgs/{org['org_id']}/apps/{app}", json=fields)
        assert answer.status_code == 200, answer.text

    def change_user(self, org: dict[str, Any], user: dict[str, Any], *, active: bool) -> None:
        """Deactivate a person or let them in again."""
        path = f"/orgs/{org['org_id']}/users/{user['user_id']}"
        answer = self.control.patch(path, json={"active": active})
        assert answer.status_code == 200, answer.text

    def change_org(self, org: dict[str, Any], *, state: str) -> None:
        """Change an org's state."""
        answer = self.control.patch(f"/orgs/{org['org_id']}", json={"state": state})
        assert answer.status_code == 200, answer.text

    def journal(self, **query: Any) -> list[dict[str, Any]]:
        """Return the entries of the journal that match."""
        answer = self.control.get("/journal", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["entries"])

    def refreshes(self) -> list[dict[str, Any]]:
        """Return the journal's entries of refreshes."""
        return self.journal(path="/services/oauth2/token", grant_type="refresh_token")

    def orgs(self) -> list[dict[str, Any]]:
        """Return the orgs of the world of now."""
        return list(self.control.get("/orgs").json())

    def org(self, name: str = "Northwind") -> dict[str, Any]:
        """Return an org by name."""
        return next(org for org in self.orgs() if org["name"] == name)

    def app(self, name: str = "Acme") -> dict[str, Any]:
        """Return an app by name."""
        return next(app for app in self.control.get("/apps").json() if app["name"] == name)


def user_of(org: dict[str, Any], role: str = "admin") -> dict[str, Any]:
    """Return an org's person of a role."""
    return next(user for user in org["users"] if user["role"] == role)
