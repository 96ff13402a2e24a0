"""One record at a time over HTTP."""

import pytest

ABSENT = "003000000000000AAA"


def test_a_record_is_created_read_changed_and_deleted(api):
    """With the statuses and bodies of the guide."""
    made = api.send("POST", "sobjects/Contact", {"LastName": "Øst", "FirstName": "Ea"})
    record_id = made.json()["id"]
    where = f"/services/data/v68.0/sobjects/Contact/{record_id}"
    assert made.status_code == 201
    assert made.json() == {"id": record_id, "success": True, "errors": []}
    assert made.headers["location"] == where

    record = api.get(f"sobjects/contact/{record_id[:15]}")
    assert record["attributes"] == {"type": "Contact", "url": where}
    assert (record["Id"], record["Name"], record["Email"]) == (record_id, "Ea Øst", None)
    assert record["CreatedById"] == api.user_id

    changed = api.send("PATCH", f"sobjects/Contact/{record_id}", {"Email": "ea@x.example"})
    assert (changed.status_code, changed.content) == (204, b"")
    short = api.get(f"sobjects/Contact/{record_id}?fields=Email,Owner.Name")
    assert short["Email"] == "ea@x.example"
    assert short["Owner"]["attributes"]["type"] == "User"
    assert "LastName" not in short

    assert api.send("DELETE", f"sobjects/Contact/{record_id}").status_code == 204
    gone = api.send("DELETE", f"sobjects/Contact/{record_id}")
    assert gone.status_code == 404
    assert gone.json() == [
        {"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}
    ]
    for method, body in (("GET", None), ("PATCH", {"FirstName": "Eb"})):
        again = api.send(method, f"sobjects/Contact/{record_id}", body)
        assert (again.status_code, again.json()) == (404, gone.json())


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", "sobjects/Nope", None, (404, "NOT_FOUND", "The requested resource does not exist")),
        ("GET", "nope/nope", None, (404, "NOT_FOUND", "The requested resource does not exist")),
        (
            "GET",
            f"sobjects/Contact/{ABSENT}",
            None,
            (404, "NOT_FOUND", "The requested resource does not exist"),
        ),
        (
            "GET",
            "sobjects/Account/zzz",
            None,
            (
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible: zzz",
            ),
        ),
        (
            "GET",
            "sobjects/Account/Namez/x",
            None,
            (
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible: Namez",
            ),
        ),
        (
            "GET",
            "sobjects/Contact/{contact}?fields=COUNT()",
            None,
            (400, "INVALID_FIELD", "No such column 'COUNT()' on sobject of type Contact"),
        ),
        (
            "DELETE",
            f"sobjects/acme__Renewal_Alert__e/{ABSENT}",
            None,
            (404, "NOT_FOUND", "The requested resource does not exist"),
        ),
        ("PATCH", "sobjects/Account/zzz", {}, (400, "MALFORMED_ID", "malformed id zzz")),
        (
            "PATCH",
            f"sobjects/Contact/{ABSENT}",
            {"Id": ABSENT},
            (400, "INVALID_FIELD", "The Id field should not be specified in the sobject data."),
        ),
        (
            "POST",
            "sobjects/Contact",
            {"Foo": 1},
            (400, "INVALID_FIELD", "No such column 'Foo' on sobject of type Contact"),
        ),
        (
            "POST",
            "sobjects/Contact",
            {},
            (400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
        ),
        (
            "POST",
            "sobjects/Contact",
            b"",
            (
                400,
                "JSON_PARSER_ERROR",
                "The HTTP entity body is required, but this request has no entity body.",
            ),
        ),
        (
            "PUT",
            "sobjects/Contact",
            {},
            (405, "METHOD_NOT_ALLOWED", "HTTP Method 'PUT' not allowed. Allowed are GET,HEAD,POST"),
        ),
        (
            "POST",
            "sobjects/User",
            {},
            (
                403,
                "INSUFFICIENT_ACCESS_OR_READONLY",
                "insufficient access rights on object id",
            ),
        ),
    ],
)
def test_errors_have_salesforces_status_code_and_words(api, method, path, body, said):
    """An array with message and code."""
    contact = api.query("SELECT Id FROM Contact LIMIT 1")["records"][0]["Id"]
    answer = api.send(method, path.replace("{contact}", contact), body)
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"], error["message"]) == said


