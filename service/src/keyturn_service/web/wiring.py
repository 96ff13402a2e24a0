"""What the web needs: the use cases behind its routes, and the ports it reads lists from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.ports import (
    ApiKeys,
    Apps,
    AuditTrail,
    Clock,
    Connections,
    IdempotencyKeys,
    KeyedHash,
    Randomness,
    SigningKeys,
    Workspaces,
)
from keyturn_service.use_cases.authenticate import Authenticate
from keyturn_service.use_cases.begin_authorization import BeginAuthorization
from keyturn_service.use_cases.begin_connect_session import BeginConnectSession
from keyturn_service.use_cases.change_app import ChangeApp
from keyturn_service.use_cases.change_signing_key import ChangeSigningKey
from keyturn_service.use_cases.complete_authorization import CompleteAuthorization
from keyturn_service.use_cases.confirm_connection import ConfirmConnection
from keyturn_service.use_cases.connect_by_assertion import ConnectByAssertion
from keyturn_service.use_cases.create_api_key import CreateApiKey
from keyturn_service.use_cases.delete_api_key import DeleteApiKey
from keyturn_service.use_cases.disconnect import Disconnect
from keyturn_service.use_cases.find_connect_session import FindConnectSession
from keyturn_service.use_cases.find_proxy_session import FindProxySession
from keyturn_service.use_cases.get_access_token import GetAccessToken
from keyturn_service.use_cases.make_signing_key import MakeSigningKey
from keyturn_service.use_cases.open_link import OpenLink
from keyturn_service.use_cases.open_proxy_session import OpenProxySession
from keyturn_service.use_cases.proxy_call import ProxyCall
from keyturn_service.use_cases.put_consumer_credentials import PutConsumerCredentials
from keyturn_service.use_cases.register_app import RegisterApp
from keyturn_service.use_cases.seal_service import SealService
from keyturn_service.use_cases.see_audit_rounds import SeeAuditRounds
from keyturn_service.use_cases.see_install import SeeInstall
from keyturn_service.use_cases.set_keep_alive import SetKeepAlive
from keyturn_service.use_cases.verify_connection import VerifyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The service as its web sees it.

    `public_urls` are the faces: the origins by which browsers and programs reach the service.
    """

    authenticate: Authenticate
    register_app: RegisterApp
    change_app: ChangeApp
    put_consumer_credentials: PutConsumerCredentials
    make_signing_key: MakeSigningKey
    change_signing_key: ChangeSigningKey
    create_api_key: CreateApiKey
    delete_api_key: DeleteApiKey
    begin_connect_session: BeginConnectSession
    find_connect_session: FindConnectSession
    open_link: OpenLink
    see_install: SeeInstall
    begin_authorization: BeginAuthorization
    complete_authorization: CompleteAuthorization
    confirm_connection: ConfirmConnection
    connect_by_assertion: ConnectByAssertion
    verify_connection: VerifyConnection
    seal: SealService
    see_audit_rounds: SeeAuditRounds
    set_keep_alive: SetKeepAlive
    disconnect: Disconnect
    get_access_token: GetAccessToken
    open_proxy_session: OpenProxySession
    find_proxy_session: FindProxySession
    proxy_call: ProxyCall

    workspaces: Workspaces
    apps: Apps
    signing_keys: SigningKeys
    api_keys: ApiKeys
    connections: Connections
    audit_trail: AuditTrail
    idempotency_keys: IdempotencyKeys
    hashes: KeyedHash
    randomness: Randomness
    clock: Clock

    public_urls: Sequence[Origin]
