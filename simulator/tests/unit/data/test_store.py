"""An org's records over time."""

from datetime import UTC, datetime, timedelta

from orgsim.data.furnish import CONTACTS, OPPORTUNITIES, TASKS
from orgsim.data.saving import create_record, delete_record

ADMIN = "0055g0000000001AAA"
NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
KEPT = "SELECT {0} FROM {1} ORDER BY rowid"


def rows(data, kind, columns="*"):
    """Return what lies in a table."""
    return data.select(KEPT.format(columns, kind))


def test_an_org_starts_with_some_three_hundred_records(data):
    """Accounts, contacts, opportunities and tasks; more tasks than one small page holds."""
    counts = {kind: len(rows(data, kind)) for kind in ("Account", "Contact", "Opportunity", "Task")}
    assert counts["Contact"] == CONTACTS
    assert counts["Opportunity"] == OPPORTUNITIES
    assert counts["Task"] == TASKS > 200
    assert 280 <= sum(counts.values()) <= 340


def test_the_same_seed_makes_the_same_records(make_data):
    """A reset with the same seed gives the same world."""
    one, other = make_data(), make_data()
    for kind in ("Account", "Contact", "Opportunity", "Task", "User", "Organization"):
        assert rows(one, kind) == rows(other, kind)


def test_seeds_and_orgs_differ(make_data):
    """No two orgs hold the same contacts."""
    first = rows(make_data(), "Contact")
    assert rows(make_data(seed=8), "Contact") != first
    assert rows(make_data(org_id="00D5g000000ZzZzEAK"), "Contact") != first


def test_first_records_hold_what_breaks_careless_programs(data):
    """Nulls, an apostrophe, quotes, other scripts and line breaks are among them."""
    accounts = rows(data, "Account", "Name, Website, BillingStreet, AnnualRevenue")
    names = " ".join(name for name, *_ in accounts)
    assert "'" in names
    assert '"' in names
    assert not names.isascii()
    assert any(website is None for _, website, *_ in accounts)
    assert any("\n" in street for _, _, street, _ in accounts)
    assert len({revenue for *_, revenue in accounts}) > 10


def test_references_of_first_records_point_to_records(data):
    """No contact, opportunity or task hangs in the air."""
    for kind in ("Contact", "Opportunity", "Task"):
        for field in data.schema[kind].fields:
            if field.type == "reference":
                values = {value for (value,) in rows(data, kind, f'"{field.name}"') if value}
                assert all(data.find(value) is not None for value in values), field.name


def test_a_kept_org_has_its_records_again(make_data, tmp_path):
    """Closed and opened again, nothing is lost and nothing is made twice."""
    path = tmp_path / "org.sqlite"
    first = make_data(path)
    made = create_record(first, first.schema["Contact"], {"LastName": "Kept"}, by=ADMIN)
    before = rows(first, "Contact")
    first.close()

    again = make_data(path)
    assert rows(again, "Contact") == before
    assert again.find(made)["LastName"] == "Kept"
    assert create_record(again, again.schema["Contact"], {"LastName": "New"}, by=ADMIN) != made


def test_first_records_are_of_the_moment_in_which_the_org_began(make_data, tmp_path):
    """Whoever looks later, or after the program was started again, finds the same ones."""
    path = tmp_path / "org.sqlite"
    make_data(path).close()

    later = make_data(path, now=lambda: NOW + timedelta(days=90))

    for kind in ("Contact", "Task", "User"):
        assert rows(later, kind) == rows(make_data(), kind)


def test_without_the_package_its_parts_do_not_exist(make_data):
    """An org that has not installed it knows neither the object nor the event."""
    bare = make_data(namespace=None)
    assert bare.schema.find("acme__Usage__c") is None
    assert bare.schema.find("acme__Renewal_Alert__e") is None
    assert "acme__Usage__c" not in bare.schema["Task"].field("WhatId").reference_to


def test_an_installed_package_brings_its_parts_at_once(make_data):
    """Object and event appear; installing again changes nothing; records survive it."""
    bare = make_data(namespace=None)
    bare.install_package("acme")
    usage = bare.schema["acme__Usage__c"]
    made = create_record(bare, usage, {"acme__Key__c": "k"}, by=ADMIN)
    bare.install_package("acme")
    assert bare.schema.find("acme__Renewal_Alert__e").kind == "event"
    assert bare.read(bare.schema["acme__Usage__c"], made)["acme__Key__c"] == "k"


def test_a_package_that_is_gone_takes_its_parts_along(data):
    """After an uninstall the org is as one without the package."""
    data.uninstall_package()
    assert data.schema.find("acme__Usage__c") is None
    assert data.org.namespace is None


def test_a_deleted_account_takes_its_contacts_and_opportunities_along(data):
    """What belongs to the account is deleted with it, and only that."""
    account = create_record(data, data.schema["Account"], {"Name": "Gone"}, by=ADMIN)
    contact = create_record(
        data, data.schema["Contact"], {"LastName": "Gone", "AccountId": account}, by=ADMIN
    )
    other = create_record(data, data.schema["Contact"], {"LastName": "Stays"}, by=ADMIN)
    delete_record(data, data.schema["Account"], account, by=ADMIN)
    assert data.find(contact)["IsDeleted"] == 1
    assert data.find(other)["IsDeleted"] == 0


def test_published_events_are_kept_in_order(data):
    """Each has a replay id that grows and a UUID of its own."""
    kind = data.schema["acme__Renewal_Alert__e"]
    for text in ("one", "two"):
        data.publish(kind, {"acme__Message__c": text}, by=ADMIN)
    first, second = data.published_events()
    assert [first.fields["acme__Message__c"], second.fields["acme__Message__c"]] == ["one", "two"]
    assert first.replay_id < second.replay_id
    assert first.uuid != second.uuid
    assert first.name == "acme__Renewal_Alert__e"
