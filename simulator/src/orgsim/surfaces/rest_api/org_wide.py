"""What is true of the whole org: versions, resources, limits, what was seen last.

Spec: REST API Developer Guide, "Versions", "Resources by Version", "Limits", "Recently Viewed
Items"; Salesforce API end-of-life policy (21.0 to 30.0 retired in Summer '25).
"""

from typing import Any

from orgsim.data import OrgData
from orgsim.surfaces.rest_api.errors import RestRefused, not_found
from orgsim.surfaces.rest_api.exchange import ROOT, Answer, Asked

OLDEST, NEWEST = 31, 68
_FIRST_RETIRED = 21
_WINTER_27 = 68
_SEASONS = ("Winter", "Spring", "Summer")
DAILY_CALLS = 15_000
_RECENT = 200


def _label(version: int) -> str:
    """Return the release of a version: three a year, 68.0 is Winter '27."""
    years, season = divmod(version - _WINTER_27, len(_SEASONS))
    return f"{_SEASONS[season]} '{27 + years:02}"


def usage_of(data: OrgData) -> dict[str, str]:
    """Return the header that says how many calls there were today."""
    return {"Sforce-Limit-Info": f"api-usage={data.calls_today()}/{DAILY_CALLS}"}


def versions() -> list[dict[str, str]]:
    """List the versions, the oldest first."""
    return [
        {"label": _label(number), "url": f"{ROOT}/v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST, NEWEST + 1)
    ]


def check_version(version: int) -> None:
    """Refuse versions that do not answer.

    Raises:
        RestRefused: it is retired, or never was.
    """
    if _FIRST_RETIRED <= version < OLDEST:
        raise RestRefused("GONE", f"The API version {version}.0 is retired.")
    if not OLDEST <= version <= NEWEST:
        raise not_found()


def resources(asked: Asked) -> Answer:
    """List the resources of a version."""
    names = ("actions", "composite", "limits", "query", "queryAll", "recent", "sobjects")
    body = {name: f"{asked.base}/{name}" for name in names}
    session = asked.session
    body["identity"] = f"{session.instance_url}/id/{session.org_id}/{session.user_id}"
    return Answer(body=dict(sorted(body.items())))


def _limit(most: int, remaining: int | None = None) -> dict[str, int]:
    return {"Max": most, "Remaining": most if remaining is None else max(remaining, 0)}


def limits(asked: Asked) -> Answer:
    """Tell what the org may still use."""
    events = len(asked.data.published_events())
    body: dict[str, Any] = {
        "ConcurrentAsyncGetReportInstances": _limit(200),
        "DailyApiRequests": _limit(DAILY_CALLS, DAILY_CALLS - asked.data.calls_today()),
        "DailyAsyncApexExecutions": _limit(250_000),
        "DailyBulkApiBatches": _limit(15_000),
        "DailyBulkV2QueryFileStorageMB": _limit(976_562),
        "DailyBulkV2QueryJobs": _limit(10_000),
        "DailyGenericStreamingApiEvents": _limit(10_000),
        "DailyStandardVolumePlatformEvents": _limit(25_000),
        "DailyStreamingApiEvents": _limit(10_000),
        "DataStorageMB": _limit(1_024),
        "FileStorageMB": _limit(1_024),
        "HourlyPublishedPlatformEvents": _limit(50_000, 50_000 - events),
        "MassEmail": _limit(5_000),
        "MonthlyPlatformEvents": _limit(1_500_000),
        "PermissionSets": _limit(1_500) | {"CreateCustom": _limit(1_000)},
        "SingleEmail": _limit(5_000),
    }
    return Answer(body=body)


def recent(asked: Asked) -> Answer:
    """List the records that the caller saw last."""
    most = asked.query.get("limit", "")
    count = min(int(most), _RECENT) if most.isascii() and most.isdigit() else _RECENT
    found = []
    for record_id in asked.data.recently_seen(asked.user_id)[:count]:
        kind, row = asked.data.schema.by_prefix(record_id), asked.data.find(record_id)
        if kind is not None and row is not None and not row.get("IsDeleted"):
            url = f"{asked.base}/sobjects/{kind.name}/{record_id}"
            name = row.get(kind.name_field.name) if kind.name_field else None
            found.append(
                {"attributes": {"type": kind.name, "url": url}, "Id": record_id, "Name": name}
            )
    return Answer(body=found)
