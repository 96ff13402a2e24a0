"""What queries answer."""

# ruff: noqa: S608 - SOQL, which the parser under test reads

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgsim.data import saving
from orgsim.soql import QueryRefused, run_query

BASE = "/services/data/v68.0"
ADMIN = "0055g0000000001AAA"
MARK = "the test's own"


def ask(data, text, **more):
    """Return the records of a query."""
    return list(run_query(data, text, base=BASE, **more).records)


def names(data, where):
    """Return which of the test's own accounts a condition picks."""
    query = f"SELECT Name FROM Account WHERE Type = 'the test\\'s own' AND ({where})"
    found = ask(data, query)
    return {record["Name"] for record in found}


@pytest.fixture
def accounts(data):
    """Four accounts that differ in what conditions look at."""
    made = {}
    for name, revenue, industry, site in (
        ("Alpha", 100, "Banking", "https://a.example"),
        ("beta", 200, "Energy", None),
        ("Gamma_x", None, None, "https://c.example"),
        ("ÄPFEL 100%", 0, "Banking", "https://d.example"),
    ):
        values = {
            "Name": name, "AnnualRevenue": revenue, "Industry": industry, "Website": site,
            "Type": MARK,
        }  # fmt: skip
        made[name] = saving.create_record(data, data.schema["Account"], values, by=ADMIN)
    return made


ALL = {"Alpha", "beta", "Gamma_x", "ÄPFEL 100%"}


@pytest.mark.parametrize(
    ("where", "picked"),
    [
        ("Name = 'ALPHA'", {"Alpha"}),
        ("Name = 'äpfel 100%'", {"ÄPFEL 100%"}),
        ("Name != 'alpha'", ALL - {"Alpha"}),
        ("Industry != 'Banking'", {"beta", "Gamma_x"}),
        ("Industry = null", {"Gamma_x"}),
        ("Industry != null", ALL - {"Gamma_x"}),
        ("Industry = ''", {"Gamma_x"}),
        ("Industry IN ('banking')", {"Alpha", "ÄPFEL 100%"}),
        ("Industry IN ('Energy', null)", {"beta", "Gamma_x"}),
        ("Industry NOT IN ('Banking')", {"beta", "Gamma_x"}),
        ("Industry NOT IN ('Banking', null)", {"beta"}),
        ("NOT Industry = 'Banking'", {"beta", "Gamma_x"}),
        ("AnnualRevenue > 0", {"Alpha", "beta"}),
        ("AnnualRevenue >= 0", ALL - {"Gamma_x"}),
        ("AnnualRevenue < 100.5", {"Alpha", "ÄPFEL 100%"}),
        ("AnnualRevenue <= 100 AND Industry = 'Banking'", {"Alpha", "ÄPFEL 100%"}),
        ("AnnualRevenue = 200 OR Name = 'alpha'", {"Alpha", "beta"}),
        ("AnnualRevenue IN (100, 200)", {"Alpha", "beta"}),
        ("AnnualRevenue < null", set()),
        ("Name LIKE 'A%'", {"Alpha"}),
        ("Name LIKE '%_a%'", {"beta", "Gamma_x", "Alpha"}),
        (r"Name LIKE '%\_x'", {"Gamma_x"}),
        (r"Name LIKE '%100\%'", {"ÄPFEL 100%"}),
        ("(NOT Name LIKE '%a%') AND Name != null", {"ÄPFEL 100%"}),
        ("Website LIKE '%'", ALL - {"beta"}),
        ("CreatedDate = TODAY", ALL),
        ("CreatedDate != TODAY", set()),
        ("CreatedDate < TODAY", set()),
        ("CreatedDate <= TODAY", ALL),
        ("CreatedDate > YESTERDAY", ALL),
        ("CreatedDate >= TOMORROW", set()),
        ("CreatedDate = LAST_N_DAYS:1", ALL),
        ("CreatedDate IN (YESTERDAY, TODAY)", ALL),
        ("CreatedDate = 2026-11-24T09:30:00+01:00", ALL),
        ("CreatedDate > 2026-11-24T08:30:00Z", set()),
        ("CALENDAR_YEAR(CreatedDate) = 2026", ALL),
        ("DAY_ONLY(CreatedDate) = 2026-11-24", ALL),
        ("IsDeleted = false", ALL),
        ("IsDeleted != false", set()),
        ("Owner.Username = 'ADMIN@northwind.example'", ALL),
        ("Parent.Name = 'x'", set()),
        ("Parent.Name != 'x'", ALL),
        ("Name = 'x\\' OR Name != null OR Name = \\'y'", set()),
    ],
)
def test_conditions_pick_as_salesforces_do(data, accounts, where, picked):
    """Without case, with two truth values, and no text gets out of its quotes."""
    assert len(accounts) == len(ALL)
    assert names(data, where) == picked


