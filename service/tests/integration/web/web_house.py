"""Puts the real use cases and the real web together on ports kept in memory, and serves them."""

# ruff: noqa: D102, ARG002 - the ports say what these do, and what they are given

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx2
import uvicorn
import web_fakes as fakes
from fastapi import FastAPI

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.adapters.http.egress import Egress
from keyturn_service.adapters.http.relay import HttpOrgRelay
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import CHAIN_START, chained
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    Renewal,
    TokenSet,
)
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ApiKeyId, AppId, ConnectionId, CustomerId, WorkspaceId
from keyturn_service.ports import Page
from keyturn_service.use_cases.authenticate import Authenticate
from keyturn_service.use_cases.begin_connect_session import BeginConnectSession
from keyturn_service.use_cases.change_app import ChangeApp
from keyturn_service.use_cases.change_signing_key import ChangeSigningKey
from keyturn_service.use_cases.confirm_connection import ConfirmConnection
from keyturn_service.use_cases.create_api_key import CreateApiKey
from keyturn_service.use_cases.delete_api_key import DeleteApiKey
from keyturn_service.use_cases.disconnect import Disconnect
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.find_connect_session import FindConnectSession
from keyturn_service.use_cases.find_proxy_session import FindProxySession
from keyturn_service.use_cases.get_access_token import GetAccessToken
from keyturn_service.use_cases.make_signing_key import MakeSigningKey
from keyturn_service.use_cases.open_link import OpenLink
from keyturn_service.use_cases.open_proxy_session import OpenProxySession
from keyturn_service.use_cases.proxy_call import ProxyCall
from keyturn_service.use_cases.put_consumer_credentials import PutConsumerCredentials
from keyturn_service.use_cases.register_app import RegisterApp
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded
from keyturn_service.use_cases.see_audit_rounds import SeeAuditRounds
from keyturn_service.use_cases.set_keep_alive import SetKeepAlive
from keyturn_service.use_cases.token_for_proxy import TokenForProxy
from keyturn_service.web.app import create_app
from keyturn_service.web.wiring import Wiring

WORKSPACE = WorkspaceId("ws_one")
APP = AppId("app_one")
CONNECTION = ConnectionId("con_one")
ORG = OrgId("00D5g000004bLxZEAU")
ALL_RIGHTS = "kt_live_all-rights-of-this-workspace"
TOKEN = "token-in-force"


class Refreshing:
    """Stands for the refresh: the next generation, or a refusal that a test names."""

    def __init__(self, memory):
        self.memory = memory
        self.refusal = None
        self.times = 0

    async def __call__(self, connection_id, *, refused):
        if self.refusal is not None:
            raise self.refusal
        self.times += 1
        tokens = self.memory.tokens[connection_id]
        renewed = replace(
            tokens,
            generation=refused + 1,
            access_token=AccessToken(f"token-{refused + 1}"),
            expires_at=fakes.START + timedelta(days=30),
        )
        self.memory.tokens[connection_id] = renewed
        return self.memory.connections[connection_id], renewed


class Trail:
    """Lists what the fake log recorded."""

    def __init__(self, memory):
        self.memory = memory

    async def list(self, workspace_id, *, connection_id, type, since, limit, cursor):
        start = fakes.place_of(cursor)
        records = [
            chained(event, writer="run_1", sequence=number, previous=CHAIN_START)
            for number, event in enumerate(self.memory.events)
            if (connection_id is None or event.connection_id == connection_id)
            and (type is None or event.type == type)
            and (since is None or event.at >= since)
        ]
        end = start + limit
        further = str(end) if end < len(records) else None
        return Page(items=records[start:end], next_cursor=further)


