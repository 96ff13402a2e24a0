"""What the service answers, as values.

Members that this version does not know are passed over, and words such as a state are plain
text, so that a newer service does not break an older program.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from keyturn.errors import Problem, SalesforceErrorItem
from keyturn.secret import Secret


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The Salesforce user who let the vendor in. `id` has 18 characters."""

    id: str
    username: str = ""
    email: str | None = None


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """A Salesforce organization. `id` has 18 characters."""

    id: str
    name: str | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One customer's org that let the vendor in.

    `state` is `pending`, `active`, `uncertain`, `reauthorization_required` or `revoked`.
    Unless somebody acts it ends at `dies_at`, because of `dies_because`. `problem` is a code,
    or what the service says of it.
    """

    id: str
    customer_id: str
    app_id: str
    state: str
    environment: str = "production"
    org_id: str = ""
    org_name: str | None = None
    instance_url: str = ""
    user: User | None = None
    scopes: tuple[str, ...] = ()
    renewal: str = "refresh_token"
    keep_alive: bool = True
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    last_refreshed_at: datetime | None = None
    dies_at: datetime | None = None
    dies_because: str | None = None
    problem: Any = None


class ConnectSession(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one customer to connect: send the customer's browser to `url`.

    `status` is `open`, `authorizing`, `awaiting_confirmation`, `completed`, `failed` or
    `expired`. `org` and `user` are who let the vendor in, known from `awaiting_confirmation`
    on. `url` is a secret of its own: it is given once, when the session is created.
    """

    id: str
    status: str
    url: str | None = None
    customer_id: str | None = None
    app_id: str | None = None
    delivery: str = "own"
    created_at: datetime | None = None
    expires_at: datetime | None = None
    org: Org | None = None
    user: User | None = None
    connection_id: str | None = None
    problem: Any = None

    def __repr__(self) -> str:
        return f"ConnectSession(id={self.id!r}, status={self.status!r})"


class AccessToken(msgspec.Struct, frozen=True, kw_only=True, rename={"value": "access_token"}):
    """An access token, and what it is good for.

    Salesforce can end it before `expires_at`: when it is refused, ask again with its
    `generation` as `rejected_generation`.
    """

    value: Secret
    instance_url: str
    generation: int
    org_id: str
    user_id: str
    token_type: str = "Bearer"  # noqa: S105 - a word, not a secret
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()


class ProxySession(msgspec.Struct, frozen=True, kw_only=True):
    """What a client takes that only knows an instance URL and a session id."""

    instance_url: str
    session_id: Secret
    expires_at: datetime | None = None


class VerificationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has to hold. `state` is `done`, `failed` or `not_reached`."""

    step: str
    state: str
    problem: Problem | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a connection works, step by step.

    `problem` is that of the step that is missing: what, who can mend it, and where. `install_url`
    is where an admin installs the package. `way_out` says of a connection with a refresh token
    whether an assertion would stand in for it. `warnings` are problems of later.
    """

    works: bool
    connection: Connection
    steps: tuple[VerificationStep, ...] = ()
    problem: Problem | None = None
    install_url: str | None = None
    way_out: bool | None = None
    warnings: tuple[Problem, ...] = ()


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair that an app's assertions are signed with; its private half stays in the vault.

    `state` is `staged`, `active` or `retired`. `certificate_pem` belongs into the app's settings
    at Salesforce; `fingerprint` is its SHA-256.
    """

    id: str
    app_id: str = ""
    state: str = "active"
    source: str = "vault"
    certificate_pem: str = ""
    fingerprint: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    created_at: datetime | None = None
    retired_at: datetime | None = None
    usable: bool = True
    problem: Problem | None = None


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of an app's active signing key; `problem` is about its age."""

    signing_key_id: str
    not_after: datetime | None = None
    problem: Problem | None = None


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One External Client App, as the service knows it. Its consumer secret is never read back.

    `login_hosts` are by environment. `certificate` is None without a signing key. `allow_same_org`
    lets several customers connect one org. `start_url` is your page on which connecting begins.
    """

    id: str
    name: str
    namespace: str | None = None
    callback_urls: tuple[str, ...] = ()
    return_origins: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    login_hosts: dict[str, str] = msgspec.field(default_factory=dict)
    package: Any = None
    allow_same_org: bool = False
    start_url: str | None = None
    has_consumer_credentials: bool = False
    certificate: Certificate | None = None
    created_at: datetime | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the REST API. `key` is there once, when it is created."""

    id: str
    name: str = ""
    rights: tuple[str, ...] = ()
    key: Secret | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit trail: what was done, to which connection, by whom."""

    type: str
    at: datetime | None = None
    id: Any = None
    actor: str | None = None
    connection_id: str | None = None
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


class SaveResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record. `created` is None where Salesforce does not say."""

    id: str | None = None
    success: bool
    created: bool | None = None
    errors: tuple[SalesforceErrorItem, ...] = ()


class SaveResults(tuple[SaveResult, ...]):
    """What became of each record, in the records' order."""

    __slots__ = ()

    @property
    def failed(self) -> tuple[SaveResult, ...]:
        """Those that Salesforce refused; look here, a refused record raises nothing."""
        return tuple(result for result in self if not result.success)


class PublishedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A platform event that Salesforce accepted. `uuid` is the one its subscribers see."""

    uuid: str | None = None


class FlowResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a flow ended: its output variables by name."""

    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
