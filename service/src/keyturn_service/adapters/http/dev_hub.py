"""The vendor's Dev Hub org, asked as a user who may read and no more."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from keyturn_core.errors import CoreError
from keyturn_core.oauth.jwt_bearer_grant import (
    audiences,
    jwt_bearer_request,
    read_jwt_bearer_answer,
    signed,
    signing_input,
)
from keyturn_core.oauth.token_answer import TokenRequestRefused, TokenResponse
from keyturn_core.salesforce.hosts import Environment, Origin, read_instance_url
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.package_subscribers import (
    PackageId,
    PackageVersionId,
    packages_query,
    read_packages,
    read_subscribers,
    subscribers_query,
)
from keyturn_core.secrets import AccessToken, PrivateKey
from keyturn_service.adapters.http.one_shot import Answer, NoAnswer, NotSent, OneShot, Request
from keyturn_service.ports import Clock, DevHubUnreachable, PackageInOrg, Signer, TokenEndpoint

_QUERY: Final = "/services/data/v60.0/query?q="
_HEADERS: Final = {"Accept": "application/json", "User-Agent": "keyturn"}
_AT_ONCE: Final = 100  # orgs or versions in one query, whose URL stays below 16 KB
_OTHER_AUDIENCE: Final = "audience_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevHubUser:
    """Whom the service asks as, and the key that the app's certificate verifies."""

    login_url: Origin
    consumer_key: str
    username: str
    private_key: PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    instance_url: Origin
    access_token: AccessToken


class HttpDevHub:
    """`ports.InstalledPackages` by the REST API's queries.

    It logs in by assertion when it is first asked, keeps the access token in memory alone, and
    logs in again when that is refused.
    """

    def __init__(
        self,
        *,
        user: DevHubUser,
        one_shot: OneShot,
        endpoint: TokenEndpoint,
        signer: Signer,
        clock: Clock,
        loopback: frozenset[Origin] = frozenset(),
    ) -> None:
        self._user = user
        self._one_shot = one_shot
        self._endpoint = endpoint
        self._signer = signer
        self._clock = clock
        self._loopback = loopback
        self._session: _Session | None = None
        self._packages: dict[PackageVersionId, PackageId] = {}

    async def among(self, asked: Collection[PackageInOrg]) -> frozenset[PackageInOrg]:
        """Return those of the asked that are installed, as far as the Dev Hub knows by now.

        Raises:
            DevHubUnreachable: it could not be asked.
        """
        try:
            await self._learn({one.version for one in asked})
            found = await self._installs({one.org_id for one in asked})
        except CoreError as error:  # refused, not processed, or no answer that can be read
            raise DevHubUnreachable(error.code) from error
        except (NotSent, NoAnswer) as error:
            raise DevHubUnreachable("salesforce_unavailable") from error
        return frozenset(
            one for one in asked if (self._packages.get(one.version), one.org_id) in found
        )

    async def _learn(self, versions: Collection[PackageVersionId]) -> None:
        """Find out of which package each version is; that never changes."""
        unknown = sorted(set(versions) - set(self._packages))
        for some in _parts(unknown):
            self._packages |= read_packages(await self._query(packages_query(some)))

    async def _installs(self, orgs: Collection[OrgId]) -> frozenset[tuple[PackageId, OrgId]]:
        found: frozenset[tuple[PackageId, OrgId]] = frozenset()
        for some in _parts(sorted(orgs)):
            found |= read_subscribers(await self._query(subscribers_query(some)))
        return found

    async def _query(self, soql: str) -> bytes:
        """Return the answer to a query; log in again where the session is over."""
        answer = None
        if self._session is not None:
            answer = await self._get(self._session, soql)
        if answer is None or answer.status == HTTPStatus.UNAUTHORIZED:
            self._session = None
            self._session = await self._log_in()
            answer = await self._get(self._session, soql)
        if answer.status != HTTPStatus.OK or not answer.complete:
            raise DevHubUnreachable(_said(answer))
        return answer.body

    async def _get(self, session: _Session, soql: str) -> Answer:
        headers = {**_HEADERS, "Authorization": f"Bearer {session.access_token.reveal()}"}
        request = Request(method="GET", target=f"{_QUERY}{quote(soql, safe='')}", headers=headers)
        return await self._one_shot(session.instance_url, request)

    async def _log_in(self) -> _Session:
        login_url = self._user.login_url
        refused: TokenRequestRefused | None = None
        for audience in audiences(login_url, Environment.PRODUCTION, known=None):
            try:
                response = await self._presented(audience)
            except TokenRequestRefused as error:
                refused = refused or error
                if error.code != _OTHER_AUDIENCE:
                    raise
            else:
                stated = response.instance_url or login_url
                return _Session(
                    instance_url=read_instance_url(stated, loopback=self._loopback),
                    access_token=response.access_token,
                )
        raise refused or DevHubUnreachable(_OTHER_AUDIENCE)

    async def _presented(self, audience: str) -> TokenResponse:
        claimed = signing_input(
            consumer_key=self._user.consumer_key,
            username=self._user.username,
            audience=audience,
            now=self._clock.now(),
        )
        assertion = signed(claimed, await self._signer.sign(self._user.private_key, claimed))
        body = jwt_bearer_request(assertion)
        return read_jwt_bearer_answer(await self._endpoint.present(self._user.login_url, body))


def _parts(ids: Sequence[str]) -> list[Sequence[Any]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]


def _said(answer: Answer) -> str:
    """Return Salesforce's error code, which says what the user lacks; else the status."""
    try:
        said: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    match said:
        case [{"errorCode": str(code)}, *_] if code.isascii() and code.replace("_", "").isalnum():
            return code
        case _:
            return f"HTTP {answer.status}"
