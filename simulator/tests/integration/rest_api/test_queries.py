"""Queries over HTTP."""

import pytest

SMALL = {"Sforce-Query-Options": "batchSize=200"}


def test_a_small_answer_is_complete(api):
    """`nextRecordsUrl` is not there at all."""
    body = api.query("SELECT Id, Name FROM Account ORDER BY Name LIMIT 3")
    assert body.keys() == {"totalSize", "done", "records"}
    assert (body["totalSize"], body["done"], len(body["records"])) == (3, True, 3)
    assert list(body["records"][0]) == ["attributes", "Id", "Name"]


def test_a_slash_behind_query_is_no_matter(api):
    """Some clients send it."""
    assert api.get("query/", params={"q": "SELECT COUNT() FROM Account"})["records"] == []


def test_pages_follow_one_another_until_done(api):
    """All records come once, even when some are created or deleted in between."""
    first = api.query("SELECT Id FROM Task ORDER BY Id", headers=SMALL)
    assert (first["done"], len(first["records"])) == (False, 200)
    assert first["nextRecordsUrl"].startswith("/services/data/v68.0/query/01g")
    assert first["nextRecordsUrl"].endswith("-200")
    api.create("Task", Subject="in between")
    api.send("DELETE", f"sobjects/Task/{first['records'][5]['Id']}")

    second = api.get(first["nextRecordsUrl"])
    assert second["done"] is True
    assert "nextRecordsUrl" not in second
    ids = [record["Id"] for record in first["records"] + second["records"]]
    assert len(ids) == len(set(ids)) == first["totalSize"] == second["totalSize"]


@pytest.mark.parametrize("locator", ["01g000000000000AAA-200", "nonsense", "01g-1"])
def test_an_unknown_locator_is_refused(api, locator):
    """`INVALID_QUERY_LOCATOR`."""
    answer = api.send("GET", f"query/{locator}")
    assert answer.status_code == 400
    assert answer.json() == [
        {"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}
    ]


def test_a_locator_is_its_users_alone_and_ends_after_two_days(api, api_of, sim):
    """Another user cannot read on, and nobody can for ever."""
    org = sim.org()
    first = api.query("SELECT Id FROM Task", headers=SMALL)
    standard = next(user for user in org["users"] if user["role"] == "standard")
    other = api_of(org, standard)
    assert other.send("GET", first["nextRecordsUrl"]).status_code == 400
    assert api.send("GET", first["nextRecordsUrl"]).status_code == 200
    sim.advance("P2D")
    later = api_of(org)
    assert later.send("GET", first["nextRecordsUrl"]).status_code == 400


def test_batch_sizes_outside_the_bounds_are_moved_into_them(api):
    """200 at least."""
    tiny = api.query("SELECT Id FROM Task", headers={"Sforce-Query-Options": "batchSize=1"})
    assert len(tiny["records"]) == 200


def test_query_all_shows_deleted_records(api):
    """And query does not."""
    made = api.create("Contact", LastName="Gone")
    api.send("DELETE", f"sobjects/Contact/{made}")
    text = f"SELECT Id, IsDeleted FROM Contact WHERE Id = '{made}'"  # noqa: S608 - SOQL
    assert api.query(text)["records"] == []
    (record,) = api.get("queryAll", params={"q": text})["records"]
    assert record["IsDeleted"] is True


def test_a_wrong_query_is_a_400_in_salesforces_words(api):
    """The message keeps its line breaks."""
    answer = api.send("GET", "query", params={"q": "SELECT Id FROM ScratchOrgInfo"})
    assert answer.status_code == 400
    (error,) = answer.json()
    assert error["errorCode"] == "INVALID_TYPE"
    assert error["message"].startswith(
        "\nSELECT Id FROM ScratchOrgInfo\n               ^\nERROR at Row:1:Column:16\n"
        "sObject type 'ScratchOrgInfo' is not supported."
    )


def test_a_query_has_to_be_there(api):
    """Without `q` there is nothing to answer."""
    answer = api.send("GET", "query")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")


def test_the_cli_learns_a_querys_columns(api):
    """What `sf data query` asks for after each answer with rows."""
    text = "SELECT Id, Account.Name, (SELECT Subject FROM Tasks) FROM Contact"
    body = api.get("query", params={"q": text, "columns": "true"})
    own, parent, children = body["columnMetadata"]
    assert (own["columnName"], own["apexType"], own["joinColumns"]) == ("Id", "Id", [])
    assert parent["joinColumns"][0]["columnName"] == "Name"
    assert (children["aggregate"], children["joinColumns"][0]["columnName"]) == (True, "Subject")
    assert (body["entityName"], body["idSelected"], body["keyPrefix"]) == ("Contact", True, "003")


def test_the_cli_learns_what_kind_of_org_it_is(api):
    """The query it sends at login."""
    (org,) = api.query(
        "SELECT Name, InstanceName, IsSandbox, TrialExpirationDate, NamespacePrefix, "
        "OrganizationType FROM Organization"
    )["records"]
    assert org["Name"] == api.org["name"]
    assert org["IsSandbox"] is False
