"""`use_cases.open_incident`: use stops first, and every grant of the scope is listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import CountedRandomness
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    APP,
    ODD_DOCUMENTS,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    app,
)

from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectRefused, NotFound
from keyturn_service.domain.ids import AppId, IncidentId, WorkspaceId
from keyturn_service.domain.incident import PROBLEM, Incident, Scope
from keyturn_service.ports import AuditUnavailable, ServiceSeal, StoreUnavailable
from keyturn_service.use_cases.open_incident import OpenIncident, latest
from keyturn_service.use_cases.seal_service import SealService
from keyturn_service.vault.errors import KeySourceRefused, KeySourceUnavailable

ACTOR = "operator"
REASON = "a stolen laptop"
WHOLE = Scope()
OTHER_APP = AppId("app_two")


def opening(replica: Replica) -> OpenIncident:
    """Return the use case."""
    world, stores = replica.world, replica.stores
    return OpenIncident(
        incidents=stores.incidents,
        workspaces=stores.workspaces,
        apps=stores.apps,
        sessions=stores.connect_sessions,
        seal=SealService(seals=stores.seals, audit=world.audit, clock=world.clock),
        drop_unconfirmed=replica.connect.clean_up.drop_unconfirmed,
        audit=world.audit,
        clock=world.clock,
        randomness=CountedRandomness("incident"),
    )


@pytest.fixture
def open_incident(bare: Replica) -> OpenIncident:
    """Return the use case, over a connection where a test asks for `replica`."""
    return opening(bare)


async def waiting(replica: Replica) -> Any:
    """Begin to connect, up to where the vendor has to confirm."""
    session, secret = await replica.connect.asked()
    asked = await replica.connect.pressed(secret)
    await replica.connect.returned(asked["state"])
    return session


async def test_one_of_the_whole_service_seals_it_and_lists_all(
    replica: Replica, world: World, open_incident: OpenIncident
) -> None:
    """Who, when and why are on record; nothing of a listed connection serves from then on."""
    opened = await open_incident(ACTOR, reason=REASON, scope=WHOLE)

    assert (opened.new, opened.listed, opened.left, opened.recorded) == (True, 1, [], True)
    seal = ServiceSeal(sealed_at=START, reason=REASON)
    assert await replica.stores.seals.current() == seal
    assert list(await replica.stores.incidents.newest_first()) == [opened.incident]
    kept = await world.connection()
    assert (kept.state, kept.problem) == (
        ConnectionState.REAUTHORIZATION_REQUIRED,
        "revoked_in_incident",
    )
    assert world.audit.types == ["service.sealed", "incident.opened", "incident.grants_listed"]
    assert {event.actor for event in world.audit.events} == {ACTOR}
    assert world.audit.events[1].detail == {"incident_id": opened.incident.id, "reason": REASON}
    assert world.audit.events[2].detail == {"incident_id": opened.incident.id, "grants": 1}


async def test_one_under_way_goes_on(
    replica: Replica, world: World, open_incident: OpenIncident
) -> None:
    """A second run starts nothing; one that follows the end of the first does."""
    first = await open_incident(ACTOR, reason=REASON, scope=WHOLE)
    again = await open_incident(ACTOR, reason="another", scope=WHOLE)
    assert (again.incident, again.new) == (first.incident, False)
    assert world.audit.types.count("incident.opened") == 1

    now = world.clock.now()
    for grant in await replica.stores.incidents.claim_due(now, ttl=timedelta(0), limit=9):
        await world.base.execute(
            "UPDATE incident_grants SET due_at = NULL WHERE connection_id = :id",
            id=grant.connection_id,
        )
    world.clock.advance(seconds=1)
    third = await open_incident(ACTOR, reason=REASON, scope=WHOLE)
    assert third.new
    assert third.incident.id != first.incident.id


@pytest.mark.parametrize(
    ("scope", "listed"),
    [
        (Scope(workspace_id=WORKSPACE), 1),
        (Scope(workspace_id=WORKSPACE, app_id=APP), 1),
        (Scope(workspace_id=OTHER_WORKSPACE), 0),
        (Scope(workspace_id=WORKSPACE, app_id=OTHER_APP), 0),
    ],
)
async def test_one_of_a_part_leaves_the_rest_alone(
    replica: Replica, world: World, open_incident: OpenIncident, scope: Scope, listed: int
) -> None:
    """The service is not sealed, and what is of another workspace or app goes on."""
    assert await open_incident.count(scope) == listed
    opened = await open_incident(ACTOR, reason=REASON, scope=scope)

    assert opened.listed == listed
    assert await replica.stores.seals.current() is None
    stopped = (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert stopped is bool(listed)
    [event] = world.audit.of("incident.opened")
    assert (event.workspace_id, event.detail.get("app_id")) == (scope.workspace_id, scope.app_id)


async def test_what_waits_for_its_confirmation_is_ended_as_well(
    bare: Replica, world: World, open_incident: OpenIncident
) -> None:
    """Nobody can confirm it any more, and Salesforce is told."""
    session = await waiting(bare)

    await open_incident(ACTOR, reason=REASON, scope=WHOLE)

    token = world.org.token_response()
    assert await world.jobs() == [("unconfirmed", [token["refresh_token"], token["access_token"]])]
    with pytest.raises(ConnectRefused):
        await bare.connect.confirm(
            WORKSPACE, session.id, "key_one", confirmation_code="any", org_id=None
        )


async def test_what_waited_for_its_confirmation_is_ended_though_its_record_failed(
    bare: Replica, world: World, open_incident: OpenIncident
) -> None:
    """The grant is nowhere else by then; the incident is opened all the same."""
    await waiting(bare)
    world.audit.refuses = {"grant.revocation_asked"}

    assert (await open_incident(ACTOR, reason=REASON, scope=WHOLE)).new

    token = world.org.token_response()
    assert await world.carried_out(bare) == [token["refresh_token"], token["access_token"]]


@pytest.mark.parametrize("changed", ["status = 'completed'", "pending_grant = X'0102'"])
async def test_what_was_confirmed_in_that_moment_or_does_not_open_is_left(
    bare: Replica, world: World, changed: str
) -> None:
    """The first is listed like all others, the second can be put in force by nobody."""
    await waiting(bare)
    made = opening(bare)

    class Late:
        """Sessions that change between being found and being dropped."""

        async def awaiting(self, *scope: Any) -> Any:
            found = await bare.stores.connect_sessions.awaiting(*scope)
            change = f"{changed}, version = version + 1"
            await world.base.execute(f"UPDATE connect_sessions SET {change}")  # noqa: S608 - ours
            if "pending_grant" in changed:
                return [replace(one, version=one.version + 1) for one in found]
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(bare.stores.connect_sessions, name)

    opened = await replace(made, sessions=Late())(ACTOR, reason=REASON, scope=WHOLE)

    assert opened.new
    assert await world.jobs() == []


class Failing:
    """Connect sessions of which some calls fail."""

    def __init__(self, sessions: Any, **errors: Exception) -> None:
        self._sessions = sessions
        self.errors = errors

    def __getattr__(self, name: str) -> Any:
        """Return the sessions' own method, or one that fails."""
        error = self.errors.get(name)
        if error is None:
            return getattr(self._sessions, name)

        async def failing(*_given: Any, **_named: Any) -> Any:
            raise error

        return failing


