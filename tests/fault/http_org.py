"""Strict orgs behind a port, with a clock that the replicas of a development world follow."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qs

from service.tests.support.fakes import FakeClock
from service.tests.support.oracle import Violation
from service.tests.support.strict_org import StrictOrg

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown
from keyturn_core.salesforce.hosts import Origin


class RunningClock(FakeClock):
    """A clock that goes on by itself, and leaps when it is told to."""

    def now(self) -> datetime:
        """Return the time."""
        return super().now() + timedelta(seconds=time.monotonic())

    def monotonic(self) -> float:
        """Return seconds."""
        return super().monotonic() + time.monotonic()


class HttpOrgs:
    """Orgs, each known by the refresh tokens that it gave; answers are lost and cut on the wire."""

    def __init__(self, clock: RunningClock) -> None:
        self.clock = clock
        self.by_name: dict[str, StrictOrg] = {}
        self.violations: list[Violation] = []
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Open the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                said = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(said.get("content-length", 0)))
                if first.startswith("GET /clock"):
                    told = {"now": self.clock.now().isoformat()}
                    writer.write(_answer(200, json.dumps(told).encode()))
                elif not await self._token(writer, body):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked has gone, perhaps killed
        finally:
            writer.close()

    async def _token(self, writer: asyncio.StreamWriter, body: bytes) -> bool:
        """Answer a token request; False where the connection ends with it."""

        async def arrives() -> None:
            """It is here already."""

        [token] = parse_qs(body.decode())["refresh_token"]
        org = self.by_name[token.split("-")[-3]]
        try:
            answer = await org.present(Origin(self.url), body, arrives=arrives)
        except (OutcomeUnknown, NotProcessed):
            return False
        except Violation as violation:
            self.violations.append(violation)
            return False
        more: dict[str, str] = {}
        if answer.retry_after is not None:
            more["Retry-After"] = answer.retry_after
        lacks = 0 if answer.complete else 100
        writer.write(_answer(answer.status, answer.body, lacks=lacks, more=more))
        return answer.complete


def _answer(
    status: int, body: bytes, *, lacks: int = 0, more: Mapping[str, Any] | None = None
) -> bytes:
    lines = {"Content-Type": "application/json", "Content-Length": len(body) + lacks}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | dict(more or {})).items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body
