"""The domain's values, ready made; a test says only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import structs

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.ids import read_org_id, read_user_id
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, ConsumerSecret, PrivateKey, RefreshToken
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.app import App, Workspace
from keyturn_service.domain.attempt import Attempt, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import (
    STATE_LIFE,
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
    TokenInForce,
    TokenSet,
)
from keyturn_service.domain.ids import (
    ApiKeyId,
    AppId,
    AttemptId,
    ConnectionId,
    ConnectSessionId,
    CustomerId,
    ProxySessionId,
    RevocationId,
    SigningKeyId,
    SpoolId,
    WorkspaceId,
)
from keyturn_service.domain.signing_key import SigningKey, SigningKeyState
from keyturn_service.ports import PendingGrant, ProxySession, Revocation, RevocationReason
from keyturn_service.vault.key_pairs import new_key_pair

START: Final = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)

WORKSPACE: Final = WorkspaceId("ws_one")
OTHER_WORKSPACE: Final = WorkspaceId("ws_two")
APP: Final = AppId("app_one")
CONNECTION: Final = ConnectionId("con_one")
SESSION: Final = ConnectSessionId("cs_one")
API_KEY: Final = ApiKeyId("key_one")
CUSTOMER: Final = CustomerId("globex")
SPOOL: Final = SpoolId("spool_one")

ORG: Final = read_org_id("00D5g000004bLxZ")
OTHER_ORG: Final = read_org_id("00D5g000007cMyA")
USER: Final = read_user_id("0055g000001aBcD")
OTHER_USER: Final = read_user_id("0055g000002eFgH")

LOGIN_URL: Final = LOGIN_HOSTS[Environment.PRODUCTION]
INSTANCE_URL: Final = Origin("https://globex.my.salesforce.com")
FACE: Final = "https://keyturn.acme.example"
CALLBACK: Final = f"{FACE}/oauth/callback"
RETURN_URL: Final = "https://app.acme.example/settings"

# Each secret carries this text, so that a test can look for it anywhere.
CANARY: Final = "CANARY"
ACCESS: Final = f"00D5g000004bLxZ!AQ.{CANARY}-access-1"
REFRESH: Final = f"5Aep861.{CANARY}-refresh-1"
CONSUMER_SECRET: Final = f"{CANARY}-consumer-secret"
_PAIR: Final = new_key_pair(
    name="Acme for Salesforce", not_before=START - HOUR, not_after=START + timedelta(days=730)
)
PRIVATE_KEY: Final = f"{CANARY}-private-key\n{_PAIR.private_key.reveal()}"  # PEM allows a heading
CERTIFICATE: Final = _PAIR.certificate_pem
VERIFIER: Final = f"{CANARY}-verifier-0123456789-0123456789-0123456789"

SCOPES: Final = frozenset({Scope("api"), Scope("refresh_token")})


def hash_of(text: str) -> bytes:
    """Return 32 bytes that stand for a keyed hash."""
    return text.encode().ljust(32, b".")


def workspace(workspace_id: WorkspaceId = WORKSPACE) -> Workspace:
    """Return a workspace."""
    return Workspace(id=workspace_id, name="Acme, live", created_at=START)


def app(**changes: Any) -> App:
    """Return an app of the first workspace."""
    made = App(
        id=APP,
        workspace_id=WORKSPACE,
        name="Acme for Salesforce",
        namespace="acme",
        callback_urls=(CALLBACK,),
        return_origins=("https://app.acme.example",),
        scopes=SCOPES,
        login_hosts=LOGIN_HOSTS,
        consumer_key=None,
        install_urls={},
        allow_same_org=False,
        created_at=START,
    )
    return replace(made, **changes)


def signing_key(**changes: Any) -> SigningKey:
    """Return the app's active signing key."""
    made = SigningKey(
        id=SigningKeyId("sk_one"),
        workspace_id=WORKSPACE,
        app_id=APP,
        state=SigningKeyState.ACTIVE,
        source="vault",
        certificate_pem=CERTIFICATE,
        not_before=START - HOUR,
        not_after=START + timedelta(days=730),
        created_at=START,
        retired_at=None,
        usable=True,
    )
    return replace(made, **changes)


def private_key() -> PrivateKey:
    """Return what stands for the private half of a signing key."""
    return PrivateKey(PRIVATE_KEY)


def api_key(**changes: Any) -> ApiKey:
    """Return an API key that has every right."""
    made = ApiKey(
        id=API_KEY,
        workspace_id=WORKSPACE,
        name="backend",
        hash=hash_of("key"),
        rights=frozenset(Right),
        created_at=START,
        expires_at=None,
        deleted_at=None,
    )
    return replace(made, **changes)


def user(**changes: Any) -> ConnectedUser:
    """Return the user who let the vendor in."""
    made = ConnectedUser(id=USER, username="ada@globex.example", email="ada@globex.example")
    return replace(made, **changes)


def connection(**changes: Any) -> Connection:
    """Return an active connection at generation 1."""
    made = Connection(
        id=CONNECTION,
        workspace_id=WORKSPACE,
        app_id=APP,
        customer_id=CUSTOMER,
        state=ConnectionState.ACTIVE,
        environment=Environment.PRODUCTION,
        org_id=ORG,
        org_name="Globex",
        instance_url=INSTANCE_URL,
        login_url=LOGIN_URL,
        user=user(),
        scopes=SCOPES,
        renewal=Renewal.REFRESH_TOKEN,
        keep_alive=True,
        generation=1,
        session_life=timedelta(hours=2),
        created_at=START,
        authorized_at=START,
        last_used_at=None,
        last_refreshed_at=START,
        problem=None,
    )
    return replace(made, **changes)


