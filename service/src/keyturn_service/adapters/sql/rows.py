"""Rows and the domain's values, both ways."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.salesforce.scopes import Scope
from keyturn_service.adapters.sql.claims import FREE
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.app import App
from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.connect_session import (
    Authorization,
    ConnectSession,
    Delivery,
    SessionStatus,
)
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    Renewal,
)
from keyturn_service.domain.ids import (
    ApiKeyId,
    AppId,
    AttemptId,
    ConnectionId,
    ConnectSessionId,
    CustomerId,
    ProxySessionId,
    SpoolId,
    WorkspaceId,
)
from keyturn_service.ports import ProxySession

ODD_ROW: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a row ends with that no program of ours wrote."""
_OVER = frozenset({SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.EXPIRED})


def app_values(app: App) -> dict[str, Any]:
    """Return an app's row, its consumer credentials apart."""
    return {
        "id": app.id,
        "workspace_id": app.workspace_id,
        "name": app.name,
        "namespace": app.namespace,
        "callback_urls": list(app.callback_urls),
        "return_origins": list(app.return_origins),
        "scopes": sorted(app.scopes),
        "login_hosts": dict(app.login_hosts),
        "install_urls": dict(app.install_urls),
        "start_url": app.start_url,
        "allow_same_org": app.allow_same_org,
        "created_at": app.created_at,
    }


def app_of(row: Row[Any]) -> App:
    """Return the app of a row."""
    return App(
        id=AppId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        namespace=row.namespace,
        callback_urls=tuple(row.callback_urls),
        return_origins=tuple(row.return_origins),
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        login_hosts={Environment(name): Origin(url) for name, url in row.login_hosts.items()},
        consumer_key=row.consumer_key,
        install_urls={Environment(name): url for name, url in row.install_urls.items()},
        start_url=row.start_url,
        allow_same_org=row.allow_same_org,
        created_at=row.created_at,
    )


def api_key_values(key: ApiKey) -> dict[str, Any]:
    """Return an API key's row."""
    return {
        "id": key.id,
        "workspace_id": key.workspace_id,
        "name": key.name,
        "hash": key.hash,
        "rights": sorted(key.rights),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "deleted_at": key.deleted_at,
    }


def api_key_of(row: Row[Any]) -> ApiKey:
    """Return the API key of a row."""
    return ApiKey(
        id=ApiKeyId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        hash=row.hash,
        rights=frozenset(Right(right) for right in row.rights),
        created_at=row.created_at,
        expires_at=row.expires_at,
        deleted_at=row.deleted_at,
    )


def connection_values(connection: Connection) -> dict[str, Any]:
    """Return a connection's row."""
    return {
        "id": connection.id,
        "workspace_id": connection.workspace_id,
        "app_id": connection.app_id,
        "customer_id": connection.customer_id,
        "state": connection.state,
        "environment": connection.environment,
        "org_id": connection.org_id,
        "org_name": connection.org_name,
        "instance_url": connection.instance_url,
        "login_url": connection.login_url,
        "user_id": connection.user.id,
        "username": connection.user.username,
        "email": connection.user.email,
        "scopes": sorted(connection.scopes),
        "renewal": connection.renewal,
        "keep_alive": connection.keep_alive,
        "generation": connection.generation,
        "session_life": connection.session_life,
        "created_at": connection.created_at,
        "authorized_at": connection.authorized_at,
        "last_used_at": connection.last_used_at,
        "last_refreshed_at": connection.last_refreshed_at,
        "problem": connection.problem,
        "audience": connection.audience,
        "taken_over_at": connection.taken_over_at,
        "warned_at": connection.warned_at,
        "due_at": connection.due_at(),
        "claimed_until": FREE,
    }


def connection_of(row: Any) -> Connection:
    """Return the connection of a row."""
    return Connection(
        id=ConnectionId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        app_id=AppId(row.app_id),
        customer_id=CustomerId(row.customer_id),
        state=ConnectionState(row.state),
        environment=Environment(row.environment),
        org_id=OrgId(row.org_id),
        org_name=row.org_name,
        instance_url=Origin(row.instance_url),
        login_url=Origin(row.login_url),
        user=ConnectedUser(id=UserId(row.user_id), username=row.username, email=row.email),
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        renewal=Renewal(row.renewal),
        keep_alive=row.keep_alive,
        generation=row.generation,
        session_life=row.session_life,
        created_at=row.created_at,
        authorized_at=row.authorized_at,
        last_used_at=row.last_used_at,
        last_refreshed_at=row.last_refreshed_at,
        problem=row.problem,
        audience=row.audience,
        taken_over_at=row.taken_over_at,
        warned_at=row.warned_at,
    )


