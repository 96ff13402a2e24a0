"""The tables. Every row of the vendor's belongs to a workspace."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

from keyturn_service.adapters.sql.types import (
    AnyMoment,
    Document,
    Duration,
    Hash,
    Id,
    Moment,
    Sealed,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

data_keys: Final = Table(
    "data_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Column("key_id", String(128), nullable=False),
    Column("wrapped", Sealed, nullable=False),
    Column("created_at", AnyMoment, nullable=False),
    Column("retired_at", AnyMoment),
    Column("unneeded_since", AnyMoment),
    Index(None, "workspace_id", "created_at"),
    Index(
        "ix_data_keys_retired",
        "id",
        postgresql_where=text("retired_at IS NOT NULL"),
        sqlite_where=text("retired_at IS NOT NULL"),
    ),
)

destroyed_root_keys: Final = Table(
    "destroyed_root_keys",
    metadata,
    Column("key_id", String(128), primary_key=True),
    Column("destroyed_at", Moment, nullable=False),
)

resealings: Final = Table(
    "resealings",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("goes_on", Boolean, unique=True),  # true or NULL: one goes on, or none
    Column("key_ids", Document, nullable=False),
    Column("owner", Id),
    Column("ends_at", BigInteger, nullable=False),  # microseconds of the database's own clock
    Column("step", Integer, nullable=False),
    Column("table_name", String(64)),  # None once all were looked through
    Column("last_row", Document),  # the key of the last row that was looked at; None at first
    Column("total", BigInteger, nullable=False),
    Column("looked", BigInteger, nullable=False),
    Column("resealed", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("needed", Document, nullable=False),
    Column("begun_at", AnyMoment, nullable=False),
    Column("ended_at", AnyMoment),
)

workspaces: Final = Table(
    "workspaces",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", AnyMoment, nullable=False),
)

apps: Final = Table(
    "apps",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("namespace", String(15)),
    Column("callback_urls", Document, nullable=False),
    Column("return_origins", Document, nullable=False),
    Column("scopes", Document, nullable=False),
    Column("login_hosts", Document, nullable=False),
    Column("install_urls", Document, nullable=False),
    Column("start_url", Text),
    Column("allow_same_org", Boolean, nullable=False),
    Column("consumer_key", Text),
    Column("consumer_secret", Sealed),
    Column("created_at", Moment, nullable=False),
    Index(None, "workspace_id", "created_at"),
)

signing_keys: Final = Table(
    "signing_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("app_id", Id, ForeignKey("apps.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("certificate_pem", Text, nullable=False),
    Column("private_key", Sealed),  # None once it is forgotten
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("retired_at", Moment),
    Index(None, "app_id", "created_at"),
    Index(
        "ix_signing_keys_one_active",
        "app_id",
        unique=True,
        postgresql_where=text("state = 'active'"),
        sqlite_where=text("state = 'active'"),
    ),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Hash, nullable=False, unique=True),
    Column("rights", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("deleted_at", Moment),
    Column("mac", Hash, nullable=False),
    Index(None, "workspace_id", "created_at"),
)

connect_sessions: Final = Table(
    "connect_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("app_id", Id, ForeignKey("apps.id"), nullable=False),
    Column("link_hash", Hash, nullable=False, unique=True),
    Column("state_hash", Hash, unique=True),
    Column("status", String(32), nullable=False),
    Column("ends_at", Moment),  # None once its end is kept
    Column("version", Integer, nullable=False),
    Column("document", Document, nullable=False),
    Column("verifier", Sealed),
    Column("pending_grant", Sealed),
    Column("created_at", Moment),  # None in rows of a release before 0019
    Index(None, "ends_at"),
    Index(None, "created_at"),
)

connections: Final = Table(
    "connections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("app_id", Id, ForeignKey("apps.id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("environment", String(16), nullable=False),
    Column("org_id", String(18), nullable=False),
    Column("org_name", Text),
    Column("instance_url", Text, nullable=False),
    Column("login_url", Text, nullable=False),
    Column("user_id", String(18), nullable=False),
    Column("username", Text, nullable=False),
    Column("email", Text),
    Column("scopes", Document, nullable=False),
    Column("renewal", String(16), nullable=False),
    Column("keep_alive", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("session_life", Duration, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("authorized_at", Moment, nullable=False),
    Column("last_used_at", Moment),
    Column("last_refreshed_at", Moment),
    Column("problem", String(64)),
    Column("ending", Boolean, nullable=False, server_default=false()),
    Column("audience", Text),
    Column("taken_over_at", Moment),
    Column("warned_at", Moment),
    Column("due_at", Moment),  # None while nothing is to be done for it by itself
    Column("claimed_until", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "workspace_id", "created_at", "id"),
    Index(None, "workspace_id", "customer_id"),
    Index(None, "app_id", "org_id"),
    Index(None, "due_at"),
    Index(
        "ix_connections_login_rate",
        "org_id",
        "user_id",
        postgresql_where=text("problem = 'login_rate_exceeded'"),
        sqlite_where=text("problem = 'login_rate_exceeded'"),
    ),
)

token_sets: Final = Table(
    "token_sets",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id"), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("access_token", Sealed, nullable=False),
    Column("refresh_token", Sealed),
    Column("received_at", Moment, nullable=False),
    Column("expires_at", Moment),
)

refresh_leases: Final = Table(
    "refresh_leases",
    metadata,
    Column("connection_id", Id, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("owner", Id),
    Column("ends_at", BigInteger, nullable=False),  # microseconds of the database's own clock
    Index(None, "owner"),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("connection_id", Id, ForeignKey("connections.id"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token_hash", Hash, nullable=False),
    Column("spool_id", Id, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("presented_again", Boolean, nullable=False),
    Column("outcome", String(16)),
    Column("spool_answered", Boolean, nullable=False),
    Column("ended_at", Moment),
    Column("retry_at", Moment),
    Index(None, "connection_id", "generation"),
    Index(None, "ended_at"),
    Index(
        "ix_attempts_open",
        "spool_id",
        postgresql_where=text("outcome IS NULL"),
        sqlite_where=text("outcome IS NULL"),
    ),
)

spool_keys: Final = Table(
    "spool_keys",
    metadata,
    Column("spool_id", Id, primary_key=True),
    Column("key_id", String(128), primary_key=True),  # empty for a spool that is lost
    Column("files", Integer, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

database_epochs: Final = Table(
    "database_epochs",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("epoch", Id, nullable=False),
    Column("identity", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False),  # by the database's own clock
)

spool_replays: Final = Table(
    "spool_replays",
    metadata,
    Column("spool_id", Id, primary_key=True),
    Column("epoch", Id, nullable=False),
    Column("replayed", Boolean, nullable=False),
)

revocations: Final = Table(
    "revocations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("connection_id", Id, nullable=False),  # empty for a grant that became no connection
    Column("login_url", Text, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("ends_connection", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Moment),  # None once it is done
    Column("claimed_until", BigInteger, nullable=False),  # by the database's clock
    Column("tokens", Sealed),
    Column("problem", String(64)),
    Index(None, "due_at"),
    Index(None, "connection_id"),
)

service_seals: Final = Table(
    "service_seals",
    metadata,
    Column("sealed_at", AnyMoment, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("taken_off_at", AnyMoment),  # None while it is on
    Column("on", Boolean, unique=True),  # true or NULL: one is on, or none
)

incidents: Final = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id),  # None: of all workspaces
    Column("app_id", Id),  # None: of all apps
    Column("reason", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
)

incident_grants: Final = Table(
    "incident_grants",
    metadata,
    Column("incident_id", Id, ForeignKey("incidents.id"), primary_key=True),
    Column("connection_id", Id, primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Column("login_url", Text, nullable=False),
    Column("was", String(32), nullable=False),  # the connection's, as the next two, before
    Column("problem", String(64)),
    Column("authorized_at", Moment, nullable=False),
    Column("due_at", Moment),  # None once it is done
    Column("claimed_until", BigInteger, nullable=False),  # by the database's clock
    Column("unanswered", Integer, nullable=False),  # presentations of its refresh token
    Column("attempts", Integer, nullable=False),
    Column("tried_with", String(64)),
    Column("outcome", String(16)),
    Column("because", String(32)),
    Column("access_token_ended", Boolean, nullable=False),
    Column("ended_at", Moment),
    Index(None, "due_at"),
    Index(None, "connection_id"),
)

proxy_sessions: Final = Table(
    "proxy_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("connection_id", Id, ForeignKey("connections.id"), nullable=False),
    Column("api_key_id", Id, ForeignKey("api_keys.id"), nullable=False),
    Column("unsafe", Boolean, nullable=False),
    Column("hash", Hash, nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("mac", Hash, nullable=False),
    Index(None, "expires_at"),
    Index(None, "api_key_id"),
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("workspace_id", Id, ForeignKey("workspaces.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_hash", Hash, nullable=False),
    Column("status", Integer),
    Column("body", Sealed),
    Column("created_at", Moment, nullable=False),
    Index(None, "created_at"),
)

KEY_ENDED: Final = "type = 'api_key.deleted'"
audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("writer", Id, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("workspace_id", Id),
    Column("connection_id", Id),
    Column("type", String(64), nullable=False),
    Column("actor", Id, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", Document, nullable=False),
    Column("previous", Hash, nullable=False),
    Column("hash", Hash, nullable=False),
    Index(None, "workspace_id", "at", "writer", "sequence"),
    Index(None, "connection_id", "at"),
    Index(
        "ix_audit_events_key_ended",
        "at",
        postgresql_where=text(KEY_ENDED),
        sqlite_where=text(KEY_ENDED),
    ),
)

audit_trims: Final = Table(
    "audit_trims",
    metadata,
    Column("writer", Id, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("head", Hash, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)

audit_turns: Final = Table(
    "audit_turns",
    metadata,
    Column("name", Id, primary_key=True),
    Column("due_at", BigInteger, nullable=False),  # microseconds of the database's own clock
    Column("succeeded_at", Moment),
    Column("problem", Text),
)
