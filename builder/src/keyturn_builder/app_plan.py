"""What would change in the Dev Hub org: the app as it is there beside the app as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from keyturn_builder.app_config import AppConfig
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.global_oauth_settings import (
    global_oauth_settings,
    global_settings_name,
)
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings, settings_name
from keyturn_builder.metadata.security_settings import security_settings, security_settings_name
from keyturn_builder.metadata.xml import Node, NotMetadata, read_document

# Salesforce's own words about the app, which no config says.
_NOT_OURS: Final = frozenset({"consumerKey", "consumerSecret", "oauthLink", "orgScopedExternalApp"})
_CERTIFICATE: Final = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One element that is not as it should be; `now` or `wanted` is None where there is none."""

    component: str
    element: str
    now: str | None
    wanted: str | None

    def __str__(self) -> str:
        return f"{self.component} {self.element}: {_shown(self.now)} -> {_shown(self.wanted)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFiles:
    """The app's documents in the Dev Hub org, by type; what is not there is left out."""

    documents: Mapping[str, Node]

    @property
    def exists(self) -> bool:
        """Whether the org has the app."""
        return "ExternalClientApplication" in self.documents

    def said(self, type_: str, element: str) -> str | None:
        """Return what a document says."""
        found = self.documents.get(type_)
        return found.said(element) if found else None


def members(config: AppConfig) -> dict[str, str]:
    """Return the app's components in the Dev Hub org, name by type."""
    return {
        "ExternalClientApplication": config.app.name,
        "ExtlClntAppOauthSettings": settings_name(config.app),
        "ExtlClntAppGlobalOauthSettings": global_settings_name(config.app),
        "ExtlClntAppOauthSecuritySettings": security_settings_name(config.app),
    }


def read_app(config: AppConfig, texts: Mapping[str, str]) -> AppFiles:
    """Return the app as it was retrieved; files of other apps are left out."""
    documents = {}
    for name, text in texts.items():
        try:
            root = read_document(text)
        except NotMetadata:
            continue
        stem = name.rpartition("/")[2].partition(".")[0]
        owner = root.said("externalClientApplication") or stem
        if root.name in members(config) and owner == config.app.name:
            documents[root.name] = root
    return AppFiles(documents=documents)


def desired(config: AppConfig, now: AppFiles, *, certificate: str | None) -> list[Component]:
    """Return the app as it should be, with what Salesforce itself wrote kept.

    Without its link, a deploy would cut the app loose from its consumer key.
    """
    scoped = now.said("ExternalClientApplication", "orgScopedExternalApp")
    link = now.said("ExtlClntAppOauthSettings", "oauthLink")
    components = [
        header(config.app, org_scoped_external_app=scoped),
        oauth_settings(config.app, oauth_link=link),
        global_oauth_settings(config.app, certificate=certificate),
    ]
    if config.app.egress or "ExtlClntAppOauthSecuritySettings" in now.documents:
        components.append(security_settings(config.app))
    return components


def differences(now: AppFiles, wanted: list[Component]) -> list[Difference]:
    """Return what is not as it should be, element by element."""
    return [found for one in wanted for found in _component(now.documents.get(one.type), one)]


def _component(now: Node | None, wanted: Component) -> Iterator[Difference]:
    before = _flat(now) if now is not None else {}
    after = _flat(read_document(wanted.text))
    for element in sorted(set(before) | set(after)):
        one, other = before.get(element), after.get(element)
        if element in _NOT_OURS or _same(one, other):
            continue
        yield Difference(component=wanted.type, element=element, now=one, wanted=other)


def _flat(root: Node) -> dict[str, str]:
    """Return each element's text; those with elements inside as sorted lines."""
    held: dict[str, list[str]] = {}
    for node in root.children:
        held.setdefault(node.name, []).append(_text(node))
    return {name: "\n".join(sorted(texts)) for name, texts in held.items()}


def _text(node: Node) -> str:
    if not node.children:
        text = "\n".join(line.strip() for line in node.text.strip().splitlines())
        return "".join(_base64(text)) if node.name == _CERTIFICATE else text
    return " ".join(f"{one.name}={one.text.strip()}" for one in node.children)


def _base64(pem: str) -> Iterator[str]:
    """Return a certificate's own characters: Salesforce keeps its lines as it likes."""
    yield from (line for line in pem.splitlines() if not line.startswith("-----"))


def _same(now: str | None, wanted: str | None) -> bool:
    """Compare as Salesforce reads it: an absent switch is off, and scopes have no order."""
    if now == wanted:
        return True
    words = {now, wanted}
    if words <= {None, "", "false"}:
        return True
    if now is None or wanted is None:
        return False
    return _set(now) == _set(wanted) if "," in now + wanted else False


def _set(text: str) -> set[str]:
    return {word.strip() for word in text.split(",")}


def _shown(text: str | None) -> str:
    if text is None:
        return "(none)"
    line = ", ".join(text.splitlines())
    return line if len(line) <= 80 else f"{line[:77]}..."  # noqa: PLR2004 - a line's worth
