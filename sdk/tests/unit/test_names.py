"""Which names get the app's namespace."""

from __future__ import annotations

import pytest

from keyturn.names import names_of, qualified, qualified_flow, qualified_record


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("Usage__c", "acme__Usage__c"),
        ("Renewal_Alert__e", "acme__Renewal_Alert__e"),
        ("Account__r", "acme__Account__r"),
        ("USAGE__C", "acme__USAGE__C"),
        ("Setting__mdt", "acme__Setting__mdt"),
        ("acme__Usage__c", "acme__Usage__c"),
        ("other__Usage__c", "other__Usage__c"),
        ("Contact", "Contact"),
        ("AccountId", "AccountId"),
        ("__c", "__c"),
        ("Odd__name", "Odd__name"),
    ],
)
def test_custom_names_without_a_namespace_get_the_apps(name, whole):
    """Qualified ones and Salesforce's own stay as they are."""
    assert qualified(name, "acme") == whole
    assert qualified(name, None) == name


def test_flows_are_custom_without_a_suffix():
    """Any flow without a namespace is taken for the package's."""
    assert qualified_flow("Renewal_Alert", "acme") == "acme__Renewal_Alert"
    assert qualified_flow("other__Renewal_Alert", "acme") == "other__Renewal_Alert"
    assert qualified_flow("Renewal_Alert", None) == "Renewal_Alert"


def test_a_records_fields_and_its_parents_are_qualified():
    """A parent named by its external id is a record inside; values are left alone."""
    record = {"Key__c": "Usage__c", "Account__r": {"Number__c": 1}, "Name": "x"}

    assert qualified_record(record, "acme") == {
        "acme__Key__c": "Usage__c",
        "acme__Account__r": {"acme__Number__c": 1},
        "Name": "x",
    }
    assert list(names_of(record)) == ["Key__c", "Account__r", "Number__c", "Name"]
