"""Rules about the files of a package: what may be there, and how files name each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from keyturn_builder.errors import Finding
from keyturn_builder.lint.rule import Document, broken
from keyturn_builder.metadata.xml import Node

APP_FOLDER: Final = "externalClientApps"
HEADER: Final = "ExternalClientApplication"
OAUTH: Final = "ExtlClntAppOauthSettings"
_API_NAME: Final = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")
_ORG_ID: Final = r"00D[0-9A-Za-z]{12}"
_SCOPED: Final = re.compile(rf"(?P<org>{_ORG_ID}):(?P<name>\w+)", re.ASCII)
_LINK: Final = re.compile(rf"(?P<org>{_ORG_ID}):888[0-9A-Za-z]{{12}}", re.ASCII)
# An id is prefix, pod and a counter in base 62: low counters of a young pod have runs of zeros.
_PLACEHOLDER: Final = re.compile(r"\b(?:00D|888)(?:[Xx]{12}|(.)\1{11})\b", re.ASCII)
# Source: @salesforce/source-deploy-retrieve, metadataRegistry.json
_FOLDERS: Final[Mapping[str, str]] = {
    "eca": APP_FOLDER,
    "ecaOauth": "extlClntAppOauthSettings",
    "ecaGlblOauth": "extlClntAppGlobalOauthSets",
    "ecaOauthSecurity": "extlClntAppOauthSecuritySettings",
    "ecaOauthPlcy": "extlClntAppOauthPolicies",
    "ecaPlcy": "extlClntAppPolicies",
    "ecaSamlPlcy": "extlClntAppSamlConfigurablePolicies",
}
_UNPACKAGEABLE: Final = frozenset(
    {"ecaGlblOauth", "ecaOauthSecurity", "ecaOauthPlcy", "ecaPlcy", "ecaSamlPlcy"}
)
_UNPACKAGEABLE_ROOTS: Final = frozenset(
    {
        "ExtlClntAppConfigurablePolicies",
        "ExtlClntAppGlobalOauthSettings",
        "ExtlClntAppOauthConfigurablePolicies",
        "ExtlClntAppOauthSecuritySettings",
        "ExtlClntAppSamlConfigurablePolicies",
    }
)
_SECRETS: Final = (
    ("a consumer key", re.compile(r"3MVG[0-9A-Za-z._]{20,}")),
    ("a consumer secret", re.compile(r"<consumerSecret>\s*\S")),
    ("a consumer key", re.compile(r"<consumerKey>\s*\S")),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")),
)


def suffix_of(file: str) -> str:
    """Return the suffix of a component's file, in either format."""
    return file.removesuffix("-meta.xml").rpartition(".")[2]


def file_rules(files: Mapping[str, str]) -> Iterator[Finding]:
    """Judge files by name and text, whatever they hold."""
    for file, text in sorted(files.items()):
        suffix = suffix_of(file)
        folder = file.rpartition("/")[0].rpartition("/")[2]
        if suffix in _UNPACKAGEABLE:
            yield broken("not-packageable", file, f"a package does not carry .{suffix} files")
        expected = _FOLDERS.get(suffix)
        if expected and folder != expected:
            yield broken("file-place", file, f".{suffix} files lie in {expected}/")
        if expected is None and folder in _FOLDERS.values() and file.endswith((".xml", suffix)):
            yield broken("file-place", file, f"{folder}/ holds no files that end in .{suffix}")
        for what, shape in _SECRETS:
            found = shape.search(text)
            if found:
                line = text.count("\n", 0, found.start()) + 1
                yield broken("no-secret", file, f"this looks like {what}", line=line)


def reference_rules(documents: Sequence[Document]) -> Iterator[Finding]:
    """Judge how the files of apps name each other."""
    headers = {one.stem: one for one in documents if one.root.name == HEADER}
    settings = [one for one in documents if one.root.name == OAUTH]
    children = [one for one in documents if one.root.name.startswith("ExtlClntApp")]
    for one in children:
        named = one.root.said("externalClientApplication")
        if named is not None and named not in headers:
            node = one.root.all("externalClientApplication")[0]
            message = f"there is no header {named}.eca-meta.xml in the package"
            yield broken("header-reference", one.file, message, node=node)
        if one.root.name in _UNPACKAGEABLE_ROOTS and suffix_of(one.file) not in _UNPACKAGEABLE:
            message = f"a package does not carry {one.root.name}"
            yield broken("not-packageable", one.file, message, node=one.root)
    if not headers:
        yield broken("app-missing", APP_FOLDER, "there is no External Client App in the package")
    named_by = Counter(one.root.said("externalClientApplication") for one in settings)
    for one in settings:
        if named_by[one.root.said("externalClientApplication")] > 1:
            yield broken("one-settings", one.file, "another file has OAuth settings for this app")
    for name, one in headers.items():
        yield from _header(name, one)
        if name not in named_by:
            yield broken("settings-missing", one.file, f"{name} has no OAuth settings")
    for one in settings:
        yield from _link(one, headers)


def _header(name: str, one: Document) -> Iterator[Finding]:
    if not _API_NAME.fullmatch(name):
        yield broken("api-name", one.file, f"{name} is no name that Salesforce takes")
    scoped = one.root.said("orgScopedExternalApp")
    if scoped is None:
        message = "orgScopedExternalApp is missing"
        yield broken("org-scoped-app", one.file, message, node=one.root)
        return
    found, node = _SCOPED.fullmatch(scoped), one.root.all("orgScopedExternalApp")[0]
    if found is None or _PLACEHOLDER.search(found["org"]):
        yield broken("org-scoped-app", one.file, f"{scoped} names no org and app", node=node)
    elif found["name"] != name:
        message = f"it names the app {found['name']}, and the file is {name}"
        yield broken("org-scoped-app", one.file, message, node=node)


def _link(one: Document, headers: Mapping[str, Document]) -> Iterator[Finding]:
    link = one.root.said("oauthLink")
    if link is None:
        yield broken("oauth-link", one.file, "oauthLink is missing", node=one.root)
        return
    found, node = _LINK.fullmatch(link), one.root.all("oauthLink")[0]
    if found is None or _PLACEHOLDER.search(link):
        yield broken("oauth-link", one.file, f"{link} names no org and consumer", node=node)
        return
    header = headers.get(one.root.said("externalClientApplication") or "")
    scoped = _SCOPED.fullmatch((header.root.said("orgScopedExternalApp") or "") if header else "")
    if scoped and scoped["org"] != found["org"]:
        yield _other_owner(one.file, node, scoped["org"], found["org"])


def _other_owner(file: str, node: Node, header: str, link: str) -> Finding:
    message = f"the header belongs to org {header}, the link to {link}"
    return broken("one-owner", file, message, node=node)
