"""Names of key-encryption keys that a key management service holds."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from keyturn_service.domain.ids import new_id

_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?"
_LONGEST: Final = 512


class Provider(StrEnum):
    """Who holds the key: the scheme of its URI."""

    AWS = "aws-kms"
    GCP = "gcp-kms"
    AZURE = "azure-key-vault"
    TRANSIT = "vault-transit"


_FORMS: Final = {
    Provider.AWS: re.compile(
        r"(?P<key>arn:aws(?:-[a-z-]+)?:kms:(?P<region>[a-z0-9-]+):\d{12}"
        r":(?:key/(?P<version>[A-Za-z0-9-]{1,64})|alias/[A-Za-z0-9/_-]{1,250}))"
    ),
    Provider.GCP: re.compile(
        r"(?P<key>projects/[a-z0-9:.-]{1,100}/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}"
        r"/cryptoKeys/[A-Za-z0-9_-]{1,63})(?:/cryptoKeyVersions/(?P<version>[0-9]{1,9}))?"
    ),
    Provider.AZURE: re.compile(
        r"(?P<host>[A-Za-z0-9-]{3,24}\.(?:vault|managedhsm)\.(?:azure\.net|azure\.cn"
        r"|usgovcloudapi\.net))/keys/(?P<key>[0-9A-Za-z-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?"
    ),
    Provider.TRANSIT: re.compile(
        rf"(?P<host>{_HOST})/(?P<mount>[A-Za-z0-9_-][A-Za-z0-9_./-]{{0,127}}?)/keys"
        r"/(?P<key>[A-Za-z0-9_.-]{1,127})(?:/(?P<version>[0-9]{1,9}))?"
        r"(?:\?namespace=(?P<namespace>[A-Za-z0-9_./-]{1,127}))?"
    ),
}
_EXAMPLES: Final = {
    Provider.AWS: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    Provider.GCP: "projects/acme/locations/europe-west3/keyRings/keyturn/cryptoKeys/root",
    Provider.AZURE: "acme.vault.azure.net/keys/keyturn",
    Provider.TRANSIT: "vault.acme.example:8200/transit/keys/keyturn",
}


class KeyUriRefused(ValueError):
    """This is no URI of a key; the text shows the form that it should have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUri:
    """`<provider>://<the key, as its provider writes it>`, with or without a version of it.

    `version` is what tells one key material from the next: a version number, at AWS the key
    itself. Without one it says "the newest", or an alias.
    """

    provider: Provider
    key: str
    text: str
    version: str | None = None
    region: str = ""
    host: str = ""
    mount: str = ""
    namespace: str | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the URI of a key.

        Raises:
            KeyUriRefused: this is none.
        """
        scheme, colon, rest = text.partition("://")
        if not colon or scheme not in set(Provider):
            known = ", ".join(f"{provider}://…" for provider in Provider)
            raise KeyUriRefused(f"say where the key is: file, {known}")
        provider = Provider(scheme)
        found = _FORMS[provider].fullmatch(rest) if len(text) <= _LONGEST else None
        if found is None:
            raise KeyUriRefused(f"write it as {provider}://{_EXAMPLES[provider]}")
        parts = {name: part for name, part in found.groupdict().items() if part is not None}
        return cls(provider=provider, text=text, **parts)

    @property
    def id(self) -> str:
        """The id of the key in what it wraps: the same wherever this URI is read."""
        return new_id("kek", hashlib.sha256(self.text.encode()).digest()[:18])

    def at(self, version: str) -> KeyUri:
        """Return the URI of a version of this key; at AWS, of the key that an alias stands for.

        Raises:
            KeyUriRefused: no version looks like this.
        """
        if self.provider is Provider.AWS:
            return KeyUri.read(f"{self.provider}://{version}")
        path, mark, rest = self.text.partition("?")
        if self.version is not None:
            path = path.rpartition("/")[0]
        elif self.provider is Provider.GCP:
            path += "/cryptoKeyVersions"
        return KeyUri.read(f"{path}/{version}{mark}{rest}")

    def may_be(self, asked: KeyUri) -> bool:
        """Tell whether this key is the one that was asked for, or a version of it.

        What an alias stands for only AWS can tell: a key of the same region may be it.
        """
        if asked.version is not None:
            return self.text == asked.text
        if asked.provider is Provider.AWS:
            return self.provider is Provider.AWS and self.region == asked.region
        ours = (self.provider, self.host, self.mount, self.key, self.namespace)
        return ours == (asked.provider, asked.host, asked.mount, asked.key, asked.namespace)
