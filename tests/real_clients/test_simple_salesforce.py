"""simple-salesforce, unmodified: straight into an org, and through the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)
from tests.real_clients.conftest import Road
from tools.world import World

VERSION = "68.0"


def open_client(world: World, road: Road) -> Salesforce:
    """Return the client with nothing but a session that knows proxy and authority."""
    session = requests.Session()
    session.trust_env = False
    session.verify = world.line["tls"]["ca_file"]
    session.proxies = {"https": world.line["tls"]["connect_proxy_url"]}
    return Salesforce(
        instance_url=road.instance_url,
        session_id=road.session_id,
        version=VERSION,
        session=session,
    )


@pytest.fixture
def salesforce(world: World, road: Road) -> Iterator[Any]:
    """The client on each road."""
    client = open_client(world, road)
    yield client
    client.session.close()


def test_it_queries(salesforce: Any) -> None:
    """Records come with their attributes, parents and children included."""
    found = salesforce.query("SELECT Id, Name, Account.Name FROM Contact ORDER BY Name LIMIT 3")
    assert found["totalSize"] == 3
    assert found["records"][0]["attributes"]["type"] == "Contact"
    assert found["records"][0]["Account"]["Name"]
    accounts = salesforce.query(
        "SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name != null LIMIT 5"
    )
    assert any(record["Contacts"] for record in accounts["records"])


def test_it_pages(salesforce: Any) -> None:
    """`query_all` follows nextRecordsUrl to the end."""
    expected = salesforce.query("SELECT COUNT() FROM Contact")["totalSize"]
    salesforce.headers["Sforce-Query-Options"] = "batchSize=200"
    every = salesforce.query_all("SELECT Id FROM Contact")
    assert expected == every["totalSize"] == len(every["records"]) > 0
    tasks = list(salesforce.query_all_iter("SELECT Id FROM Task"))
    assert len(tasks) == salesforce.query("SELECT COUNT() FROM Task")["totalSize"]


def test_it_creates_reads_changes_and_deletes(salesforce: Any) -> None:
    """The four verbs, and a record that is gone is not found."""
    made = salesforce.Contact.create({"LastName": "Quist", "Email": "quist@example.com"})
    assert made["success"] is True
    assert len(made["id"]) == 18
    assert salesforce.Contact.get(made["id"])["LastName"] == "Quist"
    assert salesforce.Contact.update(made["id"], {"LastName": "Qvist"}) == 204
    assert salesforce.Contact.get(made["id"])["LastName"] == "Qvist"
    assert salesforce.Contact.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Contact.get(made["id"])


@pytest.mark.parametrize("key", ["clients-1", "a/b;c\\d %"])
def test_it_upserts_by_external_id(salesforce: Any, key: str) -> None:
    """201 the first time, 200 or 204 after that; one record, whatever its key holds."""
    usage = salesforce.acme__Usage__c
    path = f"acme__Key__c/{quote(key, safe='')}"
    assert usage.upsert(path, {"acme__Logins__c": 1}) == 201
    assert usage.upsert(path, {"acme__Logins__c": 2}) in {200, 204}
    assert usage.get_by_custom_id("acme__Key__c", key)["acme__Logins__c"] == 2
    found = salesforce.query("SELECT Id, acme__Key__c FROM acme__Usage__c")
    [record] = [one for one in found["records"] if one["acme__Key__c"] == key]
    usage.delete(record["Id"])


def test_it_describes(salesforce: Any) -> None:
    """Global and object describe."""
    names = {one["name"] for one in salesforce.describe()["sobjects"]}
    assert {"Account", "Contact", "Opportunity", "Task", "acme__Usage__c"} <= names
    fields = {field["name"]: field for field in salesforce.Contact.describe()["fields"]}
    assert fields["LastName"]["nillable"] is False


def test_it_reads_limits(salesforce: Any) -> None:
    """Daily API requests, with what is left."""
    limits = salesforce.limits()
    assert 0 < limits["DailyApiRequests"]["Remaining"] <= limits["DailyApiRequests"]["Max"]


def test_its_errors_are_of_the_right_class(salesforce: Any) -> None:
    """What Salesforce refuses comes out as the client's own exceptions."""
    with pytest.raises(SalesforceMalformedRequest) as malformed:
        salesforce.query("SELECT Nope FROM Contact")
    assert malformed.value.content[0]["errorCode"] == "INVALID_FIELD"
    with pytest.raises(SalesforceMalformedRequest) as missing:
        salesforce.Contact.create({"FirstName": "Nobody"})
    assert missing.value.content[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Nope__c.get("003000000000001")


def test_a_session_that_is_none_is_expired(world: World, road: Road) -> None:
    """A made-up session ID is refused as Salesforce refuses one."""
    made_up = f"{road.session_id[:16]}{'x' * 43}"
    client: Any = open_client(world, Road(road.instance_url, made_up))
    with pytest.raises(SalesforceExpiredSession):
        client.query("SELECT Id FROM Contact LIMIT 1")
    client.session.close()
