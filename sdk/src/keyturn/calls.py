"""The calls of the service's REST API, written as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from keyturn.models import (
    AccessToken,
    ApiKey,
    App,
    AuditEvent,
    Connection,
    ConnectSession,
    ProxySession,
    SigningKey,
    Verification,
)
from keyturn.wire import (
    Call,
    Page,
    given,
    json_call,
    listed,
    path,
    read_nothing,
    reader_of,
    write,
)
from keyturn.wire import get as read_call

_SESSIONS = path("connect-sessions")
_CONNECTIONS = path("connections")
_APPS = path("apps")
_API_KEYS = path("api-keys")
_AUDIT_EVENTS = path("audit-events")


def create_connect_session(
    *,
    customer_id: str,
    return_url: str,
    app_id: str | None,
    environment: str | None,
    my_domain: str | None,
    delivery: str | None,
    connection_id: str | None,
) -> Call[ConnectSession]:
    """Ask for a link by which a customer connects."""
    body = given(
        customer_id=customer_id,
        return_url=return_url,
        app_id=app_id,
        environment=environment,
        my_domain=my_domain,
        delivery=delivery,
        connection_id=connection_id,
    )
    return write("POST", _SESSIONS, reader_of(ConnectSession), body=body)


def get_connect_session(session_id: str) -> Call[ConnectSession]:
    """Ask how far a connect session has come."""
    return read_call(path("connect-sessions", session_id), reader_of(ConnectSession))


def confirm_connect_session(
    session_id: str, *, confirmation_code: str | None, org_id: str | None
) -> Call[Connection]:
    """Confirm a connection: by the code that came with the browser, or by the org shown.

    Raises:
        ValueError: neither or both are given.
    """
    if (confirmation_code is None) == (org_id is None):
        raise ValueError("confirm with `confirmation_code`, or with `org_id` for a shared link")
    body = given(confirmation_code=confirmation_code, org_id=org_id)
    target = path("connect-sessions", session_id, "confirm")
    return write("POST", target, reader_of(Connection), body=body)


def list_connections(
    *,
    customer_id: str | None,
    app_id: str | None,
    state: str | None,
    environment: str | None,
    org_id: str | None,
    q: str | None,
    limit: int | None,
) -> Call[Page[Connection]]:
    """List connections, those that all given filters match."""
    return listed(
        _CONNECTIONS,
        Connection,
        {
            "customer_id": customer_id,
            "app_id": app_id,
            "state": state,
            "environment": environment,
            "org_id": org_id,
            "q": q,
            "limit": limit,
        },
    )


def get_connection(connection_id: str) -> Call[Connection]:
    """Read a connection."""
    return read_call(path("connections", connection_id), reader_of(Connection))


def create_connection(
    *,
    customer_id: str,
    username: str,
    app_id: str | None,
    environment: str | None,
    my_domain: str | None,
    org_id: str | None,
) -> Call[Connection]:
    """Connect an org server to server."""
    body = given(
        customer_id=customer_id,
        username=username,
        app_id=app_id,
        environment=environment,
        my_domain=my_domain,
        org_id=org_id,
    )
    return write("POST", _CONNECTIONS, reader_of(Connection), body=body)


def verify_connection(connection_id: str) -> Call[Verification]:
    """Ask whether a connection works. Harmless to ask twice, and each time the truth of then."""
    return Call(
        method="POST",
        target=path("connections", connection_id, "verify"),
        read=reader_of(Verification),
        repeatable=True,
    )


def set_keep_alive(connection_id: str, *, keep_alive: bool) -> Call[Connection]:
    """Say whether the connection is refreshed when nobody uses it."""
    target, body = path("connections", connection_id), {"keep_alive": keep_alive}
    return write("PATCH", target, reader_of(Connection), body=body)


def delete_connection(connection_id: str) -> Call[None]:
    """End a connection; the revocation at Salesforce goes on after the answer."""
    return write("DELETE", path("connections", connection_id), read_nothing)


def access_token(connection_id: str, *, rejected_generation: int | None) -> Call[AccessToken]:
    """Ask for an access token.

    Harmless to ask twice, and no idempotency key: its answer must not be kept anywhere.
    """
    call = Call(
        method="POST",
        target=path("connections", connection_id, "access-token"),
        read=reader_of(AccessToken),
        repeatable=True,
    )
    return json_call(call, given(rejected_generation=rejected_generation) or None)


def open_proxy_session(connection_id: str, *, ttl: timedelta | str | None) -> Call[ProxySession]:
    """Ask for a session id for a client that knows no better.

    Not repeatable: its answer must not be kept, and each one opened is one that can leak.
    """
    call = Call(
        method="POST",
        target=path("connections", connection_id, "proxy-sessions"),
        read=reader_of(ProxySession),
    )
    return json_call(call, given(ttl=_duration(ttl)))


def list_apps(*, limit: int | None) -> Call[Page[App]]:
    """List the workspace's apps."""
    return listed(_APPS, App, {"limit": limit})


