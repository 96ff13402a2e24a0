"""The part of the bootstrap that joins what a replica does in the background."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from keyturn_service.adapters.background.rounds import Alarm, Rounds
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.ports import AuditLog, Clock, Spool, TokenEndpoint
from keyturn_service.use_cases.clean_up import CleanUp
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.forget_attempts import ForgetAttempts
from keyturn_service.use_cases.guard_connections import GuardConnections
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.revoke_all import RevokeAll
from keyturn_service.use_cases.revoke_grant import RevokeGrant
from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys
from keyturn_service.use_cases.watch_database import WatchDatabase
from keyturn_service.vault.resealing import Reseal


def joined_rounds(
    *,
    alarm: Alarm,
    stores: Stores,
    endpoint: TokenEndpoint,
    spool: Spool,
    audit: AuditLog,
    clock: Clock,
    refresh: RefreshTokens,
    end_grant: EndGrant,
    watch_database: WatchDatabase,
    reseal: Reseal,
    renew_data_keys: Callable[[], Awaitable[None]],
    audit_rounds: Mapping[str, Callable[[], Awaitable[object]]],
) -> Rounds:
    """Join all rounds; the alarm wakes the one that ends grants."""
    return Rounds(
        alarm=alarm,
        revocations=stores.revocations,
        revoke_grant=RevokeGrant(
            revocations=stores.revocations, endpoint=endpoint, audit=audit, clock=clock
        ),
        revoke_all=RevokeAll(
            incidents=stores.incidents,
            store=stores.tokens,
            revocations=stores.revocations,
            leases=stores.leases,
            endpoint=endpoint,
            audit=audit,
            clock=clock,
        ),
        deliver_spool=watch_database.deliver,
        replay_journal=watch_database.replay,
        watch_database=watch_database,
        guard=GuardConnections(
            connections=stores.connections,
            keys=stores.signing_keys,
            seals=stores.seals,
            refresh=refresh,
            audit=audit,
            clock=clock,
        ),
        say_spool_keys=SaySpoolKeys(spool=spool, keys=stores.spool_keys),
        reseal=reseal,
        renew_data_keys=renew_data_keys,
        forget_attempts=ForgetAttempts(store=stores.tokens, clock=clock),
        clean_up=CleanUp(
            sessions=stores.connect_sessions,
            idempotency=stores.idempotency_keys,
            proxy_sessions=stores.proxy_sessions,
            signing_keys=stores.signing_keys,
            spool=spool,
            drop_unconfirmed=DropUnconfirmed(
                sessions=stores.connect_sessions, end_grant=end_grant, audit=audit, clock=clock
            ),
            clock=clock,
        ),
        audit_rounds=audit_rounds,
        clock=clock,
    )
