"""What `keyturn.toml` says, as types: one class a table, each key with its meaning and its rule.

The JSON Schema for editors and the page of the reference are made from these classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from keyturn_builder.addresses import IpRange, read_range
from keyturn_builder.web_addresses import (
    LOOPBACK,
    callback_url,
    https_url,
    origin,
    page_url,
    service_url,
    web_url,
)
from keyturn_core.salesforce.scopes import METADATA_NAMES

_VERSION: Final = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]")
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML 1.0, 2.2
_ORIGINS_MOST: Final = 50  # what the service's API takes
_API_NAME: Final = r"^[A-Za-z](_?[A-Za-z0-9])*$"
_REFRESH: Final = frozenset({"refresh_token", "offline_access"})
_CALLBACKS_LONGEST: Final = 2000  # characters for all together; Help, "Configure OAuth Settings"
_RANGES_MOST: Final = 128  # Help, "Set IP Allowlist for Refresh Tokens"
_ADDRESSES_MOST: Final = 256  # the same page


class Flow(StrEnum):
    """A way to connect."""

    CODE = "code"
    JWT = "jwt"


class Access(StrEnum):
    """What the product does with the records of an object."""

    READ = "read"
    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"


def _label(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("holds a line end or another control character: write it in one line")
    if not text.strip():
        raise ValueError("has only blanks: write what people are to see")
    return text


def _prose(text: str) -> str:
    if _NOT_XML.search(text):
        raise ValueError("holds a control character, which Salesforce's files cannot: leave it out")
    return text


def _contact(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) or _CONTROL.search(text):
        raise ValueError("write an e-mail address")
    return text


def _scope(text: str) -> str:
    if text not in METADATA_NAMES:
        raise ValueError("not a scope of Salesforce's; scopes go by names such as api")
    return text


def _egress(text: str) -> str:
    read_range(text)
    return text


def _number(value: object) -> object:
    if type(value) is not int:  # true is 1 to Python, and 2.0 is 2
        raise ValueError("write 1 or 2, as a number")
    return value


ApiName = Annotated[str, Field(max_length=40, pattern=_API_NAME)]
Label = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_label)]
HttpsUrl = Annotated[str, AfterValidator(https_url)]
WebUrl = Annotated[str, AfterValidator(web_url)]
Scope = Annotated[
    str, AfterValidator(_scope), Field(json_schema_extra={"enum": sorted(METADATA_NAMES)})
]


class Table(BaseModel):
    """A table of the file: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class AppTable(Table):
    """The External Client App."""

    name: ApiName
    """API name in the Dev Hub org. Permanent: it is part of the app's identity everywhere."""
    label: Label
    """The name that people see."""
    contact: Annotated[str, AfterValidator(_contact)]
    """E-mail address that customers' admins see for support."""
    description: Annotated[str, Field(max_length=255), AfterValidator(_prose)] = ""
    """What customers' admins read about the app."""
    logo: HttpsUrl | None = None
    """https address of a picture."""
    scopes: Annotated[list[Scope], Field(min_length=1)] = ["api", "refresh_token"]
    """Scopes by their runtime names; the least that works unless said otherwise. A change reaches
    a customer only with an upgrade of the package."""
    full_access_reason: str | None = None
    """Why the scope `full` is needed, in a sentence; without it `full` is refused."""
    callback_urls: Annotated[
        list[Annotated[str, AfterValidator(callback_url)]], Field(min_length=1)
    ]
    """Where Salesforce sends the browser back: the service's `/oauth/callback`, byte for byte."""
    flows: Annotated[list[Flow], Field(min_length=1)] = [Flow.CODE]
    """`code`: a person connects; `jwt`: server to server, by a certificate."""
    egress: Annotated[
        list[Annotated[str, AfterValidator(_egress)]], Field(max_length=_RANGES_MOST)
    ] = []
    """Addresses that your calls to Salesforce leave from: one (`192.0.2.10`), a network
    (`192.0.2.8/29`) or a range (`192.0.2.1-192.0.2.9`). Refresh tokens work from nowhere else."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        scopes = set(self.scopes)
        if "full" in scopes and not (self.full_access_reason or "").strip():
            raise ValueError(
                "the scope `full` needs full_access_reason; `api` is nearly always enough"
            )
        if Flow.JWT in self.flows and not ("api" in scopes and scopes & _REFRESH):
            raise ValueError("the flow `jwt` needs the scopes `api` and `refresh_token`")
        if Flow.CODE in self.flows and not scopes & _REFRESH:
            raise ValueError("the flow `code` needs the scope `refresh_token` to stay connected")
        if len("\n".join(self.callback_urls)) > _CALLBACKS_LONGEST:
            raise ValueError("callback_urls hold more than 2,000 characters together")
        if sum(one.addresses for one in self.ranges) > _ADDRESSES_MOST:
            raise ValueError("egress holds more than 256 addresses together")
        return self

    @property
    def ranges(self) -> list[IpRange]:
        """The egress addresses as ranges."""
        return [read_range(text) for text in self.egress]


class PackageTable(Table):
    """The managed package that ships the app."""

    name: Label
    """Name of the package in the Dev Hub org."""
    namespace: Annotated[str, Field(max_length=15, pattern=_API_NAME)]
    """The registered namespace: everything of the package carries it in customers' orgs."""
    version: Annotated[str, Field(pattern=_VERSION)] = "1.0.0"
    """Version that is built next, three numbers such as 1.4.0. What is released under it stays
    so."""
    source: str | None = None
    """Package directory of your own second-generation project, such as `force-app`, seen from
    here. Left out: a project is started from templates in `salesforce/`."""
    post_install_url: WebUrl | None = None
    """Where an admin's browser goes after the install: the page that says "now connect"."""
    generation: Annotated[Literal[1, 2], BeforeValidator(_number)] = 2
    """1 where your product lives in a first-generation package."""


