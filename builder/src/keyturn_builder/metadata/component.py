"""A metadata component: its type, name, file and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

API_VERSION: Final = "68.0"
"""Version of the Metadata API that the documents are written for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where components of a type lie, below a package directory, and their suffix."""

    folder: str
    suffix: str


# Source: @salesforce/source-deploy-retrieve, metadataRegistry.json
PLACES: Final[Mapping[str, Place]] = MappingProxyType(
    {
        "ExternalClientApplication": Place(folder="externalClientApps", suffix="eca"),
        "ExtlClntAppOauthSettings": Place(folder="extlClntAppOauthSettings", suffix="ecaOauth"),
        "ExtlClntAppGlobalOauthSettings": Place(
            folder="extlClntAppGlobalOauthSets", suffix="ecaGlblOauth"
        ),
        "ExtlClntAppOauthSecuritySettings": Place(
            folder="extlClntAppOauthSecuritySettings", suffix="ecaOauthSecurity"
        ),
        "PermissionSet": Place(folder="permissionsets", suffix="permissionset"),
        "Flow": Place(folder="flows", suffix="flow"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component. `path` is in source format, below a package directory, with `/`."""

    type: str
    name: str
    path: str
    text: str

    @classmethod
    def of(cls, type_: str, name: str, text: str) -> Component:
        """Return a component of a type that has one file each."""
        place = PLACES[type_]
        path = f"{place.folder}/{name}.{place.suffix}-meta.xml"
        return cls(type=type_, name=name, path=path, text=text)

    @property
    def deploy_path(self) -> str:
        """Where it lies in the format of the Metadata API."""
        return self.path.removesuffix("-meta.xml")
