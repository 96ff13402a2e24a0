"""What may stand in the files of an External Client App.

Spec: Metadata API Developer Guide, the pages of the types; npm `@salesforce/types`
`lib/metadata.d.ts`, generated from the WSDLs, for versions and for what the guide leaves out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orgsim.metadata import kinds
from orgsim.metadata.xml_text import NAMESPACE, Node

_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element: text unless it says otherwise; `since` is the API version that brought it."""

    flag: bool = False
    whole: bool = False
    values: tuple[str, ...] = ()
    enum: str = ""
    parts: Mapping[str, "Element"] | None = None
    many: bool = False
    required: bool = False
    since: float = 0


Shape = Mapping[str, Element]
TEXT, FLAG, WHOLE = Element(), Element(flag=True), Element(whole=True)
NEEDED = Element(required=True)
NEEDED_FLAG = Element(flag=True, required=True)


def _enum(enum: str, *values: str) -> Element:
    return Element(values=values, enum=enum)


def _since(version: float) -> Element:
    return Element(flag=True, since=version)


_ATTRIBUTES = Element(parts={"formula": NEEDED, "key": NEEDED}, many=True)
_RANGES = Element(
    parts={"description": TEXT, "endIpAddress": NEEDED, "startIpAddress": NEEDED}, many=True
)

SHAPES: Mapping[str, Shape] = {
    kinds.HEADER: {
        "contactEmail": NEEDED,
        **dict.fromkeys(("contactPhone", "description", "iconUrl", "infoUrl", "label"), TEXT),
        "logoUrl": TEXT,
        "distributionState": _enum(
            "ExtlClntAppDistState", "Local", "Packaged", "Managed", "AutoInstalled"
        ),
        "isProtected": FLAG,
        "managedType": _enum("ExtlClntAppManagedType", "Local", "Global"),
        "orgScopedExternalApp": TEXT,
    },
    kinds.OAUTH: {
        "areAttributesIncludedInAssetToken": FLAG,
        "areCustomPermsIncludedInAssetToken": FLAG,
        "assetTokenAudiences": TEXT,
        "assetTokenSigningCertificate": TEXT,
        "assetTokenValidity": WHOLE,
        "clientAssertionCertificate": TEXT,
        "commaSeparatedCustomScopes": TEXT,
        "commaSeparatedOauthScopes": TEXT,
        "customAttributes": _ATTRIBUTES,
        "externalClientApplication": NEEDED,
        "isFirstPartyAppEnabled": FLAG,
        "label": TEXT,
        "oauthLink": TEXT,
        "singleLogoutUrl": TEXT,
        "trustedIpRanges": _RANGES,
    },
    kinds.GLOBAL: {
        **dict.fromkeys(("certificate", "consumerKey", "consumerSecret", "label"), TEXT),
        "callbackUrl": NEEDED,
        "externalClientApplication": NEEDED,
        "idTokenConfig": Element(
            parts={
                "idTokenAudience": TEXT,
                "idTokenIncludeAttributes": FLAG,
                "idTokenIncludeCustomPermissions": FLAG,
                "idTokenIncludeStandardClaims": FLAG,
                "idTokenValidityInMinutes": WHOLE,
            }
        ),
        **dict.fromkeys(
            (
                "isClientCredentialsFlowEnabled",
                "isCodeCredFlowEnabled",
                "isCodeCredPostOnly",
                "isConsumerSecretOptional",
                "isDeviceFlowEnabled",
                "isIntrospectAllTokens",
                "isNamedUserJwtEnabled",
                "isPkceRequired",
                "isRefreshTokenRotationEnabled",
                "isSecretRequiredForRefreshToken",
                "isSecretRequiredForTokenExchange",
                "isTokenExchangeEnabled",
                "shouldRotateConsumerKey",
                "shouldRotateConsumerSecret",
            ),
            FLAG,
        ),
        "isDPopEnabled": _since(67),
        "isEnforceRefreshTokenTTL": _since(67),
        "isMtlsEnabled": _since(67),
    },
    kinds.SECURITY: {
        "externalClientApplication": NEEDED,
        "label": TEXT,
        "tlsClientAuthCertParamType": TEXT,
        "tlsClientAuthCertParamValue": TEXT,
        "tokenIpRanges": _RANGES,
    },
    kinds.OAUTH_POLICIES: {
        **dict.fromkeys(
            (
                "apexHandler",
                "clientCredentialsFlowUser",
                "commaSeparatedCustomScopes",
                "commaSeparatedPermissionSet",
                "commaSeparatedProfile",
                "executeHandlerAs",
                "guestJwtSessionTimeoutType",
                "label",
                "singleLogoutUrl",
                "startUrl",
            ),
            TEXT,
        ),
        **dict.fromkeys(
            (
                "guestJwtTimeout",
                "namedUserJwtTimeout",
                "refreshTokenValidityPeriod",
                "sessionTimeoutInMinutes",
            ),
            WHOLE,
        ),
        **dict.fromkeys(
            (
                "isClientCredentialsFlowEnabled",
                "isGuestCodeCredFlowEnabled",
                "isTokenExchangeFlowEnabled",
            ),
            FLAG,
        ),
        "customAttributes": _ATTRIBUTES,
        "externalClientApplication": NEEDED,
        "ipRelaxationPolicyType": _enum(
            "ExtlClntAppIpRelaxation", "Enforce", "Bypass", "Bypass_2factor", "Enforce_RelaxRefresh"
        ),
        "namedUserJwtSessionTimeoutType": _enum(
            "ExtlClntAppSessionTimeoutType", "UserSession", "Custom"
        ),
        "permittedUsersPolicyType": _enum(
            "ExtlClntAppPermittedUsers", "AllSelfAuthorized", "AdminApprovedPreAuthorized"
        ),
        "policyAction": _enum("ExtlClntAppPolicyAction", "Block", "RaiseSessionLevel", "StepUpMFA"),
        "refreshTokenPolicyType": _enum(
            "ExtlClntAppRefreshTokenPolicy",
            "Infinite",
            "Zero",
            "SpecificLifetime",
            "SpecificInactivity",
        ),
        "refreshTokenValidityUnit": _enum("ExtlClntAppTimeUnit", "Hours", "Days", "Months"),
        "requiredSessionLevel": _enum("SessionSecurityLevel", "LOW", "STANDARD", "HIGH_ASSURANCE"),
    },
    kinds.POLICIES: {
        "externalClientApplication": NEEDED,
        "isEnabled": NEEDED_FLAG,
        **dict.fromkeys(
            (
                "isAttestPluginEnabled",
                "isCanvasPluginEnabled",
                "isMobilePluginEnabled",
                "isNotificationPluginEnabled",
                "isOauthPluginEnabled",
                "isPushPluginEnabled",
                "isSamlPluginEnabled",
            ),
            FLAG,
        ),
        "label": TEXT,
        "startPage": _enum("ExtlClntAppStartPage", "None", "Custom", "OAuth", "SAML"),
        "startUrl": TEXT,
    },
    "ExternalClientAppSettings": {
        "enableClientSecretInRestApiAccess": FLAG,
        "enableConsumerSecretApiAccess": FLAG,
        "enablePackageEcaOauthFromDevOrg": FLAG,
    },
}


