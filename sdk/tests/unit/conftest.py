"""A service that answers as a test says, and the two clients as one."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest

from keyturn import AsyncKeyturn, Keyturn, Retries

URL = "https://connect.acme.example"
API_KEY = "kt_test_0123456789abcdef"


class FakeService:
    """Answers each request with the next thing it was told, and keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers: list[httpx2.Response | Exception] = []

    def answers(self, status: int, body: object = None, **headers: str) -> None:
        """Answer the next request so. Names of headers are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._answers.append(httpx2.Response(status, headers=named, content=content))

    def refuses(self, status: int, code: str, **members: Any) -> None:
        """Answer the next request with a problem document."""
        problem = {"code": code, "title": code, "status": status, **members}
        self.answers(status, problem, content_type="application/problem+json", keyturn_problem=code)

    def relays(self, status: int, body: object = None, **headers: str) -> None:
        """Answer the next request with an answer of Salesforce's."""
        self.answers(status, body, keyturn_request_id="req_1", **headers)

    def fails(self, error: Exception) -> None:
        """Let the next request fail on its way."""
        self._answers.append(error)

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def last(self) -> httpx2.Request:
        """The latest request."""
        return self.requests[-1]

    @property
    def asked(self) -> list[str]:
        """Method and target of each request."""
        return [f"{one.method} {one.url.raw_path.decode()}" for one in self.requests]

    def body(self, number: int = -1) -> Any:
        """Return the JSON body of a request."""
        return json.loads(self.requests[number].content)


class Both:
    """A client of either kind; what it returns is awaited where it has to be."""

    def __init__(self, client: Keyturn | AsyncKeyturn) -> None:
        self.client: Any = client

    async def __call__(self, ask: Callable[[Any], Any]) -> Any:
        """Ask the client something and return the answer."""
        answer = ask(self.client)
        return await answer if inspect.isawaitable(answer) else answer

    async def all(self, ask: Callable[[Any], Any]) -> list[Any]:
        """Ask the client for a list and return all its items."""
        found = ask(self.client)
        if isinstance(found, AsyncIterator):
            return [item async for item in found]
        assert isinstance(found, Iterator)
        return list(found)


@pytest.fixture
def service():
    """A service that answers as the test says."""
    return FakeService()


@pytest.fixture(params=["sync", "async"])
async def keyturn(request, service):
    """Each of the two clients, one after the other, that waits for nothing."""
    transport = httpx2.MockTransport(service.handle)
    retries = Retries(attempts=3, first_wait=0)
    if request.param == "sync":
        with Keyturn(URL, api_key=API_KEY, transport=transport, retries=retries) as client:
            yield Both(client)
    else:
        async with AsyncKeyturn(
            URL, api_key=API_KEY, transport=transport, retries=retries
        ) as async_client:
            yield Both(async_client)