def test_ids_compare_in_both_lengths(data, accounts):
    """15 or 18 characters name the same record."""
    long = accounts["Alpha"]
    for written in (long, long[:15]):
        assert names(data, f"Id = '{written}'") == {"Alpha"}


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [
        ("AnnualRevenue", "Gamma_x", "beta"),
        ("AnnualRevenue DESC", "beta", "Gamma_x"),
        ("AnnualRevenue NULLS LAST", "ÄPFEL 100%", "Gamma_x"),
        ("AnnualRevenue DESC NULLS FIRST", "Gamma_x", "ÄPFEL 100%"),
        ("Name", "Alpha", "ÄPFEL 100%"),
        ("Industry DESC, Name DESC", "beta", "Gamma_x"),
    ],
)
def test_order_is_without_case_and_puts_nulls_where_salesforce_does(
    data, accounts, order, first, last
):
    """Nulls come first going up and last going down, unless told."""
    query = f"SELECT Name FROM Account WHERE CreatedDate = TODAY ORDER BY {order}"
    found = [record["Name"] for record in ask(data, query)]
    assert set(found) == accounts.keys()
    assert (found[0], found[-1]) == (first, last)


def test_limit_and_offset_cut_the_ordered_list(data):
    """Page by page the same records come as all at once."""
    everything = ask(data, "SELECT Id FROM Task ORDER BY Subject, Id")
    pages = [
        record
        for start in range(0, len(everything), 50)
        for record in ask(data, f"SELECT Id FROM Task ORDER BY Subject, Id LIMIT 50 OFFSET {start}")
    ]
    assert pages == everything


def test_parents_are_nested_and_null_where_the_lookup_is_empty(data, accounts):
    """Names come back as the object spells them, each parent with its own address."""
    contacts = data.schema["Contact"]
    account = accounts["Alpha"]
    one = saving.create_record(data, contacts, {"LastName": "C", "AccountId": account}, by=ADMIN)
    two = saving.create_record(data, contacts, {"LastName": "C"}, by=ADMIN)
    fields = "lastname, account.name, ACCOUNT.owner.username, Account.Parent.Name"
    first, second = ask(data, f"SELECT {fields} FROM contact WHERE Id IN ('{one}', '{two}')")
    url = f"{BASE}/sobjects"
    assert first == {
        "attributes": {"type": "Contact", "url": f"{url}/Contact/{one}"},
        "LastName": "C",
        "Account": {
            "attributes": {"type": "Account", "url": f"{url}/Account/{account}"},
            "Name": "Alpha",
            "Owner": {
                "attributes": {"type": "User", "url": f"{url}/User/{ADMIN}"},
                "Username": "admin@northwind.example",
            },
            "Parent": None,
        },
    }
    assert second["Account"] is None


def test_what_a_task_is_about_shows_as_a_name(data, accounts):
    """A lookup to several kinds of object shows what they have in common."""
    account = accounts["Alpha"]
    task = saving.create_record(
        data, data.schema["Task"], {"Subject": "S", "WhatId": account}, by=ADMIN
    )
    (found,) = ask(data, f"SELECT What.Name, What.Type, Who.Name FROM Task WHERE Id = '{task}'")
    assert found["What"]["Name"] == "Alpha"
    assert found["What"]["Type"] == "Account"
    assert found["What"]["attributes"]["url"] == f"{BASE}/sobjects/Account/{account}"
    assert found["Who"] is None


def test_children_come_with_each_parent(data, accounts):
    """Their own conditions and limits hold for each parent; none is null."""
    for number in range(3):
        values = {"LastName": f"C{number}", "AccountId": accounts["Alpha"]}
        saving.create_record(data, data.schema["Contact"], values, by=ADMIN)
    query = (
        "SELECT Name, (SELECT LastName FROM Contacts WHERE LastName != 'C1' ORDER BY LastName DESC "
        f"LIMIT 1) FROM Account WHERE Id IN ('{accounts['Alpha']}', '{accounts['beta']}')"
    )
    first, second = ask(data, query)
    assert (first["Contacts"]["totalSize"], first["Contacts"]["done"]) == (1, True)
    assert first["Contacts"]["records"][0]["LastName"] == "C2"
    assert second["Contacts"] is None


def test_custom_relationships_end_in_r(data, accounts):
    """Of the package's object to its account, and back."""
    values = {"acme__Key__c": "k", "acme__Account__c": accounts["Alpha"], "acme__Logins__c": 3}
    saving.create_record(data, data.schema["acme__Usage__c"], values, by=ADMIN)
    (usage,) = ask(data, "SELECT acme__Logins__c, acme__Account__r.Name FROM acme__Usage__c")
    assert usage["acme__Logins__c"] == 3.0
    assert usage["acme__Account__r"]["Name"] == "Alpha"
    query = "SELECT (SELECT acme__Key__c FROM acme__Usages__r) FROM Account WHERE Name = 'alpha'"
    (account,) = ask(data, query)
    assert account["acme__Usages__r"]["records"][0]["acme__Key__c"] == "k"