def shape_problems(shape: Shape, node: Node, *, kind: str, version: float) -> Iterator[str]:
    """Give what is wrong with a file, in Salesforce's words; the order of elements is free."""
    seen: set[str] = set()
    for child in node.children:
        known = shape.get(child.name)
        if known is None or (known.since and version < known.since):
            yield (
                f"Error parsing file: Element {{{child.namespace or NAMESPACE}}}{child.name}"
                f" invalid at this location in type {kind}"
            )
            continue
        if child.name in seen and not known.many:
            yield f"Error parsing file: Duplicate element {child.name} in type {kind}"
        seen.add(child.name)
        yield from _value_problems(known, child, kind=kind, version=version)
    for name, known in shape.items():
        if known.required and not node.value(name) and not (node.find(name) and known.parts):
            yield f"Required field is missing: {name}"


def _value_problems(known: Element, child: Node, *, kind: str, version: float) -> Iterator[str]:
    text = child.text.strip()
    if known.parts is not None:
        yield from shape_problems(known.parts, child, kind=kind, version=version)
    elif known.flag and text not in ("true", "false", "1", "0"):
        yield f"Error parsing file: '{text}' is not a valid value for the type xsd:boolean"
    elif known.whole and not _WHOLE.fullmatch(text):
        yield f"Error parsing file: '{text}' is not a valid value for the type xsd:int"
    elif known.values and text.lower() not in {value.lower() for value in known.values}:
        yield f"'{text}' is not a valid value for the enum '{known.enum}'"
