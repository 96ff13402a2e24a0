"""What both clients send to the service, and what they make of its answers."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

import keyturn as sdk
from keyturn import async_client, client

CONNECTION = {
    "id": "con_1",
    "customer_id": "northwind",
    "app_id": "app_1",
    "state": "active",
    "environment": "production",
    "org_id": "00D000000000001EAA",
    "org_name": "Northwind",
    "instance_url": "https://northwind.my.salesforce.com",
    "user": {"id": "005000000000001AAA", "username": "ann@northwind.example", "email": None},
    "scopes": ["api", "refresh_token"],
    "renewal": "refresh_token",
    "created_at": "2026-11-24T08:00:00Z",
    "dies_at": "2027-11-24T08:00:00.5Z",
    "dies_because": "fixed_lifetime",
    "problem": None,
    "of_a_newer_service": [1],
}
TOKEN = {
    "access_token": "00D-token",
    "token_type": "Bearer",
    "instance_url": "https://northwind.my.salesforce.com",
    "expires_at": "2026-11-24T10:00:00Z",
    "generation": 7,
    "org_id": "00D000000000001EAA",
    "user_id": "005000000000001AAA",
    "scopes": ["api"],
}


async def test_a_connect_session_is_asked_for_with_what_was_given_only(keyturn, service):
    """Members that were not given are left to the service."""
    service.answers(201, {"id": "cs_1", "url": "https://link.example/once", "status": "open"})

    session = await keyturn(
        lambda it: it.connect_sessions.create(
            customer_id="northwind", return_url="https://acme.example/settings"
        )
    )

    assert session.url == "https://link.example/once"
    assert service.asked == ["POST /v1/connect-sessions"]
    assert service.body() == {
        "customer_id": "northwind",
        "return_url": "https://acme.example/settings",
    }


async def test_a_connect_session_hides_its_link(keyturn, service):
    """Whoever has the link can connect, so it stays out of logs."""
    service.answers(201, {"id": "cs_1", "url": "https://link.example/once", "status": "open"})

    session = await keyturn(
        lambda it: it.connect_sessions.create(customer_id="n", return_url="https://a.example/")
    )

    assert "once" not in repr(session)


async def test_a_connect_session_is_followed(keyturn, service):
    """Who connected is known before it is confirmed."""
    service.answers(
        200,
        {
            "id": "cs_1",
            "status": "awaiting_confirmation",
            "org": {"id": "00D000000000001EAA", "name": "Northwind"},
            "user": {"id": "005000000000001AAA", "username": "ann@northwind.example"},
        },
    )

    session = await keyturn(lambda it: it.connect_sessions.get("cs_1"))

    assert service.asked == ["GET /v1/connect-sessions/cs_1"]
    assert (session.org.name, session.user.username) == ("Northwind", "ann@northwind.example")


async def test_a_connection_is_confirmed_by_the_code(keyturn, service):
    """The code that came with the browser goes on in the body."""
    service.answers(200, CONNECTION)

    connection = await keyturn(
        lambda it: it.connect_sessions.confirm("cs_1", confirmation_code="code")
    )

    assert (connection.id, connection.state) == ("con_1", "active")
    assert service.asked == ["POST /v1/connect-sessions/cs_1/confirm"]
    assert service.body() == {"confirmation_code": "code"}


@pytest.mark.parametrize("given", [{}, {"confirmation_code": "code", "org_id": "00D"}])
async def test_a_confirmation_needs_code_or_org(keyturn, service, given):
    """Neither and both are mistakes of the caller, found before anything is sent."""
    with pytest.raises(ValueError, match="confirmation_code"):
        await keyturn(lambda it: it.connect_sessions.confirm("cs_1", **given))

    assert service.requests == []


async def test_lists_go_on_to_their_end(keyturn, service):
    """The next page is asked for with the same filters and the cursor."""
    service.answers(200, {"data": [CONNECTION], "next_cursor": "a b"})
    service.answers(200, {"data": [{**CONNECTION, "id": "con_2"}], "next_cursor": None})

    found = await keyturn.all(lambda it: it.connections.list(state="active", limit=1))

    assert [one.id for one in found] == ["con_1", "con_2"]
    assert service.asked == [
        "GET /v1/connections?state=active&limit=1",
        "GET /v1/connections?state=active&limit=1&cursor=a%20b",
    ]


async def test_nothing_is_sent_before_the_first_item_is_taken(keyturn, service):
    """Making a list or a handle costs nothing."""
    keyturn.client.connections.list()
    keyturn.client.connection("con_1")

    assert service.requests == []


async def test_a_connection_is_read_with_its_times(keyturn, service):
    """Times have their zone; members of a newer service are passed over."""
    service.answers(200, CONNECTION)

    connection = await keyturn(lambda it: it.connection("con_1").get())

    assert connection.created_at == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert connection.user.username == "ann@northwind.example"
    assert connection.scopes == ("api", "refresh_token")


async def test_an_access_token_shows_itself_only_when_asked(keyturn, service):
    """The value is a type of its own, whatever it is put into."""
    service.answers(200, TOKEN)

    token = await keyturn(lambda it: it.connection("con_1").access_token())

    assert token.value.reveal() == "00D-token"
    assert "00D-token" not in f"{token} {token.value} {token!r}"
    assert (service.last.content, service.last.headers.get("idempotency-key")) == (b"", None)


async def test_a_rejected_generation_is_named(keyturn, service):
    """The service then hands out a newer token."""
    service.answers(200, TOKEN)

    await keyturn(lambda it: it.connection("con_1").access_token(rejected_generation=6))

    assert service.asked == ["POST /v1/connections/con_1/access-token"]
    assert service.body() == {"rejected_generation": 6}


async def test_a_proxy_session_keeps_its_session_id_to_itself(keyturn, service):
    """Lengths of time are written as ISO 8601."""
    service.answers(201, {"instance_url": "https://connect.acme.example", "session_id": "00D!x"})

    session = await keyturn(lambda it: it.connection("con_1").proxy_session(ttl=timedelta(hours=1)))

    assert service.body() == {"ttl": "PT3600S"}
    assert session.session_id.reveal() == "00D!x"
    assert "00D!x" not in repr(session)


async def test_a_connection_is_let_go_and_ended(keyturn, service):
    """Deleting answers 202 with the connection or nothing; both are taken."""
    service.answers(200, {**CONNECTION, "keep_alive": False})
    service.answers(202, b"")

    changed = await keyturn(lambda it: it.connection("con_1").keep_alive(False))
    ended = await keyturn(lambda it: it.connection("con_1").disconnect())

    assert changed.keep_alive is False
    assert ended is None
    assert service.asked == ["PATCH /v1/connections/con_1", "DELETE /v1/connections/con_1"]


async def test_apps_are_registered_changed_and_given_their_credentials(keyturn, service):
    """The consumer secret goes in the body, and the answer is empty."""
    hosts = {"production": "https://login.salesforce.com"}
    app = {"id": "app_1", "name": "Acme", "namespace": "acme", "login_hosts": hosts}
    service.answers(201, app)
    service.answers(200, {**app, "name": "Acme 2"})
    service.answers(204, b"")
    service.answers(200, {"data": [app], "next_cursor": None})

    made = await keyturn(
        lambda it: it.apps.create(name="Acme", callback_urls=["https://c.example/cb"],
                                  return_origins=["https://a.example"], scopes=["api"])
    )  # fmt: skip
    changed = await keyturn(lambda it: it.apps.update("app_1", name="Acme 2"))
    await keyturn(
        lambda it: it.apps.put_consumer_credentials(
            "app_1", consumer_key="3MVG9", consumer_secret="s"
        )
    )
    listed = await keyturn.all(lambda it: it.apps.list())

    assert (made.namespace, changed.name, [one.id for one in listed]) == (
        "acme",
        "Acme 2",
        ["app_1"],
    )
    assert service.asked[1:3] == [
        "PATCH /v1/apps/app_1",
        "PUT /v1/apps/app_1/consumer-credentials",
    ]
    assert service.body(1) == {"name": "Acme 2"}
    assert service.body(2) == {"consumer_key": "3MVG9", "consumer_secret": "s"}


async def test_an_org_is_connected_server_to_server(keyturn, service):
    """Only what was given goes along."""
    service.answers(201, {**CONNECTION, "renewal": "jwt_bearer"})

    made = await keyturn(
        lambda it: it.connections.create(
            customer_id="northwind", username="integration@northwind.example", my_domain="northwind"
        )
    )

    assert made.renewal == "jwt_bearer"
    assert service.asked == ["POST /v1/connections"]
    assert service.body() == {
        "customer_id": "northwind",
        "username": "integration@northwind.example",
        "my_domain": "northwind",
    }


async def test_what_is_missing_for_it_is_an_error_with_a_place(keyturn, service):
    """Whoever has to act is named."""
    service.refuses(409, "user_not_preauthorized", who="admin", where="Setup > …")

    with pytest.raises(sdk.Conflict) as refused:
        await keyturn(lambda it: it.connections.create(customer_id="n", username="x"))

    assert (refused.value.who, refused.value.problem.where) == ("admin", "Setup > …")


async def test_a_connection_is_verified_step_by_step(keyturn, service):
    """What does not work raises nothing; it is asked again without a key of its own."""
    problem = {"code": "certificate_refused", "title": "Unknown", "who": "vendor", "where": "there"}
    found = {
        "works": False,
        "connection": CONNECTION,
        "steps": [
            {"step": "app", "state": "done", "problem": None},
            {"step": "certificate", "state": "failed", "problem": problem},
        ],
        "problem": problem,
        "install_url": "https://login.salesforce.com/packaging/x",
        "way_out": None,
        "warnings": [{"code": "certificate_expiring", "title": "Soon"}],
    }
    service.answers(503, b"")
    service.answers(200, found)

    verified = await keyturn(lambda it: it.connection("con_1").verify())

    assert (verified.works, verified.problem.code) == (False, "certificate_refused")
    assert [(step.step, step.state) for step in verified.steps] == [
        ("app", "done"),
        ("certificate", "failed"),
    ]
    assert verified.steps[1].problem.where == "there"
    assert verified.warnings[0].code == "certificate_expiring"
    assert service.asked == ["POST /v1/connections/con_1/verify"] * 2
    assert service.last.headers.get("idempotency-key") is None


async def test_signing_keys_are_made_listed_and_changed(keyturn, service):
    """The certificate comes out; the private half never does."""
    key = {"id": "sk_1", "app_id": "app_1", "state": "active", "certificate_pem": "-----BEGIN…"}
    service.answers(201, key)
    service.answers(201, {**key, "id": "sk_2", "state": "staged"})
    service.answers(200, {"data": [key], "next_cursor": None})
    service.answers(200, {**key, "id": "sk_2"})
    service.answers(200, {**key, "state": "retired", "usable": False})

    made = await keyturn(lambda it: it.apps.create_signing_key("app_1"))
    staged = await keyturn(lambda it: it.apps.create_signing_key("app_1", days=90))
    (listed,) = await keyturn.all(lambda it: it.apps.signing_keys("app_1", limit=5))
    active = await keyturn(lambda it: it.apps.activate_signing_key("app_1", "sk_2"))
    gone = await keyturn(lambda it: it.apps.retire_signing_key("app_1", "sk_1"))

    assert (made, staged.state, active.id) == (listed, "staged", "sk_2")
    assert (gone.state, gone.usable) == ("retired", False)
    assert service.asked == [
        "POST /v1/apps/app_1/signing-keys",
        "POST /v1/apps/app_1/signing-keys",
        "GET /v1/apps/app_1/signing-keys?limit=5",
        "POST /v1/apps/app_1/signing-keys/sk_2/activate",
        "DELETE /v1/apps/app_1/signing-keys/sk_1",
    ]
    assert (service.requests[0].content, service.body(1)) == (b"", {"days": 90})


async def test_an_app_says_when_its_certificate_ends(keyturn, service):
    """With a problem from 30 days before."""
    certificate = {
        "signing_key_id": "sk_1",
        "not_after": "2028-11-24T08:00:00Z",
        "problem": {"code": "certificate_expiring"},
    }
    service.answers(200, {"id": "app_1", "name": "Acme", "certificate": certificate})

    app = await keyturn(lambda it: it.apps.get("app_1"))

    assert app.certificate.not_after == datetime(2028, 11, 24, 8, tzinfo=UTC)
    assert app.certificate.problem.code == "certificate_expiring"


async def test_api_keys_are_made_listed_and_deleted(keyturn, service):
    """A new key is a secret; those in the list have none."""
    service.answers(201, {"id": "key_1", "name": "job", "rights": ["proxy"], "key": "kt_live_x"})
    service.answers(200, {"data": [{"id": "key_1", "name": "job"}], "next_cursor": None})
    service.answers(204, b"")

    made = await keyturn(
        lambda it: it.api_keys.create(
            name="job", rights=["proxy"], expires_at=datetime(2027, 1, 1, tzinfo=UTC)
        )
    )
    listed = await keyturn.all(lambda it: it.api_keys.list())
    await keyturn(lambda it: it.api_keys.delete("key_1"))

    assert made.key.reveal() == "kt_live_x"
    assert "kt_live_x" not in repr(made)
    assert listed[0].key is None
    assert service.body(0)["expires_at"] == "2027-01-01T00:00:00Z"
    assert service.asked[2] == "DELETE /v1/api-keys/key_1"


async def test_times_without_a_zone_are_refused(keyturn, service):
    """An hour of somewhere would be read as an hour of UTC."""
    with pytest.raises(ValueError, match="time zone"):
        await keyturn.all(lambda it: it.audit_events.list(since=datetime(2026, 1, 1)))  # noqa: DTZ001 - the mistake

    assert service.requests == []


async def test_audit_events_are_listed_since_a_time(keyturn, service):
    """Times of filters are written in UTC."""
    service.answers(200, {"data": [{"type": "token.stored", "actor": "system"}]})

    found = await keyturn.all(
        lambda it: it.audit_events.list(
            connection_id="con_1", since=datetime(2026, 1, 1, tzinfo=UTC)
        )
    )

    assert [event.type for event in found] == ["token.stored"]
    assert dict(service.last.url.params) == {
        "connection_id": "con_1",
        "since": "2026-01-01T00:00:00Z",
    }


async def test_the_api_key_goes_in_its_header_and_nowhere_else(keyturn, service):
    """No URL, no representation of a client or error shows it."""
    service.refuses(401, "unauthorized")

    with pytest.raises(sdk.Unauthorized) as caught:
        await keyturn(lambda it: it.connection("con_1").get())

    assert service.last.headers["authorization"] == "Bearer kt_test_0123456789abcdef"
    assert "kt_test" not in f"{service.last.url} {keyturn.client!r} {caught.value!r}"
    assert "kt_test" not in repr(service.last.headers)


@pytest.mark.parametrize("wrong", ["", ".", ".."])
async def test_ids_stay_one_segment_of_the_path(keyturn, service, wrong):
    """An id from outside cannot lead to another resource."""
    service.answers(200, CONNECTION)

    with pytest.raises(ValueError, match="id"):
        await keyturn(lambda it: it.connections.get(wrong))
    await keyturn(lambda it: it.connections.get("a/../b?c"))

    assert service.asked == ["GET /v1/connections/a%2F..%2Fb%3Fc"]


async def test_writes_carry_one_idempotency_key_each(keyturn, service):
    """The same one when an answer was lost, another one for the next write."""
    service.fails(httpx2.ReadError("gone"))
    service.answers(201, {"id": "cs_1", "status": "open"})
    service.answers(201, {"id": "cs_2", "status": "open"})

    for _ in range(2):
        await keyturn(
            lambda it: it.connect_sessions.create(customer_id="n", return_url="https://a.example/")
        )

    keys = [request.headers["idempotency-key"] for request in service.requests]
    assert keys[0] == keys[1] != keys[2]


async def test_reads_are_asked_again_until_the_service_answers(keyturn, service):
    """A load balancer's page in between is no answer."""
    service.answers(502, b"<html>", content_type="text/html")
    service.refuses(503, "store_unavailable", retry_after=0)
    service.answers(200, CONNECTION)

    connection = await keyturn(lambda it: it.connection("con_1").get())

    assert connection.id == "con_1"
    assert len(service.requests) == 3


