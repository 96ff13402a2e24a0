"""A person who connects an org, for the programs on the pages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import httpx2
from tools.walker import Walker


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
