"""The grammar of SOQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.soql import QueryRefused
from orgsim.soql.errors import QueryFault
from orgsim.soql.parser import parse
from orgsim.soql.syntax import Comparison, Function, Joined, Not, Path, Query

WORDS = (
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER", "BY", "GROUP", "HAVING",
    "LIMIT", "OFFSET", "NULLS", "FIRST", "ASC", "Id", "Account.Name", "Contact", "COUNT", "(", ")",
    ",", "=", "!=", "<=", "'x'", "12", "-1.5", "2026-11-24", "2026-11-24T10:00:00Z", "TODAY",
    "LAST_N_DAYS", ":", "3", "null", "true", "FIELDS", "ALL", "ROWS", "'", "#", ".",
)  # fmt: skip

VALID = [
    "SELECT Id FROM Account",
    "select id, account.owner.name from contact",
    "SELECT Id FROM Account a WHERE a.Name = 'x'",
    "SELECT COUNT() FROM Contact",
    "SELECT COUNT(Id) total, StageName FROM Opportunity GROUP BY StageName HAVING COUNT(Id) > 1",
    "SELECT (SELECT Id FROM Contacts WHERE Email != null LIMIT 2) FROM Account",
    "SELECT Id FROM Account WHERE (Name = 'a' OR Name = 'b') AND Industry IN ('Banking', null)",
    "SELECT Id FROM Account WHERE NOT Name LIKE 'a%'",
    "SELECT Id FROM Account WHERE (NOT Name LIKE 'a%') AND (NOT (Industry = null))",
    "SELECT Id FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact)",
    "SELECT Id FROM Task WHERE ActivityDate > LAST_N_DAYS:7 AND CreatedDate < 2026-01-01T00:00:00Z",
    "SELECT Id FROM Account ORDER BY Name DESC NULLS LAST, Id ASC NULLS FIRST LIMIT 5 OFFSET 10",
    "SELECT FIELDS(ALL) FROM Account LIMIT 200",
    "SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Account GROUP BY CALENDAR_YEAR(CreatedDate)",
    "SELECT Id FROM Account WITH SECURITY_ENFORCED LIMIT 1",
    "SELECT Id FROM Account FOR VIEW",
    "SELECT Id FROM Account LIMIT 1 ALL ROWS",
    "SELECT Id\nFROM Account\nWHERE Name = 'two\\nlines'",
]
# What is wrong and the token at which Salesforce's grammar stops.
INVALID = {
    "": "<EOF>",
    "SELECT FROM Account": "FROM",
    "SELECT Id": "<EOF>",
    "SELECT Id, FROM Account": "FROM",
    "SELECT * FROM Account": None,
    "SELECT Id FROM Account WHERE": "<EOF>",
    "SELECT Id FROM Account WHERE Name": "<EOF>",
    "SELECT Id FROM Account WHERE Name = x": "x",
    "SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'": "OR",
    "SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b' AND Name = 'c'": "AND",
    "SELECT Id FROM Account WHERE NOT (Name = 'a') AND Id != null": "AND",
    "SELECT Id FROM Account WHERE Name IS NULL": "IS",
    "SELECT Id FROM Account WHERE Name IN ()": ")",
    "SELECT Id FROM Account LIMIT -1": "-1",
    "SELECT Id FROM Account LIMIT 1 LIMIT 2": "LIMIT",
    "SELECT Id FROM Account ORDER Name": "ORDER",
    "SELECT Id FROM Account WHERE CreatedDate = LAST_N_DAYS": "<EOF>",
    "SELECT Id FROM Account;": None,
    "UPDATE Account": "UPDATE",
}


@pytest.mark.parametrize("text", VALID)
def test_soql_is_read(text):
    """Every clause that is served."""
    assert parse(text).select


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_soql_is_refused_where_it_stops_making_sense(text):
    """`MALFORMED_QUERY`, with the token where there is one."""
    with pytest.raises((QueryFault, QueryRefused)) as caught:
        parse(text)
    assert caught.value.code == "MALFORMED_QUERY"
    if INVALID[text]:
        assert caught.value.message == f"unexpected token: '{INVALID[text]}'"


def test_a_query_becomes_a_tree():
    """With paths, conditions and order as written."""
    query = parse("SELECT Account.Name FROM Contact c WHERE NOT (A = 1 AND B > 2) ORDER BY A DESC")
    assert query.select[0].item == Path(parts=("Account", "Name"), at=7)
    assert (query.source, query.alias) == ("Contact", "c")
    match query.where:
        case Not(inner=Joined(word="AND", parts=(Comparison() as first, Comparison()))):
            assert first.left == Path(parts=("A",), at=46)
        case other:
            pytest.fail(f"not the tree: {other}")
    assert query.order_by[0].descending


def test_brackets_may_not_nest_without_end():
    """Deep nesting is refused, it does not exhaust the stack."""
    for text in (
        "SELECT Id FROM Account WHERE " + "(" * 5_000,
        "SELECT " + "(SELECT " * 5_000,
        "SELECT " + "COUNT(" * 5_000,
    ):
        with pytest.raises(QueryFault) as caught:
            parse(text)
        assert caught.value.code == "MALFORMED_QUERY"


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
def test_any_words_give_a_query_or_a_refusal(text):
    """No other error comes out of the parser."""
    code, query = "MALFORMED_QUERY", None
    try:
        query = parse("SELECT " + text)
    except (QueryFault, QueryRefused) as refused:
        code = refused.code
    assert code == "MALFORMED_QUERY"
    assert query is None or isinstance(query, Query)


def test_count_of_rows_differs_from_count_of_a_field():
    """Only `COUNT()` alone has an answer without records."""
    assert parse("SELECT COUNT() FROM Account").counts_rows
    counted = parse("SELECT COUNT(Id) FROM Account")
    assert not counted.counts_rows
    assert isinstance(counted.select[0].item, Function)
