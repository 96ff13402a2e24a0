"""How errors are printed; the samples are what real orgs answered."""

import pytest

from orgsim.soql import QueryRefused, run_query

BASE = "/services/data/v68.0"
CUSTOM_FIELD = (
    " If you are attempting to use a custom field, be sure to append the '__c' after the custom "
    "field name. Please reference your WSDL or the describe call for the appropriate names."
)
CUSTOM_OBJECT = (
    " If you are attempting to use a custom object, be sure to append the '__c' after the entity "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)
CUSTOM_RELATIONSHIP = (
    " If you are attempting to use a custom relationship, be sure to append the '__r' after the "
    "custom relationship name. Please reference your WSDL or the describe call for the appropriate "
    "names."
)


def refused(data, text):
    """Return the refusal of a query."""
    with pytest.raises(QueryRefused) as caught:
        run_query(data, text, base=BASE)
    return caught.value


def test_an_unknown_field_is_printed_as_a_real_org_prints_it(data):
    """Window, caret, place and sentence, to the letter."""
    error = refused(data, "SELECT Id, Foo FROM Opportunity")
    assert error.code == "INVALID_FIELD"
    assert error.message == (
        "\nSELECT Id, Foo FROM Opportunity\n           ^\nERROR at Row:1:Column:12\n"
        "No such column 'Foo' on entity 'Opportunity'." + CUSTOM_FIELD
    )


def test_an_unknown_object_is_printed_as_a_real_org_prints_it(data):
    """The caret stands under column 21."""
    error = refused(data, "select count() from XYZZY")
    assert error.code == "INVALID_TYPE"
    assert error.message == (
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\n"
        "sObject type 'XYZZY' is not supported." + CUSTOM_OBJECT
    )


def test_a_long_query_is_shown_by_a_window_of_whole_words(data):
    """Thirty characters before the place, thirty after, each to the end of its word."""
    fields = "Website,CreatedById,AccountNumber,Foo_Product__c,Name,NumberOfEmployees"
    error = refused(data, "SELECT Id,Name,Industry," + fields + " FROM Account")  # noqa: S608 - SOQL, which is refused
    assert error.message.splitlines()[1:4] == [
        fields,
        "                                  ^",
        "ERROR at Row:1:Column:59",
    ]


def test_the_row_counts_lines(data):
    """A query over several lines is shown in one, its place by row and column."""
    error = refused(data, "SELECT Id\nFROM Account\nWHERE Foo = 1")
    assert "ERROR at Row:3:Column:7\n" in error.message
    assert error.message.splitlines()[1] == "SELECT Id FROM Account WHERE Foo = 1"


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        (
            "SELECT Foo.Name FROM Account",
            "INVALID_FIELD",
            "Didn't understand relationship 'Foo' in field path." + CUSTOM_RELATIONSHIP,
        ),
        (
            "SELECT Id, (SELECT Id FROM Foos) FROM Account",
            "INVALID_TYPE",
            "Didn't understand relationship 'Foos' in FROM part of query call."
            + CUSTOM_RELATIONSHIP,
        ),
        (
            "SELECT Id FROM Account WHERE AnnualRevenue = '1'",
            "INVALID_FIELD",
            (
                "value of filter criterion for field 'AnnualRevenue' must be of type double and "
                "should not be enclosed in quotes"
            ),
        ),
        (
            "SELECT Id FROM Account WHERE Name = 1",
            "INVALID_FIELD",
            (
                "value of filter criterion for field 'Name' must be of type string and should be "
                "enclosed in quotes"
            ),
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate > 2026-01-01",
            "INVALID_FIELD",
            (
                "value of filter criterion for field 'CreatedDate' must be of type dateTime and "
                "should not be enclosed in quotes"
            ),
        ),
        (
            "SELECT Id FROM Account WHERE Id = 'x'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid ID field: x",
        ),
        (
            "SELECT Id FROM Account WHERE Id LIKE '001%'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator on id field",
        ),
        (
            "SELECT Id FROM Account WHERE Name INCLUDES ('a')",
            "INVALID_QUERY_FILTER_OPERATOR",
            "includes or excludes operator only valid on multipicklist field",
        ),
        (
            "SELECT Id FROM Account WHERE Description = 'x'",
            "INVALID_FIELD",
            "field 'Description' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account ORDER BY Description",
            "INVALID_FIELD",
            "field 'Description' can not be sorted in a query call",
        ),
        (
            "SELECT Amount FROM Opportunity GROUP BY Amount",
            "MALFORMED_QUERY",
            "field 'Amount' can not be grouped in a query call",
        ),
        (
            "SELECT Name, COUNT(Id) FROM Account GROUP BY Industry",
            "MALFORMED_QUERY",
            "Field must be grouped or aggregated: Name",
        ),
        (
            "SELECT SUM(Name) FROM Account",
            "MALFORMED_QUERY",
            "field Name does not support aggregate operator SUM",
        ),
        (
            "SELECT Id, (SELECT COUNT() FROM Contacts) FROM Account",
            "MALFORMED_QUERY",
            "Only root queries support aggregate expressions",
        ),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD", "duplicate field selected: Id"),
        (
            "SELECT Name n FROM Account",
            "MALFORMED_QUERY",
            "only aggregate expressions use field aliasing",
        ),
        (
            "SELECT FIELDS(ALL) FROM Account",
            "MALFORMED_QUERY",
            "The SOQL FIELDS function must have a LIMIT of at most 200",
        ),
        (
            "SELECT Id FROM Account OFFSET 2001",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset allowed is 2000",
        ),
        (
            "SELECT Id FROM acme__Renewal_Alert__e",
            "INVALID_TYPE_FOR_OPERATION",
            "entity type acme__Renewal_Alert__e does not support query",
        ),
        (
            "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Contact)",
            "MALFORMED_QUERY",
            (
                "The selected field 'Id' in the subquery and the left operand field in the where "
                "expression in the outer query 'Contact' should point to the same object type"
            ),
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate = LAST_N_DAYS:99999999",
            "MALFORMED_QUERY",
            "Invalid date literal: LAST_N_DAYS",
        ),
    ],
)
def test_what_an_org_cannot_answer_is_said_in_its_words(data, text, code, sentence):
    """Code and last line of the message."""
    error = refused(data, text)
    assert (error.code, error.message.splitlines()[-1]) == (code, sentence)
