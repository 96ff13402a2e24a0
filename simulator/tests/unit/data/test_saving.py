"""What Salesforce takes and refuses when records are saved."""

import pytest

from orgsim.data import saving
from orgsim.data.refusals import SaveRefused

ADMIN = "0055g0000000001AAA"
NOBODY = "003000000000000AAA"


@pytest.fixture
def save(data):
    """Create a record of a kind and return it as it is kept."""

    def create(kind, **values):
        record_id = saving.create_record(data, data.schema[kind], values, by=ADMIN)
        return data.read(data.schema[kind], record_id)

    return create


def refusal(call, *args, **named):
    """Return the first reason why a call is refused."""
    with pytest.raises(SaveRefused) as caught:
        call(*args, **named)
    return caught.value.errors[0]


def test_a_new_record_gets_what_salesforce_fills_in(save):
    """Owner, audit fields, defaults and computed fields are there at once."""
    task = save("Task", Subject="Call")
    assert task["OwnerId"] == task["CreatedById"] == ADMIN
    assert task["CreatedDate"] == "2026-11-24T08:30:00.000Z"
    assert (task["Status"], task["Priority"], task["IsClosed"]) == ("Not Started", "Normal", 0)


def test_names_of_fields_ignore_case(save):
    """`lastname` is LastName."""
    assert save("Contact", lastname="Low", FIRSTNAME="Up")["Name"] == "Up Low"


def test_an_opportunity_follows_its_stage(data, save):
    """Probability, forecast and closed come from the stage, until somebody sets a probability."""
    deal = save("Opportunity", Name="D", StageName="Closed Won", CloseDate="2026-12-01")
    assert (deal["Probability"], deal["IsWon"], deal["ForecastCategory"]) == (100, 1, "Closed")
    kind = data.schema["Opportunity"]
    change = {"StageName": "Prospecting", "Probability": 35}
    saving.change_record(data, kind, deal["Id"], change, by=ADMIN)
    after = data.read(kind, deal["Id"])
    assert (after["Probability"], after["IsClosed"]) == (35, 0)


def test_a_task_belongs_to_the_account_it_is_about(save):
    """Through an opportunity or a contact as well."""
    account = save("Account", Name="A")["Id"]
    contact = save("Contact", LastName="C", AccountId=account)["Id"]
    assert save("Task", Subject="S", WhoId=contact)["AccountId"] == account
    assert save("Task", Subject="S", WhatId=account)["AccountId"] == account


def test_usage_records_are_numbered(save):
    """The name of the package's object counts up."""
    names = [save("acme__Usage__c", acme__Key__c=key)["Name"] for key in ("a", "b")]
    assert names == ["U-000001", "U-000002"]


