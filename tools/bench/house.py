"""The service of the bench: a real replica on PostgreSQL, with as many connections as asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import insert, text
from tests.support.postgres import Server

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.ids import read_org_id, read_user_id
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, ConsumerSecret, RefreshToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.rows import connection_values
from keyturn_service.adapters.sql.tables import connections, token_sets
from keyturn_service.adapters.sql.token_sets import sealed_tokens
from keyturn_service.bootstrap import House, Parts, make_key_file, open_house
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    Renewal,
    TokenSet,
)
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId, WorkspaceId
from keyturn_service.settings import Settings, environment_of_child
from tools.bench.programs import running
from tools.world import BIN

_AT_ONCE: Final = 5_000
_LIFE: Final = timedelta(days=1)  # of an access token: no read of the bench meets a dead one
_DUMMY_TOKEN: Final = "not-a-real-token-" + "x" * 95


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A service that answers, the key that opens it, and the connections it has."""

    port: int
    api_key: str
    connection_ids: tuple[str, ...]


@contextlib.contextmanager
def running_service(
    postgres: Server, folder: Path, *, count: int, org_port: int
) -> Iterator[Bench]:
    """Seed `count` connections to the org at `org_port` and serve them by `keyturn serve`."""
    org_url = Origin(f"http://127.0.0.1:{org_port}")
    settings = settings_of(postgres, folder)
    ids, api_key = asyncio.run(seed(settings, count=count, org_url=org_url))
    with serving(settings, org_url):
        yield Bench(port=settings.port, api_key=api_key, connection_ids=tuple(ids))


def settings_of(postgres: Server, folder: Path) -> Settings:
    """Return the settings of a replica with an empty database."""
    port = free_port()
    return Settings(
        public_urls=(Origin(f"http://127.0.0.1:{port}"),),
        data_dir=folder,
        database_url=postgres.create_database(),
        port=port,
        spool_accepts_loss=True,
    )


@contextlib.contextmanager
def serving(settings: Settings, org_url: Origin) -> Iterator[None]:
    """Serve by `keyturn serve` while the block runs."""
    world = {"clock_url": org_url, "loopback": [org_url], "login_hosts": {}}
    with running(
        *(str(BIN / "keyturn"), "serve", "--json", "--dev-world-on-stdin"),
        told=json.dumps(world),
        environment=environment_of_child(settings),
    ):
        yield


async def seed_bare(database_url: str, bench: Bench) -> None:
    """Make the bare micro-service's table: the same connections, unsealed dummies in one row."""
    database = Database(read_database_url(database_url))
    async with database.write() as writing:
        await writing.execute(
            text(
                "CREATE TABLE bare_connections (id text PRIMARY KEY, instance_url text,"
                " org_id text, user_id text, generation integer, access_token text,"
                " expires_at bigint)"
            )
        )
        statement = text(
            "INSERT INTO bare_connections VALUES (:id, 'https://globex.my.salesforce.com',"
            " '00D5g000004bLxZEAU', '0055g000001aBcDAAU', 1, :token, 1900000000000000)"
        )
        rows = [{"id": one, "token": _DUMMY_TOKEN} for one in bench.connection_ids]
        for begin in range(0, len(rows), _AT_ONCE):
            await writing.execute(statement, rows[begin : begin + _AT_ONCE])
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE bare_connections"))
    await database.close()


