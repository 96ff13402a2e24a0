"""The only place that joins it all: adapters to ports, ports to use cases, use cases to the web."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from keyturn_service.adapters.background.rounds import Alarm, Rounds, going_on
from keyturn_service.adapters.http.directory import HttpOrgDirectory
from keyturn_service.adapters.http.egress import Egress, EgressRefused
from keyturn_service.adapters.http.one_shot import OneShot
from keyturn_service.adapters.http.relay import HttpOrgRelay
from keyturn_service.adapters.http.token_endpoint import HttpTokenEndpoint
from keyturn_service.adapters.key_sources.file import KeyFileRefused
from keyturn_service.adapters.key_sources.local_signer import LocalSigner
from keyturn_service.adapters.key_sources.private_key_file import PrivateKeyRefused
from keyturn_service.adapters.spool.directory import DirectorySpool, SpoolRefused
from keyturn_service.adapters.spool.in_hand import SpoolInHand
from keyturn_service.adapters.spool.last_mark import LastMark
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.database import Database, DatabaseRefused, read_database_url
from keyturn_service.adapters.sql.epochs import SqlEpochs
from keyturn_service.adapters.sql.schema import SchemaTooNew, migrate
from keyturn_service.adapters.sql.stores import Stores, stores_over
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.adapters.system import (
    FollowedClock,
    SystemClock,
    SystemRandomness,
    SystemWaiting,
)
from keyturn_service.bootstrap_install import joined_install
from keyturn_service.bootstrap_key_file import new_key_file, newest_key, open_key_file
from keyturn_service.bootstrap_keys import fill_row_macs, joined_keys
from keyturn_service.bootstrap_retention import Round, joined_retention, seen_rounds
from keyturn_service.bootstrap_rounds import joined_rounds
from keyturn_service.bootstrap_watch import joined_watch
from keyturn_service.domain.app import Workspace
from keyturn_service.domain.ids import ID_BYTES, WorkspaceId, new_id
from keyturn_service.ports import (
    AuditLog,
    AuditUnavailable,
    Clock,
    Epochs,
    KeyedHash,
    OrgDirectory,
    OrgRelay,
    Spool,
    StoreUnavailable,
    TokenEndpoint,
)
from keyturn_service.settings import Settings
from keyturn_service.use_cases.authenticate import Authenticate
from keyturn_service.use_cases.begin_authorization import BeginAuthorization
from keyturn_service.use_cases.begin_connect_session import BeginConnectSession
from keyturn_service.use_cases.change_app import ChangeApp
from keyturn_service.use_cases.change_signing_key import ChangeSigningKey
from keyturn_service.use_cases.complete_authorization import CompleteAuthorization
from keyturn_service.use_cases.confirm_connection import ConfirmConnection
from keyturn_service.use_cases.connect_by_assertion import ConnectByAssertion
from keyturn_service.use_cases.create_api_key import CreateApiKey
from keyturn_service.use_cases.delete_api_key import DeleteApiKey
from keyturn_service.use_cases.disconnect import Disconnect
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.end_keys_again import EndKeysAgain
from keyturn_service.use_cases.find_connect_session import FindConnectSession
from keyturn_service.use_cases.find_proxy_session import FindProxySession
from keyturn_service.use_cases.get_access_token import GetAccessToken
from keyturn_service.use_cases.make_signing_key import MakeSigningKey
from keyturn_service.use_cases.open_link import OpenLink
from keyturn_service.use_cases.open_proxy_session import OpenProxySession
from keyturn_service.use_cases.present_assertion import PresentAssertion
from keyturn_service.use_cases.proxy_call import ProxyCall
from keyturn_service.use_cases.put_consumer_credentials import PutConsumerCredentials
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.register_app import RegisterApp
from keyturn_service.use_cases.renew_by_assertion import RenewByAssertion
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded
from keyturn_service.use_cases.resolve_uncertain import ResolveUncertain
from keyturn_service.use_cases.seal_service import SealService
from keyturn_service.use_cases.see_audit_rounds import SeeAuditRounds
from keyturn_service.use_cases.see_install import SeeInstall
from keyturn_service.use_cases.set_keep_alive import SetKeepAlive
from keyturn_service.use_cases.settle_attempt import SettleAttempt
from keyturn_service.use_cases.token_for_proxy import TokenForProxy
from keyturn_service.use_cases.verify_connection import VerifyConnection
from keyturn_service.use_cases.verify_grant import VerifyGrant
from keyturn_service.use_cases.watch_database import WatchDatabase
from keyturn_service.vault.data_key_rotation import DataKeyRotation
from keyturn_service.vault.envelope import Envelopes
from keyturn_service.vault.errors import CannotOpen, KeyMissing, KeySourceUnavailable
from keyturn_service.vault.hashes import keyed_hashes
from keyturn_service.vault.refusals import Refusals
from keyturn_service.vault.resealing import Reseal
from keyturn_service.vault.root_keys import RootKeys
from keyturn_service.vault.vault import Vault
from keyturn_service.web.wiring import Wiring

_RANDOMNESS: Final = SystemRandomness()


class CannotStart(Exception):
    """The service cannot start; the text says why, and who can mend it how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The ports that stand in the way of a crash: what a test may put something between."""

    stores: Stores
    spool: Spool
    audit: AuditLog
    endpoint: TokenEndpoint
    directory: OrgDirectory
    relay: OrgRelay


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The service, put together."""

    wiring: Wiring
    vault: Vault
    root_keys: RootKeys
    data_keys: DataKeyRotation
    randomness: SystemRandomness
    clock: Clock
    stores: Stores

    async def new_workspace(self, name: str) -> WorkspaceId:
        """Make a workspace: one vendor product in one environment."""
        workspace_id = WorkspaceId(new_id("ws", self.randomness.token_bytes(ID_BYTES)))
        await self.wiring.workspaces.ensure(
            Workspace(id=workspace_id, name=name, created_at=self.clock.now())
        )
        return workspace_id


