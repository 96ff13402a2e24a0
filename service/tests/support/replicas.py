"""Replicas put together as the service does, on a real database and fakes of all else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.tests.support import fakes, values
from service.tests.support.databases import Base
from service.tests.support.faulty import SkewedClock

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_service.adapters.spool.in_hand import SpoolInHand
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.connect_session import ConnectSession, Delivery
from keyturn_service.domain.connection import Connection, TokenSet
from keyturn_service.domain.ids import AttemptId, ConnectionId, SpoolId
from keyturn_service.use_cases.begin_authorization import BeginAuthorization
from keyturn_service.use_cases.begin_connect_session import BeginConnectSession
from keyturn_service.use_cases.clean_up import CleanUp
from keyturn_service.use_cases.complete_authorization import (
    CompleteAuthorization,
    CompletedAuthorization,
)
from keyturn_service.use_cases.confirm_connection import ConfirmConnection
from keyturn_service.use_cases.connect_by_assertion import ConnectByAssertion
from keyturn_service.use_cases.deliver_spool import DeliverSpool
from keyturn_service.use_cases.disconnect import Disconnect
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.find_connect_session import FindConnectSession
from keyturn_service.use_cases.get_access_token import GetAccessToken
from keyturn_service.use_cases.guard_connections import GuardConnections
from keyturn_service.use_cases.open_link import OpenLink
from keyturn_service.use_cases.present_assertion import PresentAssertion
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.renew_by_assertion import RenewByAssertion
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded
from keyturn_service.use_cases.replay_journal import ReplayJournal
from keyturn_service.use_cases.resolve_uncertain import ResolveUncertain
from keyturn_service.use_cases.revoke_grant import RevokeGrant
from keyturn_service.use_cases.settle_attempt import SettleAttempt
from keyturn_service.use_cases.token_for_proxy import TokenForProxy
from keyturn_service.use_cases.verify_connection import VerifyConnection
from keyturn_service.use_cases.verify_grant import VerifyGrant

NO_HOSTS: frozenset[Origin] = frozenset()


@dataclass(kw_only=True)
class World:
    """What all replicas of a test share: the database, the org, the clock, the journal."""

    base: Base
    clock: fakes.FakeClock
    journal: list[str]
    org: fakes.FakeOrg
    directory: fakes.FakeDirectory
    audit: fakes.RecordingAudit
    background: fakes.RecordingBackground
    signer: fakes.FakeSigner

    async def attempts(self) -> list[Attempt]:
        """Return every attempt, oldest first."""
        rows = await self.base.rows("SELECT id FROM attempts ORDER BY fence, started_at")
        found = [await self.base.stores.tokens.attempt(AttemptId(name)) for (name,) in rows]
        return [one for one in found if one is not None]

    async def outcomes(self) -> list[AttemptOutcome | None]:
        """Return how every attempt ended."""
        return [one.outcome for one in await self.attempts()]

    async def connection(self, connection_id: ConnectionId = values.CONNECTION) -> Connection:
        """Return the connection as it stands."""
        found = await self.base.stores.connections.get(values.WORKSPACE, connection_id)
        assert found is not None
        return found

    async def tokens(self) -> TokenSet:
        """Return the token set in force."""
        loaded = await self.base.stores.tokens.load(values.CONNECTION)
        assert loaded is not None
        return loaded[1]

    async def carried_out(self, replica: Replica) -> list[str]:
        """Carry out what is due as the rounds do; return the tokens that were presented."""
        revocations, posted = replica.stores.revocations, len(self.org.posted)
        due = await revocations.claim_due(self.clock.now(), ttl=timedelta(seconds=30), limit=9)
        for revocation_id in due:
            assert await replica.revoke_grant(revocation_id)
        return [form["token"] for _, _, form in self.org.posted[posted:]]

    async def jobs(self) -> list[tuple[str, list[str]]]:
        """Return the grants to end: why, and which tokens are to be revoked."""
        found = []
        for (name,) in await self.base.rows("SELECT id FROM revocations ORDER BY due_at, id"):
            opened = await self.base.stores.revocations.open(name)
            assert opened is not None
            found.append((str(opened[0].reason), [token.reveal() for token in opened[1]]))
        return found


class WatchedStore:
    """A token store that writes into the journal what it has kept, and may break down."""

    def __init__(self, store: Any, journal: list[str]) -> None:
        self._store = store
        self._journal = journal
        self.fails: dict[str, list[Exception]] = {}
        self.loses: dict[str, list[Exception]] = {}  # done, and not told

    def __getattr__(self, name: str) -> Any:
        """Return the store's own method, watched."""
        method = getattr(self._store, name)

        async def watched(*arguments: Any, **named: Any) -> Any:
            if self.fails.get(name):
                raise self.fails[name].pop(0)
            result = await method(*arguments, **named)
            if name in {"begin_attempt", "replace", "end_attempt"}:
                self._journal.append(f"store.{name}")
            if self.loses.get(name):
                raise self.loses[name].pop(0)
            return result

        return watched


