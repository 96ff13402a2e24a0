"""What an editor sees of the SDK: this file is read by a type checker and never run."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from keyturn import (
    AccessToken,
    AsyncKeyturn,
    Connection,
    ConnectSession,
    FlowResult,
    Keyturn,
    PublishedEvent,
    SalesforceAnswer,
    SaveResults,
    Secret,
    SigningKey,
    Verification,
)


def with_the_client(keyturn: Keyturn) -> None:
    """See the types of all that the README shows."""
    session = keyturn.connect_sessions.create(customer_id="n", return_url="https://a.example/")
    assert_type(session, ConnectSession)
    assert_type(session.url, str | None)
    assert_type(keyturn.connections.list(state="active"), Iterator[Connection])
    assert_type(keyturn.connect_sessions.confirm("cs_1", confirmation_code="c"), Connection)
    connection = keyturn.connection("con_1")
    assert_type(connection.get(), Connection)
    assert_type(connection.verify(), Verification)
    assert_type(keyturn.connections.create(customer_id="n", username="i@n"), Connection)
    assert_type(keyturn.apps.create_signing_key("app_1"), SigningKey)
    assert_type(keyturn.apps.signing_keys("app_1"), Iterator[SigningKey])
    assert_type(connection.access_token(), AccessToken)
    assert_type(connection.access_token().value, Secret)
    assert_type(connection.access_token().value.reveal(), str)
    assert_type(connection.request("GET", "/services/data"), SalesforceAnswer)
    assert_type(connection.pull.query("SELECT Id FROM Contact"), Iterator[dict[str, Any]])
    assert_type(connection.push.upsert("X__c", [{}], external_id="K__c"), SaveResults)
    assert_type(connection.push.log_activity(subject="x"), str)
    assert_type(connection.trigger.event("X__e", {}), PublishedEvent)
    assert_type(connection.trigger.flow("X", {"a": 1}), FlowResult)


async def with_the_async_client(keyturn: AsyncKeyturn) -> None:
    """See the same types behind `await`."""
    async with keyturn as entered:
        assert_type(entered, AsyncKeyturn)
    assert_type(keyturn.connections.list(), AsyncIterator[Connection])
    connection = keyturn.connection("con_1")
    assert_type(await connection.get(), Connection)
    assert_type(connection.pull.query("SELECT Id FROM Contact"), AsyncIterator[dict[str, Any]])
    assert_type(await connection.push.upsert("X__c", [{}], external_id="K__c"), SaveResults)
