"""Replicas over real storage that run call by call, and an oracle that judges what they did.

A process goes on until an awaited call that was chosen, and is held there. Then it is cut off
(its tasks and memory are gone, its disk stays), or goes on later as if nothing had happened: one
that was paused. One process moves at a time, so that the same choices give the same story.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

from service.tests.support import fakes, values
from service.tests.support.databases import (
    a_vault,
)
from service.tests.support.faulty import (
    FaultyDatabase,
    LeasesByWorldClock,
    SkewedClock,
    SpoolKeysByWorldClock,
)
from service.tests.support.oracle import Oracle, Watched
from service.tests.support.replicas import NO_HOSTS
from service.tests.support.snapshots import Looking, SqliteLooking
from service.tests.support.stepped_ports import Endpoint, Port
from service.tests.support.strict_org import StrictOrg
from service.tests.support.watching import EpochsByWorldClock, EpochsTime, Watch

from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.adapters.spool.directory import DirectorySpool
from keyturn_service.adapters.spool.in_hand import SpoolInHand
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.database import read_database_url
from keyturn_service.adapters.sql.remembered import (
    CONNECTIONS_REMEMBERED,
    KEYS_REMEMBERED,
    Remembered,
)
from keyturn_service.adapters.sql.spool_keys import SqlSpoolKeys
from keyturn_service.adapters.sql.stores import Stores, stores_over
from keyturn_service.domain.attempt import Attempt
from keyturn_service.domain.connection import Connection, ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId, CustomerId, SpoolId
from keyturn_service.ports import AuditUnavailable, StoreUnavailable
from keyturn_service.use_cases.deliver_spool import DeliverSpool
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.get_access_token import GetAccessToken
from keyturn_service.use_cases.present_assertion import PresentAssertion
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.renew_by_assertion import RenewByAssertion
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded
from keyturn_service.use_cases.replay_journal import ReplayJournal
from keyturn_service.use_cases.resolve_uncertain import ResolveUncertain
from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys
from keyturn_service.use_cases.settle_attempt import SettleAttempt
from keyturn_service.use_cases.watch_database import WatchDatabase
from keyturn_service.vault.envelope import Envelopes

_KEY_HASH: Final = values.hash_of("key")
ANSWERED: Final = "answer"
_STORES: Final = ("tokens", "leases", "connections", "revocations", "signing_keys", "apps")


@dataclass(eq=False)
class Process:
    """One run of a replica."""

    replica: Replica
    hold_at: int | str | None = None
    """The number of the call to be held before, or its name."""
    away_from: str | None = None
    full_from: str | None = None
    owes_spool: bool = False  # whether an answer to a refresh is in hand and not on the disk
    calls: list[str] = field(default_factory=list)
    alive: bool = True
    held: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    get: GetAccessToken = field(init=False)
    deliver: DeliverSpool = field(init=False)
    refresh: RefreshTokens = field(init=False)
    replay: ReplayJournal = field(init=False)
    passing: Callable[[str], Awaitable[None]] | None = None
    """Called at each place, when all before it has become durable, and nothing of it."""
    watch: Watch | None = None
    served: int = 0  # the latest generation
    intent: Attempt | None = None

    async def gate(self, place: str) -> None:
        """Go on, or be held here; what was cut off never gets through."""
        if not self.alive:
            raise asyncio.CancelledError
        number = len(self.calls)
        self.calls.append(place)
        if self.owes_spool and place != "spool.put":
            self.replica.world.oracle.used_before_spooled(place)
        if place == "spool.put":
            self.owes_spool = False
        if self.passing is not None:
            await self.passing(place)
        if self.hold_at in {number, place}:
            self.held.set()
            await self.go.wait()
            self.go.clear()
            if not self.alive:
                raise asyncio.CancelledError

    def noted(self, name: str, given: tuple[Any, ...]) -> None:
        """Let the oracle know what is about to become durable."""
        oracle = self.replica.world.oracle
        if name == "tokens.begin_attempt":
            self.intent = given[0]
            oracle.intends(given[0])
        if name == "endpoint.present" and b"grant_type=refresh_token" in given[1]:
            assert self.intent is not None
            oracle.presents(self.intent.generation, served=self.served)
        if name == "spool.intend":
            oracle.intends_on(self.replica.disk, given[0])
        if name == "spool.not_sent":
            oracle.did_not_send(self.replica.disk, given[0])
        if name == "spool.put":
            oracle.spools(self.replica.disk, given[0])

    async def recover(self) -> None:
        """Do what a replica does before it serves."""
        if self.watch is not None:
            await self.watch.look()
            return
        await self.deliver.recover()
        await self.replay.recover()

    async def round(self) -> None:
        """Do what a replica does with its spool every few seconds."""
        if self.watch is not None:
            await self.watch.look()
        await self.deliver()
        await self.replay()

    def hold_after(self, calls: int | str | None) -> None:
        """Be held after so many more calls, or before the next call of a name."""
        self.hold_at = len(self.calls) + calls if isinstance(calls, int) else calls

    async def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start work and go on until it has ended or is held."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await self._until(task)
        return task

    async def resume(self, task: asyncio.Task[Any], *, hold_after: int | str | None = None) -> None:
        """Let held work go on, as a process that was paused."""
        self.hold_after(hold_after)
        self.held.clear()
        self.go.set()
        await self._until(task)

    async def _until(self, task: asyncio.Task[Any]) -> None:
        holding = asyncio.create_task(self.held.wait())
        await asyncio.wait({task, holding}, return_when=asyncio.FIRST_COMPLETED)
        holding.cancel()

    async def cut(self) -> None:
        """End it as kill -9 does: no `finally` of it touches anything."""
        self.alive = False
        self.go.set()
        running = {*self.tasks, *self.refresh._running.values()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self.replica.closed()


@dataclass(eq=False)
class Replica:
    """One machine: a database connection, a disk, and the process that runs on it, if any."""

    world: SteppedWorld
    number: int
    database: FaultyDatabase
    stores: Stores
    clock: SkewedClock
    disk: Path
    disk_full: bool = False
    process: Process | None = None
    spool: DirectorySpool | None = None
    line: Any = None  # the audit's, of a PostgreSQL

    async def start(self) -> Process:
        """Start a process; what an earlier one left is not recovered yet."""
        world, clock = self.world, self.clock
        assert self.process is None
        if world.watches:
            await self.database.find_anew()
        self.spool = spool = DirectorySpool.open(
            self.disk, world.envelopes, world.randomness, accepts_loss=True
        )
        process = self.process = Process(self)
        stores = replace(
            self.stores,
            leases=LeasesByWorldClock(self.database, spool.id, clock),
        )
        ports: dict[str, Any] = {
            name: Port(name, getattr(stores, name), process) for name in _STORES
        }
        log = SqlAuditLog(self.database, f"run_{next(world.numbers)}", clock)
        if log._line is not None:
            log._line = self.line = self.line or log._line  # a connection is dear, and no memory
        audit: Any = Port("audit", log, process)
        kept: Any = SpoolInHand(Port("spool", spool, process))  # type: ignore[arg-type]
        endpoint: Any = Port("endpoint", Endpoint(process), process)
        waiting: Any = Port("waiting", world.waiting, process)
        shared: dict[str, Any] = {"audit": audit, "clock": clock}
        end_grant = EndGrant(
            revocations=ports["revocations"],
            background=fakes.RecordingBackground(),
            randomness=world.randomness,
            **shared,
        )
        settle = SettleAttempt(
            store=ports["tokens"],
            connections=ports["connections"],
            directory=fakes.FakeDirectory(),
            end_grant=end_grant,
            spool=kept,
            waiting=waiting,
            loopback=NO_HOSTS,
            **shared,
        )
        by_assertion = RenewByAssertion(
            store=ports["tokens"],
            apps=ports["apps"],
            keys=ports["signing_keys"],
            present=PresentAssertion(
                keys=ports["signing_keys"], signer=fakes.FakeSigner(), endpoint=endpoint, **shared
            ),
            settle=settle,
            end_grant=end_grant,
            waiting=waiting,
            **shared,
        )
        resolve = ResolveUncertain(
            store=ports["tokens"], spool=kept, by_assertion=by_assertion, **shared
        )
        process.refresh = RefreshTokens(
            store=ports["tokens"],
            leases=ports["leases"],
            apps=ports["apps"],
            endpoint=endpoint,
            spool=kept,
            hashes=fakes.fake_hash,
            randomness=world.randomness,
            waiting=waiting,
            settle=settle,
            resolve=resolve,
            by_assertion=by_assertion,
            **shared,
        )
        process.deliver = DeliverSpool(
            store=ports["tokens"],
            connections=ports["connections"],
            sessions=stores.connect_sessions,
            leases=ports["leases"],
            settle=settle,
            resolve=resolve,
            end_grant=end_grant,
            refresh=process.refresh,
            spool=kept,
            **shared,
        )
        process.replay = ReplayJournal(
            store=ports["tokens"],
            leases=ports["leases"],
            deliver=process.deliver,
            spool=kept,
            hashes=fakes.fake_hash,
            **shared,
        )
        process.get = GetAccessToken(
            reads=stores.serving,
            renew_if_needed=RenewIfNeeded(
                store=ports["tokens"],
                refresh=process.refresh,
                clock=clock,
            ),
            uses=fakes.NotedUses(),
            loopback=frozenset(),
            **shared,
        )
        if world.watches:
            epochs = EpochsByWorldClock(
                self.database, log, stores.serving, self.disk, world.epochs_time
            )
            keys = SpoolKeysByWorldClock(self.database, world.clock)
            said: Any = Port("spool_keys", keys, process)
            watched: Any = Port("epochs", epochs, process)
            watch = WatchDatabase(
                epochs=watched,
                presenting=process.refresh.presenting,
                deliver=process.deliver,
                replay=process.replay,
                say_spool_keys=SaySpoolKeys(spool=kept, keys=said),
                store=ports["tokens"],
                leases=ports["leases"],
                spool=kept,
                hashes=fakes.fake_hash,
                randomness=world.randomness,
                waiting=waiting,
                **shared,
            )
            process.watch = Watch(watch, epochs, world.clock)
        return process

    def closed(self) -> None:
        """Let go of the disk."""
        assert self.spool is not None
        self.spool.close()
        self.process = self.spool = None
        self.stores.serving._keys = Remembered(KEYS_REMEMBERED)
        self.stores.serving._connections = Remembered(CONNECTIONS_REMEMBERED)

    def lose_disk(self) -> Path:
        """Have another, empty disk; return where the old one lies."""
        assert self.process is None
        aside = self.disk.with_name(f"{self.disk.name}-{next(self.world.numbers)}-aside")
        if self.disk.exists():
            self.disk.rename(aside)
        self.world.oracle.moved(self.disk, aside)
        return aside

    def put_back(self, aside: Path) -> None:
        """Have an old disk again, in the place of what is there."""
        assert self.process is None
        self.lose_disk()
        aside.rename(self.disk)
        self.world.oracle.moved(aside, self.disk)


class SteppedWorld(Watched):
    """One database, an org, and replicas with a disk each.

    Several stories follow each other in it, each with a connection and an org of its own.
    """

    oracle: Oracle

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        looking: Looking,
        envelopes: Envelopes,
        randomness: fakes.CountedRandomness,
        watches: bool = False,
    ) -> None:
        self.watches = watches
        """Whether replicas watch for their database being exchanged: it costs some reads."""
        self.exchanges = 0
        self.folder = folder
        self.url = url
        self.looking = looking
        self.clock = fakes.FakeClock()
        self.epochs_time = EpochsTime(self.clock)
        self.envelopes = envelopes
        self.randomness = randomness
        self.numbers = count(1)
        self.waiting = fakes.LeapingWaiting(self.clock)
        self.waiting.leap = 15.0
        self.replicas: list[Replica] = []
        self.connection_id = ConnectionId("")

    async def look(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Look into the database, past everything."""
        return await self.looking.look(statement, *given)

    async def replica(self, *, off: timedelta = timedelta(0), disk: Path | None = None) -> Replica:
        """Add a machine, with a disk that was another's or a new one."""
        number = len(self.replicas)
        database = FaultyDatabase(read_database_url(self.url))
        if database.is_sqlite:
            await database.without_sync()
        clock = SkewedClock(self.clock, off)
        vault = a_vault(database, clock, self.randomness)
        stores = stores_over(
            database,
            vault,
            fakes.fake_hash,
            owner=SpoolId(""),
            clock=clock,
        )
        made = Replica(
            world=self,
            number=number,
            database=database,
            stores=stores,
            clock=clock,
            disk=disk or self.folder / f"disk-{number}",
        )
        self.replicas.append(made)
        return made

    async def begin(self, *, certificate: bool) -> None:
        """Begin a story: a connection whose access token is over, and its org."""
        name = f"story{next(self.numbers)}"
        self.org = StrictOrg(self.clock, name=name, admits=certificate)
        self.oracle = Oracle(self)
        self.org.sees = self.oracle.presented
        self.connection_id = ConnectionId(f"con_{name}")
        now = self.clock.now()
        access, refresh = self.org.first
        connection: Connection = values.connection(
            id=self.connection_id,
            customer_id=CustomerId(name),
            app_id="app_keyed" if certificate else values.APP,
            created_at=now,
            authorized_at=now,
        )
        tokens = values.tokens(
            access_token=AccessToken(access),
            refresh_token=RefreshToken(refresh),
            received_at=now - timedelta(hours=3),
            expires_at=now - timedelta(hours=1),
        )
        assert await self.replicas[0].stores.tokens.add(connection, tokens)

    async def give_up_on(self, aside: Path) -> None:
        """Declare a disk lost, as an operator does: the spool on it will never answer."""
        self.oracle.given_up.add(aside)
        anew = FaultyDatabase(read_database_url(self.url)) if self.watches else None
        spools = SqlSpoolKeys(anew or self.replicas[0].database)
        try:
            await spools.forget((aside / "id").read_text(), at=self.clock.now())
        finally:
            if anew is not None:
                await anew.close()

    def copy(self) -> Path:
        """Take a copy of the database as it is."""
        assert isinstance(self.looking, SqliteLooking)
        return self.looking.copy()

    async def exchange(self, copy: Path) -> None:
        """Put an older copy of the database in the place of what is there."""
        assert isinstance(self.looking, SqliteLooking)
        await self.oracle.exchanging()
        self.looking.exchange(copy)
        self.exchanges += 1

    def forget(self) -> None:
        """Have no process, and everything sound."""
        for replica in self.replicas:
            assert replica.process is None
            replica.database.mend()
            replica.disk_full = False

    async def close(self) -> None:
        """Cut off what runs, and close every connection."""
        for replica in self.replicas:
            if replica.process is not None:
                await replica.process.cut()
            await replica.database.close()
        await self.looking.close()

    async def state(self) -> ConnectionState:
        """Return how the connection stands."""
        [(state,)] = await self.look(
            "SELECT state FROM connections WHERE id = ?", self.connection_id
        )
        return ConnectionState(state)

    async def kept(self) -> str | None:
        """Return the refresh token that rests in the database."""
        loaded = await self.replicas[0].stores.tokens.load(self.connection_id)
        assert loaded is not None
        token = loaded[1].refresh_token
        return None if token is None else token.reveal()

    async def ask(self, process: Process, *, rejected: int | None = None) -> Answer:
        """Ask for a token as a vendor does."""
        before = self.exchanges
        try:
            served = await process.get(
                self.connection_id, key_hash=_KEY_HASH, rejected_generation=rejected
            )
        except ConnectionCannotServe as refused:
            return Answer(code=refused.code, retry_after=refused.retry_after or 0)
        except (StoreUnavailable, AuditUnavailable) as error:
            return Answer(code=type(error).__name__)
        await process.gate(ANSWERED)
        if self.exchanges == before:
            await self.oracle.given(served.tokens.generation)
        process.served = max(process.served, served.tokens.generation)
        if process.watch is not None:
            process.watch.saw(self.connection_id, served.tokens.generation)
        return Answer(
            token=served.tokens.access_token.reveal(), generation=served.tokens.generation
        )

    async def quietly(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do work that the database, or the audit in it, may fail."""
        with contextlib.suppress(StoreUnavailable, AuditUnavailable):
            await work

    async def work_quietly(self, replica: Replica) -> None:
        """Start a replica on its disk, with everything sound, let it deliver, and cut it off."""
        replica.database.mend()
        process = await replica.start()
        await self.run(process, process.recover())
        await process.cut()

    async def run(self, process: Process, work: Coroutine[Any, Any, Any]) -> Any:
        """Let a process do some work to its end, without a place to be held."""
        process.hold_at = None
        task = await process.run(work)
        return task.result()

    async def come_up(self) -> None:
        """Mend everything, start every replica, and let all journals be replayed in turns."""
        for _ in range(min(1 + 2 * self.exchanges, _TURNS // 2)):
            for replica in self.replicas:
                replica.database.mend()
                replica.disk_full = False
                process = replica.process
                starts = process is None
                process = process or await replica.start()
                await self.run(process, process.recover() if starts else process.round())
            self.clock.advance(seconds=4)

    async def calm(self, *, unclear: int = 0) -> Answer:
        """Mend everything, let the replicas work until all is at rest, and judge that.

        One replica after the other is started where it does not run, delivers and is asked; time
        goes on as the answers ask for. The first `unclear` asks meet what the org has in store.
        """
        for replica in self.replicas:
            replica.database.mend()
            replica.disk_full = False
        answer = Answer()
        for turn in range(_TURNS):
            if turn == unclear:
                self.org.script.clear()
            replica = self.replicas[turn % len(self.replicas)]
            answer = await self.work(replica)
            if answer.token in self.org.access_tokens or answer.code == _LOST:
                break
            self.clock.advance(seconds=max(answer.retry_after, 65 + 15 * turn))
        await self.oracle.judge(
            await self.state(),
            kept=await self.kept(),
            serves=answer.token in self.org.access_tokens,
        )
        return answer

    async def work(self, replica: Replica) -> Answer:
        """Let a replica do all that it does by itself, and ask it for a token that works."""
        process = replica.process
        if process is None:
            process = await replica.start()
            await self.run(process, process.recover())
        else:
            await self.run(process, process.round())
        answer: Answer = await self.run(process, self.ask(process))
        if answer.token and answer.token not in self.org.access_tokens:
            answer = await self.run(process, self.ask(process, rejected=answer.generation))
        return answer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a vendor was told: a token, or the code of why there is none."""

    token: str = ""
    generation: int = 0
    code: str = ""
    retry_after: int = 0


_TURNS: Final = 8
_LOST: Final = "reauthorization_required"
