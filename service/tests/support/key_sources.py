"""Every key source, with what its provider's side can do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from service.tests.support.fakes import CountedRandomness
from tests.support.kms import aws, azure, google, transit
from tests.support.kms.front import Front, running_front

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.key_sources.kms_key import KmsAccess
from keyturn_service.adapters.key_sources.remote import KmsKeys
from keyturn_service.vault.key_uri import KeyUri

REMOTE: Final = ("aws", "gcp", "azure", "transit")
_number: Final = count(1)


@dataclass(frozen=True, kw_only=True)
class ProvidersSide:
    """A key at its provider. `uri` names it without a version."""

    uri: str
    new_version: Callable[[], None]
    delete: Callable[[], None]
    disable: Callable[[], None]
    deny_unwrap: Callable[[], None]
    deny_wrap: Callable[[], None]


class Providers:
    """Every provider, behind one proxy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.aws = aws.AwsStandIn()
        self.google = google.GoogleStandIn()
        self.azure = azure.AzureStandIn()
        self.transit = transit.TransitStandIn()
        self.proxy_url = ""
        self.front: Front

    def reset(self) -> None:
        """Let all of them work again."""
        self.front.away = self.front.garbled = False
        if self.front.held is not None:
            self.front.held.set()
            self.front.held = None
        for each in (self.aws, self.google, self.azure, self.transit):
            each.denied.clear()
        self.transit.sealed = False
        self.transit.changed_is = 400
        self.transit.binds = True
        self.transit.tokens = {transit.TOKEN}
        self.front.asked.clear()

    def environment(self) -> dict[str, str]:
        """Return what an operator sets for the providers' clients."""
        account = self.google.credentials(self.folder / "account.json")
        ca = str(self.front.ca_file)
        return {
            "HTTPS_PROXY": self.proxy_url,
            "NO_PROXY": "",
            "REQUESTS_CA_BUNDLE": ca,
            "AWS_CA_BUNDLE": ca,
            "AWS_ACCESS_KEY_ID": aws.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": aws.SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "GOOGLE_APPLICATION_CREDENTIALS": str(account),
            "AZURE_TENANT_ID": azure.TENANT,
            "AZURE_CLIENT_ID": azure.CLIENT,
            "AZURE_CLIENT_SECRET": azure.SECRET,
            "VAULT_TOKEN": transit.TOKEN,
        }

    def key(self, provider: str) -> ProvidersSide:
        """Make a key at a provider."""
        name = f"key-{next(_number)}"
        return {
            "aws": self._at_aws,
            "gcp": self._at_google,
            "azure": self._at_azure,
            "transit": self._at_transit,
        }[provider](name)

    def _at_aws(self, name: str) -> ProvidersSide:
        arns = [self.aws.new_key()]
        alias = self.aws.alias(name, arns[0])

        def another() -> None:
            arns.append(self.aws.new_key())
            self.aws.point(alias, arns[-1])

        return ProvidersSide(
            uri=f"aws-kms://{alias}",
            new_version=another,
            delete=lambda: self.aws.delete(arns[0]),
            disable=lambda: self.aws.disable(arns[0]),
            deny_unwrap=lambda: self.aws.denied.add("Decrypt"),
            deny_wrap=lambda: self.aws.denied.add("Encrypt"),
        )

    def _at_google(self, name: str) -> ProvidersSide:
        key = self.google.new_key(name)
        return ProvidersSide(
            uri=f"gcp-kms://{key}",
            new_version=lambda: self.google.new_version(key),
            delete=lambda: self.google.delete(key),
            disable=lambda: self.google.disabled.add(f"{key}/cryptoKeyVersions/1"),
            deny_unwrap=lambda: self.google.denied.add("decrypt"),
            deny_wrap=lambda: self.google.denied.add("encrypt"),
        )

    def _at_azure(self, name: str) -> ProvidersSide:
        key = self.azure.new_key(name)
        return ProvidersSide(
            uri=f"azure-key-vault://{key}",
            new_version=lambda: self.azure.new_version(name),
            delete=lambda: self.azure.delete(name),
            disable=lambda: self.azure.set_enabled(name, enabled=False),
            deny_unwrap=lambda: self.azure.denied.add("unwrapkey"),
            deny_wrap=lambda: self.azure.denied.add("sign"),
        )

    def _at_transit(self, name: str) -> ProvidersSide:
        key = self.transit.new_key(name)
        return ProvidersSide(
            uri=f"vault-transit://{key}?namespace={transit.NAMESPACE}",
            new_version=lambda: self.transit.new_version(name),
            delete=lambda: self.transit.delete(name),
            disable=lambda: self.transit.least.update({name: 2}),
            deny_unwrap=lambda: self.transit.denied.add("decrypt"),
            deny_wrap=lambda: self.transit.denied.add("encrypt"),
        )


@contextmanager
def running_providers(folder: Path) -> Iterator[Providers]:
    """Run every provider."""
    made = Providers(folder)
    with running_front(folder, [made.aws, made.google, made.azure, made.transit]) as (front, url):
        made.front, made.proxy_url = front, url
        yield made


async def key_file(
    path: Path, at: ProvidersSide | None, remote: KmsKeys | None = None, seed: str = "source"
) -> KeyFile:
    """Make a key file as `keyturn keys init` does, over a key at its provider or of its own."""
    elsewhere = remote or KmsKeys(KmsAccess())
    uri = None if at is None else await elsewhere.current(KeyUri.read(at.uri))
    return KeyFile.create(path, CountedRandomness(seed), uri, elsewhere)
