"""The kinds of metadata component that these orgs take, as Salesforce's own registry names them.

Spec: npm `@salesforce/source-deploy-retrieve`, `metadataRegistry.json`; Metadata API Developer
Guide, "Metadata Types".
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind: where its files lie in a zip, and what may be done with it.

    `content` kinds have a file of their own language beside an XML file about it. `children` are
    what may be named by itself although it stands inside the file.
    """

    name: str
    folder: str
    suffix: str
    content: bool = False
    children: tuple[str, ...] = ()
    packageable: bool = True


def _kind(name: str, folder: str, suffix: str, *children: str) -> Kind:
    return Kind(name=name, folder=folder, suffix=suffix, children=children)


def _never_packaged(name: str, folder: str, suffix: str) -> Kind:
    return Kind(name=name, folder=folder, suffix=suffix, packageable=False)


def _content(name: str, folder: str, suffix: str) -> Kind:
    return Kind(name=name, folder=folder, suffix=suffix, content=True)


HEADER = "ExternalClientApplication"
OAUTH = "ExtlClntAppOauthSettings"
GLOBAL = "ExtlClntAppGlobalOauthSettings"
SECURITY = "ExtlClntAppOauthSecuritySettings"
OAUTH_POLICIES = "ExtlClntAppOauthConfigurablePolicies"
POLICIES = "ExtlClntAppConfigurablePolicies"
SETTINGS = "Settings"

KINDS = (
    _kind(HEADER, "externalClientApps", "eca"),
    _kind(OAUTH, "extlClntAppOauthSettings", "ecaOauth"),
    _never_packaged(GLOBAL, "extlClntAppGlobalOauthSets", "ecaGlblOauth"),
    _never_packaged(SECURITY, "extlClntAppOauthSecuritySettings", "ecaOauthSecurity"),
    _never_packaged(OAUTH_POLICIES, "extlClntAppOauthPolicies", "ecaOauthPlcy"),
    _never_packaged(POLICIES, "extlClntAppPolicies", "ecaPlcy"),
    _never_packaged(
        "ExtlClntAppSamlConfigurablePolicies", "extlClntAppSamlConfigurablePolicies", "ecaSamlPlcy"
    ),
    _kind("ExtlClntAppMobileSettings", "extlClntAppMobileSettings", "ecaMobile"),
    _never_packaged(
        "ExtlClntAppMobileConfigurablePolicies", "extlClntAppMobilePolicies", "ecaMobilePlcy"
    ),
    _kind("ExtlClntAppNotificationSettings", "extlClntAppNotifSettings", "ecaNotifications"),
    _kind("ExtlClntAppPushSettings", "extlClntAppPushSettings", "ecaPush"),
    _never_packaged(
        "ExtlClntAppPushConfigurablePolicies", "extlClntAppPushPolicies", "ecaPushPlcy"
    ),
    _kind("ExtlClntAppCanvasSettings", "extlClntAppCanvasSettings", "ecaCanvas"),
    _never_packaged(SETTINGS, "settings", "settings"),
    _kind("OauthCustomScope", "oauthcustomscopes", "oauthcustomscope"),
    _kind("CustomObject", "objects", "object", "CustomField", "ListView", "ValidationRule"),
    _kind("CustomTab", "tabs", "tab"),
    _kind("CustomApplication", "applications", "app"),
    _kind("CustomLabels", "labels", "labels", "CustomLabel"),
    _kind("CustomMetadata", "customMetadata", "md"),
    _kind("CustomPermission", "customPermissions", "customPermission"),
    _kind("PermissionSet", "permissionsets", "permissionset"),
    _kind("PermissionSetGroup", "permissionsetgroups", "permissionsetgroup"),
    _kind("Flow", "flows", "flow"),
    _kind("FlexiPage", "flexipages", "flexipage"),
    _kind("Layout", "layouts", "layout"),
    _kind("QuickAction", "quickActions", "quickAction"),
    _kind("GlobalValueSet", "globalValueSets", "globalValueSet"),
    _kind("NamedCredential", "namedCredentials", "namedCredential"),
    _kind("ExternalCredential", "externalCredentials", "externalCredential"),
    _kind("RemoteSiteSetting", "remoteSiteSettings", "remoteSite"),
    _kind("CspTrustedSite", "cspTrustedSites", "cspTrustedSite"),
    _kind("PlatformEventChannel", "platformEventChannels", "platformEventChannel"),
    _kind(
        "PlatformEventChannelMember", "platformEventChannelMembers", "platformEventChannelMember"
    ),
    _kind("Workflow", "workflows", "workflow"),
    _never_packaged("Profile", "profiles", "profile"),
    _content("ApexClass", "classes", "cls"),
    _content("ApexTrigger", "triggers", "trigger"),
    _content("ApexPage", "pages", "page"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
BY_FOLDER = {kind.folder: kind for kind in KINDS}
APP_KINDS = frozenset(kind.name for kind in KINDS if kind.name.startswith(("External", "ExtlClnt")))
