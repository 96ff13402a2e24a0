"""The identity URL of a token response, and what it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keyturn_core.errors import CoreError
from keyturn_core.salesforce.ids import InvalidId, OrgId, UserId, read_org_id, read_user_id


class InvalidIdentity(CoreError):
    """It is no identity URL, or no answer of one."""

    code = "unexpected_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUrl:
    """Whom a token response is about."""

    org_id: OrgId
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the identity service says of a user; absent fields are None."""

    org_id: OrgId
    user_id: UserId
    username: str
    email: str | None
    display_name: str | None
    custom_domain: str | None
    is_app_installed: bool | None


def read_identity_url(url: str) -> IdentityUrl:
    """Return org and user of `https://<any host>/id/<org>/<user>`.

    The host differs (`login`, `test`, My Domain), so only the path counts.

    Raises:
        InvalidIdentity: the path is out of shape.
    """
    try:
        parts = urlsplit(url).path.rstrip("/").split("/")
    except ValueError as error:
        raise InvalidIdentity("not a URL") from error
    match parts:
        case [*_, "id", org, user]:
            try:
                return IdentityUrl(org_id=read_org_id(org), user_id=read_user_id(user))
            except InvalidId as error:
                raise InvalidIdentity("the ids are out of shape") from error
        case _:
            raise InvalidIdentity("not the path of an identity URL")


def read_identity(body: bytes) -> Identity:
    """Return the identity in an answer of the identity service.

    Raises:
        InvalidIdentity: ids or username are missing or out of shape.
    """
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidIdentity("not JSON") from error
    match answer:
        case {
            "organization_id": str(org),
            "user_id": str(user),
            "username": str(username),
            **rest,
        }:
            pass
        case _:
            raise InvalidIdentity("ids or username are missing")
    try:
        org_id, user_id = read_org_id(org), read_user_id(user)
    except InvalidId as error:
        raise InvalidIdentity("the ids are out of shape") from error
    urls = rest.get("urls")
    installed = rest.get("is_app_installed")
    return Identity(
        org_id=org_id,
        user_id=user_id,
        username=username,
        email=_text(rest.get("email")),
        display_name=_text(rest.get("display_name")),
        custom_domain=_text(urls.get("custom_domain")) if isinstance(urls, dict) else None,
        is_app_installed=installed if isinstance(installed, bool) else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