def failing(replica: Replica, **errors: Exception) -> OpenIncident:
    """Return the use case over connect sessions of which these calls fail."""
    made = opening(replica)
    sessions: Any = Failing(replica.stores.connect_sessions, **errors)
    drop = replace(made.drop_unconfirmed, sessions=sessions)
    return replace(made, sessions=sessions, drop_unconfirmed=drop)


@pytest.mark.parametrize("odd", ODD_DOCUMENTS)
async def test_a_session_that_cannot_be_read_keeps_no_grant_from_being_ended(
    replica: Replica, world: World, odd: str
) -> None:
    """Its own grant is ended too: that rests sealed, and says all that is needed."""
    session = await waiting(replica)
    await world.base.execute(
        "UPDATE connect_sessions SET document = :odd WHERE id = :id", odd=odd, id=session.id
    )

    opened = await opening(replica)(ACTOR, reason=REASON, scope=WHOLE)

    assert (opened.listed, opened.left) == (1, [])
    assert (await world.connection()).problem == PROBLEM
    token = world.org.token_response()
    assert await world.carried_out(replica) == [token["refresh_token"], token["access_token"]]
    [event] = world.audit.of("connect_session.unconfirmed")
    assert (event.workspace_id, event.detail) == (WORKSPACE, {"connect_session_id": session.id})
    assert await replica.stores.connect_sessions.awaiting(None, None) == []


@pytest.mark.parametrize(
    "error", [KeySourceRefused("disabled"), KeySourceUnavailable(), KeyError()]
)
async def test_a_grant_that_cannot_be_opened_now_is_ended_when_it_can(
    replica: Replica, world: World, error: Exception
) -> None:
    """All others are listed; nobody can confirm it meanwhile, and the clean-up tries again."""
    session = await waiting(replica)

    opened = await failing(replica, pending_grant=error)(ACTOR, reason=REASON, scope=WHOLE)

    assert (opened.listed, opened.left) == (1, [session.id])
    assert (await world.connection()).problem == PROBLEM
    with pytest.raises(ConnectRefused) as refusal:
        await replica.connect.confirm(
            WORKSPACE, session.id, "key_one", confirmation_code="any", org_id=None
        )
    assert refusal.value.code == "session_expired"
    assert await world.jobs() == []
    assert await replica.connect.clean_up() == 1
    assert [reason for reason, _ in await world.jobs()] == ["unconfirmed"]