@dataclass(kw_only=True)
class House:
    """A served service, and what a test may turn in it."""

    url: str
    memory: fakes.Memory
    clock: fakes.FakeClock
    refreshing: Refreshing
    http: httpx2.AsyncClient
    app: FastAPI
    key: str = ALL_RIGHTS

    @property
    def wiring(self):
        """Return the use cases behind the routes."""
        return self.app.state.parts.wiring

    def headers(self, key):
        """Return the header that carries an API key."""
        return {"Authorization": f"Bearer {key}"}

    def add_key(self, secret, *rights, workspace_id=WORKSPACE):
        """Make an API key with some rights."""
        number = len(self.memory.keys)
        self.memory.keys[f"key_{number}"] = ApiKey(
            id=ApiKeyId(f"key_{number}"),
            workspace_id=workspace_id,
            name=f"key {number}",
            hash=fakes.fake_hash("api_key", secret),
            rights=frozenset(rights),
            created_at=fakes.START,
            expires_at=None,
            deleted_at=None,
        )
        return secret

    def add_connection(self, connection_id=CONNECTION, **changes):
        """Make an active connection whose token lives for two hours."""
        connection = replace(a_connection(ConnectionId(connection_id)), **changes)
        self.memory.connections[connection.id] = connection
        self.memory.tokens[connection.id] = TokenSet(
            generation=7,
            access_token=AccessToken(TOKEN),
            refresh_token=RefreshToken("refresh-token"),
            received_at=fakes.START,
            expires_at=fakes.START + timedelta(hours=2),
        )
        return connection

    def at_org(self, origin):
        """Let the connection's org be at a loopback origin."""
        connection = self.memory.connections[CONNECTION]
        self.memory.connections[CONNECTION] = replace(connection, instance_url=Origin(origin))

    def cannot_serve(self, code, **more):
        """Let the token be over and its renewal be refused."""
        tokens = self.memory.tokens[CONNECTION]
        self.memory.tokens[CONNECTION] = replace(tokens, expires_at=None)
        self.refreshing.refusal = ConnectionCannotServe(code, **more)


def a_connection(connection_id):
    """Return an active connection of customer northwind."""
    return Connection(
        id=connection_id,
        workspace_id=WORKSPACE,
        app_id=APP,
        customer_id=CustomerId("northwind"),
        state=ConnectionState.ACTIVE,
        environment=Environment.PRODUCTION,
        org_id=ORG,
        org_name="Northwind",
        instance_url=Origin("https://northwind.my.salesforce.com"),
        login_url=LOGIN_HOSTS[Environment.PRODUCTION],
        user=ConnectedUser(
            id=UserId("0055g00000F2rTkAAJ"), username="ada@northwind.example", email="ada@n.example"
        ),
        scopes=frozenset({Scope("api"), Scope("refresh_token")}),
        renewal=Renewal.REFRESH_TOKEN,
        keep_alive=True,
        generation=7,
        session_life=timedelta(hours=2),
        created_at=fakes.START,
        authorized_at=fakes.START,
        last_used_at=None,
        last_refreshed_at=fakes.START,
        problem=None,
    )


def an_app():
    """Return an app whose callback is nowhere in particular."""
    return App(
        id=APP,
        workspace_id=WORKSPACE,
        name="Acme",
        namespace="acme",
        callback_urls=("https://connect.acme.example/oauth/callback",),
        return_origins=("https://app.acme.example",),
        scopes=frozenset({Scope("api"), Scope("refresh_token")}),
        login_hosts=dict(LOGIN_HOSTS),
        consumer_key="consumer-key",
        install_urls={},
        allow_same_org=False,
        created_at=fakes.START,
    )


@contextlib.asynccontextmanager
async def open_house():
    """Serve a house with one app, one connection and one API key that has all rights."""
    listening, url = a_port()
    memory, clock = fakes.Memory(), fakes.FakeClock()
    refreshing = Refreshing(memory)
    loopback = AnyLoopback()
    relay = HttpOrgRelay(Egress(loopback=loopback, connect_seconds=5))
    wiring = wire(memory, clock, refreshing, relay, public_urls=(url, "https://keyturn.example"))
    app = create_app(wiring)
    async with serving(app, listening), httpx2.AsyncClient(base_url=url) as http:
        house = House(
            url=url, memory=memory, clock=clock, refreshing=refreshing, http=http, app=app
        )
        memory.apps[APP] = an_app()
        house.add_key(ALL_RIGHTS, *Right)
        house.add_connection()
        yield house
    await relay.close()


def a_port():
    """Return a listening socket and its origin.

    The protocol is named: only then does asyncio send small answers without waiting.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


class AnyLoopback(frozenset):
    """Takes every origin of this machine for one of the development world."""

    def __contains__(self, origin):
        return str(origin).startswith("http://127.0.0.1:")


@contextlib.asynccontextmanager
async def serving(app, listening):
    """Serve an application on a socket, as `keyturn serve` does."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await server.told.wait()
    try:
        yield
    finally:
        server.ending.set()
        await task


