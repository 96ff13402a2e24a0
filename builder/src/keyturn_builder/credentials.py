"""Consumer key and secret: read once from the Dev Hub org, straight to who keeps them.

They pass through memory only. `sf` has no command for them.
Spec: Connect REST API Developer Guide, "OAuth Credentials".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from keyturn_builder.dev_hub import DevHub
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.component import API_VERSION
from keyturn_builder.sf_errors import meaning_of
from keyturn_core.secrets import ConsumerSecret

_WITHIN: Final = 60.0  # seconds for one call
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
_WHICH: Final = "SELECT Id FROM ExternalClientApplication WHERE DeveloperName = '{name}'"
_OFF: Final = ("not currently enabled", "feature is not enabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerCredentials:
    """The pair. The key is an identifier; it is kept out of files all the same."""

    key: str
    secret: ConsumerSecret


def read_credentials(
    hub: DevHub, app_name: str, consumer_id: str, *, transport: httpx2.BaseTransport | None = None
) -> ConsumerCredentials:
    """Read the pair of an app.

    Raises:
        BuilderError: the org does not give it, with the switch or permission that is missing.
    """
    if urlsplit(hub.instance_url).scheme != "https" and not _is_local(hub.instance_url):
        raise BuilderError("dev_hub_unreachable", f"{hub.instance_url} is not https")
    root = f"{hub.instance_url}/services/data/v{API_VERSION}"
    headers = {"Authorization": f"Bearer {hub.access_token.reveal()}"}
    with httpx2.Client(headers=headers, timeout=_WITHIN, transport=transport) as http:
        query = _WHICH.format(name=app_name)  # a name of letters, digits and underscores
        found = _json(http, f"{root}/tooling/query", {"q": query})
        records = found.get("records") or []
        if not records:
            raise BuilderError("app_missing", app_name)
        consumer = f"{root}/apps/oauth/credentials/{records[0]['Id']}/{consumer_id}"
        read = _json(http, consumer, {"part": "keyandsecret"})
    key, secret = read.get("key"), read.get("secret")
    if not isinstance(key, str) or not isinstance(secret, str):
        raise BuilderError("credentials_refused", "the answer holds no key and secret")
    return ConsumerCredentials(key=key, secret=ConsumerSecret(secret))


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def _json(http: httpx2.Client, url: str, parameters: dict[str, str]) -> dict[str, Any]:
    try:
        answer = http.get(url, params=parameters)
        read = answer.json()
    except (httpx2.RequestError, ValueError) as error:
        raise BuilderError("dev_hub_unreachable", type(error).__name__) from error
    if answer.is_success and isinstance(read, dict):
        return read
    said = _said(read)
    if any(text in said for text in _OFF):
        raise BuilderError("credentials_api_off", said=said)
    known = meaning_of(said, doing="reading the consumer credentials")
    raise known if known.code != "sf_failed" else BuilderError("credentials_refused", said=said)


def _said(read: Any) -> str:
    """Return Salesforce's own words: code and message, nothing else of the body."""
    first = read[0] if isinstance(read, list) and read else read
    if not isinstance(first, dict):
        return ""
    return f"{first.get('errorCode', '')}: {first.get('message', '')}"
