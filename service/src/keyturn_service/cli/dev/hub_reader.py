"""The app by which the service reads in the simulated Dev Hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from keyturn_service.adapters.key_sources.private_key_file import keep_private_key
from keyturn_service.adapters.system import SystemClock
from keyturn_service.vault.key_pairs import new_key_pair

_APP: Final = "HubReader"
_LIFE: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReader:
    """Its key pair, of which each start has a new one, in a folder that goes with the world."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """Where the certificate is, for the simulator."""
        return self.folder / "certificate.pem"

    @property
    def private_key(self) -> Path:
        """Where the private key is, for the service."""
        return self.folder / "private.pem"

    def make(self) -> None:
        """Make the key pair."""
        now = SystemClock().now()
        made = new_key_pair(name="keyturn dev", not_before=now, not_after=now + _LIFE)
        keep_private_key(self.private_key, made.private_key)
        self.certificate.write_text(made.certificate_pem, "ascii")

    def settings(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return the service's settings of the Dev Hub: its integration user, by the app."""
        app = next(app for app in said["apps"] if app["name"] == _APP)
        users = said["dev_hub"]["users"]
        return {
            "dev_hub_login_url": said["login_url"],
            "dev_hub_consumer_key": app["consumer_key"],
            "dev_hub_username": next(u["username"] for u in users if u["role"] == "integration"),
            "dev_hub_key_file": self.private_key,
        }
