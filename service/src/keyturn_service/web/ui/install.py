"""The step before connecting where the org has not installed the vendor's package."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.app import App
from keyturn_service.domain.connect_session import ConnectSession


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallStep:
    """Where the package is installed, and a letter that asks an admin to do it.

    Neither carries a right to connect.
    """

    url: str
    environment: str
    letter: str


def install_step(session: ConnectSession, app: App) -> InstallStep | None:
    """Return the step for the environment that was tried; None where the app has no package."""
    tried = session.authorization.environment if session.authorization is not None else None
    environment = tried or session.environment or Environment.PRODUCTION
    url = app.install_urls.get(environment)
    if url is None:
        return None
    subject = f"Please install the {app.name} package in our Salesforce org"
    body = (
        f"{app.name} works with our Salesforce org once its package is installed there.\n"
        f"This link installs it ({environment.value}); it needs a Salesforce admin:\n\n{url}\n"
    )
    letter = f"mailto:?subject={quote(subject)}&body={quote(body)}"
    return InstallStep(url=url, environment=environment.value, letter=letter)