def attempt_values(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt's row."""
    return {
        "id": attempt.id,
        "workspace_id": attempt.workspace_id,
        "connection_id": attempt.connection_id,
        "generation": attempt.generation,
        "fence": attempt.fence,
        "token_hash": attempt.token_hash,
        "spool_id": attempt.spool_id,
        "started_at": attempt.started_at,
        "presented_again": attempt.presented_again,
        "outcome": attempt.outcome,
        "spool_answered": attempt.spool_answered,
        "ended_at": attempt.ended_at,
        "retry_at": attempt.retry_at,
    }


def attempt_of(row: Row[Any]) -> Attempt:
    """Return the attempt of a row."""
    return Attempt(
        id=AttemptId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        connection_id=ConnectionId(row.connection_id),
        generation=row.generation,
        fence=row.fence,
        token_hash=row.token_hash,
        spool_id=SpoolId(row.spool_id),
        started_at=row.started_at,
        presented_again=row.presented_again,
        outcome=None if row.outcome is None else AttemptOutcome(row.outcome),
        spool_answered=row.spool_answered,
        ended_at=row.ended_at,
        retry_at=row.retry_at,
    )


def proxy_session_values(session: ProxySession) -> dict[str, Any]:
    """Return a proxy session's row."""
    return {
        "id": session.id,
        "workspace_id": session.workspace_id,
        "connection_id": session.connection_id,
        "api_key_id": session.api_key_id,
        "unsafe": session.unsafe,
        "hash": session.hash,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
    }


def proxy_session_of(row: Row[Any]) -> ProxySession:
    """Return the proxy session of a row."""
    return ProxySession(
        id=ProxySessionId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        connection_id=ConnectionId(row.connection_id),
        api_key_id=ApiKeyId(row.api_key_id),
        unsafe=row.unsafe,
        hash=row.hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def session_values(session: ConnectSession) -> dict[str, Any]:
    """Return a connect session's row, its sealed columns apart.

    What nobody looks up by is in the document.
    """
    return {
        "id": session.id,
        "workspace_id": session.workspace_id,
        "app_id": session.app_id,
        "link_hash": session.link_hash,
        "state_hash": session.authorization.state_hash if session.authorization else None,
        "status": session.status,
        "ends_at": None if session.status in _OVER else session.ends_at(),
        "version": session.version,
        "document": _session_document(session),
        "created_at": session.created_at,
    }


def _session_document(session: ConnectSession) -> dict[str, Any]:
    trip = session.authorization
    return {
        "customer_id": session.customer_id,
        "return_url": session.return_url,
        "delivery": session.delivery,
        "environment": session.environment,
        "login_url": session.login_url,
        "reauthorizes": session.reauthorizes,
        "origin": session.origin,
        "created_at": session.created_at.isoformat(),
        "expires_at": session.expires_at.isoformat(),
        "authorization": None
        if trip is None
        else {
            "browser_hash": trip.browser_hash.hex(),
            "login_url": trip.login_url,
            "environment": trip.environment,
            "redirect_uri": trip.redirect_uri,
            "expires_at": trip.expires_at.isoformat(),
        },
        "org_id": session.org_id,
        "org_name": session.org_name,
        "user": user_document(session.user),
        "confirmation_hash": session.confirmation_hash.hex() if session.confirmation_hash else None,
        "confirmation_expires_at": session.confirmation_expires_at.isoformat()
        if session.confirmation_expires_at
        else None,
        "connection_id": session.connection_id,
        "problem": session.problem,
        "said": session.said,
        "confirmed_by": session.confirmed_by.hex() if session.confirmed_by else None,
    }


def session_of(row: Row[Any]) -> ConnectSession:
    """Return the connect session of a row."""
    said = row.document
    return ConnectSession(
        id=ConnectSessionId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        app_id=AppId(row.app_id),
        customer_id=CustomerId(said["customer_id"]),
        return_url=said["return_url"],
        delivery=Delivery(said["delivery"]),
        environment=environment_of(said["environment"]),
        login_url=said["login_url"],
        reauthorizes=said["reauthorizes"],
        origin=said["origin"],
        link_hash=row.link_hash,
        status=SessionStatus(row.status),
        created_at=datetime.fromisoformat(said["created_at"]),
        expires_at=datetime.fromisoformat(said["expires_at"]),
        authorization=_authorization_of(said["authorization"], row.state_hash),
        org_id=said["org_id"],
        org_name=said["org_name"],
        user=user_of(said["user"]),
        confirmation_hash=_bytes(said["confirmation_hash"]),
        confirmation_expires_at=moment(said["confirmation_expires_at"]),
        connection_id=said["connection_id"],
        problem=said["problem"],
        version=row.version,
        said=said.get("said"),
        confirmed_by=_bytes(said.get("confirmed_by")),
    )


def _authorization_of(
    said: dict[str, Any] | None, state_hash: bytes | None
) -> Authorization | None:
    if said is None or state_hash is None:
        return None
    return Authorization(
        state_hash=state_hash,
        browser_hash=bytes.fromhex(said["browser_hash"]),
        login_url=Origin(said["login_url"]),
        environment=environment_of(said["environment"]),
        redirect_uri=said["redirect_uri"],
        expires_at=datetime.fromisoformat(said["expires_at"]),
    )


def user_document(user: ConnectedUser | None) -> dict[str, Any] | None:
    """Return a user as a document."""
    if user is None:
        return None
    return {"id": user.id, "username": user.username, "email": user.email}


def user_of(said: dict[str, Any] | None) -> ConnectedUser | None:
    """Return the user of a document."""
    if said is None:
        return None
    return ConnectedUser(id=UserId(said["id"]), username=said["username"], email=said["email"])


def environment_of(said: str | None) -> Environment | None:
    """Return the environment of a document."""
    return None if said is None else Environment(said)


def moment(said: str | None) -> datetime | None:
    """Return the moment of a document."""
    return None if said is None else datetime.fromisoformat(said)


def _bytes(said: str | None) -> bytes | None:
    return None if said is None else bytes.fromhex(said)