class Server(uvicorn.Server):
    """A server that says when it answers, and leaves the process's signals alone."""

    def __init__(self, config):
        super().__init__(config)
        self.told = asyncio.Event()
        self.ending = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        self.told.set()

    async def main_loop(self):
        await self.on_tick(0)  # it writes the date that answers carry
        await self.ending.wait()

    async def shutdown(self, sockets=None):
        """End at once: the server's own way waits in case somebody is still there."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for listening in sockets or []:
            listening.close()

    @contextlib.contextmanager
    def capture_signals(self):
        yield


def wire(memory, clock, refreshing, relay, *, public_urls):
    """Put the real use cases on the fakes."""
    randomness, hashes = fakes.CountedRandomness(), fakes.fake_hash
    apps, keys = fakes.FakeApps(memory), fakes.FakeApiKeys(memory)
    signing_keys = fakes.FakeSigningKeys(memory)
    sessions, connections = fakes.FakeSessions(memory), fakes.FakeConnections(memory)
    proxy_sessions, audit = fakes.FakeProxySessions(memory), fakes.FakeAudit(memory)
    reads, store = fakes.FakeReads(memory), fakes.FakeTokenStore(memory)
    end_grant, uses = fakes.FakeEndGrant(memory), fakes.FakeUses()
    renew = RenewIfNeeded(store=store, refresh=refreshing, clock=clock)
    find_connect_session = FindConnectSession(sessions=sessions, clock=clock)
    for_proxy = TokenForProxy(reads=reads, renew_if_needed=renew, uses=uses, clock=clock)
    return Wiring(
        authenticate=Authenticate(keys=keys, hashes=hashes, clock=clock),
        register_app=RegisterApp(apps=apps, audit=audit, clock=clock, randomness=randomness),
        change_app=ChangeApp(apps=apps, audit=audit, clock=clock),
        put_consumer_credentials=PutConsumerCredentials(apps=apps, audit=audit, clock=clock),
        make_signing_key=MakeSigningKey(
            apps=apps, keys=signing_keys, signer=fakes.FakeSigner(), audit=audit, clock=clock,
            randomness=randomness,
        ),
        change_signing_key=ChangeSigningKey(keys=signing_keys, audit=audit, clock=clock),
        create_api_key=CreateApiKey(
            keys=keys, audit=audit, hashes=hashes, clock=clock, randomness=randomness
        ),
        delete_api_key=DeleteApiKey(keys=keys, audit=audit, clock=clock),
        begin_connect_session=BeginConnectSession(
            sessions=sessions, connections=connections, apps=apps, audit=audit, hashes=hashes,
            clock=clock, randomness=randomness, loopback=frozenset(),
        ),
        find_connect_session=find_connect_session,
        open_link=OpenLink(
            sessions=sessions, apps=apps, find=find_connect_session, audit=audit, hashes=hashes,
            clock=clock,
        ),
        see_install=None,
        begin_authorization=None,
        complete_authorization=None,
        confirm_connection=ConfirmConnection(
            sessions=sessions, connections=connections, store=store, end_grant=end_grant,
            drop_unconfirmed=DropUnconfirmed(
                sessions=sessions, end_grant=end_grant, audit=audit, clock=clock
            ),
            audit=audit, hashes=hashes, clock=clock,
        ),
        connect_by_assertion=fakes.FakeConnectByAssertion(memory),
        verify_connection=fakes.FakeVerifyConnection(memory),
        seal=None, see_audit_rounds=SeeAuditRounds(
            turns=fakes.FakeTurns(memory), pauses={"export": timedelta(hours=1)}, clock=clock
        ),
        set_keep_alive=SetKeepAlive(connections=connections, audit=audit, clock=clock),
        disconnect=Disconnect(
            connections=connections, store=store, leases=fakes.FakeLeases(),
            end_grant=end_grant, audit=audit, clock=clock, waiting=None,
        ),
        get_access_token=GetAccessToken(
            reads=reads, renew_if_needed=renew, audit=audit, uses=uses, clock=clock,
            loopback=frozenset(),
        ),
        open_proxy_session=OpenProxySession(
            connections=connections, sessions=proxy_sessions, audit=audit, hashes=hashes,
            clock=clock, randomness=randomness,
        ),
        find_proxy_session=FindProxySession(
            sessions=proxy_sessions, hashes=hashes, clock=clock
        ),
        proxy_call=ProxyCall(
            token_for_proxy=for_proxy, relay=relay, audit=audit, clock=clock,
            randomness=randomness,
        ),
        workspaces=fakes.FakeWorkspaces(memory),
        apps=apps,
        signing_keys=signing_keys,
        api_keys=keys,
        connections=connections,
        audit_trail=Trail(memory),
        idempotency_keys=fakes.FakeIdempotencyKeys(memory),
        hashes=hashes,
        randomness=randomness,
        clock=clock,
        public_urls=public_urls,
    )  # fmt: skip
