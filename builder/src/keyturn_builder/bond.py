"""The two references that bind a package to the app in the Dev Hub org: read, never made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keyturn_builder.app_config import AppTable
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.header import TYPE as HEADER
from keyturn_builder.metadata.oauth_settings import TYPE as OAUTH
from keyturn_builder.metadata.xml import NotMetadata, read_document

_SHORT_ID = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """`orgScopedExternalApp` and `oauthLink`, as the Dev Hub org has them."""

    org_scoped_external_app: str
    oauth_link: str

    @property
    def org_id(self) -> str:
        """The owning org's id, 15 characters."""
        return self.org_scoped_external_app.partition(":")[0]

    @property
    def consumer_id(self) -> str:
        """The id of the consumer, 15 characters from `888`."""
        return self.oauth_link.partition(":")[2]


def read_bond(texts: Mapping[str, str], app: AppTable, *, org_id: str | None = None) -> Bond:
    """Return the references in files that were retrieved, text by path.

    Raises:
        BuilderError: the app is not there, is not packaged, or belongs to another org than
            `org_id`.
    """
    scoped, link, state = None, None, None
    for text in texts.values():
        try:
            root = read_document(text)
        except NotMetadata:
            continue
        named = root.said("orgScopedExternalApp") or ""
        if root.name == HEADER and named.endswith(f":{app.name}"):
            scoped, state = named, root.said("distributionState")
        if root.name == OAUTH and root.said("externalClientApplication") == app.name:
            link = root.said("oauthLink")
    return checked_bond(app, scoped=scoped, link=link, state=state, org_id=org_id)


def checked_bond(
    app: AppTable, *, scoped: str | None, link: str | None, state: str | None, org_id: str | None
) -> Bond:
    """Return the references, if an app can be packaged by them.

    Raises:
        BuilderError: it cannot.
    """
    if not scoped or not link:
        raise BuilderError("app_missing", app.name)
    if state != "Packaged":
        raise BuilderError("app_not_packaged", f"it is {state}")
    bond = Bond(org_scoped_external_app=scoped, oauth_link=link)
    owners = {bond.org_id, link.partition(":")[0]} | ({org_id[:_SHORT_ID]} if org_id else set())
    if len(owners) > 1:
        raise BuilderError("app_of_another_org", ", ".join(sorted(owners)))
    return bond
