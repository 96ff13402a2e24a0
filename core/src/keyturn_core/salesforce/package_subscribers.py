"""Who has installed a package, as the Dev Hub org that owns it tells: `PackageSubscriber`.

Spec: Object Reference, "PackageSubscriber" and "MetadataPackageVersion"; its rows lag behind the
installs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NewType
from urllib.parse import parse_qs, urlsplit

from keyturn_core.errors import CoreError
from keyturn_core.salesforce.ids import InvalidId, OrgId, read_id

PackageId = NewType("PackageId", str)
"""A package as its subscribers know it: 18 characters from `033`."""

PackageVersionId = NewType("PackageVersionId", str)
"""A package version as its install link names it: 18 characters from `04t`."""

_VERSION_PARAMETERS: Final = ("p0", "apvId")
_VERSIONS: Final = "SELECT Id, MetadataPackageId FROM MetadataPackageVersion"
_SUBSCRIBERS: Final = "SELECT OrgKey, MetadataPackageId FROM PackageSubscriber"
_SHORT: Final = 15


class InvalidSubscribers(CoreError):
    """The answer lists no records."""

    code = "unexpected_answer"


def version_of(install_url: str) -> PackageVersionId | None:
    """Return the package version that an install link names, None where it names none.

    Spec: Second-Generation Managed Packaging Developer Guide, "Install a Package Using a URL".
    """
    try:
        query = parse_qs(urlsplit(install_url).query, max_num_fields=20)
    except ValueError:
        return None
    for name in _VERSION_PARAMETERS:
        for value in query.get(name, ()):
            try:
                return PackageVersionId(read_id(value, prefix="04t"))
            except InvalidId:
                continue
    return None


def packages_query(versions: Iterable[PackageVersionId]) -> str:
    """Return the SOQL that asks which package each version is of."""
    return f"{_VERSIONS} WHERE Id IN ({_in_quotes(sorted(versions))})"


def subscribers_query(orgs: Iterable[OrgId]) -> str:
    """Return the SOQL that asks which of the Dev Hub's packages are installed in these orgs.

    Orgs are asked for by both forms of their id: `OrgKey` is documented with 18 characters, and
    programs of the field meet 15.
    """
    named = _in_quotes(form for org in sorted(orgs) for form in (org[:_SHORT], org))
    return f"{_SUBSCRIBERS} WHERE InstalledStatus = 'i' AND OrgKey IN ({named})"


def read_packages(body: bytes) -> Mapping[PackageVersionId, PackageId]:
    """Return the package of each version that the answer knows.

    Raises:
        InvalidSubscribers: it is no answer to a query.
    """
    return {
        PackageVersionId(version): PackageId(package)
        for version, package in _ids(body, ("Id", "04t"), ("MetadataPackageId", "033"))
    }


def read_subscribers(body: bytes) -> frozenset[tuple[PackageId, OrgId]]:
    """Return package and org of each install that the answer lists.

    Raises:
        InvalidSubscribers: it is no answer to a query.
    """
    return frozenset(
        (PackageId(package), OrgId(org))
        for package, org in _ids(body, ("MetadataPackageId", "033"), ("OrgKey", "00D"))
    )


def _ids(body: bytes, first: tuple[str, str], second: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Give two columns of ids, each by its name and key prefix; other records are left out."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidSubscribers("not JSON") from error
    match answer:
        case {"records": [*records]}:
            pass
        case _:
            raise InvalidSubscribers("no records")
    for record in records:
        try:
            yield _id(record, *first), _id(record, *second)
        except InvalidId:
            continue


def _id(record: object, name: str, prefix: str) -> str:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, str):
        raise InvalidId(f"no {name}")
    return read_id(value, prefix=prefix)


def _in_quotes(ids: Iterable[str]) -> str:
    """Write ids as a list of SOQL; they hold letters and digits only."""
    return ", ".join(f"'{one}'" for one in ids)
