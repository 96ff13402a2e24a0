"""The records that come with the org itself: Organization, profiles and users."""

import zlib
from collections.abc import Iterator
from datetime import datetime

from orgsim.data.furnish import audit_values
from orgsim.data.ids import make_id
from orgsim.data.rows import Row
from orgsim.data.seeds import OrgSeed, UserSeed
from orgsim.data.standard_objects import PROFILES

_PROFILE_OF = dict(zip(("admin", "standard", "integration"), PROFILES, strict=True))
_LANGUAGE = {"LanguageLocaleKey": "en_US", "TimeZoneSidKey": "GMT"}


def _profile_id(org: OrgSeed, name: str) -> str:
    pod = zlib.crc32(org.org_id.encode()) % 62**5
    return make_id(prefix="00e", pod=pod, serial=PROFILES.index(name) + 1)


def setup_records(org: OrgSeed, *, at: datetime) -> Iterator[tuple[str, Row]]:
    """Give each record with the name of its object."""
    stamps = audit_values(at=at, by=org.users[0].user_id)
    yield (
        "Organization",
        {
            "Id": org.org_id,
            "Name": org.name,
            **_LANGUAGE,
            "DefaultLocaleSidKey": "en_US",
            "OrganizationType": "Enterprise Edition",
            "NamespacePrefix": None,
            "InstanceName": "DEU42" if org.environment == "production" else "DEU7S",
            "IsSandbox": org.environment == "sandbox",
            "TrialExpirationDate": None,
            "FiscalYearStartMonth": 1,
            **stamps,
        },
    )
    for name in PROFILES:
        yield "Profile", {"Id": _profile_id(org, name), "Name": name, **stamps}
    for user in org.users:
        yield "User", {**_user(org, user), **stamps}


def _user(org: OrgSeed, user: UserSeed) -> Row:
    return {
        "Id": user.user_id,
        "Username": user.username,
        "LastName": user.last_name,
        "FirstName": user.first_name,
        "Name": f"{user.first_name} {user.last_name}",
        "Email": user.email,
        "Alias": f"{user.first_name[:1]}{user.last_name}"[:8].lower(),
        "IsActive": True,
        **_LANGUAGE,
        "LocaleSidKey": "en_US",
        "ProfileId": _profile_id(org, _PROFILE_OF[user.role]),
        "UserType": "Standard",
    }
