"""Keyturn's SDK: your customers' Salesforce orgs, one call away.

`Keyturn` and `AsyncKeyturn` have the same names. Errors derive from `KeyturnError`; those of
Salesforce itself are `SalesforceError`.
"""

from keyturn.async_client import AsyncConnectionHandle, AsyncKeyturn
from keyturn.client import ConnectionHandle, Keyturn
from keyturn.errors import (
    AuditUnavailable,
    ConfirmationInvalid,
    Conflict,
    ConnectionCannotServe,
    ConnectionPending,
    ConnectionRevoked,
    ConnectionUncertain,
    Forbidden,
    InvalidRequest,
    KeyturnError,
    NotFound,
    OrgUnavailable,
    Problem,
    ReauthorizationRequired,
    SalesforceError,
    SalesforceErrorItem,
    Sealed,
    ServiceUnavailable,
    TransportError,
    Unauthorized,
    UnexpectedAnswer,
)
from keyturn.models import (
    AccessToken,
    ApiKey,
    App,
    AuditEvent,
    Connection,
    ConnectSession,
    FlowResult,
    Org,
    ProxySession,
    PublishedEvent,
    SaveResult,
    SaveResults,
    User,
)
from keyturn.proxied import SalesforceAnswer
from keyturn.retrying import Retries
from keyturn.secret import Secret

__all__ = [
    "AccessToken",
    "ApiKey",
    "App",
    "AsyncConnectionHandle",
    "AsyncKeyturn",
    "AuditEvent",
    "AuditUnavailable",
    "ConfirmationInvalid",
    "Conflict",
    "ConnectSession",
    "Connection",
    "ConnectionCannotServe",
    "ConnectionHandle",
    "ConnectionPending",
    "ConnectionRevoked",
    "ConnectionUncertain",
    "FlowResult",
    "Forbidden",
    "InvalidRequest",
    "Keyturn",
    "KeyturnError",
    "NotFound",
    "Org",
    "OrgUnavailable",
    "Problem",
    "ProxySession",
    "PublishedEvent",
    "ReauthorizationRequired",
    "Retries",
    "SalesforceAnswer",
    "SalesforceError",
    "SalesforceErrorItem",
    "SaveResult",
    "SaveResults",
    "Sealed",
    "Secret",
    "ServiceUnavailable",
    "TransportError",
    "Unauthorized",
    "UnexpectedAnswer",
    "User",
]
