"""Up to 200 records in one call, and several calls in one."""

import pytest

PATH = "composite/sobjects"
UPSERT = "composite/sobjects/acme__Usage__c/acme__Key__c"


def of(kind, **values):
    """Return a record of a collection."""
    return {"attributes": {"type": kind}, **values}


def usage(key, logins=1):
    """Return a usage record."""
    return of("acme__Usage__c", acme__Key__c=key, acme__Logins__c=logins)


def count(api, kind="acme__Usage__c"):
    """Return how many records of a kind there are."""
    return api.query(f"SELECT COUNT() FROM {kind}")["totalSize"]  # noqa: S608 - SOQL


def test_each_record_of_a_collection_has_its_own_result(api):
    """In order; what is wrong with one does not touch the others."""
    body = {"records": [of("Contact", LastName="A"), of("Contact"), of("Task", Subject="S")]}
    answer = api.send("POST", PATH, body)
    good, bad, other = answer.json()
    assert answer.status_code == 200
    assert good == {"id": good["id"], "success": True, "errors": []}
    assert bad == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]",
                "fields": ["LastName"],
            }
        ],
    }
    assert other["id"].startswith("00T")


def test_all_or_none_takes_back_what_went_well(api):
    """And says so in the others' results."""
    before = count(api, "Contact")
    body = {"allOrNone": True, "records": [of("Contact", LastName="A"), of("Contact")]}
    first, second = api.send("POST", PATH, body).json()
    assert first["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert second["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert count(api, "Contact") == before


def test_usage_is_upserted_by_external_id(api):
    """Sent again, the same records are changed, not made again."""
    body = {"records": [usage(f"k{n}", n) for n in range(200)]}
    first = api.send("PATCH", UPSERT, body).json()
    second = api.send("PATCH", UPSERT, body).json()
    assert all(result["created"] is True for result in first)
    assert all(result["created"] is False for result in second)
    assert [result["id"] for result in first] == [result["id"] for result in second]
    assert count(api) == 200


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (of("acme__Usage__c", acme__Logins__c=1), "MISSING_ARGUMENT"),
        (usage("first"), "DUPLICATE_VALUE"),
        (of("Account", Name="x"), "INVALID_TYPE"),
        ({"acme__Key__c": "k"}, "INVALID_TYPE"),
        (of("acme__Usage__c", acme__Key__c="k", Nope__c=1), "INVALID_FIELD"),
    ],
)
def test_what_is_wrong_with_an_upserted_record_is_its_own_result(api, record, code):
    """The first one is saved all the same."""
    first, second = api.send("PATCH", UPSERT, {"records": [usage("first"), record]}).json()
    assert first["success"] is True
    assert (second["success"], second["errors"][0]["statusCode"]) == (False, code)
    assert count(api) == 1


def test_records_are_changed_read_and_deleted_by_their_ids(api):
    """Across kinds for a delete; null for what is not there."""
    contact = api.create("Contact", LastName="A")
    task = api.create("Task", Subject="S")
    records = [of("Contact", id=contact, FirstName="F"), of("Contact", FirstName="no id")]
    good, bad = api.send("PATCH", PATH, {"records": records}).json()
    assert (good["id"], bad["errors"][0]["statusCode"]) == (contact, "MISSING_ARGUMENT")

    wanted = {"ids": [contact, "003000000000000AAA"], "fields": ["Name"]}
    found, missing = api.send("POST", f"{PATH}/Contact", wanted).json()
    assert (found["Name"], missing) == ("F A", None)

    answer = api.send("DELETE", f"{PATH}?ids={contact},{task},{contact}")
    assert [result["success"] for result in answer.json()] == [True, True, False]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", PATH, {"records": [of("Task")] * 201}),
        ("POST", PATH, {"records": {}}),
        ("POST", PATH, {}),
        ("DELETE", PATH, None),
        ("PATCH", "composite/sobjects/Account/Name", {"records": []}),
    ],
)
def test_a_call_that_is_put_together_wrong_does_nothing(api, method, path, body):
    """Too many records, no list, no ids, no external ID."""
    before = count(api, "Task")
    assert api.send(method, path, body).status_code in {400, 404}
    assert count(api, "Task") == before


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_collection_has_no_more_than_ten_chunks_of_one_type(api, method):
    """A chunk ends where the type changes; sorted by type, the same records are taken."""
    pairs = [of("Contact", LastName="A"), of("task", Subject="S")] * 5
    before = count(api, "Contact")
    refused = api.send(method, PATH, {"records": [*pairs, of("Contact", LastName="A")]})
    assert refused.status_code == 400
    assert refused.json() == [
        {
            "message": "Cannot have more than 10 chunks in a single operation. "
            "Please rearrange the data to reduce chunking.",
            "errorCode": "LIMIT_EXCEEDED",
        }
    ]
    assert count(api, "Contact") == before
    taken = [*pairs, of("Task", Subject="S")]
    assert api.send(method, PATH, {"records": taken}).status_code == 200


