"""Objects, events and flows, from their files into an org's data."""

import pytest

from orgsim.metadata.objects import flow_of, namespaced, object_of
from orgsim.metadata.xml_text import parse


def object_from(inner, name="Usage__c", namespace="acme"):
    """Make an object of a file's inside."""
    node = parse(f"<CustomObject>{inner}</CustomObject>")
    return object_of(node, name, namespace=namespace, prefix="a10")


@pytest.mark.parametrize(
    ("name", "namespace", "full"),
    [
        ("Usage__c", "acme", "acme__Usage__c"),
        ("Alert__e", "acme", "acme__Alert__e"),
        ("Account", "acme", "Account"),
        ("other__Usage__c", "acme", "other__Usage__c"),
        ("Usage__c", None, "Usage__c"),
    ],
)
def test_custom_names_get_the_namespace(name, namespace, full):
    """Standard ones, and those that have one, stay."""
    assert namespaced(name, namespace) == full


def test_an_object_counts_its_records_as_its_file_says():
    """Nobody writes such a name."""
    made = object_from(
        "<nameField><type>AutoNumber</type><displayFormat>U-{000}</displayFormat></nameField>"
    )
    name = made.name_field
    assert (name.auto_number.format(7), name.creatable, name.required) == ("U-007", False, False)
    written = object_from("<nameField><type>Text</type></nameField>").name_field
    assert (written.auto_number, written.creatable, written.required) == (None, True, True)


def test_fields_keep_what_their_files_say():
    """Type, length, key, lookup; formulas are left out."""
    made = object_from(
        "<fields><fullName>Key__c</fullName><type>Text</type><length>40</length>"
        "<externalId>true</externalId><unique>true</unique></fields>"
        "<fields><fullName>Plan__c</fullName><type>MasterDetail</type>"
        "<referenceTo>Plan__c</referenceTo><relationshipName>Usages</relationshipName></fields>"
        "<fields><fullName>Sum__c</fullName><type>Number</type><formula>1</formula></fields>"
    )
    key, plan = made.field("acme__Key__c"), made.field("acme__Plan__c")
    assert (key.length, key.unique, key.external_id, key.id_lookup) == (40, True, True, True)
    assert (plan.reference_to, plan.relationship, plan.child_name, plan.cascade) == (
        ("acme__Plan__c",),
        "acme__Plan__r",
        "acme__Usages__r",
        True,
    )
    assert made.field("acme__Sum__c") is None


def test_an_event_is_published_and_never_changed():
    """It has the fields that every event has."""
    inner = "<fields><fullName>Text__c</fullName><type>Text</type><length>9</length></fields>"
    made = object_from(inner, name="Alert__e")
    assert made.kind == "event"
    assert made.field("ReplayId") is not None
    assert made.field("acme__Text__c").updateable is False


@pytest.mark.parametrize(("kind", "state"), [("Flow", "Active"), ("AutoLaunchedFlow", "Draft")])
def test_only_active_autolaunched_flows_can_be_run(kind, state):
    """Others are screens for people, or not finished."""
    text = f"<Flow><processType>{kind}</processType><status>{state}</status></Flow>"
    assert flow_of(parse(text), "Alert", namespace="acme") is None