def test_groups_are_aggregate_results(data, accounts):
    """Unnamed columns count up from expr0, named ones have their name."""
    found = ask(
        data,
        "SELECT Industry, COUNT(Id) many, SUM(AnnualRevenue), MAX(Name), COUNT_DISTINCT(Type) "
        "FROM Account WHERE CreatedDate = TODAY AND Type = 'the test\\'s own' "
        "GROUP BY Industry HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC",
    )
    assert len(accounts) == len(ALL)
    assert found == [
        {
            "attributes": {"type": "AggregateResult"},
            "Industry": "Banking",
            "many": 2,
            "expr0": 100.0,
            "expr1": "ÄPFEL 100%",
            "expr2": 1,
        }
    ]


def test_count_has_a_number_and_no_records(data):
    """As many as the records that a plain query gives."""
    answered = run_query(data, "SELECT COUNT() FROM Task WHERE Priority = 'High'", base=BASE)
    assert answered.records == ()
    assert answered.total == len(ask(data, "SELECT Id FROM Task WHERE Priority = 'High'"))
    assert run_query(data, "SELECT COUNT() FROM Task LIMIT 7", base=BASE).total == 7


def test_semi_joins_pick_by_another_object(data):
    """IN and NOT IN divide all accounts between them."""
    inside = ask(data, "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact)")
    outside = ask(data, "SELECT Id FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact)")
    everybody = ask(data, "SELECT Id FROM Account")
    assert inside
    assert len(inside) + len(outside) == len(everybody)


def test_deleted_records_show_only_when_asked_for(data, accounts):
    """By queryAll or ALL ROWS."""
    saving.delete_record(data, data.schema["Account"], accounts["Alpha"], by=ADMIN)
    query = f"SELECT IsDeleted FROM Account WHERE Id = '{accounts['Alpha']}'"
    assert ask(data, query) == []
    assert ask(data, query, include_deleted=True)[0]["IsDeleted"] is True
    assert ask(data, query + " ALL ROWS")[0]["IsDeleted"] is True


def test_values_have_their_json_types(data):
    """Money is a number with a fraction, moments have no colon in the offset."""
    (record,) = ask(
        data,
        "SELECT Amount, IsWon, CloseDate, CreatedDate, Probability FROM Opportunity "
        "WHERE Amount != null LIMIT 1",
    )
    assert isinstance(record["Amount"], float)
    assert isinstance(record["Probability"], float)
    assert isinstance(record["IsWon"], bool)
    assert len(record["CloseDate"]) == len("2026-11-24")
    assert record["CreatedDate"].endswith(".000+0000")


def test_all_fields_at_once(data):
    """FIELDS(ALL) with a limit gives whole records."""
    (record,) = ask(data, "SELECT FIELDS(ALL) FROM Account LIMIT 1")
    assert record.keys() == {"attributes"} | {f.name for f in data.schema["Account"].fields}


PARTS = (
    "Id", "Name", "Amount", "CloseDate", "CreatedDate", "IsWon", "Account.Name", "Owner.Name",
    "AccountId", "Description", "What.Name", "COUNT(Id)", "SUM(Amount)", "MAX(Name)", "COUNT()",
    "CALENDAR_YEAR(CloseDate)", "FIELDS(STANDARD)",
)  # fmt: skip
OPERATORS = ("=", "!=", "<", ">=", "LIKE", "IN", "NOT IN")
VALUES = (
    "1", "'x'", "null", "true", "2026-11-24", "2026-11-24T00:00:00Z", "TODAY", "LAST_N_DAYS:3",
    "'001000000000000'", "('a', null)", "(1)",
)  # fmt: skip
TAILS = ("", " GROUP BY Name", " ORDER BY Amount", " GROUP BY IsWon HAVING COUNT(Id) > 1")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(", ".join),
    st.tuples(*map(st.sampled_from, (PARTS, OPERATORS, VALUES))).map(" ".join),
    st.sampled_from(TAILS),
)
def test_any_query_is_answered_or_refused(shared, select, condition, tail):
    """Whatever fits together is answered; the rest is refused in words; SQLite never complains."""
    text = f"SELECT {select} FROM Opportunity WHERE {condition}{tail} LIMIT 5"
    cause = None
    try:
        run_query(shared, text, base=BASE)
    except QueryRefused as refused:
        cause = refused.__cause__
    assert not isinstance(cause, sqlite3.Error)
