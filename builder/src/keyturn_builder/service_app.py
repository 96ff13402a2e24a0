"""The app at the Keyturn service: found or registered, and given what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keyturn import App, Keyturn
from keyturn_builder.app_config import AppConfig
from keyturn_builder.credentials import ConsumerCredentials
from keyturn_builder.errors import BuilderError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceApp:
    """One app of the service, through its REST API."""

    keyturn: Keyturn
    app: App

    def put_credentials(self, pair: ConsumerCredentials) -> None:
        """Give the service consumer key and secret; they are never read back."""
        self.keyturn.apps.put_consumer_credentials(
            self.app.id, consumer_key=pair.key, consumer_secret=pair.secret.reveal()
        )

    def certificate(self, *, make: bool) -> str | None:
        """Return the certificate that signs first, in PEM; `make` a key pair where none is.

        A staged key stands before the active one: its certificate is on its way to Salesforce.
        """
        keys = {key.state: key for key in self.keyturn.apps.signing_keys(self.app.id)}
        key = keys.get("staged") or keys.get("active")
        if key is None and make:
            key = self.keyturn.apps.create_signing_key(self.app.id)
        return None if key is None else key.certificate_pem

    def put_install_urls(self, urls: Mapping[str, str]) -> None:
        """Tell the connect page where the package is installed, by environment."""
        self.keyturn.apps.update(self.app.id, package={"install_urls": dict(urls)})

    def drift(self, config: AppConfig) -> dict[str, Any]:
        """Return what the service has otherwise than the config, new value by member."""
        wanted: dict[str, Any] = {
            "namespace": config.package.namespace,
            "callback_urls": config.app.callback_urls,
            "scopes": config.app.scopes,
        }
        if config.service is not None and config.service.start_url is not None:
            wanted["start_url"] = config.service.start_url
        return {
            name: value
            for name, value in wanted.items()
            if _plain(getattr(self.app, name)) != _plain(value)
        }


def find_app(keyturn: Keyturn, config: AppConfig) -> ServiceApp | None:
    """Return the app that the config means: by its id, or by its name; None where there is none."""
    if config.service is not None and config.service.app_id:
        return ServiceApp(keyturn=keyturn, app=keyturn.apps.get(config.service.app_id))
    for app in keyturn.apps.list():
        if app.name in {config.app.label, config.app.name}:
            return ServiceApp(keyturn=keyturn, app=app)
    return None


def register_app(keyturn: Keyturn, config: AppConfig) -> ServiceApp:
    """Register the app with the service.

    Raises:
        BuilderError: the config names no origin that browsers go back to.
    """
    if config.service is None or not config.service.return_origins:
        raise BuilderError("return_origins_missing")
    app = keyturn.apps.create(
        name=config.app.label,
        namespace=config.package.namespace,
        callback_urls=config.app.callback_urls,
        return_origins=config.service.return_origins,
        scopes=config.app.scopes,
        start_url=config.service.start_url,
    )
    return ServiceApp(keyturn=keyturn, app=app)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | tuple) else value
