"""Every rule: a sound package breaks none, and one change breaks the one that forbids it."""

from __future__ import annotations

import pytest

from keyturn_builder.app_config import AppConfig, ObjectTable
from keyturn_builder.errors import Finding, Severity
from keyturn_builder.lint.package import lint_package
from keyturn_builder.lint.rule import RULES
from keyturn_builder.metadata.custom_object import alert_event, usage_object
from keyturn_builder.metadata.flow import renewal_flow
from keyturn_builder.metadata.global_oauth_settings import global_oauth_settings
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings
from keyturn_builder.metadata.permission_set import package_permission_set
from keyturn_builder.metadata.security_settings import security_settings

ECA = "externalClientApps/Acme_Connect.eca-meta.xml"
OAUTH = "extlClntAppOauthSettings/Acme_Connect_oauth.ecaOauth-meta.xml"
PERMISSIONS = "permissionsets/Acme_Connect_Package.permissionset-meta.xml"
GLOBAL = "extlClntAppGlobalOauthSets/Acme_Connect_glbloauth.ecaGlblOauth-meta.xml"
KEY = "3MVG9" + "A" * 80
RANGE = (
    "    <trustedIpRanges>\n        <endIpAddress>192.0.2.1</endIpAddress>\n"
    "        <startIpAddress>192.0.2.1</startIpAddress>\n    </trustedIpRanges>\n"
)


@pytest.fixture
def package(config: AppConfig) -> dict[str, str]:
    """The files of a sound package."""
    app = config.app
    components = [
        header(app, org_scoped_external_app="00D5g00000AcmeX:Acme_Connect"),
        oauth_settings(app, oauth_link="00D5g00000AcmeX:8885g00000AcmeY"),
        package_permission_set(app, {"Usage__c": ObjectTable(fields=["Day__c"])}),
        *usage_object(),
        *alert_event(),
        renewal_flow(),
    ]
    return {one.path: one.text for one in components} | {"classes/Mine.cls": "class Mine {}"}


@pytest.fixture
def dev_hub(config: AppConfig) -> dict[str, str]:
    """The files that stay in the Dev Hub org."""
    components = [
        global_oauth_settings(config.app, certificate="-----BEGIN CERTIFICATE-----"),
        security_settings(config.app),
    ]
    return {one.path: one.text for one in components}


def rules(findings: list[Finding]) -> set[str]:
    """Return the rules that are broken."""
    return {found.rule for found in findings}


def test_a_sound_package_breaks_no_rule(package: dict[str, str]) -> None:
    """Nothing to complain about, nothing to warn of."""
    assert lint_package(package) == []


