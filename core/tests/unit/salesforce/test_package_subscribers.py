"""What the Dev Hub org tells of installs."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.ids import OrgId, widened
from keyturn_core.salesforce.package_subscribers import (
    InvalidSubscribers,
    PackageId,
    PackageVersionId,
    packages_query,
    read_packages,
    read_subscribers,
    subscribers_query,
    version_of,
)

SHORT = "04t5g000000AbCd"
VERSION = PackageVersionId(widened(SHORT))
PACKAGE = PackageId(widened("0335g000000AbCd"))
ORG = OrgId("00D000000000062EAA")
HOST = "https://login.salesforce.com"


@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}/packaging/installPackage.apexp?p0={SHORT}",
        f"{HOST}/packaging/installPackage.apexp?mgd=true&p0={VERSION}",
        f"https://acme.lightning.force.com/packagingSetupUI/ipLanding.app?apvId={VERSION}",
        f"{HOST}/packaging/installPackage.apexp?p0=other&apvId={SHORT}",
    ],
)
def test_an_install_link_names_its_version(url):
    """In each form that Salesforce writes, and in either form of the id."""
    assert version_of(url) == VERSION


@pytest.mark.parametrize(
    "url",
    [HOST, f"{HOST}/?p0=", f"{HOST}/?p0=033{SHORT[3:]}", f"{HOST}/?{'a=b&' * 30}", "http://[", ""],
)
def test_a_link_that_names_none_names_none(url):
    """It may lead anywhere that the vendor likes."""
    assert version_of(url) is None


def test_versions_are_asked_for_by_id():
    """Which package a version is of never changes."""
    asked, named = packages_query([VERSION]).split(" WHERE ")
    assert asked == "SELECT Id, MetadataPackageId FROM MetadataPackageVersion"
    assert named == f"Id IN ('{VERSION}')"


def test_orgs_are_asked_for_by_both_forms_of_their_id():
    """Documentation and practice differ on which one `OrgKey` holds."""
    asked, named = subscribers_query([ORG]).split(" WHERE ")
    assert asked == "SELECT OrgKey, MetadataPackageId FROM PackageSubscriber"
    assert named == f"InstalledStatus = 'i' AND OrgKey IN ('{ORG[:15]}', '{ORG}')"


def answer(*records):
    """Return an answer to a query."""
    return json.dumps({"totalSize": len(records), "done": True, "records": records}).encode()


def test_packages_are_read_by_version():
    """Ids come in either form."""
    told = answer({"Id": SHORT, "MetadataPackageId": PACKAGE[:15]})
    assert read_packages(told) == {VERSION: PACKAGE}


@pytest.mark.parametrize("key", [ORG, ORG[:15]])
def test_installs_are_read_by_package_and_org(key):
    """Whatever form the org's id has."""
    told = answer({"OrgKey": key, "MetadataPackageId": PACKAGE})
    assert read_subscribers(told) == {(PACKAGE, ORG)}


@pytest.mark.parametrize(
    "record",
    [
        7,
        {"OrgKey": ORG},
        {"OrgKey": ORG, "MetadataPackageId": None},
        {"OrgKey": ORG, "MetadataPackageId": VERSION},
        {"OrgKey": "00D", "MetadataPackageId": PACKAGE},
    ],
)
def test_a_record_out_of_shape_is_left_out(record):
    """The others count."""
    good = {"OrgKey": ORG, "MetadataPackageId": PACKAGE}
    assert read_subscribers(answer(record, good)) == {(PACKAGE, ORG)}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"records": null}', b"[" * 100_000])
def test_what_is_no_answer_is_refused(body):
    """An error page, a list of errors, or worse."""
    with pytest.raises(InvalidSubscribers):
        read_subscribers(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    """Nothing else comes of them."""
    with contextlib.suppress(InvalidSubscribers):
        assert isinstance(read_packages(body), dict)
