"""What an org says of itself: before a login, of a user, and of its own record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from keyturn_core.errors import CoreError
from keyturn_core.salesforce.auth_configuration import (
    AUTH_CONFIGURATION_PATH,
    AuthConfiguration,
    read_auth_configuration,
)
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.identity import Identity, read_identity
from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.http.one_shot import Answer, NoAnswer, NotSent, OneShot, Request
from keyturn_service.ports import AccessTokenRefused, Organization, OrgUnreachable

_T = TypeVar("_T")

_ORGANIZATION: Final = "/services/data/v60.0/query?q=SELECT+Name,+IsSandbox+FROM+Organization"
_HEADERS: Final = {"Accept": "application/json", "User-Agent": "keyturn"}
# The identity service says 403 where it does not know a token.
_REFUSED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
# A user without the right to see the record gets one of these (INVALID_TYPE, API disabled, …).
_NOT_SEEN: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


class _OrganizationRecord(msgspec.Struct):
    Name: str
    IsSandbox: bool = False


class _Found(msgspec.Struct):
    records: list[_OrganizationRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOrgDirectory:
    """`ports.OrgDirectory` over HTTPS."""

    one_shot: OneShot

    async def auth_configuration(self, host: Origin) -> AuthConfiguration:
        """Read the host's pre-login configuration.

        Raises:
            OrgUnreachable: none came.
        """
        answer = await self._get(host, AUTH_CONFIGURATION_PATH)
        return _read(answer, read_auth_configuration)

    async def identity(self, instance_url: Origin, path: str, token: AccessToken) -> Identity:
        """Read the identity at an org's own host, by the path of an identity URL.

        Raises:
            AccessTokenRefused: the org does not take the token.
            OrgUnreachable: none came.
        """
        answer = await self._get(instance_url, path, token)
        if answer.status in _REFUSED:
            raise AccessTokenRefused(f"HTTP {answer.status}")
        return _read(answer, read_identity)

    async def organization(self, instance_url: Origin, token: AccessToken) -> Organization | None:
        """Return the org's own record, None where the user may not see it.

        Raises:
            OrgUnreachable: no answer came.
        """
        answer = await self._get(instance_url, _ORGANIZATION, token)
        if answer.status in _NOT_SEEN and answer.complete:
            return None
        found = _read(answer, msgspec.json.Decoder(_Found).decode)
        if not found.records:
            return None
        record = found.records[0]
        return Organization(name=record.Name, is_sandbox=record.IsSandbox)

    async def _get(self, origin: Origin, target: str, token: AccessToken | None = None) -> Answer:
        headers = dict(_HEADERS)
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        request = Request(method="GET", target=target, headers=headers)
        try:
            return await self.one_shot(origin, request, of_api=token is not None)
        except (NotSent, NoAnswer) as error:
            raise OrgUnreachable("no answer") from error


def _read(answer: Answer, reader: Callable[[bytes], _T]) -> _T:
    """Read a complete, successful answer; anything else is no answer of use."""
    if answer.status != HTTPStatus.OK or not answer.complete:
        raise OrgUnreachable(f"HTTP {answer.status}")
    try:
        return reader(answer.body)
    except (CoreError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise OrgUnreachable("an answer of another shape") from error
