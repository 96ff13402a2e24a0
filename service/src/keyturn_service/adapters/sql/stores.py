"""All stores over one database."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.adapters.sql.audit import SqlAuditTrail
from keyturn_service.adapters.sql.authority import Authority
from keyturn_service.adapters.sql.connect_sessions import SqlConnectSessions
from keyturn_service.adapters.sql.connections import SqlConnections
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.hot_reads import KeyReads, SqlServingReads
from keyturn_service.adapters.sql.idempotency import SqlIdempotencyKeys
from keyturn_service.adapters.sql.incidents import SqlIncidents
from keyturn_service.adapters.sql.leases import SqlRefreshLeases
from keyturn_service.adapters.sql.revocations import SqlRevocations
from keyturn_service.adapters.sql.seals import SqlSeals
from keyturn_service.adapters.sql.signing_keys import SqlSigningKeys
from keyturn_service.adapters.sql.spool_keys import SqlSpoolKeys
from keyturn_service.adapters.sql.token_sets import SqlTokenStore
from keyturn_service.adapters.sql.uses import GatheredUses
from keyturn_service.adapters.sql.workspaces import (
    SqlApiKeys,
    SqlApps,
    SqlProxySessions,
    SqlWorkspaces,
)
from keyturn_service.domain.ids import SpoolId
from keyturn_service.ports import Clock, KeyedHash
from keyturn_service.vault.row_macs import RowMacs
from keyturn_service.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The ports that a database carries out."""

    workspaces: SqlWorkspaces
    apps: SqlApps
    signing_keys: SqlSigningKeys
    api_keys: SqlApiKeys
    connect_sessions: SqlConnectSessions
    connections: SqlConnections
    tokens: SqlTokenStore
    leases: SqlRefreshLeases
    serving: SqlServingReads
    revocations: SqlRevocations
    seals: SqlSeals
    incidents: SqlIncidents
    proxy_sessions: SqlProxySessions
    idempotency_keys: SqlIdempotencyKeys
    spool_keys: SqlSpoolKeys
    audit_trail: SqlAuditTrail
    uses: GatheredUses


def stores_over(
    database: Database, vault: Vault, hashes: KeyedHash, *, owner: SpoolId, clock: Clock
) -> Stores:
    """Return the stores; `owner` is who takes leases here. They are closed with the database."""
    connections = SqlConnections(database)
    authority = Authority(RowMacs(hashes), vault)
    return Stores(
        workspaces=SqlWorkspaces(database),
        apps=SqlApps(database, vault),
        signing_keys=SqlSigningKeys(database, vault),
        api_keys=SqlApiKeys(database, KeyReads(database, authority), authority),
        connect_sessions=SqlConnectSessions(database, vault),
        connections=connections,
        tokens=SqlTokenStore(database, vault),
        leases=SqlRefreshLeases(database, owner, clock),
        serving=SqlServingReads(database, vault, authority),
        revocations=SqlRevocations(database, vault),
        seals=SqlSeals(database),
        incidents=SqlIncidents(database),
        proxy_sessions=SqlProxySessions(database, authority),
        idempotency_keys=SqlIdempotencyKeys(database, vault),
        spool_keys=SqlSpoolKeys(database),
        audit_trail=SqlAuditTrail(database),
        uses=GatheredUses(connections),
    )
