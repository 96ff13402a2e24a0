"""Apps: the vendor's External Client Apps, and their consumer credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import AfterValidator, Field, SecretStr, StrictBool, WithJsonSchema

from keyturn_core.salesforce.hosts import Environment, HostRefused, Origin, read_my_domain
from keyturn_core.salesforce.scopes import METADATA_NAMES, Scope
from keyturn_core.secrets import ConsumerSecret
from keyturn_service.domain.app import App, origin_of
from keyturn_service.domain.errors import ConnectRefused, NotFound
from keyturn_service.domain.ids import AppId
from keyturn_service.domain.signing_key import active_key
from keyturn_service.web.api.route import Admin, ApiRoute, Face, Reader, Wired
from keyturn_service.web.api.wire import (
    Cursor,
    IdIn,
    In,
    Limit,
    Out,
    Page,
    PageUrl,
    Text,
    Time,
    Url,
    WebOrigin,
    WebUrl,
    cut,
    problem_out,
)
from keyturn_service.web.wiring import Wiring

router: Final = APIRouter(route_class=ApiRoute, tags=["apps"])


def _plain_origin(text: str) -> str:
    """Return the origin as browsers write it: lower case, a port only where it says something."""
    return origin_of(text) or text


def _scope(text: str) -> str:
    if text not in METADATA_NAMES:
        raise ValueError("not a scope of Salesforce's; scopes go by names such as api")
    return text


ReturnOrigin = Annotated[WebOrigin, AfterValidator(_plain_origin)]
ScopeIn = Annotated[
    str,
    AfterValidator(_scope),
    WithJsonSchema({"type": "string", "enum": sorted(METADATA_NAMES)}),
]
Namespace = Annotated[
    str, Field(max_length=15, pattern="^[A-Za-z]([A-Za-z0-9]|_[A-Za-z0-9])*$", examples=["acme"])
]
CallbackUrls = Annotated[
    list[WebUrl],
    Field(min_length=1, max_length=50, examples=[["https://connect.acme.example/oauth/callback"]]),
]
ReturnOrigins = Annotated[
    list[ReturnOrigin],
    Field(min_length=1, max_length=50, examples=[["https://app.acme.example"]]),
]
Scopes = Annotated[
    list[ScopeIn], Field(min_length=1, max_length=50, examples=[["api", "refresh_token"]])
]


StartUrl = Annotated[PageUrl, Field(examples=["https://app.acme.example/salesforce"])]


class LoginHosts(In):
    """Where a person logs in who names no My Domain."""

    production: Url | None = None
    sandbox: Url | None = None


class PackageIn(In):
    """The managed package that an app of a package needs: where it is installed."""

    install_urls: dict[Environment, Url]


class AppIn(In):
    """A new app."""

    name: Text
    namespace: Namespace | None = None
    callback_urls: CallbackUrls
    return_origins: ReturnOrigins
    scopes: Scopes
    login_hosts: LoginHosts | None = None
    package: PackageIn | None = None
    allow_same_org: StrictBool = False
    start_url: StartUrl | None = None


class AppChange(In):
    """What is to change of an app; what is left out or null stays as it is."""

    name: Text | None = None
    namespace: Namespace | None = None
    callback_urls: CallbackUrls | None = None
    return_origins: ReturnOrigins | None = None
    scopes: Scopes | None = None
    login_hosts: LoginHosts | None = None
    package: PackageIn | None = None
    allow_same_org: StrictBool | None = None
    start_url: StartUrl | None = None


class ConsumerCredentialsIn(In):
    """Consumer key and secret of the app, as its settings page in the Dev Hub org shows them."""

    consumer_key: Text
    consumer_secret: Annotated[SecretStr, Field(min_length=1, max_length=500)]


class PackageOut(Out):
    """Where the app's managed package is installed, by environment."""

    install_urls: dict[Environment, str]


class CertificateOut(Out):
    """The certificate of the active signing key; `problem` is about its age."""

    signing_key_id: str
    not_after: Time
    problem: dict[str, Any] | None


class AppOut(Out):
    """An app. Consumer key and secret are never read back; no certificate, no signing key."""

    id: str
    name: str
    namespace: str | None
    callback_urls: list[str]
    return_origins: list[str]
    scopes: list[str]
    login_hosts: dict[Environment, str]
    package: PackageOut | None
    allow_same_org: bool
    start_url: str | None
    has_consumer_credentials: bool
    certificate: CertificateOut | None
    created_at: Time


@router.post("/v1/apps", status_code=201)
async def register_app(asked: AppIn, caller: Admin, wired: Wired, face: Face) -> AppOut:
    """Register an app."""
    members = _members(asked, wired.begin_connect_session.loopback)
    app = await wired.register_app(caller.workspace_id, caller.id, **members)
    return await _out(app, wired, face=face)


