"""What an org refuses of a deployment. Pure: files and facts in, problems out.

Sources are named at each rule; "reported" marks what was only seen on real orgs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cryptography import x509

from orgsim.metadata import kinds
from orgsim.metadata.archive import SourceFile
from orgsim.metadata.scopes import RUNTIME, split_names
from orgsim.metadata.shapes import SHAPES, shape_problems
from orgsim.metadata.xml_text import Node, NotXml, parse
from orgsim.orgs.org import same_org
from orgsim.surfaces.metadata_api import errors

_API_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://?[!-~]+", re.ASCII)
_LOCAL = re.compile(r"http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/|$)", re.ASCII)
_LONGEST_NAME, _LONGEST_CALLBACKS = 80, 2_000
_JWT_ONLY = (
    "namedUserJwtTimeout",
    "namedUserJwtSessionTimeoutType",
    "guestJwtTimeout",
    "guestJwtSessionTimeoutType",
    "sessionTimeoutInMinutes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule may look at beside the file: the deployment's other files, and the org.

    `held` gives a component's file of this org; `distribution_of` the distribution state of the
    app that an OAuth link, or an org and a name, refer to, None where there is none.
    """

    org_id: str
    ephemeral: bool
    version: float
    ignores_warnings: bool
    deployed: Mapping[tuple[str, str], Node]
    held: Callable[[str, str], Node | None]
    distribution_of: Callable[[str], str | None]
    has_jwt_tokens: Callable[[str], bool]
    global_with_oauth_only: bool
    taken_policies: Callable[[str, str], str | None]
    """The name of the policies of a kind that an app of this org has already."""

    def known(self, kind: str, name: str) -> Node | None:
        """Return a component's file, from this deployment or from the org."""
        return self.deployed.get((kind, name)) or self.held(kind, name)

    def deployed_for(self, kind: str, app: str) -> bool:
        """Tell whether the deployment has a file of a kind for an app."""
        return any(
            known == kind and node.value("externalClientApplication") == app
            for (known, _), node in self.deployed.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a file, or that its developer should have a look at."""

    text: str
    warning: bool = False


Rule = Callable[[str, Node, Facts], Iterator[str]]


def judge(file: SourceFile, facts: Facts) -> list[Problem]:
    """Return all that is wrong with one file."""
    if file.kind.content:
        return []
    try:
        node = parse(file.body)
    except NotXml as error:
        return [Problem(text=errors.not_parsed(str(error)))]
    expected = file.kind.name
    if expected == kinds.SETTINGS:
        expected = f"{file.full_name}Settings"
    if node.name != expected:
        return [Problem(text=errors.not_parsed(f"Unexpected element {node.name}"))]
    shape = SHAPES.get(node.name)
    found = (
        []
        if shape is None
        else list(shape_problems(shape, node, kind=node.name, version=facts.version))
    )
    if not found:
        found = [
            text for rule in RULES.get(node.name, ()) for text in rule(file.full_name, node, facts)
        ]
    problems = [Problem(text=text) for text in found]
    if node.name == kinds.GLOBAL and _rotates(node) and not facts.ignores_warnings:
        problems.append(Problem(text=errors.ROTATES, warning=True))
    return problems


def _rotates(node: Node) -> bool:
    """Spec: Metadata API Developer Guide, "ExtlClntAppGlobalOauthSettings" (`shouldRotate…`)."""
    return node.flag("shouldRotateConsumerKey") or node.flag("shouldRotateConsumerSecret")


def header_exists(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """A child names its header exactly, with case (reported)."""
    del name
    app = node.value("externalClientApplication")
    if facts.known(kinds.HEADER, app) is None:
        yield errors.no_header(app)


def api_name(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """An API name is made of letters, digits and single underscores (Setup's own text)."""
    del node, facts
    if not _API_NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        yield errors.API_NAME


def origin(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """A header refers to itself, or to a packaged app of another org; sandboxes own none.

    Spec: Salesforce Help, "Configure Packageable External Client Apps"; the text about ephemeral
    orgs is reported.
    """
    scoped = node.value("orgScopedExternalApp")
    org_id, _, app = scoped.partition(":")
    own = not scoped or (same_org(org_id, facts.org_id) and app == name)
    if not own and facts.distribution_of(scoped) != "packaged":
        yield errors.ORG_SCOPED
    if own and facts.ephemeral and node.value("distributionState") == "Packaged":
        yield errors.EPHEMERAL


def scopes(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """Scopes have metadata's own names: `Api`, not `api` (reported, with the list)."""
    del name, facts
    for scope in split_names(node.value("commaSeparatedOauthScopes")):
        if scope not in RUNTIME:
            yield errors.bad_scope(scope, tuple(RUNTIME))


def oauth_link(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """A link names a registration; one of another org must be packaged.

    Spec: Salesforce Help, "Associate and Disassociate External Client Apps"; texts reported.
    """
    del name
    link = node.value("oauthLink")
    if not link:
        return
    state = facts.distribution_of(link)
    if state is None:
        yield errors.LINK_UNKNOWN
    elif state != "packaged" and not same_org(link.partition(":")[0], facts.org_id):
        yield errors.LINK_OF_LOCAL


def global_is_not_alone(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """Global settings come together with OAuth settings (reported)."""
    del name
    app = node.value("externalClientApplication")
    if not facts.deployed_for(kinds.OAUTH, app) and facts.global_with_oauth_only:
        yield errors.GLOBAL_ALONE


def global_of_ephemeral(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """An ephemeral org keeps no registration for others."""
    del name
    header = facts.known(kinds.HEADER, node.value("externalClientApplication"))
    if facts.ephemeral and header and header.value("distributionState") == "Packaged":
        yield errors.EPHEMERAL


def callbacks(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """Callback URLs are https, of an own scheme, or of localhost, 2,000 characters in all.

    Spec: Salesforce Help, "Configure the External Client App OAuth Settings".
    """
    del name, facts
    text = node.value("callbackUrl")
    urls = text.split()
    wrong = [
        url
        for url in urls
        if not _URL.fullmatch(url) or (url.startswith("http://") and not _LOCAL.match(url))
    ]
    if wrong or not urls or len(text) > _LONGEST_CALLBACKS:
        yield errors.CALLBACK


def certificate(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """The certificate is X.509 in PEM.

    Spec: Salesforce Help, "Configure a JWT Bearer Flow for External Client Apps".
    """
    del name, facts
    pem = node.value("certificate")
    if pem and not is_certificate(pem):
        yield errors.CERTIFICATE


def is_certificate(pem: str) -> bool:
    """Tell whether a text is a certificate in PEM."""
    try:
        x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return False
    return True


def first_save(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """Policies and security settings wait for the app; there is one file of each (reported)."""
    app = node.value("externalClientApplication")
    if facts.held(kinds.HEADER, app) is None and facts.known(kinds.HEADER, app) is not None:
        yield errors.DUPLICATE_SETUP
        return
    taken = facts.taken_policies(node.name, app)
    if taken is not None and taken != name:
        yield errors.DUPLICATE_SETUP


def plugin_settings(name: str, node: Node, facts: Facts) -> Iterator[str]:
    """Session times belong to apps with JWT-format access tokens (reported)."""
    del name
    app = node.value("externalClientApplication")
    if not any(node.find(wanted) for wanted in _JWT_ONLY):
        return
    if not facts.has_jwt_tokens(app):
        yield errors.PLUGIN


RULES: Mapping[str, tuple[Rule, ...]] = {
    **dict.fromkeys(kinds.APP_KINDS - {kinds.HEADER}, (header_exists,)),
    kinds.HEADER: (api_name, origin),
    kinds.OAUTH: (header_exists, scopes, oauth_link),
    kinds.GLOBAL: (
        header_exists,
        global_is_not_alone,
        global_of_ephemeral,
        callbacks,
        certificate,
    ),
    kinds.SECURITY: (header_exists, first_save),
    kinds.OAUTH_POLICIES: (header_exists, first_save, plugin_settings),
    kinds.POLICIES: (header_exists, first_save),
}