@dataclass(kw_only=True)
class Replica:
    """One replica: its own spool and stores, the use cases over them."""

    world: World
    stores: Stores
    store: WatchedStore
    spool: fakes.MemorySpool
    in_hand: SpoolInHand
    waiting: fakes.LeapingWaiting
    uses: fakes.NotedUses
    refresh: RefreshTokens
    settle: SettleAttempt
    resolve: ResolveUncertain
    deliver: DeliverSpool
    replay: ReplayJournal
    renew: RenewIfNeeded
    get_access_token: GetAccessToken
    guard: GuardConnections
    token_for_proxy: TokenForProxy
    disconnect: Disconnect
    end_grant: EndGrant
    revoke_grant: RevokeGrant
    connect: Connecting
    present: PresentAssertion
    by_assertion: RenewByAssertion
    connect_by_assertion: ConnectByAssertion
    verify: VerifyConnection

    async def with_signing_key(self, **changes: Any) -> None:
        """Give the app a signing key."""
        assert await self.stores.signing_keys.add(
            values.signing_key(**changes), values.private_key()
        )

    async def asserted(self, **changes: Any) -> tuple[Connection, bool]:
        """Connect the org server to server."""
        wanted: dict[str, Any] = {
            "customer_id": values.CUSTOMER,
            "username": "ada@globex.example",
            "app_id": None,
            "environment": None,
            "my_domain": None,
            "org_id": None,
        } | changes
        return await self.connect_by_assertion(values.WORKSPACE, values.API_KEY, **wanted)


@dataclass(kw_only=True)
class Connecting:
    """The use cases of connecting, and a browser's way through them."""

    world: World
    stores: Stores
    begin_session: BeginConnectSession
    find: FindConnectSession
    open_link: OpenLink
    begin: BeginAuthorization
    complete: CompleteAuthorization
    confirm: ConfirmConnection
    clean_up: CleanUp
    browser: str | None = None

    async def asked(self, **changes: Any) -> tuple[ConnectSession, str]:
        """Begin a connect session; return it with the secret of its link."""
        wanted: dict[str, Any] = {
            "customer_id": values.CUSTOMER,
            "return_url": values.RETURN_URL,
            "app_id": None,
            "environment": None,
            "my_domain": None,
            "delivery": Delivery.OWN,
            "connection_id": None,
            "origin": values.FACE,
        } | changes
        session, link = await self.begin_session(values.WORKSPACE, values.API_KEY, **wanted)
        assert link.startswith(f"{wanted['origin']}/connect/")
        return session, link.rsplit("/", 1)[1]

    async def pressed(self, secret: str, **changes: Any) -> Mapping[str, str]:
        """Press Connect; return the parameters of the authorization request."""
        wanted: dict[str, Any] = {
            "environment": Environment.PRODUCTION,
            "my_domain": None,
            "browser": self.browser,
        } | changes
        begun = await self.begin(secret, **wanted)
        self.browser = begun.browser
        return parameters(begun.url)

    async def returned(
        self, state: str, *, browser: str | None = None, **query: str
    ) -> CompletedAuthorization:
        """Come back from Salesforce with a code."""
        said = {"state": state, "code": "aPrx-code==", **query}
        return await self.complete(said, browser=browser or self.browser)

    async def connected(self, **changes: Any) -> Connection:
        """Go the whole way of connecting."""
        session, secret = await self.asked(**changes)
        asked = await self.pressed(secret)
        done = await self.returned(asked["state"])
        return await self.confirm(
            values.WORKSPACE,
            session.id,
            values.API_KEY,
            confirmation_code=parameters(done.redirect_url).get("confirmation_code"),
            org_id=None,
        )