async def seed(settings: Settings, *, count: int, org_url: Origin) -> tuple[list[str], str]:
    """Keep `count` connections; return their ids, and an API key for them."""
    await make_key_file(settings)
    kept: list[Parts] = []

    def keep(parts: Parts) -> Parts:
        kept.append(parts)
        return parts

    async with open_house(settings, background=False, between=keep) as house:
        workspace_id = await house.new_workspace("bench")
        app = await house.wiring.register_app(
            workspace_id,
            "operator",
            name="Bench",
            namespace=None,
            callback_urls=(f"{settings.public_urls[0]}/oauth/callback",),
            return_origins=("https://app.acme.example",),
            scopes=frozenset({Scope("api"), Scope("refresh_token")}),
            login_hosts=LOGIN_HOSTS,
            install_urls={},
            allow_same_org=True,
        )
        await house.wiring.put_consumer_credentials(
            workspace_id,
            app.id,
            "operator",
            consumer_key="not-a-real-consumer-key",
            consumer_secret=ConsumerSecret("not-a-real-consumer-secret"),
        )
        _, api_key = await house.wiring.create_api_key(
            workspace_id,
            "operator",
            name="bench",
            rights=frozenset(Right),
            expires_at=None,
        )
        database = kept[0].stores.connections.database
        ids: list[str] = []
        for begin in range(0, count, _AT_ONCE):
            numbers = range(begin, min(count, begin + _AT_ONCE))
            made = [_connection(house, workspace_id, app.id, org_url, n) for n in numbers]
            ids += [str(one.id) for one in made]
            sealed = [await _sealed(house, one) for one in made]
            async with database.write() as writing:
                await writing.execute(insert(connections), [connection_values(m) for m in made])
                await writing.execute(insert(token_sets), sealed)
        async with database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))
    return ids, api_key


async def multiply(settings: Settings, sets: int) -> list[str]:
    """Make `sets` connections of the one that is there, each with sealed tokens of its own."""
    async with open_house(settings, background=False) as house:
        base = await asyncpg.connect(settings.database_url)
        try:
            [template] = await base.fetch("SELECT * FROM connections")
            ids = [template["id"], *(f"con_copy{n:015}" for n in range(1, sets))]
            others = [c.name for c in connections.columns if c.name not in {"id", "customer_id"}]
            await base.execute(
                f"INSERT INTO connections (id, customer_id, {', '.join(others)})"  # noqa: S608 - ours
                f" SELECT 'con_copy' || lpad(n::text, 15, '0'), 'customer-' || n,"
                f" {', '.join(others)} FROM connections, generate_series(1, $1) AS n",
                sets - 1,
            )
            [kept] = await base.fetch("SELECT received_at, expires_at FROM token_sets")
            workspace_id = template["workspace_id"]
            for begin in range(1, sets, _AT_ONCE):
                records = []
                for one in ids[begin : begin + _AT_ONCE]:
                    where = (workspace_id, one, 1)
                    token = f"{one}-{_DUMMY_TOKEN}".encode()
                    access = await house.vault.seal(token, places.access_token(*where))
                    refresh = await house.vault.seal(token, places.refresh_token(*where))
                    records.append((one, 1, access, refresh, *kept))
                await base.copy_records_to_table(
                    token_sets.name,
                    records=records,
                    columns=[column.name for column in token_sets.columns],
                )
            await base.execute("VACUUM ANALYZE")
        finally:
            await base.close()
    return ids


def _connection(
    house: House, workspace_id: WorkspaceId, app_id: AppId, org_url: Origin, number: int
) -> Connection:
    now = house.clock.now()
    return Connection(
        id=ConnectionId(f"con_bench{number:015}"),
        workspace_id=workspace_id,
        app_id=app_id,
        customer_id=CustomerId(f"customer-{number}"),
        state=ConnectionState.ACTIVE,
        environment=Environment.PRODUCTION,
        org_id=read_org_id("00D5g000004bLxZ"),
        org_name="Globex",
        instance_url=org_url,
        login_url=org_url,
        user=ConnectedUser(
            id=read_user_id("0055g000001aBcD"),
            username="ada@globex.example",
            email="ada@globex.example",
        ),
        scopes=frozenset({Scope("api"), Scope("refresh_token")}),
        renewal=Renewal.REFRESH_TOKEN,
        keep_alive=True,
        generation=1,
        session_life=timedelta(hours=2),
        created_at=now,
        authorized_at=now,
        last_used_at=None,
        last_refreshed_at=now,
        problem=None,
    )


async def _sealed(house: House, connection: Connection) -> dict[str, Any]:
    now = house.clock.now()
    tokens = TokenSet(
        generation=1,
        access_token=AccessToken(_DUMMY_TOKEN),
        refresh_token=RefreshToken(_DUMMY_TOKEN),
        received_at=now,
        expires_at=now + _LIFE,
    )
    return await sealed_tokens(house.vault, connection, tokens)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
