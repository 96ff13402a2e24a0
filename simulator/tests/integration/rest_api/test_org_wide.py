"""Versions, describes, limits and what holds for every call."""

import gzip
import json

import pytest


def test_versions_are_listed_for_everybody_in_ascending_order(api):
    """Without a token and without the header of used calls."""
    answer = api.http.get(f"{api.url}/services/data/")
    listed = answer.json()
    assert "sforce-limit-info" not in answer.headers
    assert listed[-1] == {
        "label": "Winter '27",
        "url": "/services/data/v68.0",
        "version": "68.0",
    }
    assert listed[0]["version"] == "31.0"
    assert {entry["version"]: entry["label"] for entry in listed}["60.0"] == "Spring '24"
    numbers = [float(entry["version"]) for entry in listed]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("version", "status", "code"),
    [
        ("v31.0", 200, None),
        ("v68.0", 200, None),
        ("v30.0", 410, "GONE"),
        ("v69.0", 404, "NOT_FOUND"),
        ("v20.0", 404, "NOT_FOUND"),
        ("68.0", 404, "NOT_FOUND"),
    ],
)
def test_versions_answer_are_retired_or_never_were(api, version, status, code):
    """As the end-of-life page says."""
    answer = api.send("GET", f"/services/data/{version}/limits")
    assert answer.status_code == status
    assert code is None or answer.json()[0]["errorCode"] == code


def test_a_version_lists_its_resources(api):
    """Each address answers."""
    resources = api.get("/services/data/v68.0/")
    assert resources["sobjects"] == "/services/data/v68.0/sobjects"
    assert resources["identity"] == f"{api.url}/id/{api.org['org_id']}/{api.user_id}"
    for name in ("sobjects", "limits", "recent", "actions", "composite"):
        assert api.send("GET", resources[name]).status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer 00D000000000000!nobody", "Basic eDp5", "Bearer"])
def test_nobody_is_served_without_a_token_of_this_org(api, header):
    """401 as an array, as clients detect it."""
    headers = {} if header is None else {"Authorization": header}
    answer = api.http.get(f"{api.url}/services/data/v68.0/limits", headers=headers)
    assert answer.status_code == 401
    (error,) = answer.json()
    assert error["errorCode"] in {"INVALID_SESSION_ID", "INVALID_AUTH_HEADER"}


def test_each_call_counts_against_the_days_allowance(api):
    """In the header and in the limits; a day later it is forgotten."""
    used = api.send("GET", "limits").headers["sforce-limit-info"]
    assert used == "api-usage=1/15000"
    limits = api.get("limits")["DailyApiRequests"]
    assert limits == {"Max": 15000, "Remaining": 14998}


def test_the_org_describes_its_objects(api):
    """Those of the package with the others."""
    body = api.get("sobjects")
    names = {kind["name"]: kind for kind in body["sobjects"]}
    assert (body["encoding"], body["maxBatchSize"]) == ("UTF-8", 200)
    assert {"Account", "Contact", "Opportunity", "Task", "User"} <= names.keys()
    usage, event = names["acme__Usage__c"], names["acme__Renewal_Alert__e"]
    assert (usage["custom"], usage["queryable"], usage["keyPrefix"]) == (True, True, "a00")
    assert (event["createable"], event["queryable"]) == (True, False)  # codespell:ignore
    assert usage["urls"]["rowTemplate"].endswith("/sobjects/acme__Usage__c/{ID}")


def test_an_object_describes_its_fields_and_relationships(api):
    """Every field is one that a query may name."""
    body = api.get("sobjects/Opportunity/describe")
    fields = {field["name"]: field for field in body["fields"]}
    assert (fields["Amount"]["type"], fields["Amount"]["soapType"]) == ("currency", "xsd:double")
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert fields["AccountId"]["relationshipName"] == "Account"
    assert "Closed Won" in [choice["value"] for choice in fields["StageName"]["picklistValues"]]
    assert len(fields["Name"]) == 57
    assert api.query(f"SELECT {', '.join(fields)} FROM Opportunity LIMIT 1")["totalSize"] == 1  # noqa: S608 - SOQL
    account = api.get("sobjects/account/describe/")
    children = {child["relationshipName"] for child in account["childRelationships"]}
    assert {"Contacts", "Opportunities", "acme__Usages__r"} <= children
    usage = api.get("sobjects/acme__Usage__c/describe")
    (key,) = (field for field in usage["fields"] if field["name"] == "acme__Key__c")
    assert (key["externalId"], key["idLookup"], key["unique"]) == (True, True, True)


