"""The bare micro-service: one route, one row, JSON. What a team would write in an afternoon.

The same stack as the service (uvicorn, uvloop, httptools, Starlette, asyncpg, msgspec), and none of
its duties: no key, no seal, no audit. Its pool asks no reset query: that would cost a round trip.
`python -m tools.bench.bare` reads the database's URL from standard input and prints its port; the
size of its pool may be named.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tools.bench.programs import serve

_STATEMENT: Final = """
SELECT id, instance_url, org_id, user_id, generation, access_token, expires_at
FROM bare_connections WHERE id = $1
"""
_POOL: Final = 32
_encoder: Final = msgspec.json.Encoder()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The same members as the service's answer, from one row."""

    access_token: str
    token_type: str
    instance_url: str
    expires_at: int
    generation: int
    org_id: str
    user_id: str


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        return ""


def make_app(database_url: str, pool: int = _POOL) -> Starlette:
    """Return the application."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            database_url, min_size=pool, max_size=pool, connection_class=_Connection
        ) as app.state.pool:
            yield

    async def access_token(request: Request) -> Response:
        connections: Any = request.app.state.pool
        async with connections.acquire() as connection:
            row = await connection.fetchrow(_STATEMENT, request.path_params["connection_id"])
        if row is None:
            return Response(status_code=404)
        answer = Answer(
            access_token=row["access_token"],
            token_type="Bearer",  # noqa: S106 - a word, not a secret
            instance_url=row["instance_url"],
            expires_at=row["expires_at"],
            generation=row["generation"],
            org_id=row["org_id"],
            user_id=row["user_id"],
        )
        return Response(_encoder.encode(answer), media_type="application/json")

    path = "/v1/connections/{connection_id}/access-token"
    return Starlette(routes=[Route(path, access_token, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    serve(make_app(sys.stdin.readline().strip(), *map(int, sys.argv[1:])))