class ServiceTable(Table):
    """The Keyturn service that keeps the app's credentials."""

    url: Annotated[str, AfterValidator(service_url)]
    """Address of the service, without path: it answers at the root of its host."""
    app_id: Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9_]+$")] | None = None
    """The app's id at the service; left out, the app is found by its name or registered."""
    return_origins: Annotated[
        list[Annotated[str, AfterValidator(origin)]], Field(max_length=_ORIGINS_MOST)
    ] = []
    """Origins of your product that browsers are sent back to, such as `https://app.acme.example`;
    needed to register the app."""
    start_url: Annotated[str, AfterValidator(page_url)] | None = None
    """Page of your product on which connecting begins: where the service sends an admin's browser
    on that comes from the install and began nothing before."""


class DevHubTable(Table):
    """The Dev Hub org, which owns app and package."""

    alias: Annotated[str, Field(min_length=1, pattern=r"^[^-\s]\S*$")]
    """Alias or username that `sf` is logged in with: `sf org login web --alias <alias>`."""


class ObjectTable(Table):
    """An object that the product uses."""

    access: Annotated[list[Access], Field(min_length=1)] = [Access.READ]
    """What the product does with its records."""
    fields: list[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]] = []
    """API names of the fields it uses."""


class AppConfig(Table):
    """All of `keyturn.toml`."""

    app: AppTable
    """The External Client App and how customers let it in."""
    package: PackageTable
    """The managed package that ships it."""
    dev_hub: DevHubTable
    """The org that owns both."""
    service: ServiceTable | None = None
    """The service that keeps the credentials; needed by `keyturn app apply`."""
    objects: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], ObjectTable] = {}
    """Objects the product uses, by API name: `[objects.Contact]`."""

    def warnings(self) -> list[str]:
        """Return what is allowed but worth a second look."""
        said = []
        if "full" in self.app.scopes:
            said.append(
                "app.scopes: `full` opens everything the user may do; "
                "security reviews ask for less, and so do customers"
            )
        local = [url for url in self.app.callback_urls if urlsplit(url).hostname in LOOPBACK]
        if local and len(local) < len(self.app.callback_urls):
            said.append(
                "app.callback_urls: do not mix localhost with production: use an app of its own"
            )
        if not self.app.egress:
            said.append(
                "app.egress is empty: the partner rules of 2026 ask for a short list of addresses"
            )
        if self.package.source is not None and Path(self.package.source).is_absolute():
            said.append(
                "package.source begins at the root of this machine's disk: "
                "write it from the folder of keyturn.toml, so that it is right elsewhere too"
            )
        if self.package.post_install_url is None:
            said.append(
                "package.post_install_url is missing: after the install, admins stay in Setup"
            )
        return said