def get_app(app_id: str) -> Call[App]:
    """Read an app."""
    return read_call(path("apps", app_id), reader_of(App))


def create_app(
    *,
    name: str,
    callback_urls: Sequence[str],
    return_origins: Sequence[str],
    scopes: Sequence[str],
    namespace: str | None,
    login_hosts: Mapping[str, str] | None,
    package: Mapping[str, Any] | None,
    allow_same_org: bool | None,
    start_url: str | None,
) -> Call[App]:
    """Register an External Client App with the service."""
    body = given(
        name=name,
        namespace=namespace,
        callback_urls=list(callback_urls),
        return_origins=list(return_origins),
        scopes=list(scopes),
        login_hosts=login_hosts,
        package=package,
        allow_same_org=allow_same_org,
        start_url=start_url,
    )
    return write("POST", _APPS, reader_of(App), body=body)


def change_app(app_id: str, changes: Mapping[str, Any]) -> Call[App]:
    """Change members of an app; those that are not named stay."""
    return write("PATCH", path("apps", app_id), reader_of(App), body=dict(changes))


def put_consumer_credentials(app_id: str, *, consumer_key: str, consumer_secret: str) -> Call[None]:
    """Give the service an app's consumer key and secret. Putting them twice does no harm."""
    call = Call(
        method="PUT",
        target=path("apps", app_id, "consumer-credentials"),
        read=read_nothing,
        repeatable=True,
    )
    return json_call(call, {"consumer_key": consumer_key, "consumer_secret": consumer_secret})


def list_signing_keys(app_id: str, *, limit: int | None) -> Call[Page[SigningKey]]:
    """List an app's signing keys."""
    return listed(path("apps", app_id, "signing-keys"), SigningKey, {"limit": limit})


def create_signing_key(app_id: str, *, days: int | None) -> Call[SigningKey]:
    """Make a signing key for an app."""
    target, body = path("apps", app_id, "signing-keys"), given(days=days) or None
    return write("POST", target, reader_of(SigningKey), body=body)


def activate_signing_key(app_id: str, key_id: str) -> Call[SigningKey]:
    """Let a signing key sign first."""
    target = path("apps", app_id, "signing-keys", key_id, "activate")
    return write("POST", target, reader_of(SigningKey))


def retire_signing_key(app_id: str, key_id: str) -> Call[SigningKey]:
    """Retire a signing key; its private half is forgotten."""
    return write("DELETE", path("apps", app_id, "signing-keys", key_id), reader_of(SigningKey))


def list_api_keys(*, limit: int | None) -> Call[Page[ApiKey]]:
    """List the workspace's API keys."""
    return listed(_API_KEYS, ApiKey, {"limit": limit})


def create_api_key(
    *, name: str, rights: Sequence[str], expires_at: datetime | None
) -> Call[ApiKey]:
    """Make an API key; its secret comes with this answer only."""
    body = given(name=name, rights=list(rights), expires_at=_moment(expires_at))
    return write("POST", _API_KEYS, reader_of(ApiKey), body=body)


def delete_api_key(key_id: str) -> Call[None]:
    """Delete an API key."""
    return write("DELETE", path("api-keys", key_id), read_nothing)


def list_audit_events(
    *,
    connection_id: str | None,
    type: str | None,
    since: datetime | str | None,
    limit: int | None,
) -> Call[Page[AuditEvent]]:
    """List what was done."""
    return listed(
        _AUDIT_EVENTS,
        AuditEvent,
        {"connection_id": connection_id, "type": type, "since": _moment(since), "limit": limit},
    )


def _moment(at: datetime | str | None) -> str | None:
    """Write a time as RFC 3339 in UTC.

    Raises:
        ValueError: it has no time zone.
    """
    if at is None or isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise ValueError("give the time with its time zone, such as datetime.now(UTC)")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _duration(length: timedelta | str | None) -> str | None:
    """Write a length of time as ISO 8601, in seconds."""
    if length is None or isinstance(length, str):
        return length
    return f"PT{length // timedelta(seconds=1)}S"
