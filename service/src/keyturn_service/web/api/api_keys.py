"""API keys: the secrets of the vendor's programs."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import Field

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.ids import ApiKeyId
from keyturn_service.web.api.route import Admin, ApiRoute, Wired
from keyturn_service.web.api.wire import Cursor, IdIn, In, Limit, Out, Page, Text, Time, TimeIn, cut

router: Final = APIRouter(route_class=ApiRoute, tags=["API keys"])


class ApiKeyIn(In):
    """A new API key. A key without `expires_at` works until it is deleted."""

    name: Text
    rights: Annotated[list[Right], Field(min_length=1, max_length=len(Right))]
    expires_at: TimeIn | None = None


class ApiKeyOut(Out):
    """An API key, without its secret."""

    id: str
    name: str
    rights: list[Right]
    created_at: Time
    expires_at: Time | None


class ApiKeyMade(ApiKeyOut):
    """An API key with its secret, which is shown this once."""

    key: str


@router.post("/v1/api-keys", status_code=201)
async def create_api_key(asked: ApiKeyIn, caller: Admin, wired: Wired) -> ApiKeyMade:
    """Create an API key. The answer is the only one that has the key itself."""
    key, secret = await wired.create_api_key(
        caller.workspace_id,
        caller.id,
        name=asked.name,
        rights=frozenset(asked.rights),
        expires_at=asked.expires_at,
    )
    return ApiKeyMade(**_out(key).model_dump(), key=secret)


@router.get("/v1/api-keys")
async def list_api_keys(
    caller: Admin, wired: Wired, limit: Limit = 50, cursor: Cursor = None
) -> Page[ApiKeyOut]:
    """List the API keys of the workspace that were not deleted, oldest first."""
    keys = await wired.api_keys.list(caller.workspace_id)
    ids = [key.id for key in keys]
    return cut([_out(key) for key in keys], ids, limit=limit, cursor=cursor)


@router.delete("/v1/api-keys/{key_id}", status_code=204)
async def delete_api_key(key_id: IdIn, caller: Admin, wired: Wired) -> Response:
    """End an API key, and the proxy sessions opened with it."""
    await wired.delete_api_key(caller.workspace_id, ApiKeyId(key_id), caller.id)
    return Response(status_code=204)


def _out(key: ApiKey) -> ApiKeyOut:
    return ApiKeyOut(
        id=key.id,
        name=key.name,
        rights=sorted(key.rights),
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
