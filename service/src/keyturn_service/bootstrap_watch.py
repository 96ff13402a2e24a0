"""Join what brings answers to the database, and notices that it was exchanged."""

from __future__ import annotations

import math
from typing import Final

from keyturn_service.adapters.sql.database import read_database_url
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.ports import Epochs
from keyturn_service.settings import Settings
from keyturn_service.use_cases.deliver_spool import DeliverSpool
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.replay_journal import ReplayJournal
from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys
from keyturn_service.use_cases.watch_database import GRACE, WatchDatabase

_MAY_BE_GONE: Final = 60.0  # seconds that replicas are waited for whose spools end with them


def joined_watch(
    settings: Settings,
    stores: Stores,
    epochs: Epochs,
    refresh: RefreshTokens,
    end_grant: EndGrant,
) -> WatchDatabase:
    """Join it; `refresh` presents nothing while its gate is shut."""
    deliver = DeliverSpool(
        store=stores.tokens,
        connections=stores.connections,
        sessions=stores.connect_sessions,
        leases=stores.leases,
        settle=refresh.settle,
        resolve=refresh.resolve,
        end_grant=end_grant,
        refresh=refresh,
        spool=refresh.spool,
        audit=refresh.audit,
        clock=refresh.clock,
    )
    replay = ReplayJournal(
        store=stores.tokens,
        leases=stores.leases,
        deliver=deliver,
        spool=refresh.spool,
        audit=refresh.audit,
        hashes=refresh.hashes,
        clock=refresh.clock,
    )
    one_process = read_database_url(settings.database).get_backend_name() == "sqlite"
    return WatchDatabase(
        epochs=epochs,
        presenting=refresh.presenting,
        deliver=deliver,
        replay=replay,
        say_spool_keys=SaySpoolKeys(spool=refresh.spool, keys=stores.spool_keys),
        store=stores.tokens,
        leases=stores.leases,
        spool=refresh.spool,
        audit=refresh.audit,
        hashes=refresh.hashes,
        clock=refresh.clock,
        randomness=refresh.randomness,
        waiting=refresh.waiting,
        grace=0.0 if one_process else GRACE,
        patience=_MAY_BE_GONE if settings.spool_accepts_loss else math.inf,
    )
