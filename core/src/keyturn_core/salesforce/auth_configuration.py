"""The pre-login configuration that a My Domain publishes: it names the org before any login."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from keyturn_core.errors import CoreError
from keyturn_core.salesforce.ids import InvalidId, OrgId, read_org_id

AUTH_CONFIGURATION_PATH: Final = "/.well-known/auth-configuration"


class InvalidAuthConfiguration(CoreError):
    """The answer names no org."""

    code = "unexpected_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfiguration:
    """What a host says of itself."""

    org_id: OrgId
    url: str | None


def read_auth_configuration(body: bytes) -> AuthConfiguration:
    """Return the org that a host's pre-login configuration names.

    Raises:
        InvalidAuthConfiguration: it names none.
    """
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidAuthConfiguration("not JSON") from error
    match answer:
        case {"OrgId": str(org), **rest}:
            url = rest.get("Url")
        case _:
            raise InvalidAuthConfiguration("no OrgId")
    try:
        org_id = read_org_id(org)
    except InvalidId as error:
        raise InvalidAuthConfiguration("OrgId is out of shape") from error
    return AuthConfiguration(org_id=org_id, url=url if isinstance(url, str) else None)
