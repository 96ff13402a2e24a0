"""A signed-in client of an org's REST API, over real HTTP on a plain port."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from orgsim_caller import Caller

VERSION = "/services/data/v68.0"


class Api:
    """Calls of one user to one org."""

    def __init__(self, caller: Caller, org: dict[str, Any], user: dict[str, Any] | None) -> None:
        self.org = org
        self.tokens = caller.connect(org, user)
        self.user_id = self.tokens["id"].rsplit("/", 1)[-1]
        self.http = caller.http
        self.url = caller.org_url(org)

    def send(self, method: str, path: str, body: Any = None, **named: Any) -> httpx2.Response:
        """Send a call; a path that does not begin with /services is one of version 68.0."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            named["content"] = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers |= named.pop("headers", {})
        target = path if path.startswith("/services") else f"{VERSION}/{path}"
        return self.http.request(method, self.url + target, headers=headers, **named)

    def get(self, path: str, **named: Any) -> Any:
        """Return what a GET answers."""
        answer = self.send("GET", path, **named)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def query(self, text: str, **named: Any) -> Any:
        """Return what a query answers."""
        return self.get("query", params={"q": text}, **named)

    def create(self, kind: str, **values: Any) -> str:
        """Create a record and return its ID."""
        answer = self.send("POST", f"sobjects/{kind}", values)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@pytest.fixture
def api_of(caller_of: Callable[..., Caller]) -> Callable[..., Api]:
    """Sign in to an org."""

    def sign_in(org: dict[str, Any], user: dict[str, Any] | None = None, app: str = "Acme") -> Api:
        return Api(caller_of(app=app), org, user)

    return sign_in


@pytest.fixture
def api(api_of: Callable[..., Api], sim: Any) -> Api:
    """Sign in to the first org, which has the package."""
    return api_of(sim.org())