@router.get("/v1/apps")
async def list_apps(
    caller: Reader, wired: Wired, face: Face, limit: Limit = 50, cursor: Cursor = None
) -> Page[AppOut]:
    """List the apps of the workspace, oldest first."""
    apps = await wired.apps.list(caller.workspace_id)
    ids = [app.id for app in apps]
    written = [await _out(app, wired, face=face) for app in apps]
    return cut(written, ids, limit=limit, cursor=cursor)


@router.get("/v1/apps/{app_id}")
async def get_app(app_id: IdIn, caller: Reader, wired: Wired, face: Face) -> AppOut:
    """Read an app."""
    app = await wired.apps.get(caller.workspace_id, AppId(app_id))
    if app is None:
        raise NotFound("app")
    return await _out(app, wired, face=face)


@router.patch("/v1/apps/{app_id}")
async def change_app(
    app_id: IdIn, asked: AppChange, caller: Admin, wired: Wired, face: Face
) -> AppOut:
    """Change an app."""
    members = _members(asked, wired.begin_connect_session.loopback)
    changed = await wired.change_app(caller.workspace_id, AppId(app_id), caller.id, **members)
    return await _out(changed, wired, face=face)


@router.put("/v1/apps/{app_id}/consumer-credentials", status_code=204)
async def put_consumer_credentials(
    app_id: IdIn, asked: ConsumerCredentialsIn, caller: Admin, wired: Wired
) -> Response:
    """Put the consumer credentials into the vault, in place of what was there."""
    await wired.put_consumer_credentials(
        caller.workspace_id,
        AppId(app_id),
        caller.id,
        consumer_key=asked.consumer_key,
        consumer_secret=ConsumerSecret(asked.consumer_secret.get_secret_value()),
    )
    return Response(status_code=204)


def _members(asked: AppIn | AppChange, loopback: frozenset[Origin]) -> dict[str, Any]:
    """Return what is asked as the domain's values."""
    install_urls = None if asked.package is None else asked.package.install_urls
    return {
        "name": asked.name,
        "namespace": asked.namespace,
        "callback_urls": asked.callback_urls,
        "return_origins": asked.return_origins,
        "scopes": None if asked.scopes is None else frozenset(map(Scope, asked.scopes)),
        "login_hosts": _login_hosts(asked.login_hosts, loopback),
        "install_urls": _install_urls(install_urls, loopback),
        "allow_same_org": asked.allow_same_org,
        "start_url": asked.start_url,
    }


def _login_hosts(
    asked: LoginHosts | None, loopback: frozenset[Origin]
) -> dict[Environment, Origin] | None:
    if asked is None:
        return None
    named = {Environment.PRODUCTION: asked.production, Environment.SANDBOX: asked.sandbox}
    return {
        environment: _of_salesforce(url, loopback)
        for environment, url in named.items()
        if url is not None
    }


def _install_urls(
    asked: Mapping[Environment, str] | None, loopback: frozenset[Origin]
) -> dict[Environment, str] | None:
    for url in (asked or {}).values():
        _of_salesforce(origin_of(url) or "", loopback)
    return None if asked is None else dict(asked)


def _of_salesforce(url: str, loopback: frozenset[Origin]) -> Origin:
    """Return the login host that a URL names: admins are sent there, so it is Salesforce's.

    Raises:
        ConnectRefused: `host_refused`.
    """
    try:
        return read_my_domain(url, loopback=loopback)
    except HostRefused as error:
        raise ConnectRefused("host_refused") from error


async def _out(app: App, wired: Wiring, *, face: str) -> AppOut:
    package = PackageOut(install_urls=dict(app.install_urls)) if app.install_urls else None
    return AppOut(
        id=app.id,
        name=app.name,
        namespace=app.namespace,
        callback_urls=list(app.callback_urls),
        return_origins=list(app.return_origins),
        scopes=sorted(app.scopes),
        login_hosts=dict(app.login_hosts),
        package=package,
        allow_same_org=app.allow_same_org,
        start_url=app.start_url,
        has_consumer_credentials=app.consumer_key is not None,
        certificate=await _certificate(app, wired, face=face),
        created_at=app.created_at,
    )


async def _certificate(app: App, wired: Wiring, *, face: str) -> CertificateOut | None:
    key = active_key(await wired.signing_keys.list(app.workspace_id, app.id))
    if key is None:
        return None
    problem = problem_out(key.problem(wired.clock.now()), face=face)
    return CertificateOut(signing_key_id=key.id, not_after=key.not_after, problem=problem)