def test_what_was_looked_at_last_comes_first(api):
    """Per user, without what is deleted."""
    first, second = (api.create("Contact", LastName=name) for name in ("One", "Two"))
    assert [entry["Id"] for entry in api.get("recent")] == [second, first]
    api.send("DELETE", f"sobjects/Contact/{second}")
    assert [entry["Name"] for entry in api.get("recent?limit=5")] == ["One"]
    assert api.get("sobjects/Contact")["recentItems"][-1]["Id"] == first


def test_changed_and_deleted_records_are_listed_by_time(api):
    """For replication."""
    kept, gone = (api.create("Contact", LastName=name) for name in ("Kept", "Gone"))
    api.send("DELETE", f"sobjects/Contact/{gone}")
    day = api.get(f"sobjects/Contact/{kept}")["CreatedDate"][:10]
    span = {"start": f"{day}T00:00:00Z", "end": "2100-01-01T00:00:00+00:00"}
    assert kept in api.get("sobjects/Contact/updated/", params=span)["ids"]
    deleted = api.get("sobjects/Contact/deleted/", params=span)["deletedRecords"]
    assert [record["id"] for record in deleted] == [gone]
    assert api.send("GET", "sobjects/Contact/deleted/").status_code == 400


def test_long_answers_are_compressed_for_those_who_ask(api):
    """And requests may be compressed too."""
    path = "/services/data/v68.0/sobjects"
    plain = api.send("GET", path, headers={"Accept-Encoding": "identity"})
    small = api.send("GET", path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.json() == plain.json()
    body = gzip.compress(json.dumps({"LastName": "Small"}).encode())
    made = api.send("POST", "sobjects/Contact", body, headers={"Content-Encoding": "gzip"})
    assert made.status_code == 201
    torn = api.send("POST", "sobjects/Contact", b"torn", headers={"Content-Encoding": "gzip"})
    assert torn.json()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_pretty_print_is_salesforces(api):
    """Two spaces, and one on each side of the colon."""
    answer = api.send(
        "GET",
        "query",
        params={"q": "SELECT COUNT() FROM Account"},
        headers={"X-PrettyPrint": "1"},
    )
    total = answer.json()["totalSize"]
    assert answer.text == f'{{\n  "totalSize" : {total},\n  "done" : true,\n  "records" : [ ]\n}}'


def test_a_method_may_stand_in_the_query(api):
    """For clients that cannot send PATCH."""
    made = api.create("Contact", LastName="A")
    changed = api.send("POST", f"sobjects/Contact/{made}?_HttpMethod=PATCH", {"LastName": "B"})
    assert changed.status_code == 204
    assert api.get(f"sobjects/Contact/{made}")["LastName"] == "B"


def test_apex_rest_has_no_classes(api):
    """As an org without any."""
    answer = api.send("GET", "/services/apexrest/acme/things")
    assert answer.status_code == 404
    assert answer.json()[0]["message"] == "Could not find a match for URL"


@pytest.mark.parametrize(
    "path", ["tooling/sobjects/SourceMember/describe", "search", "jobs/ingest"]
)
def test_what_an_org_does_not_have_is_not_found(api, path):
    """404 in the same words as an unknown object."""
    answer = api.send("GET", path)
    assert answer.status_code == 404
    assert answer.json()[0]["message"] == "The requested resource does not exist"


def test_an_org_without_the_package_has_none_of_it(api_of, sim):
    """Object, event and flow are as unknown as any other name."""
    bare = next(org for org in sim.orgs() if not org["package_installed"])
    api = api_of(bare, app="Scratch")
    for path in (
        "sobjects/acme__Usage__c",
        "sobjects/acme__Renewal_Alert__e",
        "actions/custom/flow/acme__Renewal_Alert",
    ):
        assert api.send("GET", path).status_code == 404
    assert api.get("actions/custom/flow") == {"actions": []}
    assert api.query("SELECT COUNT() FROM Account")["totalSize"] > 0


def test_an_installed_package_is_there_at_once_and_gone_when_uninstalled(api_of, sim):
    """The same session sees its object come and go."""
    bare = next(org for org in sim.orgs() if not org["package_installed"])
    api = api_of(bare, app="Scratch")
    sim.change_policy(bare, installed=True)
    made = api.create("acme__Usage__c", acme__Key__c="k")
    assert api.get(f"sobjects/acme__Usage__c/{made}")["Name"] == "U-000001"
    assert api.get("actions/custom/flow")["actions"][0]["name"] == "acme__Renewal_Alert"
    sim.change_policy(bare, installed=False)
    assert api.send("GET", f"sobjects/acme__Usage__c/{made}").status_code == 404
