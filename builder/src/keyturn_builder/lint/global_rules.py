"""Rules for the global OAuth settings, which stay in the Dev Hub org."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from keyturn_builder.errors import Finding
from keyturn_builder.lint.rule import Document, broken

GLOBAL: Final = "ExtlClntAppGlobalOauthSettings"
_LONGEST: Final = 2000
_CONTROLS: Final = {
    "isPkceRequired": "true",
    "isRefreshTokenRotationEnabled": "true",
    "isEnforceRefreshTokenTTL": "true",
    "isConsumerSecretOptional": "false",
    "isSecretRequiredForRefreshToken": "true",
}
_RISKY: Final = (
    "isDeviceFlowEnabled",
    "isClientCredentialsFlowEnabled",
    "isCodeCredFlowEnabled",
    "isIntrospectAllTokens",
)


def global_rules(one: Document) -> Iterator[Finding]:
    """Judge the global settings; other documents pass."""
    if one.root.name != GLOBAL:
        return
    for name, wanted in _CONTROLS.items():
        if one.root.said(name) != wanted:
            node = next(iter(one.root.all(name)), one.root)
            message = f"{name} is {one.root.said(name) or 'missing'}, not {wanted}"
            yield broken("partner-controls", one.file, message, node=node)
    for name in _RISKY:
        if one.root.said(name) == "true":
            yield broken("risky-flow", one.file, f"{name} is on", node=one.root.all(name)[0])
    yield from _callbacks(one)


def _callbacks(one: Document) -> Iterator[Finding]:
    found = one.root.all("callbackUrl")
    if not found or not found[0].text.strip():
        yield broken("callback", one.file, "there is no callback URL", node=one.root)
        return
    node = found[0]
    if len(node.text) > _LONGEST:
        yield broken("callback", one.file, "more than 2,000 characters", node=node)
    for url in node.text.split():
        parts = urlsplit(url)
        local = parts.hostname in {"localhost", "127.0.0.1"}
        if (parts.scheme == "http" and not local) or "*" in url:
            yield broken("callback", one.file, f"{url} is not taken", node=node)