def tokens(**changes: Any) -> TokenSet:
    """Return the token set of generation 1."""
    made = TokenSet(
        generation=1,
        access_token=AccessToken(ACCESS),
        refresh_token=RefreshToken(REFRESH),
        received_at=START,
        expires_at=START + timedelta(hours=2),
    )
    return replace(made, **changes)


def in_force(**changes: Any) -> TokenInForce:
    """Return what a hot read has of the token set."""
    whole = tokens(**changes)
    return TokenInForce(
        generation=whole.generation,
        access_token=whole.access_token,
        received_at=whole.received_at,
        expires_at=whole.expires_at,
    )


def attempt(**changes: Any) -> Attempt:
    """Return an open attempt at generation 1, under the first lease."""
    made = Attempt(
        id=AttemptId("att_one"),
        workspace_id=WORKSPACE,
        connection_id=CONNECTION,
        generation=1,
        fence=1,
        token_hash=hash_of("refresh"),
        spool_id=SPOOL,
        started_at=START,
        presented_again=False,
        outcome=None,
        spool_answered=False,
        ended_at=None,
    )
    return replace(made, **changes)


def spooled(**changes: Any) -> SpooledAnswer:
    """Return what came back for the attempt: nothing, unless a test says more."""
    made = SpooledAnswer(
        attempt_id=AttemptId("att_one"),
        workspace_id=WORKSPACE,
        connection_id=CONNECTION,
        generation=1,
        received_at=START,
        status=None,
        body=b"",
        complete=False,
    )
    return replace(made, **changes)


def session(**changes: Any) -> ConnectSession:
    """Return a connect session that nobody opened yet."""
    made = ConnectSession(
        id=SESSION,
        workspace_id=WORKSPACE,
        app_id=APP,
        customer_id=CUSTOMER,
        return_url=RETURN_URL,
        delivery=Delivery.OWN,
        environment=None,
        login_url=None,
        reauthorizes=None,
        origin=FACE,
        link_hash=hash_of("link"),
        status=SessionStatus.OPEN,
        created_at=START,
        expires_at=START + timedelta(minutes=30),
        authorization=None,
        org_id=None,
        org_name=None,
        user=None,
        confirmation_hash=None,
        confirmation_expires_at=None,
        connection_id=None,
        problem=None,
        version=1,
    )
    return replace(made, **changes)


def authorization(**changes: Any) -> Authorization:
    """Return a trip to Salesforce."""
    made = Authorization(
        state_hash=hash_of("state"),
        browser_hash=hash_of("browser"),
        login_url=LOGIN_URL,
        environment=Environment.PRODUCTION,
        redirect_uri=CALLBACK,
        expires_at=START + STATE_LIFE,
    )
    return replace(made, **changes)


NO_MOMENT: Final = 2**63 - 1
"""Microseconds; no calendar has it."""
ODD_DOCUMENTS: Final = ("{}", "[]", "7", "no JSON")
"""What no program of ours wrote into a row."""


def awaiting(**changes: Any) -> ConnectSession:
    """Return a session whose browser came back, for the connection."""
    made = session(
        status=SessionStatus.AWAITING_CONFIRMATION,
        authorization=authorization(),
        org_id=ORG,
        org_name="Globex",
        user=user(),
        confirmation_hash=hash_of("confirmation"),
        confirmation_expires_at=START + timedelta(minutes=10),
        connection_id=CONNECTION,
    )
    return replace(made, **changes)


def grant(**changes: Any) -> PendingGrant:
    """Return what the code of the session brought."""
    made = PendingGrant(
        session_id=SESSION,
        connection_id=CONNECTION,
        workspace_id=WORKSPACE,
        app_id=APP,
        access_token=AccessToken(ACCESS),
        refresh_token=RefreshToken(REFRESH),
        instance_url=INSTANCE_URL,
        login_url=LOGIN_URL,
        environment=Environment.PRODUCTION,
        org_id=ORG,
        org_name="Globex",
        user=user(),
        scopes=SCOPES,
        received_at=START,
        session_life=timedelta(hours=2),
        expires_at=START + timedelta(minutes=10),
    )
    return replace(made, **changes)


def pending(**changes: Any) -> Connection:
    """Return a connection that waits for its confirmation."""
    made = connection(state=ConnectionState.PENDING, generation=0, last_refreshed_at=None)
    return replace(made, **changes)


def revocation(**changes: Any) -> Revocation:
    """Return a job that ends the connection's grant and the connection."""
    made = Revocation(
        id=RevocationId("rev_one"),
        workspace_id=WORKSPACE,
        connection_id=CONNECTION,
        login_url=LOGIN_URL,
        reason=RevocationReason.DISCONNECTED,
        ends_connection=True,
        attempts=0,
        due_at=START,
    )
    return replace(made, **changes)


def proxy_session(**changes: Any) -> ProxySession:
    """Return a proxy session of the connection."""
    made = ProxySession(
        id=ProxySessionId("ps_one"),
        workspace_id=WORKSPACE,
        connection_id=CONNECTION,
        api_key_id=API_KEY,
        unsafe=False,
        hash=hash_of("proxy"),
        created_at=START,
        expires_at=START + timedelta(hours=2),
    )
    return replace(made, **changes)


def event(**changes: Any) -> AuditEvent:
    """Return an audit event about the connection."""
    made = AuditEvent(
        type="token.read",
        at=START,
        workspace_id=WORKSPACE,
        actor=API_KEY,
        connection_id=CONNECTION,
        detail={"generation": 1, "again": False, "about": "Zürich", "nothing": None},
    )
    return structs.replace(made, **changes)


def consumer_secret() -> ConsumerSecret:
    """Return the app's consumer secret."""
    return ConsumerSecret(CONSUMER_SECRET)
