"""A vendor who connects server to server, and what is done for it on Setup pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.vendor import Vendor

CALM: Final = {
    "jwt_bearer_honours_approval": True,
    "my_domain_is_audience": False,
    "wrong_audience_text": "audience is invalid",
    "assertion_without_package": "not_approved",
    "logins_per_hour": 3600,
}


@dataclass
class Road:
    """The vendor server to server, and what an admin or the vendor does on Setup pages."""

    vendor: Vendor
    app_id: str
    made: list[str] = field(default_factory=list)
    touched: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def setup(self, path: str, was: Mapping[str, Any] | None = None, **changes: Any) -> None:
        """Change something on a Setup page; `was` is how it is left in the end."""
        self._change(path, changes)
        if was is not None:
            self.touched.append((path, was))

    def mend(self) -> None:
        """Put the latest change back."""
        self._change(*self.touched.pop())

    def _change(self, path: str, changes: Mapping[str, Any]) -> None:
        self.vendor.control.patch(path, json=dict(changes)).raise_for_status()

    def signing_key(self, **asked: Any) -> dict[str, Any]:
        """Make a signing key."""
        path = f"/v1/apps/{self.app_id}/signing-keys"
        return dict(self.vendor.api.post(path, json=asked or None).raise_for_status().json())

    def put_certificate(self, key: Mapping[str, Any]) -> None:
        """Put a key's certificate into the app's settings."""
        self.setup("/apps/Acme", certificate_pem=key["certificate_pem"])

    def connect(self, org: Mapping[str, Any], role: str = "integration", **asked: Any) -> Any:
        """Ask for a connection; return the answer."""
        body = {
            "customer_id": f"jwt-{org['name'].lower()}",
            "username": self.vendor.user(org, role)["username"],
            "app_id": self.app_id,
            "my_domain": org["my_domain_url"],
            **asked,
        }
        answer = self.vendor.api.post("/v1/connections", json=body)
        if answer.is_success:
            self.made.append(answer.json()["id"])
        return answer

    def verify(self, connection_id: str) -> dict[str, Any]:
        """Verify a connection."""
        path = f"/v1/connections/{connection_id}/verify"
        return dict(self.vendor.api.post(path).raise_for_status().json())

    def policies(self, org: Mapping[str, Any]) -> str:
        """Return where the admin's policies for the app are."""
        return f"/orgs/{org['org_id']}/apps/Acme"

    def user(self, org: Mapping[str, Any], role: str) -> str:
        """Return where a user's page is."""
        people = self.vendor.control.get("/orgs").json()
        known = next(one for one in people if one["org_id"] == org["org_id"])
        user = next(user for user in known["users"] if user["role"] == role)
        return str(user["user_id"])

    def leave(self) -> None:
        """Put everything back."""
        while self.touched:
            self.mend()
        self._change("/switches", CALM)
        self.setup("/apps/Acme", certificate_pem="")
        for connection_id in dict.fromkeys(self.made):
            self.vendor.api.delete(f"/v1/connections/{connection_id}").raise_for_status()
        self.forget_keys()

    def forget_keys(self) -> None:
        """Retire every signing key of the app."""
        keys = f"/v1/apps/{self.app_id}/signing-keys"
        for key in self.vendor.api.get(keys, params={"limit": 200}).json()["data"]:
            self.vendor.api.delete(f"{keys}/{key['id']}").raise_for_status()