TOO_LONG = "x" * 81
BAD_DAY = {"Name": "x", "StageName": "Prospecting", "CloseDate": "soon"}
REFUSED = {
    "nothing given": (
        "Contact",
        {},
        ("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ("LastName",)),
    ),
    "empty text": (
        "Contact",
        {"LastName": ""},
        ("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ("LastName",)),
    ),
    "unknown field": (
        "Account",
        {"foo": 1},
        ("INVALID_FIELD", "No such column 'foo' on sobject of type Account", ()),
    ),
    "computed field": (
        "Contact",
        {"LastName": "x", "Name": "y"},
        (
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            (
                "Unable to create/update fields: Name. Please check the security settings of this "
                "field and verify that it is read/write for your profile or permission set."
            ),
            ("Name",),
        ),
    ),
    "too long": (
        "Contact",
        {"LastName": TOO_LONG},
        (
            "STRING_TOO_LONG",
            f"Last Name: data value too large: {TOO_LONG} (max length=80)",
            ("LastName",),
        ),
    ),
    "no e-mail address": (
        "Contact",
        {"LastName": "x", "Email": "123"},
        ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: 123", ("Email",)),
    ),
    "ID of another object": (
        "Contact",
        {"LastName": "x", "AccountId": NOBODY},
        ("MALFORMED_ID", f"Account ID: id value of incorrect type: {NOBODY}", ("AccountId",)),
    ),
    "no ID": (
        "Contact",
        {"LastName": "x", "AccountId": "001"},
        ("MALFORMED_ID", "Account ID: id value of incorrect type: 001", ("AccountId",)),
    ),
    "ID of no record": (
        "Contact",
        {"LastName": "x", "AccountId": "001000000000000"},
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()),
    ),
    "no date": (
        "Opportunity",
        BAD_DAY,
        (
            "JSON_PARSER_ERROR",
            (
                "Cannot deserialize instance of date from VALUE_STRING value soon or request may "
                "be missing a required field"
            ),
            (),
        ),
    ),
    "number for a text": (
        "Contact",
        {"LastName": 12},
        (
            "JSON_PARSER_ERROR",
            (
                "Cannot deserialize instance of string from VALUE_NUMBER_INT value 12 or request "
                "may be missing a required field"
            ),
            (),
        ),
    ),
    "too many places": (
        "Account",
        {"Name": "x", "NumberOfEmployees": 10**9},
        (
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Employees: value outside of valid range on numeric field: 1000000000",
            ("NumberOfEmployees",),
        ),
    ),
    "read-only object": (
        "User",
        {},
        ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", ()),
    ),
}


@pytest.mark.parametrize(("kind", "values", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_in_salesforces_words(data, kind, values, said):
    """Code, message and fields are those of a real org."""
    error = refusal(saving.create_record, data, data.schema[kind], values, by=ADMIN)
    assert (error.code, error.message, error.fields) == said


def test_a_unique_key_is_taken_once_whatever_its_case(data, save):
    """The other record is named; once that is deleted, the key is free."""
    kind = data.schema["acme__Usage__c"]
    first = save("acme__Usage__c", acme__Key__c="Key")["Id"]
    error = refusal(saving.create_record, data, kind, {"acme__Key__c": "kEY"}, by=ADMIN)
    assert error.code == "DUPLICATE_VALUE"
    assert error.message == (
        f"duplicate value found: acme__Key__c duplicates value on record with id: {first}"
    )
    saving.change_record(data, kind, first, {"acme__Key__c": "Key"}, by=ADMIN)
    saving.delete_record(data, kind, first, by=ADMIN)
    save("acme__Usage__c", acme__Key__c="kEY")


def test_a_required_field_cannot_be_emptied(data, save):
    """What a record must have it keeps; what is not named stays."""
    contact = save("Contact", LastName="x", Phone="1")
    kind = data.schema["Contact"]
    error = refusal(saving.change_record, data, kind, contact["Id"], {"LastName": None}, by=ADMIN)
    assert error.code == "REQUIRED_FIELD_MISSING"
    saving.change_record(data, kind, contact["Id"], {"Phone": None}, by=ADMIN)
    after = data.read(kind, contact["Id"])
    assert (after["LastName"], after["Phone"]) == ("x", None)


def test_a_record_is_deleted_once(data, save):
    """Then it says that it is deleted, to those who change it or point to it as well."""
    account = save("Account", Name="x")["Id"]
    kind = data.schema["Account"]
    saving.delete_record(data, kind, account, by=ADMIN)
    assert refusal(saving.delete_record, data, kind, account, by=ADMIN).code == "ENTITY_IS_DELETED"
    change = refusal(saving.change_record, data, kind, account, {"Name": "y"}, by=ADMIN)
    assert change.code == "ENTITY_IS_DELETED"
    points = {"LastName": "x", "AccountId": account}
    pointing = refusal(saving.create_record, data, data.schema["Contact"], points, by=ADMIN)
    assert pointing.code == "ENTITY_IS_DELETED"


def test_an_unknown_record_is_not_found(data):
    """An ID that nobody has is no record."""
    kind = data.schema["Contact"]
    for record_id in (NOBODY, "nonsense"):
        error = refusal(saving.delete_record, data, kind, record_id, by=ADMIN)
        assert error.code == "NOT_FOUND"
