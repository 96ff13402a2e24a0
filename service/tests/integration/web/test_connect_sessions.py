"""Connect sessions over the REST API: begun, followed, confirmed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import web_fakes
from web_house import ORG, a_connection

from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.connect_session import Delivery, SessionStatus
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.ports import PendingGrant

ASKED = {"customer_id": "northwind", "return_url": "https://app.acme.example/settings?tab=crm"}


async def begun(house, admin, **more):
    """Begin a session and return the answer."""
    return await house.http.post("/v1/connect-sessions", headers=admin, json={**ASKED, **more})


async def authorized(house, admin, *, delivery="own"):
    """Begin a session and bring it to where the vendor confirms."""
    session_id = (await begun(house, admin, delivery=delivery)).json()["id"]
    pending = house.add_connection("con_new", state=ConnectionState.PENDING)
    house.memory.tokens.pop("con_new")
    session = house.memory.sessions[session_id]
    house.memory.sessions[session_id] = replace(
        session,
        status=SessionStatus.AWAITING_CONFIRMATION,
        org_id=ORG,
        org_name="Northwind",
        user=pending.user,
        connection_id=pending.id,
        confirmation_hash=web_fakes.fake_hash("confirmation", "the-code"),
        confirmation_expires_at=house.clock.now() + timedelta(minutes=10),
    )
    house.memory.grants[session_id] = a_grant(session_id)
    return session_id


def a_grant(session_id):
    """Return what a token response brought for the pending connection."""
    connection = a_connection("con_new")
    return PendingGrant(
        session_id=session_id,
        connection_id=connection.id,
        workspace_id=connection.workspace_id,
        app_id=connection.app_id,
        access_token=AccessToken("new-token"),
        refresh_token=RefreshToken("new-refresh-token"),
        instance_url=connection.instance_url,
        login_url=connection.login_url,
        environment=connection.environment,
        org_id=ORG,
        org_name="Northwind",
        user=connection.user,
        scopes=connection.scopes,
        received_at=web_fakes.START,
        session_life=timedelta(hours=2),
        expires_at=web_fakes.START + timedelta(minutes=10),
    )


async def test_a_session_is_begun_with_a_link_on_the_face_that_was_called(house, admin):
    """The link is given once; it works for 30 minutes."""
    made = await begun(house, admin)
    other = await house.http.post(
        "/v1/connect-sessions", headers={**admin, "Host": "keyturn.example"}, json=ASKED
    )
    followed = await house.http.get(f"/v1/connect-sessions/{made.json()['id']}", headers=admin)

    assert made.status_code == 201
    assert made.json()["url"].startswith(f"{house.url}/connect/")
    assert other.json()["url"].startswith("https://keyturn.example/connect/")
    assert made.json()["expires_at"] == "2026-11-24T12:30:00Z"
    assert followed.json() == {**made.json(), "url": None}
    assert followed.json()["status"] == "open"


@pytest.mark.parametrize("repeated", [True, False])
async def test_a_confirmation_whose_answer_was_lost_is_answered_again(house, admin, repeated):
    """The same request under the same idempotency key gets it, and nobody else."""
    session_id = await authorized(house, admin)
    path = f"/v1/connect-sessions/{session_id}/confirm"
    other = house.headers(house.add_key("kt_live_another-writer-of-it", "connections:write"))
    house.memory.confirmations_lost = True

    async def confirmed(headers, key):
        keyed = {**headers, "Idempotency-Key": key}
        return await house.http.post(path, headers=keyed, json={"confirmation_code": "the-code"})

    lost = await confirmed(admin, "one")
    again = await confirmed(*((admin, "one") if repeated else (admin, "two")))
    stranger = await confirmed(other, "one")

    assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
    if repeated:
        assert (again.status_code, again.json()["state"]) == (200, "active")
    else:
        assert (again.status_code, again.json()["code"]) == (409, "confirmation_invalid")
    assert stranger.json()["code"] == "confirmation_invalid"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"return_url": "https://evil.example/"}, 409, "return_url_refused"),
        ({"return_url": "https://app.acme.example.evil.example/"}, 409, "return_url_refused"),
        ({"return_url": "https://u@app.acme.example/"}, 409, "return_url_refused"),
        ({"return_url": "http://["}, 409, "return_url_refused"),
        ({"return_url": "javascript:alert(1)"}, 409, "return_url_refused"),
        ({"return_url": ""}, 422, "invalid_request"),
        ({"my_domain": "evil.example"}, 409, "host_refused"),
        ({"app_id": "app_unknown"}, 404, "not_found"),
        ({"connection_id": "con_unknown"}, 404, "not_found"),
        ({"customer_id": "contoso", "connection_id": "con_one"}, 404, "not_found"),
        ({"delivery": "pigeon"}, 422, "invalid_request"),
        ({"environment": "my_domain"}, 422, "invalid_request"),
        ({"customer_id": "a\nb"}, 422, "invalid_request"),
    ],
)
async def test_a_session_that_cannot_be_is_refused(house, admin, more, status, code):
    """With the code that says why; nothing is kept."""
    answer = await begun(house, admin, **more)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert house.memory.sessions == {}


async def test_a_session_shows_who_let_the_vendor_in(house, admin):
    """Org and user, before anybody confirms."""
    session_id = await authorized(house, admin)

    said = (await house.http.get(f"/v1/connect-sessions/{session_id}", headers=admin)).json()

    assert said["status"] == "awaiting_confirmation"
    assert said["org"] == {"id": ORG, "name": "Northwind"}
    assert said["user"]["email"] == "ada@n.example"
    assert said["connection_id"] == "con_new"


async def test_a_confirmed_connection_is_active(house, admin):
    """The answer is the connection; the session is completed; the code works once."""
    session_id = await authorized(house, admin)
    path = f"/v1/connect-sessions/{session_id}/confirm"

    first = await house.http.post(path, headers=admin, json={"confirmation_code": "the-code"})
    again = await house.http.post(path, headers=admin, json={"confirmation_code": "the-code"})
    session = await house.http.get(f"/v1/connect-sessions/{session_id}", headers=admin)

    assert (first.status_code, first.json()["state"]) == (200, "active")
    assert (again.status_code, again.json()["code"]) == (409, "confirmation_invalid")
    assert session.json()["status"] == "completed"


@pytest.mark.parametrize(
    ("delivery", "body"),
    [
        (Delivery.OWN, {"confirmation_code": "a guess"}),
        (Delivery.OWN, {"org_id": ORG}),
        (Delivery.SHARED, {"confirmation_code": "the-code"}),
        (Delivery.SHARED, {"org_id": "00D000000000001EAA"}),
    ],
)
async def test_what_does_not_fit_confirms_nothing(house, admin, delivery, body):
    """A wrong code or org, or the way of the other delivery."""
    session_id = await authorized(house, admin, delivery=delivery)

    answer = await house.http.post(
        f"/v1/connect-sessions/{session_id}/confirm", headers=admin, json=body
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "confirmation_invalid")
    assert house.memory.connections["con_new"].state is ConnectionState.PENDING


async def test_a_shared_session_is_confirmed_by_its_org(house, admin):
    """The asker's browser has no code; the org's id may have 15 characters."""
    session_id = await authorized(house, admin, delivery="shared")

    answer = await house.http.post(
        f"/v1/connect-sessions/{session_id}/confirm", headers=admin, json={"org_id": ORG[:15]}
    )

    assert answer.json()["state"] == "active"


@pytest.mark.parametrize(
    "body", [{}, {"confirmation_code": "the-code", "org_id": ORG}, {"org_id": "005000000000001"}]
)
async def test_a_confirmation_says_one_thing(house, admin, body):
    """Nothing, both, or what is no org."""
    answer = await house.http.post("/v1/connect-sessions/cs_1/confirm", headers=admin, json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_session_that_ended_says_why(house, admin):
    """`problem` is an object with its code, also where time alone ended it."""
    made = (await begun(house, admin)).json()
    house.clock.advance(minutes=31)

    said = (await house.http.get(f"/v1/connect-sessions/{made['id']}", headers=admin)).json()

    assert said["status"] == "expired"
    assert said["problem"]["code"] == "session_expired"
    assert said["problem"]["type"] == f"{house.url}/docs/errors/session_expired"
