"""`use_cases.proxy_call`: what an API key may call by, and what is on record before a byte goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from service.tests.support.fakes import FakeClock, FakeRelay, RecordingAudit
from service.tests.support.values import (
    CONNECTION,
    WORKSPACE,
    api_key,
    connection,
    hash_of,
    in_force,
)

from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.domain.connection import ConnectionInUse, TokenInForce
from keyturn_service.domain.errors import ServiceError
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import Basis, OrgCall
from keyturn_service.use_cases.proxied_answer import ProxyCaller
from keyturn_service.use_cases.proxy_call import ProxyCall
from keyturn_service.use_cases.token_for_proxy import Admission

KEY = hash_of("key")
BASIS = Basis(api_key="as it was", connection="as it was")
QUERY = OrgCall(method="GET", target="/services/data/v68.0/limits", headers=[], body=b"")
LOGIN = OrgCall(method="GET", target="/services/oauth2/singleaccess", headers=[], body=b"")


@dataclass(kw_only=True)
class Admissions:
    """Admits every key: from memory first, where that is allowed."""

    renewed: int = 0
    asked: list[bool] = field(default_factory=list)

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        *,
        rejected_generation: int | None = None,
    ) -> tuple[ConnectionInUse, TokenInForce]:
        """Return what serves."""
        del workspace_id, connection_id, rejected_generation
        return connection().in_use(), in_force()

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
            basis=BASIS if remembered else None,
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


@pytest.fixture
def house() -> House:
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


async def test_a_call_goes_out_once_its_beginning_is_on_record(house: House) -> None:
    """What is remembered serves, where the record finds that it stands."""
    house.audit.standing.add(BASIS)

    answer = await house.call.by_key(CONNECTION, QUERY, key_hash=KEY)
    await answer.end()

    assert house.journal == ["proxy.begun", "relay.send", "proxy.ended"]
    assert house.admissions.asked == [True]


async def test_what_does_not_stand_any_more_is_withheld_and_read_again(house: House) -> None:
    """Nothing went out by the first beginning, and its end says so."""
    answer = await house.call.by_key(CONNECTION, QUERY, key_hash=KEY)
    await answer.end()

    assert house.journal == [
        "proxy.begun",
        "proxy.ended",
        "proxy.begun",
        "relay.send",
        "proxy.ended",
    ]
    assert house.audit.of("proxy.ended")[0].detail["problem"] == "withheld"
    assert house.admissions.asked == [True, False]


async def test_a_refused_path_renews_nothing(house: House) -> None:
    """It is refused before a token is looked at, and leaves no record of a call."""
    with pytest.raises(ServiceError, match="proxy_path_refused"):
        await house.call.by_key(CONNECTION, LOGIN, key_hash=KEY)

    assert house.admissions.renewed == 0
    assert house.journal == []
