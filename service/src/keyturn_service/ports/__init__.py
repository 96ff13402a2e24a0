"""What the use cases need from outside. Adapters carry these out and decide nothing.

One module a subject; all names are also here. A new port is a protocol whose docstrings say
what each method promises: they are what its conformance suite tests.
"""

from __future__ import annotations

from keyturn_service.ports.connecting import (
    ConnectSessions as ConnectSessions,
)
from keyturn_service.ports.connecting import (
    PendingGrant as PendingGrant,
)
from keyturn_service.ports.connecting import (
    StaleWrite as StaleWrite,
)
from keyturn_service.ports.connections import (
    Background as Background,
)
from keyturn_service.ports.connections import (
    ConnectionFilter as ConnectionFilter,
)
from keyturn_service.ports.connections import (
    Connections as Connections,
)
from keyturn_service.ports.connections import (
    Lease as Lease,
)
from keyturn_service.ports.connections import (
    OrgTaken as OrgTaken,
)
from keyturn_service.ports.connections import (
    RefreshLeases as RefreshLeases,
)
from keyturn_service.ports.connections import (
    Revocation as Revocation,
)
from keyturn_service.ports.connections import (
    RevocationReason as RevocationReason,
)
from keyturn_service.ports.connections import (
    Revocations as Revocations,
)
from keyturn_service.ports.connections import (
    Serving as Serving,
)
from keyturn_service.ports.connections import (
    ServingReads as ServingReads,
)
from keyturn_service.ports.connections import (
    TokenStore as TokenStore,
)
from keyturn_service.ports.connections import (
    ToRevoke as ToRevoke,
)
from keyturn_service.ports.connections import (
    Uses as Uses,
)
from keyturn_service.ports.epochs import (
    Awaited as Awaited,
)
from keyturn_service.ports.epochs import (
    Epochs as Epochs,
)
from keyturn_service.ports.epochs import (
    Standing as Standing,
)
from keyturn_service.ports.incidents import (
    Incidents as Incidents,
)
from keyturn_service.ports.machine import (
    Clock as Clock,
)
from keyturn_service.ports.machine import (
    KeyedHash as KeyedHash,
)
from keyturn_service.ports.machine import (
    Randomness as Randomness,
)
from keyturn_service.ports.machine import (
    Waiting as Waiting,
)
from keyturn_service.ports.packages import (
    DevHubUnreachable as DevHubUnreachable,
)
from keyturn_service.ports.packages import (
    InstalledPackages as InstalledPackages,
)
from keyturn_service.ports.packages import (
    PackageInOrg as PackageInOrg,
)
from keyturn_service.ports.records import (
    AuditChains as AuditChains,
)
from keyturn_service.ports.records import (
    AuditLog as AuditLog,
)
from keyturn_service.ports.records import (
    AuditTrail as AuditTrail,
)
from keyturn_service.ports.records import (
    AuditUnavailable as AuditUnavailable,
)
from keyturn_service.ports.records import (
    Basis as Basis,
)
from keyturn_service.ports.records import (
    ChainUnreadable as ChainUnreadable,
)
from keyturn_service.ports.records import (
    CheckpointSigner as CheckpointSigner,
)
from keyturn_service.ports.records import (
    Spool as Spool,
)
from keyturn_service.ports.records import (
    SpoolKeys as SpoolKeys,
)
from keyturn_service.ports.retention import (
    ArchiveUnavailable as ArchiveUnavailable,
)
from keyturn_service.ports.retention import (
    AuditTurns as AuditTurns,
)
from keyturn_service.ports.retention import (
    CheckpointArchive as CheckpointArchive,
)
from keyturn_service.ports.retention import (
    TrimMarks as TrimMarks,
)
from keyturn_service.ports.retention import (
    Turn as Turn,
)
from keyturn_service.ports.salesforce import (
    AccessTokenRefused as AccessTokenRefused,
)
from keyturn_service.ports.salesforce import (
    AnswerLost as AnswerLost,
)
from keyturn_service.ports.salesforce import (
    DeadlinePassed as DeadlinePassed,
)
from keyturn_service.ports.salesforce import (
    OpenEnvelope as OpenEnvelope,
)
from keyturn_service.ports.salesforce import (
    Organization as Organization,
)
from keyturn_service.ports.salesforce import (
    OrgAnswer as OrgAnswer,
)
from keyturn_service.ports.salesforce import (
    OrgCall as OrgCall,
)
from keyturn_service.ports.salesforce import (
    OrgDirectory as OrgDirectory,
)
from keyturn_service.ports.salesforce import (
    OrgRelay as OrgRelay,
)
from keyturn_service.ports.salesforce import (
    OrgUnreachable as OrgUnreachable,
)
from keyturn_service.ports.salesforce import (
    TokenEndpoint as TokenEndpoint,
)
from keyturn_service.ports.seals import (
    Seals as Seals,
)
from keyturn_service.ports.seals import (
    ServiceSeal as ServiceSeal,
)
from keyturn_service.ports.signing import (
    MadeKey as MadeKey,
)
from keyturn_service.ports.signing import (
    Signer as Signer,
)
from keyturn_service.ports.signing import (
    SigningKeys as SigningKeys,
)
from keyturn_service.ports.vendors import (
    ApiKeys as ApiKeys,
)
from keyturn_service.ports.vendors import (
    Apps as Apps,
)
from keyturn_service.ports.vendors import (
    CursorUnknown as CursorUnknown,
)
from keyturn_service.ports.vendors import (
    IdempotencyKeys as IdempotencyKeys,
)
from keyturn_service.ports.vendors import (
    KeptAnswer as KeptAnswer,
)
from keyturn_service.ports.vendors import (
    KeysAgainstRecords as KeysAgainstRecords,
)
from keyturn_service.ports.vendors import (
    Page as Page,
)
from keyturn_service.ports.vendors import (
    ProxySession as ProxySession,
)
from keyturn_service.ports.vendors import (
    ProxySessions as ProxySessions,
)
from keyturn_service.ports.vendors import (
    SealRefused as SealRefused,
)
from keyturn_service.ports.vendors import (
    SealUnavailable as SealUnavailable,
)
from keyturn_service.ports.vendors import (
    StoreUnavailable as StoreUnavailable,
)
from keyturn_service.ports.vendors import (
    Workspaces as Workspaces,
)