def test_a_composite_request_uses_earlier_answers(api):
    """By `@{referenceId.field}`, in URLs and bodies."""
    parts = [
        part("POST", "sobjects/Account", "account", {"Name": "New"}),
        part(
            "POST", "sobjects/Contact", "contact", {"LastName": "N", "AccountId": "@{account.id}"}
        ),
        part("GET", "sobjects/Contact/@{contact.id}?fields=Account.Name", "read"),
    ]
    answer = api.send("POST", "composite", {"compositeRequest": parts})
    results = answer.json()["compositeResponse"]
    assert answer.status_code == 200
    assert [result["httpStatusCode"] for result in results] == [201, 201, 200]
    assert [result["referenceId"] for result in results] == ["account", "contact", "read"]
    assert results[2]["body"]["Account"]["Name"] == "New"


def part(method, path, name, body=None):
    """Return a part of a composite request."""
    url = f"/services/data/v68.0/{path}"
    return {"method": method, "url": url, "referenceId": name, "body": body}


@pytest.mark.parametrize(("all_or_none", "kept"), [(True, 0), (False, 1)])
def test_a_failed_part_takes_the_others_back_where_it_was_asked_for(api, all_or_none, kept):
    """Only with `allOrNone`; what refers to the failed one is halted in any case."""
    parts = [
        part("POST", "sobjects/acme__Usage__c", "one", {"acme__Key__c": "k"}),
        part("POST", "sobjects/Contact", "bad", {}),
        part("GET", "sobjects/Contact/@{bad.id}", "after"),
    ]
    body = {"allOrNone": all_or_none, "compositeRequest": parts}
    one, bad, after = api.send("POST", "composite", body).json()["compositeResponse"]
    assert one["httpStatusCode"] == (400 if all_or_none else 201)
    assert bad["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert after["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert count(api) == kept


@pytest.mark.parametrize("inner", [True, False])
def test_all_or_none_of_a_composite_request_overrides_a_collections_own(api, inner):
    """One bad record in it takes back the collection and every other part."""
    before = count(api, "Contact")
    records = [of("Contact", LastName="A"), of("Contact")]
    parts = [
        part("POST", "sobjects/acme__Usage__c", "one", {"acme__Key__c": "k"}),
        part("POST", PATH, "several", {"allOrNone": inner, "records": records}),
    ]
    body = {"allOrNone": True, "compositeRequest": parts}
    one, several = api.send("POST", "composite", body).json()["compositeResponse"]
    assert (one["httpStatusCode"], several["httpStatusCode"]) == (400, 400)
    assert one["body"][0]["errorCode"] == "PROCESSING_HALTED"
    codes = [result["errors"][0]["statusCode"] for result in several["body"]]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert (count(api), count(api, "Contact")) == (0, before)


@pytest.mark.parametrize(("inner", "kept"), [(True, 0), (False, 1)])
def test_a_collection_decides_for_itself_where_the_composite_request_does_not(api, inner, kept):
    """The other parts stay in any case."""
    before = count(api, "Contact")
    records = [of("Contact", LastName="A"), of("Contact")]
    parts = [
        part("POST", "sobjects/acme__Usage__c", "one", {"acme__Key__c": "k"}),
        part("POST", PATH, "several", {"allOrNone": inner, "records": records}),
    ]
    results = api.send("POST", "composite", {"compositeRequest": parts}).json()
    codes = [result["httpStatusCode"] for result in results["compositeResponse"]]
    assert codes == [201, 200]
    assert (count(api), count(api, "Contact")) == (1, before + kept)


def test_a_batch_goes_on_after_an_error_unless_told(api):
    """412 for what was not tried any more."""
    requests = [
        {"method": "GET", "url": "v68.0/limits"},
        {"method": "GET", "url": "v68.0/sobjects/Nope"},
        {"method": "POST", "url": "v68.0/sobjects/Task", "richInput": {"Subject": "S"}},
    ]
    on = api.send("POST", "composite/batch", {"batchRequests": requests}).json()
    assert on["hasErrors"] is True
    assert [result["statusCode"] for result in on["results"]] == [200, 404, 201]
    halting = {"haltOnError": True, "batchRequests": requests}
    off = api.send("POST", "composite/batch", halting).json()
    assert [result["statusCode"] for result in off["results"]] == [200, 404, 412]
