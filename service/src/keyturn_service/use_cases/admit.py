"""See that an API key may use a connection, by what a hot read found or remembers."""

from __future__ import annotations

from datetime import datetime

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.connection import ConnectionInUse
from keyturn_service.domain.errors import (
    ConnectionCannotServe,
    Forbidden,
    NotFound,
    Unauthorized,
)
from keyturn_service.ports import Serving


def admit(serving: Serving, right: Right, *, now: datetime) -> tuple[ApiKey, ConnectionInUse]:
    """Return key and connection, where the one has the right and the other is in its workspace.

    Raises:
        Unauthorized: the key opens nothing.
        Forbidden: it lacks the right.
        NotFound: there is no such connection in its workspace.
        ConnectionCannotServe: `sealed`.
    """
    key, connection = serving.api_key, serving.connection
    if key is None or not key.valid_at(now):
        raise Unauthorized
    if right not in key.rights:
        raise Forbidden(right)
    if connection is None or connection.workspace_id != key.workspace_id:
        raise NotFound("connection")
    refuse_sealed(serving)
    return key, connection


def refuse_sealed(serving: Serving) -> None:
    """See that no operator stopped all use of tokens.

    Raises:
        ConnectionCannotServe: `sealed`.
    """
    if serving.sealed:
        raise ConnectionCannotServe("sealed")
