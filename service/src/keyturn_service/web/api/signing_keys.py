"""Signing keys of apps: what their assertions are signed with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import AppId, SigningKeyId
from keyturn_service.domain.signing_key import DEFAULT_LIFE, SigningKey, SigningKeyState
from keyturn_service.web.api.route import Admin, ApiRoute, Face, Reader, Wired
from keyturn_service.web.api.wire import (
    Cursor,
    IdIn,
    In,
    Limit,
    Out,
    Page,
    Time,
    cut,
    problem_out,
)

router: Final = APIRouter(route_class=ApiRoute, tags=["signing keys"])


class SigningKeyIn(In):
    """How many days the certificate is to live: 730 unless said."""

    days: Annotated[int, Field(ge=1, le=3650)] = DEFAULT_LIFE.days


class SigningKeyOut(Out):
    """A signing key of an app. Its private half is never read back.

    `certificate_pem` belongs into the app's settings; `fingerprint` is its SHA-256. `usable` is
    false once the private half was forgotten. `problem` is about the certificate's age.
    """

    id: str
    app_id: str
    state: SigningKeyState
    source: str
    certificate_pem: str
    fingerprint: str
    not_before: Time
    not_after: Time
    created_at: Time
    retired_at: Time | None
    usable: bool
    problem: dict[str, Any] | None


@router.post("/v1/apps/{app_id}/signing-keys", status_code=201)
async def make_signing_key(
    app_id: IdIn, caller: Admin, wired: Wired, face: Face, asked: SigningKeyIn | None = None
) -> SigningKeyOut:
    """Make a key pair and a self-signed certificate; the first of an app is active at once."""
    days = (asked or SigningKeyIn()).days
    key = await wired.make_signing_key(
        caller.workspace_id, AppId(app_id), caller.id, life=timedelta(days=days)
    )
    return _out(key, now=wired.clock.now(), face=face)


@router.get("/v1/apps/{app_id}/signing-keys")
async def list_signing_keys(
    *,
    app_id: IdIn,
    caller: Reader,
    wired: Wired,
    face: Face,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SigningKeyOut]:
    """List the signing keys of an app, oldest first, retired ones included.

    One whose certificate is not its private half's own was changed in the database: it is left
    out, and in the audit.
    """
    if await wired.apps.get(caller.workspace_id, AppId(app_id)) is None:
        raise NotFound("app")
    kept = await wired.signing_keys.list(caller.workspace_id, AppId(app_id))
    keys = [key for key in kept if await wired.signing_keys.is_certified(key)]
    now = wired.clock.now()
    written = [_out(key, now=now, face=face) for key in keys]
    return cut(written, [key.id for key in keys], limit=limit, cursor=cursor)


@router.post("/v1/apps/{app_id}/signing-keys/{key_id}/activate")
async def activate_signing_key(
    app_id: IdIn, key_id: IdIn, caller: Admin, wired: Wired, face: Face
) -> SigningKeyOut:
    """Let the key sign first from now on; the one that did is retired, and signs on for a while."""
    key = await wired.change_signing_key.activate(
        caller.workspace_id, AppId(app_id), SigningKeyId(key_id), caller.id
    )
    return _out(key, now=wired.clock.now(), face=face)


@router.delete("/v1/apps/{app_id}/signing-keys/{key_id}")
async def retire_signing_key(
    app_id: IdIn, key_id: IdIn, caller: Admin, wired: Wired, face: Face
) -> SigningKeyOut:
    """Retire the key and forget its private half at once, the active one's too."""
    key = await wired.change_signing_key.retire(
        caller.workspace_id, AppId(app_id), SigningKeyId(key_id), caller.id
    )
    return _out(key, now=wired.clock.now(), face=face)


def _out(key: SigningKey, *, now: datetime, face: str) -> SigningKeyOut:
    return SigningKeyOut(
        id=key.id,
        app_id=key.app_id,
        state=key.state,
        source=key.source,
        certificate_pem=key.certificate_pem,
        fingerprint=key.fingerprint,
        not_before=key.not_before,
        not_after=key.not_after,
        created_at=key.created_at,
        retired_at=key.retired_at,
        usable=key.usable,
        problem=problem_out(key.problem(now), face=face),
    )
