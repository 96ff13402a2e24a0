"""Sign an assertion and present it, to whichever audience and with whichever key it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keyturn_core.oauth.jwt_bearer_grant import (
    jwt_bearer_request,
    read_jwt_bearer_answer,
    signed,
    signing_input,
)
from keyturn_core.oauth.token_answer import (
    NotProcessed,
    OutcomeUnknown,
    TokenRequestRefused,
    TokenResponse,
    UnexpectedAnswer,
)
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.refusals import CATALOGUE, Refusal
from keyturn_core.secrets import PrivateKey
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import AppId, ConnectionId, WorkspaceId
from keyturn_service.domain.signing_key import SigningKey, signing_order
from keyturn_service.ports import (
    AuditLog,
    Clock,
    DeadlinePassed,
    Signer,
    SigningKeys,
    TokenEndpoint,
)

_OTHER_AUDIENCE: Final = "audience_invalid"  # mended by the next audience
_OTHER_KEY: Final = frozenset({"certificate_refused", "assertion_invalid"})  # by the next key


class AssertionFailed(Exception):
    """No assertion brought a token; `code` is of the catalogue.

    `said` is what Salesforce said, in its own words as far as they can be shown.
    """

    def __init__(self, code: str, said: str | None = None) -> None:
        self.code = code
        self.said = said
        super().__init__(code)

    @property
    def refusal(self) -> Refusal:
        """What the catalogue says of it."""
        return CATALOGUE[self.code]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionAsked:
    """For whom an assertion is to stand, where, and for which audiences, the likeliest first."""

    workspace_id: WorkspaceId
    app_id: AppId
    connection_id: ConnectionId | None
    consumer_key: str
    username: str
    login_url: Origin
    audiences: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The token response to an assertion, and the audience that it was taken for."""

    response: TokenResponse
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentAssertion:
    """Present assertions until one is taken.

    Each is a fresh one. None is used up by an answer that got lost, so nothing is noted but that
    it was presented.
    """

    keys: SigningKeys
    signer: Signer
    endpoint: TokenEndpoint
    audit: AuditLog
    clock: Clock

    async def __call__(self, asked: AssertionAsked, *, deadline: float | None = None) -> Accepted:
        """Return what came of the first assertion that was taken.

        `deadline`, of the monotonic clock, is when an answer has to be there at the latest: what
        could not be answered by then is not presented.

        Raises:
            AssertionFailed: none was; where several were refused, what the first key met.
        """
        failed: AssertionFailed | None = None
        for key in signing_order(await self.keys.list(asked.workspace_id, asked.app_id)):
            private_key = await self.keys.private_key(key)
            if private_key is None:
                continue  # forgotten meanwhile
            try:
                return await self._to_each_audience(asked, key, private_key, deadline)
            except AssertionFailed as error:
                failed = failed or error
                if error.code not in _OTHER_KEY:
                    raise
        raise failed or AssertionFailed("signing_key_missing")

    async def _to_each_audience(
        self,
        asked: AssertionAsked,
        key: SigningKey,
        private_key: PrivateKey,
        deadline: float | None,
    ) -> Accepted:
        failed: AssertionFailed | None = None
        for audience in asked.audiences:
            await self._note(asked, key, audience)
            try:
                response = await self._presented(asked, private_key, audience, deadline)
            except AssertionFailed as error:
                failed = failed or error
                if error.code != _OTHER_AUDIENCE:
                    raise
            else:
                return Accepted(response=response, audience=audience)
        raise failed or AssertionFailed(_OTHER_AUDIENCE)

    async def _presented(
        self,
        asked: AssertionAsked,
        private_key: PrivateKey,
        audience: str,
        deadline: float | None,
    ) -> TokenResponse:
        claimed = signing_input(
            consumer_key=asked.consumer_key,
            username=asked.username,
            audience=audience,
            now=self.clock.now(),
        )
        assertion = signed(claimed, await self.signer.sign(private_key, claimed))
        body = jwt_bearer_request(assertion)
        try:
            start = None if deadline is None else deadline - self.endpoint.answer_seconds
            answer = await self.endpoint.present(asked.login_url, body, deadline=start)
            return read_jwt_bearer_answer(answer)
        except TokenRequestRefused as error:
            raise AssertionFailed(error.code, error.said) from error
        except UnexpectedAnswer as error:
            raise AssertionFailed("unexpected_answer") from error
        except (NotProcessed, OutcomeUnknown, DeadlinePassed) as error:
            raise AssertionFailed("salesforce_unavailable") from error

    async def _note(self, asked: AssertionAsked, key: SigningKey, audience: str) -> None:
        await self.audit.record(
            AuditEvent(
                type="assertion.presented",
                at=self.clock.now(),
                workspace_id=asked.workspace_id,
                actor="system",
                connection_id=asked.connection_id,
                detail={
                    "signing_key_id": key.id,
                    "login_url": asked.login_url,
                    "audience": audience,
                },
            )
        )