def parameters(url: str) -> dict[str, str]:
    """Return the parameters of a URL."""
    return {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}


@dataclass
class Kitchen:
    """Makes replicas of one world."""

    world: World
    to_close: contextlib.AsyncExitStack
    made: list[Replica] = field(default_factory=list)

    async def replica(
        self,
        spool: str | fakes.MemorySpool = values.SPOOL,
        *,
        stores: Stores | None = None,
        off: timedelta = timedelta(0),
    ) -> Replica:
        """Return a replica; one made on an earlier one's spool is that one, started again.

        Its time of day is `off` by so much.
        """
        world = self.world
        if isinstance(spool, str):
            spool = fakes.MemorySpool(world.journal, SpoolId(spool))
        if stores is None:
            stores = await self.to_close.enter_async_context(world.base.replica(spool.id))
        randomness = fakes.CountedRandomness(f"{len(self.made)}:")
        made = _replica(world, stores, spool, randomness, SkewedClock(world.clock, off))
        self.made.append(made)
        return made


async def furnish(base: Base) -> None:
    """Keep workspaces, and an app that has its consumer credentials."""
    await base.with_workspace()
    await base.stores.apps.put_consumer_credentials(
        values.app(), consumer_key="3MVG9.acme", consumer_secret=values.consumer_secret()
    )


@contextlib.asynccontextmanager
async def kitchen_over(base: Base, clock: fakes.FakeClock) -> AsyncIterator[Kitchen]:
    """Give a kitchen over a furnished database."""
    journal: list[str] = []
    world = World(
        base=base,
        clock=clock,
        journal=journal,
        org=fakes.FakeOrg(journal, clock),
        directory=fakes.FakeDirectory(),
        audit=fakes.RecordingAudit(journal),
        background=fakes.RecordingBackground(),
        signer=fakes.FakeSigner(),
    )
    async with contextlib.AsyncExitStack() as to_close:
        yield Kitchen(world, to_close)


def _replica(
    world: World,
    stores: Stores,
    spool: fakes.MemorySpool,
    randomness: fakes.CountedRandomness,
    clock: SkewedClock,
) -> Replica:
    audit, in_hand = world.audit, SpoolInHand(spool)
    store: Any = WatchedStore(stores.tokens, world.journal)
    waiting, uses = fakes.LeapingWaiting(world.clock), fakes.NotedUses()
    end_grant = EndGrant(
        revocations=stores.revocations,
        background=world.background,
        audit=audit,
        clock=clock,
        randomness=randomness,
    )
    settle = SettleAttempt(
        store=store,
        connections=stores.connections,
        directory=world.directory,
        end_grant=end_grant,
        spool=in_hand,
        audit=audit,
        clock=clock,
        waiting=waiting,
        loopback=NO_HOSTS,
    )
    present = PresentAssertion(
        keys=stores.signing_keys,
        signer=world.signer,
        endpoint=world.org,
        audit=audit,
        clock=clock,
    )
    by_assertion = RenewByAssertion(
        store=store,
        apps=stores.apps,
        keys=stores.signing_keys,
        present=present,
        settle=settle,
        end_grant=end_grant,
        audit=audit,
        clock=clock,
        waiting=waiting,
    )
    resolve = ResolveUncertain(
        store=store, spool=in_hand, by_assertion=by_assertion, audit=audit, clock=clock
    )
    refresh = RefreshTokens(
        store=store,
        leases=stores.leases,
        apps=stores.apps,
        endpoint=world.org,
        spool=in_hand,
        audit=audit,
        hashes=fakes.fake_hash,
        clock=clock,
        randomness=randomness,
        waiting=waiting,
        settle=settle,
        resolve=resolve,
        by_assertion=by_assertion,
    )
    renew = RenewIfNeeded(store=store, refresh=refresh, clock=clock)
    connecting = _connecting(world, stores, in_hand, randomness, end_grant)
    deliver = DeliverSpool(
        store=store,
        connections=stores.connections,
        sessions=stores.connect_sessions,
        leases=stores.leases,
        settle=settle,
        resolve=resolve,
        end_grant=end_grant,
        refresh=refresh,
        spool=in_hand,
        audit=audit,
        clock=clock,
    )
    return Replica(
        world=world,
        stores=stores,
        store=store,
        spool=spool,
        in_hand=in_hand,
        waiting=waiting,
        uses=uses,
        refresh=refresh,
        settle=settle,
        resolve=resolve,
        deliver=deliver,
        replay=ReplayJournal(
            store=store,
            leases=stores.leases,
            deliver=deliver,
            spool=in_hand,
            audit=audit,
            hashes=fakes.fake_hash,
            clock=clock,
        ),
        renew=renew,
        get_access_token=GetAccessToken(
            reads=stores.serving,
            renew_if_needed=renew,
            audit=audit,
            uses=uses,
            clock=clock,
            loopback=frozenset(),
        ),
        guard=GuardConnections(
            keys=stores.signing_keys,
            connections=stores.connections,
            seals=stores.seals,
            refresh=refresh,
            audit=audit,
            clock=clock,
        ),
        token_for_proxy=TokenForProxy(
            reads=stores.serving, renew_if_needed=renew, uses=uses, clock=clock
        ),
        disconnect=Disconnect(
            connections=stores.connections,
            store=store,
            leases=stores.leases,
            end_grant=end_grant,
            audit=audit,
            clock=clock,
            waiting=waiting,
        ),
        end_grant=end_grant,
        revoke_grant=RevokeGrant(
            revocations=stores.revocations, endpoint=world.org, audit=audit, clock=clock
        ),
        connect=connecting,
        present=present,
        by_assertion=by_assertion,
        connect_by_assertion=ConnectByAssertion(
            apps=stores.apps,
            store=store,
            connections=stores.connections,
            leases=stores.leases,
            present=present,
            verify=connecting.complete.verify,
            end_grant=end_grant,
            audit=audit,
            clock=clock,
            randomness=randomness,
            waiting=waiting,
            loopback=NO_HOSTS,
        ),
        verify=VerifyConnection(
            apps=stores.apps,
            keys=stores.signing_keys,
            connections=stores.connections,
            store=store,
            leases=stores.leases,
            seals=stores.seals,
            by_assertion=by_assertion,
            renew_if_needed=renew,
            directory=world.directory,
            audit=audit,
            clock=clock,
            waiting=waiting,
        ),
    )


