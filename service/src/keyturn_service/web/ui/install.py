"""The step before connecting where the org has not installed the vendor's package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_service.domain.app import App
from keyturn_service.domain.connect_session import ConnectSession


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallStep:
    """Where the package is installed, and a letter that asks an admin to do it.

    `kind` is an environment, or My Domain. Neither link nor letter carries a right to connect.
    """

    url: str
    kind: str
    letter: str


def install_steps(
    session: ConnectSession, app: App, login_hosts: Mapping[Environment, Origin]
) -> tuple[InstallStep, ...]:
    """Return where the package is installed, the likeliest first; none where the app has none.

    Where a My Domain is known, the link leads there alone: at a login host a browser would come
    to the org that it happens to be logged in to.
    """
    likely, host = session.environment, session.login_url
    if session.authorization is not None:
        likely, host = session.authorization.environment, session.authorization.login_url
    likely = likely or Environment.PRODUCTION
    if host is not None and host not in login_hosts.values():
        return tuple(_steps(app, (likely,), {likely: host}, kind="My Domain"))
    order = sorted(Environment, key=lambda environment: environment is not likely)
    return tuple(_steps(app, order, login_hosts))


def _steps(
    app: App,
    environments: Iterable[Environment],
    hosts: Mapping[Environment, Origin],
    *,
    kind: str | None = None,
) -> Iterator[InstallStep]:
    for environment in environments:
        url = app.install_urls.get(environment)
        if url is not None:
            standard = f"{app.login_hosts[environment]}/"
            if url.startswith(standard):
                url = f"{hosts[environment]}/{url.removeprefix(standard)}"
            yield _step(app, kind or environment.value, url)


def _step(app: App, kind: str, url: str) -> InstallStep:
    subject = f"Please install the {app.name} package in our Salesforce org"
    body = (
        f"{app.name} works with our Salesforce org once its package is installed there.\n"
        f"This link installs it ({kind}); it needs a Salesforce admin:\n\n{url}\n"
    )
    letter = f"mailto:?subject={quote(subject)}&body={quote(body)}"
    return InstallStep(url=url, kind=kind, letter=letter)