BREAKS = [
    ("schema", ECA, "<label>", "<labell>x</labell><label>"),
    ("schema", ECA, "</ExternalClientApplication>", ""),
    ("schema", ECA, "ExternalClientApplication", "ExternalClientAplication"),
    ("distribution-state", ECA, "Packaged", "Local"),
    ("distribution-state", ECA, "<distributionState>Packaged</distributionState>", ""),
    ("contact-email", ECA, "<contactEmail>integrations@acme.example</contactEmail>", ""),
    ("protected", ECA, "<isProtected>false", "<isProtected>true"),
    ("https", ECA, "<label>", "<logoUrl>http://acme.example/l.png</logoUrl><label>"),
    ("org-scoped-app", ECA, "00D5g00000AcmeX:Acme_Connect", "00D5g00000AcmeX:Other"),
    ("org-scoped-app", ECA, "00D5g00000AcmeX:Acme_Connect", "00DXXXXXXXXXXXX:Acme_Connect"),
    ("org-scoped-app", ECA, "00D5g00000AcmeX:", "00D000000000000:"),
    ("org-scoped-app", ECA, "00D5g00000AcmeX:", "00DxxXxxxxxxxxx:"),
    ("org-scoped-app", ECA, "00D5g00000AcmeX:", "{{ORG_ID}}:"),
    ("org-scoped-app", ECA, "00D5g00000AcmeX:", ""),
    (
        "org-scoped-app",
        ECA,
        "<orgScopedExternalApp>00D5g00000AcmeX:Acme_Connect</orgScopedExternalApp>",
        "",
    ),
    ("oauth-link", OAUTH, "8885g00000AcmeY", "3MV5g00000AcmeY"),
    ("oauth-link", OAUTH, "8885g00000AcmeY", "888XXXXXXXXXXXX"),
    ("oauth-link", OAUTH, "8885g00000AcmeY", "888000000000000"),
    ("oauth-link", OAUTH, "00D5g00000AcmeX:", "00DXXXXXXXXXXXX:"),
    ("oauth-link", OAUTH, "8885g00000AcmeY", "YOUR_CONSUMER"),
    ("oauth-link", OAUTH, "<oauthLink>00D5g00000AcmeX:8885g00000AcmeY</oauthLink>", ""),
    ("one-owner", OAUTH, "00D5g00000AcmeX:", "00D5g00000OtheX:"),
    (
        "header-reference",
        OAUTH,
        ">Acme_Connect</externalClientApplication>",
        ">acme_connect</externalClientApplication>",
    ),
    ("scope-name", OAUTH, "Api, ", "api, "),
    ("scope-name", OAUTH, "Api, ", "Packageable, "),
    ("scope-full", OAUTH, "Api, ", "Full, "),
    ("scope-refresh", OAUTH, ", RefreshToken", ""),
    ("https", OAUTH, "<label>", "<singleLogoutUrl>http://a.example</singleLogoutUrl><label>"),
    (
        "list-length",
        OAUTH,
        "</ExtlClntAppOauthSettings>",
        RANGE * 129 + "</ExtlClntAppOauthSettings>",
    ),
    ("no-secret", "classes/Mine.cls", "{}", f'{{ String k = "{KEY}"; }}'),
    ("no-secret", "classes/Mine.cls", "{}", "{ // -----BEGIN RSA PRIVATE KEY-----\n}"),
    ("dropped-permission", PERMISSIONS, "<object>Usage__c", "<object>Contact"),
    ("dropped-permission", PERMISSIONS, "<field>Usage__c.Day__c", "<field>Contact.Email"),
    (
        "dropped-permission",
        PERMISSIONS,
        "</PermissionSet>",
        (
            "<userPermissions><enabled>true</enabled><name>ApiEnabled</name></userPermissions>"
            "</PermissionSet>"
        ),
    ),
]


@pytest.mark.parametrize(("rule", "file", "before", "after"), BREAKS)
def test_one_change_breaks_the_rule_that_forbids_it(
    package: dict[str, str], rule: str, file: str, before: str, after: str
) -> None:
    """With the rule's source and remedy, and a line where an element is at fault."""
    assert before in package[file]
    findings = lint_package(package | {file: package[file].replace(before, after)})

    found = next(one for one in findings if one.rule == rule)
    assert found.file == file
    assert found.line is not None
    assert (found.source, found.remedy) == (RULES[rule].source, RULES[rule].remedy)


@pytest.mark.parametrize("counter", ["0000000001", "000000000A", "0000000010", "0000000zzz"])
@pytest.mark.parametrize("pod", ["5g", "Qy", "00", "XX"])
def test_ids_with_low_counters_are_no_placeholders(
    package: dict[str, str], pod: str, counter: str
) -> None:
    """An id is prefix, pod and a counter: the first ones of a pod are mostly zeros."""
    org, consumer = f"00D{pod}{counter}", f"888{pod}{counter}"
    changed = {
        file: text.replace("00D5g00000AcmeX", org).replace("8885g00000AcmeY", consumer)
        for file, text in package.items()
    }
    assert lint_package(changed) == []


def test_a_package_without_the_app_is_warned_of(package: dict[str, str]) -> None:
    """Before the first build that is as it should be; released, it would ship nothing."""
    without = {file: text for file, text in package.items() if file not in {ECA, OAUTH}}

    (found,) = lint_package(without)

    assert (found.rule, found.severity) == ("app-missing", Severity.WARNING)
    assert "keyturn package build" in found.remedy
    assert lint_package({}) == [found]