def _connecting(
    world: World,
    stores: Stores,
    spool: SpoolInHand,
    randomness: fakes.CountedRandomness,
    end_grant: EndGrant,
) -> Connecting:
    clock, audit, hashes = world.clock, world.audit, fakes.fake_hash
    sessions, connections, apps = stores.connect_sessions, stores.connections, stores.apps
    find = FindConnectSession(sessions=sessions, clock=clock)
    drop_unconfirmed = DropUnconfirmed(
        sessions=sessions, end_grant=end_grant, audit=audit, clock=clock
    )
    open_link = OpenLink(
        sessions=sessions, apps=apps, find=find, audit=audit, hashes=hashes, clock=clock
    )
    return Connecting(
        world=world,
        stores=stores,
        begin_session=BeginConnectSession(
            sessions=sessions,
            connections=connections,
            apps=apps,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=randomness,
            loopback=NO_HOSTS,
        ),
        find=find,
        open_link=open_link,
        begin=BeginAuthorization(
            open_link=open_link,
            sessions=sessions,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=randomness,
            loopback=NO_HOSTS,
            face_login_hosts={},
        ),
        complete=CompleteAuthorization(
            sessions=sessions,
            apps=apps,
            endpoint=world.org,
            spool=spool,
            verify=VerifyGrant(
                apps=apps,
                connections=connections,
                directory=world.directory,
                endpoint=world.org,
                clock=clock,
                loopback=NO_HOSTS,
            ),
            end_grant=end_grant,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=randomness,
        ),
        confirm=ConfirmConnection(
            sessions=sessions,
            connections=connections,
            store=stores.tokens,
            end_grant=end_grant,
            drop_unconfirmed=drop_unconfirmed,
            audit=audit,
            hashes=hashes,
            clock=clock,
        ),
        clean_up=CleanUp(
            sessions=sessions,
            idempotency=stores.idempotency_keys,
            proxy_sessions=stores.proxy_sessions,
            signing_keys=stores.signing_keys,
            spool=spool,
            drop_unconfirmed=drop_unconfirmed,
            clock=clock,
        ),
    )