def test_a_refused_method_says_which_are_allowed(api):
    """In the header `Allow` as well."""
    answer = api.send("DELETE", "limits")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET,HEAD")


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"LastName" "x"}', b"nonsense", b"[]", b'"x"', b"\xff", b'{"LastName":"\\ud800"}'],
)
def test_a_body_that_is_no_json_object_is_refused(api, body):
    """`JSON_PARSER_ERROR`, with the place."""
    answer = api.send("POST", "sobjects/Contact", body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert "at [line:1, column:" in answer.json()[0]["message"]


def test_a_value_of_the_wrong_type_is_shown_by_its_place(api):
    """As Salesforce's parser says it."""
    body = b'{"Name":"x","StageName":"Prospecting","CloseDate":"soon"}'
    (error,) = api.send("POST", "sobjects/Opportunity", body).json()
    assert error["message"].startswith(
        "Cannot deserialize instance of date from VALUE_STRING value soon"
    )
    assert error["message"].endswith("at [line:1, column:51]")


def test_xml_is_not_spoken(api):
    """A body of another type is refused, not guessed at."""
    answer = api.send(
        "POST", "sobjects/Contact", b"<a/>", headers={"Content-Type": "application/xml"}
    )
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


# -- by external ID -----------------------------------------------------------------------------

USAGE = "sobjects/acme__Usage__c/acme__Key__c"


def test_an_upsert_creates_once_and_then_changes(api):
    """201 with `created`, then 200 without; the same record both times."""
    first = api.send("PATCH", f"{USAGE}/northwind:1", {"acme__Logins__c": 1})
    second = api.send("PATCH", f"{USAGE}/NORTHWIND:1", {"acme__Logins__c": 2})
    record_id = first.json()["id"]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {"id": record_id, "success": True, "errors": [], "created": True}
    assert second.json() == {"id": record_id, "success": True, "errors": [], "created": False}
    found = api.get(f"{USAGE}/northwind:1")
    assert (found["Id"], found["acme__Logins__c"]) == (record_id, 2.0)


def test_old_versions_answer_a_changing_upsert_with_nothing(api):
    """`created` is told from 46.0 on."""
    path = "/services/data/v45.0/sobjects/acme__Usage__c/acme__Key__c/old"
    made = api.send("PATCH", path, {})
    assert (made.status_code, "created" in made.json()) == (201, False)
    assert api.send("PATCH", path, {"acme__Logins__c": 2}).status_code == 204


@pytest.mark.parametrize(
    ("written", "key"),
    [("a%2Fb", "a/b"), ("a%20b", "a b"), ("a+b", "a b"), ("a%2Bb", "a+b"), ("%C3%BC'%25", "ü'%")],
)
def test_an_external_id_may_hold_any_sign(api, written, key):
    """Slashes, spaces, plus signs and quotes arrive as they were meant."""
    assert api.send("PATCH", f"{USAGE}/{written}", {}).status_code == 201
    assert api.get(f"{USAGE}/{written}")["acme__Key__c"] == key


def test_the_external_id_does_not_stand_in_the_body_too(api):
    """The URL has it already."""
    (error,) = api.send("PATCH", f"{USAGE}/k", {"acme__Key__c": "k"}).json()
    assert error["message"] == (
        "The acme__Key__c field should not be specified in the sobject data."
    )


def test_an_upsert_may_be_forbidden_to_create(api):
    """With `updateOnly` nothing new comes to be."""
    assert api.send("PATCH", f"{USAGE}/k?updateOnly=true", {}).status_code == 404
    assert api.query("SELECT COUNT() FROM acme__Usage__c")["totalSize"] == 0


def test_a_key_that_several_records_have_lists_them(api):
    """300 with their addresses; nothing is written."""
    ids = [api.create("Contact", LastName=name, Email="two@x.example") for name in ("A", "B")]
    answer = api.send("PATCH", "sobjects/Contact/Email/two@x.example", {"FirstName": "Z"})
    assert answer.status_code == 300
    assert [url.rsplit("/", 1)[-1] for url in answer.json()] == ids
    assert all(api.get(f"sobjects/Contact/{one}")["FirstName"] is None for one in ids)


def test_a_taken_key_is_a_duplicate_value(api):
    """A plain create does not become an upsert."""
    first = api.create("acme__Usage__c", acme__Key__c="k")
    answer = api.send("POST", "sobjects/acme__Usage__c", {"acme__Key__c": "k"})
    assert answer.json() == [
        {
            "message": (
                "duplicate value found: acme__Key__c duplicates value on record with id: " + first
            ),
            "errorCode": "DUPLICATE_VALUE",
            "fields": [],
        }
    ]


# -- events and flow ----------------------------------------------------------------------------


def test_an_event_is_published_with_a_success_that_has_an_error(api):
    """`OPERATION_ENQUEUED` and the event's UUID, as the Platform Events guide shows."""
    body = {"acme__Account__c": "001", "acme__Message__c": "soon"}
    answer = api.send("POST", "sobjects/acme__Renewal_Alert__e", body)
    assert answer.status_code == 201
    result = answer.json()
    assert result["success"] is True
    assert result["id"].startswith("e01")
    (queued,) = result["errors"]
    assert queued["statusCode"] == "OPERATION_ENQUEUED"
    assert len(queued["message"]) == 36
    wrong = api.send("POST", "sobjects/acme__Renewal_Alert__e", {"Nope__c": 1})
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_the_flow_gives_the_owner_a_task(api):
    """One result for each set of inputs; a failure fails the call."""
    account = api.query("SELECT Id, OwnerId, Name FROM Account LIMIT 1")["records"][0]
    path = "actions/custom/flow/acme__Renewal_Alert"
    answer = api.send("POST", path, {"inputs": [{"accountId": account["Id"]}]})
    (result,) = answer.json()
    assert (answer.status_code, result["isSuccess"], result["errors"]) == (200, True, None)
    assert result["outputValues"] == {"Flow__InterviewStatus": "Finished"}
    query = "SELECT OwnerId FROM Task WHERE WhatId = '{0}' AND Subject LIKE 'Renewal alert%'"
    (task,) = api.query(query.format(account["Id"]))["records"]
    assert task["OwnerId"] == account["OwnerId"]

    failed = api.send("POST", path, {"inputs": [{}]})
    (result,) = failed.json()
    assert (failed.status_code, result["isSuccess"]) == (400, False)
    assert result["errors"][0]["message"] == "Missing required input parameter: accountId"