async def test_the_services_patience_is_waited_for(keyturn, service):
    """The client waits as long as it is told, here a thousandth of a second."""
    service.refuses(503, "org_unavailable", retry_after=0.001)
    service.answers(200, TOKEN)

    token = await keyturn(lambda it: it.connection("con_1").access_token())

    assert token.generation == 7


async def test_handles_and_models_say_what_they_are(keyturn, service):
    """The audit trail and Salesforce are named by id."""
    assert repr(keyturn.client.connection("con_1")).endswith("ConnectionHandle('con_1')")
    service.answers(200, {"id": "app_1", "name": "Acme"})

    app = await keyturn(lambda it: it.apps.get("app_1"))

    assert app.namespace is None


async def test_a_service_that_is_away_is_said_to_be(keyturn, service):
    """After the last attempt the error says that nothing was sent."""
    for _ in range(3):
        service.fails(httpx2.ConnectError("no route"))

    with pytest.raises(sdk.TransportError) as caught:
        await keyturn(lambda it: it.connection("con_1").get())

    assert (caught.value.code, caught.value.remedy) == ("service_unreachable", "retry")


def _face(kind):
    """Return the public methods of a class with their parameters."""
    return {
        name: [
            (parameter.name, parameter.kind, parameter.default)
            for parameter in inspect.signature(member).parameters.values()
        ]
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(
    "name",
    [name for name in vars(async_client) if name.startswith("Async") and name != "AsyncIterator"],
)
def test_both_clients_have_the_same_names(name):
    """What is asked of one can be asked of the other, with the same words."""
    asynchronous = getattr(async_client, name)
    synchronous = getattr(client, name.removeprefix("Async"))

    assert _face(asynchronous) == _face(synchronous)
    assert asynchronous.__doc__.split()[0] == synchronous.__doc__.split()[0]
