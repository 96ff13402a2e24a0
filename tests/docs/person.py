"""What happens between the programs of a page: people do their part, time passes."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

import httpx2
from tools.walker import Walker

from keyturn import Keyturn


def connect(link: str | None, *, username: str, password: str, back: str) -> dict[str, str]:
    """Walk from the link of a connect session to `back`, and return the query there."""
    assert link is not None
    with Walker(httpx2.Client(trust_env=False, timeout=60)) as browser:
        browser.stop_before = back
        browser.get(link)
        browser.submit("connect", environment="production")
        browser.submit("Login", username=username, pw=password)
        browser.submit("oaapprove")
        assert browser.stopped_at is not None, f"{browser.status} {browser.code}"
        return dict(parse_qsl(urlsplit(browser.stopped_at).query))


def put_certificate(control_url: str, certificate_pem: str) -> None:
    """Put a certificate into the settings of the app, as the vendor does in the Dev Hub org."""
    body = {"certificate_pem": certificate_pem}
    answer = httpx2.patch(f"{control_url}/apps/Acme", json=body, trust_env=False)
    answer.raise_for_status()


def wait_for_clock(control: httpx2.Client, service_url: str, api_key: str, app_id: str) -> None:
    """Wait until the service's clock is where the world's is now."""
    now = datetime.fromisoformat(control.get("/clock").json()["now"])
    with Keyturn(service_url, api_key=api_key) as keyturn:
        while (
            made := keyturn.connect_sessions.create(
                customer_id="clock", return_url="https://app.acme.example/settings", app_id=app_id
            ).created_at
        ) is None or made < now:
            pass