GLOBAL_BREAKS = [
    ("partner-controls", "<isPkceRequired>true", "<isPkceRequired>false"),
    ("partner-controls", "<isRefreshTokenRotationEnabled>true</isRefreshTokenRotationEnabled>", ""),
    ("risky-flow", "<isDeviceFlowEnabled>false", "<isDeviceFlowEnabled>true"),
    ("callback", "https://connect.acme.example", "http://connect.acme.example"),
    ("callback", "/oauth/callback", "/oauth/" + "x" * 2000),
    ("callback", "<callbackUrl>https://connect.acme.example/oauth/callback</callbackUrl>", ""),
]


@pytest.mark.parametrize(("rule", "before", "after"), GLOBAL_BREAKS)
def test_settings_of_the_dev_hub_org_have_rules_too(
    package: dict[str, str], dev_hub: dict[str, str], rule: str, before: str, after: str
) -> None:
    """What a customer would feel for all of them at once."""
    assert before in dev_hub[GLOBAL]
    changed = dev_hub | {GLOBAL: dev_hub[GLOBAL].replace(before, after)}

    assert rule in rules(lint_package(package | changed)) - rules(lint_package(package | dev_hub))


def test_what_must_not_be_packaged_is_found(
    package: dict[str, str], dev_hub: dict[str, str]
) -> None:
    """By its suffix, and by what it holds."""
    by_suffix = [one for one in lint_package(package | dev_hub) if one.rule == "not-packageable"]
    disguised = package | {OAUTH.replace("_oauth", "_x"): dev_hub[GLOBAL]}

    assert {one.file for one in by_suffix} == set(dev_hub)
    assert {"not-packageable", "schema"} <= rules(lint_package(disguised))


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("file-place", {"apps/Acme_Connect.eca-meta.xml": ECA}),
        ("file-place", {"externalClientApps/Acme_Connect.app-meta.xml": ECA}),
        ("one-settings", {"extlClntAppOauthSettings/Other.ecaOauth-meta.xml": OAUTH}),
        ("api-name", {"externalClientApps/Acme__Connect.eca-meta.xml": ECA}),
        ("settings-missing", {"externalClientApps/Second.eca-meta.xml": ECA}),
    ],
)
def test_a_file_too_many_or_in_a_wrong_place_is_found(
    package: dict[str, str], rule: str, changes: dict[str, str]
) -> None:
    """The CLI would move or drop it without a word, or the deploy would fail."""
    copies = {file: package[original] for file, original in changes.items()}
    assert rule in rules(lint_package(package | copies))


def test_every_rule_is_broken_by_a_test() -> None:
    """A rule that nothing breaks may not be one."""
    others = {"not-packageable", "file-place", "one-settings", "api-name", "settings-missing"}
    others |= {"app-missing"}
    assert {row[0] for row in (*BREAKS, *GLOBAL_BREAKS)} | others == set(RULES)


def test_full_with_a_reason_is_a_warning(package: dict[str, str]) -> None:
    """The reason stands in `keyturn.toml`."""
    changed = package | {OAUTH: package[OAUTH].replace("Api, ", "Full, ")}
    (found,) = lint_package(changed, full_allowed=True)
    assert (found.rule, found.severity) == ("scope-full", Severity.WARNING)


def test_a_scope_by_its_runtime_name_is_told_the_right_one(package: dict[str, str]) -> None:
    """Guides and generated snippets get this wrong."""
    changed = package | {OAUTH: package[OAUTH].replace("Api, ", "mcp_api, ")}
    (found,) = [one for one in lint_package(changed) if one.rule == "scope-name"]
    assert "MCP is meant" in found.message


def test_an_https_logo_is_fine(package: dict[str, str]) -> None:
    """Only other schemes are refused."""
    logo = "<logoUrl>https://acme.example/l.png</logoUrl><label>"
    assert lint_package(package | {ECA: package[ECA].replace("<label>", logo)}) == []


def test_errors_come_before_warnings(package: dict[str, str]) -> None:
    """And within them, file by file."""
    changed = package | {
        OAUTH: package[OAUTH].replace("Api, RefreshToken", "api"),
        ECA: package[ECA].replace("Packaged", "Local"),
    }
    severities = [one.severity for one in lint_package(changed)]
    assert severities == sorted(severities, key=lambda one: one is Severity.WARNING)
    assert len(severities) == 3
