"""What each writer makes of the config: whole documents where the text is the promise."""

from __future__ import annotations

import pytest

from keyturn_builder.app_config import Access, AppConfig, ObjectTable
from keyturn_builder.lint.schema import check_document, salesforce_schema
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.custom_object import alert_event, usage_object
from keyturn_builder.metadata.flow import renewal_flow
from keyturn_builder.metadata.global_oauth_settings import SWITCHES, global_oauth_settings
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings
from keyturn_builder.metadata.permission_set import admin_permission_set, package_permission_set
from keyturn_builder.metadata.security_settings import security_settings
from keyturn_builder.metadata.xml import read_document

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBdummy\n-----END CERTIFICATE-----\n"


def everything(config: AppConfig) -> list[Component]:
    """Return a component of every writer."""
    app, all_access = config.app, ObjectTable(access=list(Access), fields=["Email", "Name"])
    return [
        header(app, org_scoped_external_app="00D000000000001:Acme_Connect"),
        oauth_settings(app, oauth_link="00D000000000001:888000000000001"),
        global_oauth_settings(app, certificate=CERTIFICATE),
        security_settings(app),
        *usage_object(),
        *alert_event(),
        renewal_flow(),
        package_permission_set(app, {"Usage__c": all_access}, flows=["Renewal_Alert"]),
        admin_permission_set(app, {"Contact": all_access, "Task": all_access}),
    ]


def test_all_that_is_written_is_as_salesforces_types_have_it(config: AppConfig) -> None:
    """No element that is unknown, missing or out of its values."""
    schema = salesforce_schema()
    for component in everything(config):
        root = read_document(component.text)
        assert root.name in schema.types
        assert list(check_document(component.path, root, schema)) == [], component.path


def test_the_same_config_gives_the_same_bytes(config: AppConfig) -> None:
    """Whatever the order of a set was."""
    assert everything(config) == everything(config.model_copy(deep=True))


def test_the_header_is_packaged_and_names_its_owner_only_when_told(config: AppConfig) -> None:
    """The reference comes from a retrieve, never from the config."""
    written = header(config.app)
    assert written.path == "externalClientApps/Acme_Connect.eca-meta.xml"
    assert "<distributionState>Packaged</distributionState>" in written.text
    assert "orgScopedExternalApp" not in written.text
    assert "<orgScopedExternalApp>a:b<" in header(config.app, org_scoped_external_app="a:b").text


def test_scopes_go_by_their_metadata_names(config: AppConfig) -> None:
    """Sorted, so that their order in the file says nothing."""
    written = oauth_settings(config.app)
    assert "<commaSeparatedOauthScopes>Api, RefreshToken<" in written.text
    assert written.path == "extlClntAppOauthSettings/Acme_Connect_oauth.ecaOauth-meta.xml"
    assert "oauthLink" not in written.text


def test_global_settings_are_complete(config: AppConfig) -> None:
    """What a deploy does not mention is reset: every switch of the type is said."""
    root = read_document(global_oauth_settings(config.app, certificate=CERTIFICATE).text)
    type_ = salesforce_schema().types["ExtlClntAppGlobalOauthSettings"]
    switches = {
        name
        for name, kind in type_.items()
        if kind == "boolean?" and not name.startswith("shouldRotate")
    }
    assert switches == set(SWITCHES)
    assert {node.name for node in root.children} >= switches
    assert root.said("certificate") == CERTIFICATE.strip()
    assert root.said("consumerSecret") is None


def test_several_callback_urls_stand_on_lines_of_their_own(config: AppConfig) -> None:
    """In one element."""
    urls = ["https://a.example/cb", "https://b.example/cb"]
    app = config.app.model_copy(update={"callback_urls": urls})
    root = read_document(global_oauth_settings(app, certificate=None).text)
    assert root.said("callbackUrl") == "\n".join(urls)
    assert root.said("certificate") is None


def test_the_allow_list_is_what_egress_says(config: AppConfig) -> None:
    """First and last address of each range."""
    root = read_document(security_settings(config.app).text)
    ranges = root.all("tokenIpRanges")
    assert [(one.said("startIpAddress"), one.said("endIpAddress")) for one in ranges] == [
        ("192.0.2.10", "192.0.2.10"),
        ("192.0.2.16", "192.0.2.23"),
    ]


def test_the_usage_object_has_an_external_id_and_a_lookup() -> None:
    """The names are those that the SDK's examples use."""
    parts = {part.name: read_document(part.text) for part in usage_object()}
    assert set(parts) == {
        "Usage__c",
        "Usage__c.Key__c",
        "Usage__c.Account__c",
        "Usage__c.Logins__c",
        "Usage__c.Day__c",
    }
    assert parts["Usage__c.Key__c"].said("externalId") == "true"
    assert parts["Usage__c.Account__c"].said("referenceTo") == "Account"


def test_the_flow_takes_an_account_and_makes_a_task() -> None:
    """It is autolaunched, so that the REST API may run it."""
    root = read_document(renewal_flow().text)
    (variable,) = root.all("variables")
    assert (variable.said("name"), variable.said("isInput")) == ("accountId", "true")
    assert root.said("processType") == "AutoLaunchedFlow"
    assert root.all("recordCreates")[0].said("object") == "Task"


def test_a_packaged_permission_set_holds_the_packages_own_only(config: AppConfig) -> None:
    """Required fields and events carry no field permission: a deploy would fail."""
    objects = {
        "Usage__c": ObjectTable(access=[Access.CREATE], fields=["Key__c", "Day__c"]),
        "Renewal_Alert__e": ObjectTable(access=[Access.CREATE], fields=["Account__c"]),
    }
    written = package_permission_set(config.app, objects, required={"Usage__c.Key__c"})
    root = read_document(written.text)
    assert [one.said("field") for one in root.all("fieldPermissions")] == ["Usage__c.Day__c"]
    assert root.all("userPermissions") == []
    assert [one.said("allowEdit") for one in root.all("objectPermissions")] == ["false", "false"]


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        ([Access.READ], ["false", "false", "false", "true"]),
        ([Access.CREATE], ["true", "false", "false", "true"]),
        ([Access.EDIT], ["false", "false", "true", "true"]),
        ([Access.DELETE], ["false", "true", "true", "true"]),
    ],
)
def test_access_brings_what_it_depends_on(
    config: AppConfig, access: list[Access], allowed: list[str]
) -> None:
    """Deleting needs editing, and everything needs reading."""
    written = admin_permission_set(config.app, {"Lead": ObjectTable(access=access)})
    (one,) = read_document(written.text).all("objectPermissions")
    names = ("allowCreate", "allowDelete", "allowEdit", "allowRead")
    assert [one.said(name) for name in names] == allowed


def test_the_admins_permission_set_has_what_contacts_and_tasks_depend_on(
    config: AppConfig,
) -> None:
    """Contacts need reading accounts; tasks go by a user permission; names need none."""
    contact = ObjectTable(access=[Access.EDIT], fields=["Email", "LastName", "Id"])
    task = ObjectTable(access=[Access.CREATE], fields=["Subject"])
    root = read_document(admin_permission_set(config.app, {"Contact": contact, "Task": task}).text)
    assert [one.said("object") for one in root.all("objectPermissions")] == ["Account", "Contact"]
    assert [one.said("field") for one in root.all("fieldPermissions")] == ["Contact.Email"]
    assert [one.said("name") for one in root.all("userPermissions")] == ["ApiEnabled", "EditTask"]