async def test_one_that_can_neither_be_read_nor_ended_now_is_named(
    replica: Replica, world: World
) -> None:
    """The clean-up ends it in its time, and where somebody was first nothing is left."""
    session = await waiting(replica)
    await world.base.execute("UPDATE connect_sessions SET document = '{}'")
    incident = failing(replica, abandon=KeySourceUnavailable())

    assert (await incident(ACTOR, reason=REASON, scope=WHOLE)).left == [session.id]

    world.clock.advance(minutes=10)
    assert await replica.connect.clean_up() == 1
    drop = replica.connect.clean_up.drop_unconfirmed
    assert not await drop.unreadable(session.id)
    assert [reason for reason, _ in await world.jobs()] == ["unconfirmed"]


async def test_one_that_cannot_be_cut_short_is_ended_all_the_same(
    replica: Replica, world: World
) -> None:
    """One call that fails is not the other."""
    await waiting(replica)
    incident = failing(replica, replace=StoreUnavailable())

    assert (await incident(ACTOR, reason=REASON, scope=WHOLE)).left == []

    assert [reason for reason, _ in await world.jobs()] == ["unconfirmed"]


async def test_nobody_confirms_while_the_list_is_made(replica: Replica) -> None:
    """What waits is cut short before, and no key is needed for that."""
    session = await waiting(replica)
    refused: list[str] = []

    class Listing(Failing):
        """Incidents; somebody confirms just before one is kept."""

        async def open(self, incident: Incident) -> int:
            with pytest.raises(ConnectRefused) as refusal:
                await replica.connect.confirm(
                    WORKSPACE, session.id, "key_one", confirmation_code="any", org_id=None
                )
            refused.append(refusal.value.code)
            return int(await replica.stores.incidents.open(incident))

    incidents: Any = Listing(replica.stores.incidents)
    await replace(opening(replica), incidents=incidents)(ACTOR, reason=REASON, scope=WHOLE)

    assert refused == ["session_expired"]


@pytest.mark.parametrize("scope", [WHOLE, Scope(workspace_id=WORKSPACE)])
async def test_what_is_listed_is_told_though_that_has_no_record(
    replica: Replica, world: World, open_incident: OpenIncident, scope: Scope
) -> None:
    """There is no way back by then: it is open, and says that the record is missing."""
    world.audit.refuses = {"incident.grants_listed"}

    opened = await open_incident(ACTOR, reason=REASON, scope=scope)

    assert (opened.new, opened.listed, opened.recorded) == (True, 1, False)
    assert list(await replica.stores.incidents.newest_first()) == [opened.incident]
    assert (await world.connection()).problem == PROBLEM


async def test_without_a_record_use_stops_and_nothing_is_ended(
    replica: Replica, world: World, open_incident: OpenIncident
) -> None:
    """The seal is on; the list has to wait for the audit."""
    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await open_incident(ACTOR, reason=REASON, scope=WHOLE)

    assert await replica.stores.seals.current() is not None
    assert list(await replica.stores.incidents.newest_first()) == []
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_a_scope_is_one_that_is_there(bare: Replica, open_incident: OpenIncident) -> None:
    """An app is found in whichever workspace it is; what is not there is named."""
    assert await open_incident.scope(None, None) == WHOLE
    assert await open_incident.scope(WORKSPACE, None) == Scope(workspace_id=WORKSPACE)
    found = Scope(workspace_id=WORKSPACE, app_id=APP)
    assert await open_incident.scope(None, APP) == found
    assert await open_incident.scope(WORKSPACE, APP) == found
    for asked, what in (
        ((WorkspaceId("ws_none"), None), "workspace"),
        ((None, AppId("app_none")), "app"),
        ((OTHER_WORKSPACE, APP), "app"),
    ):
        with pytest.raises(NotFound) as refusal:
            await open_incident.scope(*asked)
        assert refusal.value.what == what
    await bare.stores.apps.add(app(id=OTHER_APP, workspace_id=OTHER_WORKSPACE))
    assert (await open_incident.scope(None, OTHER_APP)).workspace_id == OTHER_WORKSPACE


async def test_the_whole_service_is_meant_whatever_its_workspaces_are(
    open_incident: OpenIncident,
) -> None:
    """Nobody looks at them."""

    class Away:
        """Workspaces that nobody can look at."""

        async def all(self) -> None:
            raise StoreUnavailable

    away: Any = Away()

    assert await replace(open_incident, workspaces=away).scope(None, None) == WHOLE


def test_the_latest_is_meant_where_none_is_named() -> None:
    """By its id otherwise; there may be none."""
    one, two = (
        Incident(id=IncidentId(name), scope=WHOLE, reason=REASON, opened_at=START)
        for name in ("inc_two", "inc_one")
    )
    assert latest([one, two], None) is one
    assert latest([one, two], IncidentId("inc_one")) is two
    assert latest([one, two], IncidentId("inc_none")) is None
    assert latest([], None) is None