async def make_key_file(settings: Settings) -> bool:
    """Make the key file of a new installation; one that is there stays as it is.

    Returns whether it was made.

    Raises:
        CannotStart: it cannot be made, or the one that is there cannot be used.
    """
    with telling():
        return await new_key_file(settings)


@contextlib.asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    background: bool = True,
    between: Callable[[Parts], Parts] = lambda parts: parts,
) -> AsyncIterator[House]:
    """Put the service together, and take it apart afterwards.

    Without `background` nothing goes on by itself and no spool is recovered: for a program
    that looks after the service's data while no replica runs. `between` may put something
    between use cases and adapters.

    Raises:
        CannotStart: a setting, the key file, the spool or the database is not as it has to be.
    """
    async with contextlib.AsyncExitStack() as to_close:
        with telling():
            house, parts = await _opened(settings, between, to_close, background=background)
        del parts
        yield house


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Turn what a start can fail on into words.

    Raises:
        CannotStart: it failed.
    """
    try:
        yield
    except (
        KeyFileRefused,
        PrivateKeyRefused,
        SpoolRefused,
        DatabaseRefused,
        SchemaTooNew,
        EgressRefused,
    ) as error:
        raise CannotStart(str(error)) from None
    except (StoreUnavailable, AuditUnavailable) as error:
        because = f" ({error})" if str(error) else ""
        raise CannotStart(
            f"the database cannot be used{because}: look at KEYTURN_DATABASE_URL, and whether its"
            " server runs and lets this user in; where that is not set, at keyturn.sqlite in"
            " KEYTURN_DATA_DIR, and at its disk"
        ) from None
    except KeyMissing as error:
        raise CannotStart(
            f"{error}: this database was sealed with it. Bring back the key file"
            " (KEYTURN_KEY_FILE) that belongs to it, or the key where it is held"
        ) from None
    except CannotOpen:
        raise CannotStart("the hash key in the database was changed: restore it") from None
    except KeySourceUnavailable as error:
        raise CannotStart(f"no key source: {error}") from None


async def _opened(
    settings: Settings,
    between: Callable[[Parts], Parts],
    to_close: contextlib.AsyncExitStack,
    *,
    background: bool,
) -> tuple[House, Parts]:
    clock = await _clock(settings, to_close)
    key_source = await open_key_file(settings)
    database = Database(read_database_url(settings.database))
    to_close.push_async_callback(database.close)
    data_keys = SqlDataKeys(database)
    await migrate(database, fill=partial(fill_row_macs, key_source))
    if background:
        database.serve()
    audit = SqlAuditLog(database, new_id("run", _RANDOMNESS.token_bytes(ID_BYTES)), clock)
    kept_for = settings.data_keys_kept
    refusals = Refusals(audit, clock)
    vault = Vault(key_source, data_keys, _RANDOMNESS, clock, refusals, kept_for=kept_for)
    hashes = await keyed_hashes(key_source, data_keys, _RANDOMNESS, clock)
    folder = settings.spool
    if not background:  # the replica's own spool is held by the replica
        folder = Path(to_close.enter_context(tempfile.TemporaryDirectory(prefix="keyturn-")))
    spool = await asyncio.to_thread(
        DirectorySpool.open,
        folder,
        await Envelopes.for_this_run(key_source, _RANDOMNESS),
        _RANDOMNESS,
        accepts_loss=settings.spool_accepts_loss or not background,
    )
    to_close.callback(spool.close)
    stores = stores_over(database, vault, hashes, owner=spool.id, clock=clock)
    epochs = SqlEpochs(database, audit, stores.serving, LastMark(folder / "last-mark"))
    await audit.open()
    to_close.push_async_callback(epochs.remember)
    to_close.push_async_callback(_close_audit, audit)
    egress = Egress(
        proxy_url=settings.egress_proxy_url, ca_file=settings.ca_file, loopback=settings.loopback
    )
    relay = HttpOrgRelay(egress)
    to_close.push_async_callback(relay.close)
    one_shot = OneShot(egress)
    parts = between(
        Parts(
            stores=stores,
            spool=spool,
            audit=audit,
            endpoint=HttpTokenEndpoint(one_shot=one_shot, clock=clock),
            directory=HttpOrgDirectory(one_shot=one_shot),
            relay=relay,
        )
    )
    in_hand = SpoolInHand(parts.spool)
    parts = replace(parts, spool=in_hand)
    keys = joined_keys(
        key_file=key_source,
        database=database,
        vault=vault,
        stores=stores,
        audit=audit,
        clock=clock,
        newest=partial(newest_key, settings),
    )
    alarm = Alarm()
    see_install = await joined_install(settings, egress, clock, to_close)
    audit_rounds = await joined_retention(
        settings,
        database=database,
        key_source=key_source,
        incidents=parts.stores.incidents,
        audit=parts.audit,
        clock=clock,
    )
    wiring, rounds, watch, refresh = _wired(
        settings,
        parts,
        hashes,
        clock,
        alarm,
        vault=vault,
        see_install=see_install,
        reseal=keys.reseal,
        epochs=epochs,
        audit_rounds={
            **audit_rounds,
            "ended_keys": EndKeysAgain(keys=stores.api_keys, audit=audit, clock=clock),
        },
        see_audit_rounds=seen_rounds(settings, database, clock),
    )
    to_close.push_async_callback(in_hand.empty, watch.deliver, SystemWaiting())
    to_close.push_async_callback(refresh.end)
    if background:
        await watch()
        await to_close.enter_async_context(rounds.running())
        await to_close.enter_async_context(going_on(stores.uses.keep_on()))
        to_close.push_async_callback(stores.uses.keep)
    house = House(
        wiring=wiring,
        vault=vault,
        root_keys=keys.root_keys,
        data_keys=keys.data_keys,
        randomness=_RANDOMNESS,
        clock=clock,
        stores=stores,
    )
    return house, parts


async def _clock(settings: Settings, to_close: contextlib.AsyncExitStack) -> Clock:
    if settings.dev_world is None:
        return SystemClock()
    clock = FollowedClock(f"{settings.dev_world.clock_url}/clock?program=service")
    await clock.look_once()
    await to_close.enter_async_context(going_on(clock.follow()))
    return clock


async def _close_audit(audit: SqlAuditLog) -> None:
    with contextlib.suppress(AuditUnavailable):  # an open chain says that its end is missing
        await audit.close()


def _wired(
    settings: Settings,
    parts: Parts,
    hashes: KeyedHash,
    clock: Clock,
    alarm: Alarm,
    *,
    vault: Vault,
    see_install: SeeInstall,
    reseal: Reseal,
    epochs: Epochs,
    audit_rounds: Mapping[str, Round],
    see_audit_rounds: SeeAuditRounds,
) -> tuple[Wiring, Rounds, WatchDatabase, RefreshTokens]:
    """Join ports to use cases, from those that need nobody to those that need the most."""
    stores, spool, audit = parts.stores, parts.spool, parts.audit
    dev = settings.dev_world
    waiting, signer = SystemWaiting(), LocalSigner()
    end_grant = EndGrant(
        revocations=stores.revocations,
        background=alarm,
        audit=audit,
        clock=clock,
        randomness=_RANDOMNESS,
    )
    settle = SettleAttempt(
        store=stores.tokens,
        connections=stores.connections,
        directory=parts.directory,
        end_grant=end_grant,
        spool=spool,
        audit=audit,
        clock=clock,
        waiting=waiting,
        loopback=settings.loopback,
    )
    present_assertion = PresentAssertion(
        keys=stores.signing_keys, signer=signer, endpoint=parts.endpoint, audit=audit, clock=clock
    )
    by_assertion = RenewByAssertion(
        store=stores.tokens,
        apps=stores.apps,
        keys=stores.signing_keys,
        present=present_assertion,
        settle=settle,
        end_grant=end_grant,
        audit=audit,
        clock=clock,
        waiting=waiting,
    )
    resolve = ResolveUncertain(
        store=stores.tokens, spool=spool, by_assertion=by_assertion, audit=audit, clock=clock
    )
    refresh = RefreshTokens(
        store=stores.tokens,
        leases=stores.leases,
        apps=stores.apps,
        endpoint=parts.endpoint,
        spool=spool,
        audit=audit,
        hashes=hashes,
        clock=clock,
        randomness=_RANDOMNESS,
        waiting=waiting,
        settle=settle,
        resolve=resolve,
        by_assertion=by_assertion,
    )
    renew_if_needed = RenewIfNeeded(store=stores.tokens, refresh=refresh, clock=clock)
    watch = joined_watch(settings, stores, epochs, refresh, end_grant)
    find_connect_session = FindConnectSession(sessions=stores.connect_sessions, clock=clock)
    open_link = OpenLink(
        sessions=stores.connect_sessions,
        apps=stores.apps,
        find=find_connect_session,
        audit=audit,
        hashes=hashes,
        clock=clock,
    )
    verify_grant = VerifyGrant(
        apps=stores.apps,
        connections=stores.connections,
        directory=parts.directory,
        endpoint=parts.endpoint,
        clock=clock,
        loopback=settings.loopback,
    )
    wiring = Wiring(
        authenticate=Authenticate(keys=stores.api_keys, hashes=hashes, clock=clock),
        register_app=RegisterApp(
            apps=stores.apps, audit=audit, clock=clock, randomness=_RANDOMNESS
        ),
        change_app=ChangeApp(apps=stores.apps, audit=audit, clock=clock),
        put_consumer_credentials=PutConsumerCredentials(apps=stores.apps, audit=audit, clock=clock),
        make_signing_key=MakeSigningKey(
            apps=stores.apps,
            keys=stores.signing_keys,
            signer=signer,
            audit=audit,
            clock=clock,
            randomness=_RANDOMNESS,
        ),
        change_signing_key=ChangeSigningKey(keys=stores.signing_keys, audit=audit, clock=clock),
        create_api_key=CreateApiKey(
            keys=stores.api_keys,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=_RANDOMNESS,
            prefix="kt_live_" if dev is None else f"kt_test_{dev.mark}_",
        ),
        delete_api_key=DeleteApiKey(keys=stores.api_keys, audit=audit, clock=clock),
        begin_connect_session=BeginConnectSession(
            sessions=stores.connect_sessions,
            connections=stores.connections,
            apps=stores.apps,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=_RANDOMNESS,
            loopback=settings.loopback,
        ),
        find_connect_session=find_connect_session,
        open_link=open_link,
        see_install=see_install,
        begin_authorization=BeginAuthorization(
            open_link=open_link,
            sessions=stores.connect_sessions,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=_RANDOMNESS,
            loopback=settings.loopback,
            face_login_hosts={} if dev is None else dev.login_hosts,
        ),
        complete_authorization=CompleteAuthorization(
            sessions=stores.connect_sessions,
            apps=stores.apps,
            endpoint=parts.endpoint,
            spool=spool,
            verify=verify_grant,
            end_grant=end_grant,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=_RANDOMNESS,
        ),
        confirm_connection=ConfirmConnection(
            sessions=stores.connect_sessions,
            connections=stores.connections,
            store=stores.tokens,
            end_grant=end_grant,
            drop_unconfirmed=DropUnconfirmed(
                sessions=stores.connect_sessions, end_grant=end_grant, audit=audit, clock=clock
            ),
            audit=audit,
            hashes=hashes,
            clock=clock,
        ),
        connect_by_assertion=ConnectByAssertion(
            apps=stores.apps,
            store=stores.tokens,
            connections=stores.connections,
            leases=stores.leases,
            present=present_assertion,
            verify=verify_grant,
            end_grant=end_grant,
            audit=audit,
            clock=clock,
            randomness=_RANDOMNESS,
            waiting=waiting,
            loopback=settings.loopback,
            face_login_hosts={} if dev is None else dev.login_hosts,
        ),
        verify_connection=VerifyConnection(
            apps=stores.apps,
            keys=stores.signing_keys,
            connections=stores.connections,
            store=stores.tokens,
            leases=stores.leases,
            seals=stores.seals,
            by_assertion=by_assertion,
            renew_if_needed=renew_if_needed,
            directory=parts.directory,
            audit=audit,
            clock=clock,
            waiting=waiting,
        ),
        seal=SealService(seals=stores.seals, audit=audit, clock=clock),
        see_audit_rounds=see_audit_rounds,
        set_keep_alive=SetKeepAlive(connections=stores.connections, audit=audit, clock=clock),
        disconnect=Disconnect(
            connections=stores.connections,
            store=stores.tokens,
            leases=stores.leases,
            end_grant=end_grant,
            audit=audit,
            clock=clock,
            waiting=waiting,
        ),
        get_access_token=GetAccessToken(
            reads=stores.serving,
            renew_if_needed=renew_if_needed,
            audit=audit,
            uses=stores.uses,
            clock=clock,
            loopback=settings.loopback,
        ),
        open_proxy_session=OpenProxySession(
            connections=stores.connections,
            sessions=stores.proxy_sessions,
            audit=audit,
            hashes=hashes,
            clock=clock,
            randomness=_RANDOMNESS,
            mark="" if dev is None else dev.mark,
        ),
        find_proxy_session=FindProxySession(
            sessions=stores.proxy_sessions, hashes=hashes, clock=clock
        ),
        proxy_call=ProxyCall(
            token_for_proxy=TokenForProxy(
                reads=stores.serving,
                renew_if_needed=renew_if_needed,
                uses=stores.uses,
                clock=clock,
            ),
            relay=parts.relay,
            audit=audit,
            clock=clock,
            randomness=_RANDOMNESS,
        ),
        workspaces=stores.workspaces,
        apps=stores.apps,
        signing_keys=stores.signing_keys,
        api_keys=stores.api_keys,
        connections=stores.connections,
        audit_trail=stores.audit_trail,
        idempotency_keys=stores.idempotency_keys,
        hashes=hashes,
        randomness=_RANDOMNESS,
        clock=clock,
        public_urls=settings.public_urls,
    )
    rounds = joined_rounds(
        alarm=alarm,
        stores=stores,
        endpoint=parts.endpoint,
        spool=spool,
        audit=audit,
        clock=clock,
        refresh=refresh,
        end_grant=end_grant,
        watch_database=watch,
        reseal=reseal,
        renew_data_keys=vault.renew,
        audit_rounds=audit_rounds,
    )
    return wiring, rounds, watch, refresh
