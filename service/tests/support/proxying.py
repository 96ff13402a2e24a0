"""The use case of a proxied call, on fakes that share a journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.tests.support.fakes import BASIS, FakeClock, FakeRelay, RecordingAudit
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    WORKSPACE,
    api_key,
    connection,
    in_force,
)

from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.domain.connection import ConnectionInUse, TokenInForce
from keyturn_service.domain.errors import ServiceError
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import OrgCall
from keyturn_service.use_cases.proxied_answer import ProxiedAnswer, ProxyCaller
from keyturn_service.use_cases.proxy_call import ProxyCall
from keyturn_service.use_cases.token_for_proxy import Admission

CALLER = ProxyCaller(workspace_id=WORKSPACE, actor=API_KEY, unsafe=False, proxy_session_id="ps_one")
RENEWED = "access-2"


@dataclass(kw_only=True)
class Admissions:
    """Admits every caller, from memory first where that is allowed; renews what was rejected."""

    renewed: int = 0
    unsettled: int = 1  # admissions, from the first, that a basis has to confirm
    asked: list[bool] = field(default_factory=list)
    rejected: list[int | None] = field(default_factory=list)
    refusal: ServiceError | None = None

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        *,
        rejected_generation: int | None = None,
    ) -> tuple[ConnectionInUse, TokenInForce]:
        """Return what serves: the next generation where the first one was rejected."""
        assert (workspace_id, connection_id) == (WORKSPACE, CONNECTION)
        self.rejected.append(rejected_generation)
        if rejected_generation is None:
            return connection().in_use(), in_force()
        if self.refusal is not None:
            raise self.refusal
        renewed = in_force(generation=2, access_token=AccessToken(RENEWED))
        return connection().in_use(), renewed

    async def admit(
        self, connection_id: ConnectionId, *, key_hash: bytes, remembered: bool
    ) -> Admission:
        """Return an admission."""
        del connection_id, key_hash
        self.asked.append(remembered)
        return Admission(
            caller=ProxyCaller(workspace_id=WORKSPACE, actor=api_key().id, unsafe=False),
            connection=connection().in_use(),
            tokens=in_force(),
            ending=False,
            basis=BASIS if len(self.asked) <= self.unsettled else None,
        )

    async def serving(self, admission: Admission) -> tuple[ConnectionInUse, TokenInForce]:
        """Return what serves."""
        self.renewed += 1
        return admission.connection, in_force()


@dataclass(kw_only=True)
class House:
    """The use case, and what stands around it."""

    call: ProxyCall
    admissions: Admissions
    relay: FakeRelay
    audit: RecordingAudit
    journal: list[str]

    async def __call__(self, call: OrgCall, caller: ProxyCaller = CALLER) -> ProxiedAnswer:
        """Make a call through a proxy session."""
        return await self.call(caller, CONNECTION, call)

    @property
    def tokens(self) -> list[str]:
        """The tokens that calls went out under."""
        return [token for _, _, token in self.relay.sent]

    @property
    def problem(self) -> object:
        """What the record of the call's end says against it."""
        [event] = self.audit.of("proxy.ended")
        return event.detail.get("problem")


def open_house() -> House:
    """A use case over fakes that share a journal."""
    journal: list[str] = []
    admissions, relay, audit = Admissions(), FakeRelay(journal=journal), RecordingAudit(journal)
    call = ProxyCall(
        token_for_proxy=admissions,
        relay=relay,
        audit=audit,
        clock=FakeClock(),
        randomness=SystemRandomness(),
    )
    return House(call=call, admissions=admissions, relay=relay, audit=audit, journal=journal)
