"""The packaging objects of the Tooling API and their fields.

Spec: Tooling API Reference; npm `@salesforce/packaging` `lib/interfaces/packagingSObjects.d.ts`.
"""

import re
from typing import cast

from orgsim.data.fields import Field, FieldType
from orgsim.data.schema import ObjectType, Schema
from orgsim.metadata.scopes import COLUMNS

_STAMPS = "IsDeleted:boolean CreatedDate:datetime LastModifiedDate:datetime SystemModstamp:datetime"
_FIELD = re.compile(r"(\w+)(?::(\w+))?(?:>(\w+))?")
_LONG = 4_000
_TABLE: tuple[tuple[str, str, str], ...] = (
    (
        "Package2",
        "0Ho",
        (
            "SubscriberPackageId Name Description NamespacePrefix ContainerOptions"
            " IsDeprecated:boolean IsOrgDependent:boolean ConvertedFromPackageId"
            " PackageErrorUsername AppAnalyticsEnabled:boolean RecommendedVersionId"
            " CreatedById LastModifiedById"
        ),
    ),
    (
        "Package2Version",
        "05i",
        (
            "Package2Id:reference>Package2"
            " SubscriberPackageVersionId:reference>SubscriberPackageVersion Tag Branch AncestorId"
            " ValidationSkipped:boolean ValidatedAsync:boolean Name Description MajorVersion:int"
            " MinorVersion:int PatchVersion:int BuildNumber:int IsDeprecated:boolean"
            " IsPasswordProtected:boolean CodeCoverage CodeCoveragePercentages"
            " HasPassedCodeCoverageCheck:boolean InstallKey IsReleased:boolean"
            " ConvertedFromVersionId ReleaseVersion:double BuildDurationInSeconds:int"
            " HasMetadataRemoved:boolean"
            " EndToEndBuildDurationInSeconds:int DeveloperUsePkgZip:boolean HasVpi:boolean Language"
            " TotalNumberOfMetadataFiles:int TotalSizeOfMetadataFiles:int CreatedById"
            " LastModifiedById"
        ),
    ),
    (
        "Package2VersionCreateRequest",
        "08c",
        (
            "Status Package2Id:reference>Package2 Package2VersionId:reference>Package2Version Tag"
            " Branch IsConversionRequest:boolean AsyncValidation:boolean CreatedById"
            " SkipValidation:boolean CalculateCodeCoverage:boolean"
        ),
    ),
    (
        "Package2VersionCreateRequestError",
        "0bL",
        "Message:textarea ParentRequestId:reference>Package2VersionCreateRequest",
    ),
    ("SubscriberPackage", "033", "Name Description NamespacePrefix IsPackageValid:boolean"),
    (
        "SubscriberPackageVersion",
        "04t",
        (
            "AppExchangeDescription AppExchangeLogoUrl AppExchangePackageName"
            " AppExchangePublisherName BuildNumber:int CspTrustedSites Dependencies Description"
            " InstallValidationStatus InstallationKey IsBeta:boolean IsDeprecated:boolean"
            " IsManaged:boolean IsOrgDependent:boolean IsPasswordProtected:boolean"
            " IsSecurityReviewed:boolean MajorVersion:int MinorVersion:int Name"
            " Package2ContainerOptions PatchVersion:int PostInstallUrl Profiles PublisherName"
            " ReleaseNotesUrl ReleaseState RemoteSiteSettings"
            " SubscriberPackageId:reference>SubscriberPackage"
        ),
    ),
    (
        "InstalledSubscriberPackage",
        "0A3",
        (
            "SubscriberPackageId:reference>SubscriberPackage"
            " SubscriberPackageVersionId:reference>SubscriberPackageVersion"
            " MinPackageVersionId:reference>SubscriberPackageVersion"
        ),
    ),
    (
        "PackageInstallRequest",
        "0Hf",
        (
            "Status SubscriberPackageVersionKey NameConflictResolution SecurityType"
            " PackageInstallSource UpgradeType ApexCompileType EnableRss:boolean CreatedById"
        ),
    ),
    ("SubscriberPackageVersionUninstallRequest", "06y", "Status SubscriberPackageVersionId"),
    (
        "PackageVersionUninstallRequestError",
        "0bM",
        "Message:textarea ParentRequestId:reference>SubscriberPackageVersionUninstallRequest",
    ),
    (
        "ExternalClientApplication",
        "0xI",
        (
            "DeveloperName MasterLabel NamespacePrefix DistributionState ManageableState"
            " OrgScopedExternalApp ContactEmail Description:textarea Language"
        ),
    ),
    (
        "ExtlClntAppOauthSettings",
        "0qA",
        (
            "DeveloperName MasterLabel NamespacePrefix ManageableState Language SingleLogoutUrl"
            " ExternalClientApplicationId:reference>ExternalClientApplication "
            + " ".join(f"OauthScopes{column}:boolean" for column in COLUMNS.values())
        ),
    ),
    (
        "ExtlClntAppOauthPlcyCnfg",
        "0qA",
        (
            "DeveloperName MasterLabel Language PermittedUsersPolicyType IpRelaxationPolicyType"
            " RefreshTokenPolicyType RefreshTokenValidityPeriod:int RefreshTokenValidityUnit"
            " RequiredSessionLevel SessionTimeoutInMinutes:int StartUrl"
            " IsClientCredentialsFlowEnabled:boolean IsTokenExchangeFlowEnabled:boolean"
            " IsGuestCodeCredFlowEnabled:boolean"
            " ExternalClientApplicationId:reference>ExternalClientApplication"
            " ExtlClntAppOauthSettingsId:reference>ExtlClntAppOauthSettings"
        ),
    ),
    (
        "ExtlClntAppPlcyCnfg",
        "0qA",
        (
            "DeveloperName MasterLabel Language IsEnabled:boolean OauthPluginStatus StartPage"
            " StartUrl ExternalClientApplicationId:reference>ExternalClientApplication"
        ),
    ),
    ("SetupEntityAccess", "0J0", "ParentId SetupEntityId SetupEntityType"),
)
APPS = frozenset(
    {
        "ExternalClientApplication",
        "ExtlClntAppOauthSettings",
        "ExtlClntAppOauthPlcyCnfg",
        "ExtlClntAppPlcyCnfg",
        "SetupEntityAccess",
    }
)
HUB_ONLY = frozenset(
    {
        "Package2",
        "Package2Version",
        "Package2VersionCreateRequest",
        "Package2VersionCreateRequestError",
    }
)


def _field(written: str) -> Field:
    found = _FIELD.fullmatch(written)
    if found is None:
        raise ValueError(written)
    name, kind, target = found.groups()
    type_ = cast("FieldType", kind or "string")
    return Field(
        name=name,
        label=name,
        type=type_,
        length=18 if type_ == "reference" else _LONG if type_ == "textarea" else 255,
        creatable=False,
        updateable=False,
        reference_to=(target,) if target else (),
        relationship=name.removesuffix("Id") if target else None,
    )


def _object(name: str, prefix: str, fields: str) -> ObjectType:
    written = ["Id:id", *fields.split(), *_STAMPS.split()]
    return ObjectType(
        name=name,
        label=name,
        plural=name,
        prefix=prefix,
        kind="setup",
        fields=tuple(_field(one) for one in written),
    )


_ALL = tuple(_object(*line) for line in _TABLE)
HUB = Schema(_ALL)

SUBSCRIBER = Schema(tuple(known for known in _ALL if known.name not in HUB_ONLY))
