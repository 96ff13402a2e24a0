"""Which SOAP calls may be proxied: by address and operation, each of which is on a list.

What is not on it:

- `login` takes a password and hands out a session; `logout` and `invalidateSessions` end the
  connection's own; `setPassword`, `resetPassword` and `changeOwnPassword` set or hand out
  credentials of people.
- `renderEmailTemplate`, `renderStoredEmailTemplate` and `sendEmail` fill merge fields into a text
  that the caller chooses, and nobody documents that none of them is the session's.
- `/services/Soap/s` and `/T` (Apex and Tooling) run any code by `executeAnonymous`; those who
  may have that have it by the REST Tooling API, under the right `proxy:unsafe`.
- `/services/Soap/class` calls an org's own Apex web services in a namespace of each class; Apex
  REST is the way to an org's own code.
- What a later release of Salesforce adds, until somebody has looked at it.

Spec: SOAP API Developer Guide, "Core Calls", "Describe Calls", "Utility Calls"; Metadata API
Developer Guide, "File-Based Calls", "CRUD-Based Calls", "Utility Calls".
"""

from __future__ import annotations

import re
from typing import Final

from keyturn_core.oauth.jwt_access_token import expiry_of_jwt
from keyturn_core.salesforce.soap import SoapApi
from keyturn_core.secrets import AccessToken
from keyturn_service.domain.errors import ServiceError

# The segments behind the version are an org's id, and names that some clients put there.
_PATH: Final = re.compile(
    r"/services/Soap/([muc])/([0-9]{1,3})\.[0-9](?:/[A-Za-z0-9]{1,40}){0,2}/?", re.ASCII
)
_JWT_SINCE: Final = 68  # the first API version whose SOAP takes access tokens in JWT format

_METADATA: Final = frozenset(
    {
        "cancelDeploy",
        "checkDeployStatus",
        "checkRetrieveStatus",
        "checkStatus",
        "createMetadata",
        "deleteMetadata",
        "deploy",
        "deployRecentValidation",
        "describeMetadata",
        "describeValueType",
        "listMetadata",
        "readMetadata",
        "renameMetadata",
        "retrieve",
        "updateMetadata",
        "upsertMetadata",
    }
)
_DATA: Final = frozenset(
    {
        "convertLead",
        "create",
        "delete",
        "deleteByExample",
        "describeAllTabs",
        "describeAppMenu",
        "describeApprovalLayout",
        "describeAvailableQuickActions",
        "describeCompactLayouts",
        "describeDataCategoryGroupStructures",
        "describeDataCategoryGroups",
        "describeDataCategoryMappings",
        "describeGlobal",
        "describeGlobalTheme",
        "describeKnowledgeSettings",
        "describeLayout",
        "describeNouns",
        "describePathAssistants",
        "describePrimaryCompactLayouts",
        "describeQuickActions",
        "describeQuickActionsForRecordType",
        "describeSObject",
        "describeSObjectListViews",
        "describeSObjects",
        "describeSearchLayouts",
        "describeSearchScopeOrder",
        "describeSearchableEntities",
        "describeSoftphoneLayout",
        "describeSoqlListViews",
        "describeTabs",
        "describeTheme",
        "describeVisualForce",
        "emptyRecycleBin",
        "executeListView",
        "findDuplicates",
        "findDuplicatesByIds",
        "getDeleted",
        "getServerTimestamp",
        "getUpdated",
        "getUserInfo",
        "merge",
        "performQuickActions",
        "process",
        "query",
        "queryAll",
        "queryMore",
        "retrieve",
        "retrieveMassQuickActionTemplates",
        "retrieveQuickActionTemplates",
        "search",
        "sendEmailMessage",
        "undelete",
        "update",
        "upsert",
    }
)
OPERATIONS: Final = {
    SoapApi.METADATA: _METADATA,
    SoapApi.PARTNER: _DATA,
    SoapApi.ENTERPRISE: _DATA,
}


def read_soap_target(target: str) -> SoapApi:
    """Return the API that a path with its query leads to.

    Raises:
        ServiceError: `proxy_path_refused`: it leads to none that is proxied by SOAP.
    """
    found = _PATH.fullmatch(target)
    if found is None:
        raise _refused()
    return SoapApi(found[1])


def check_soap(method: str, target: str, operation: str) -> None:
    """See that an operation of SOAP may be called.

    Raises:
        ServiceError: `proxy_path_refused`.
    """
    if method != "POST" or operation not in OPERATIONS[read_soap_target(target)]:
        raise _refused()


def takes_token(target: str, token: AccessToken) -> bool:
    """Tell whether SOAP of that version takes a token of that format at all.

    Where it does not, it calls the session invalid, and a new token would be as invalid. The
    path was checked before.
    """
    found = _PATH.fullmatch(target)
    return found is None or int(found[2]) >= _JWT_SINCE or expiry_of_jwt(token) is None


def _refused() -> ServiceError:
    return ServiceError("proxy_path_refused")
