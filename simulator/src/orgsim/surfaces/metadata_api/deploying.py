"""Carries out a deployment: judge every file, then keep all of them or none.

Spec: Metadata API Developer Guide, "deploy()" and "DeployResult".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orgsim.metadata import kinds
from orgsim.metadata.archive import Archive, NotAnArchive, SourceFile, read_archive
from orgsim.metadata.components import Component
from orgsim.metadata.kinds import BY_NAME
from orgsim.metadata.xml_text import Node, NotXml, document, parse, tree
from orgsim.orgs.org import Org, User
from orgsim.orgs.registering import owner_of
from orgsim.surfaces.metadata_api import apps, errors
from orgsim.surfaces.metadata_api.rules import Facts, Problem, judge
from orgsim.world import World

_DEFAULT_OAUTH_POLICIES = (
    ("ipRelaxationPolicyType", "Enforce"),
    ("isClientCredentialsFlowEnabled", "false"),
    ("isGuestCodeCredFlowEnabled", "false"),
    ("isTokenExchangeFlowEnabled", "false"),
    ("permittedUsersPolicyType", "AllSelfAuthorized"),
    ("refreshTokenPolicyType", "SpecificLifetime"),
    ("refreshTokenValidityPeriod", "365"),
    ("refreshTokenValidityUnit", "Days"),
    ("requiredSessionLevel", "STANDARD"),
)
_DEFAULT_POLICIES = (("isEnabled", "true"), ("isOauthPluginEnabled", "true"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for; other options change nothing here."""

    check_only: bool = False
    ignore_warnings: bool = False
    rollback_on_error: bool = True
    single_package: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What became of one component."""

    kind: str
    full_name: str
    path: str
    problem: Problem | None = None
    created: bool = False
    deleted: bool = False
    component_id: str | None = None

    @property
    def success(self) -> bool:
        """Whether it went well."""
        return self.problem is None


@dataclass(slots=True, kw_only=True)
class Deployment:
    """A deployment and how it ended; `asked` counts how often its status was asked for."""

    job_id: str
    org_id: str
    user: User
    options: Options
    started: datetime
    messages: tuple[Message, ...] = ()
    error: str | None = None
    files: int = 0
    size: int = 0
    asked: int = 0
    failed: tuple[Message, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self.failed = tuple(message for message in self.messages if not message.success)

    @property
    def success(self) -> bool:
        """Whether all of it went well."""
        return self.error is None and not self.failed

    @property
    def status(self) -> str:
        """The status once it has ended."""
        return "Succeeded" if self.success else "Failed"


def deploy(world: World, org: Org, user: User, data: bytes, options: Options) -> Deployment:
    """Carry out a deployment."""
    messages: tuple[Message, ...] = ()
    error, count = None, 0
    try:
        archive = read_archive(data)
    except NotAnArchive as refused:
        error = str(refused)
    else:
        messages, count = _Deploying(world, org, user, options).carry_out(archive), archive.count
    job_id = world.new_id(org.org_id, "0Af")
    deployment = Deployment(
        job_id=job_id,
        org_id=org.org_id,
        user=user,
        options=options,
        started=world.clock.now(),
        messages=messages,
        error=error,
        files=count,
        size=len(data),
    )
    world.jobs[job_id] = deployment
    return deployment


class _Deploying:
    """One deployment on its way."""

    def __init__(self, world: World, org: Org, user: User, options: Options) -> None:
        self._world = world
        self._org = org
        self._user = user
        self._options = options

    def carry_out(self, archive: Archive) -> tuple[Message, ...]:
        facts = self._facts(archive)
        judged = [*self._strange(archive), *self._judged(archive, facts), *self._gone(archive)]
        bad = any(not message.success for message in judged)
        if self._options.check_only or (bad and self._options.rollback_on_error):
            return tuple(judged)
        good = {(m.kind, m.full_name) for m in judged if m.success}
        files = [file for file in archive.files if (file.kind.name, file.full_name) in good]
        for file in files:
            self._keep(file)
        deployed = {
            key: node for key, node in facts.deployed.items() if key in good and node is not None
        }
        for kind, name in archive.removed:
            self._remove(kind, name)
        for _, name in [key for key in deployed if key[0] == kinds.OAUTH]:
            self._default_policies(deployed[kinds.OAUTH, name])
        apps.settle_apps(self._world, self._org, deployed)
        return tuple(judged)

    def _facts(self, archive: Archive) -> Facts:
        deployed: dict[tuple[str, str], Node] = {}
        for file in archive.files:
            if not file.kind.content:
                try:
                    deployed[file.kind.name, file.full_name] = parse(file.body)
                except NotXml:
                    continue
        org_id, world = self._org.org_id, self._world
        return Facts(
            org_id=org_id,
            ephemeral=self._org.environment == "sandbox",
            version=archive.manifest.version,
            ignores_warnings=self._options.ignore_warnings,
            deployed=deployed,
            held=lambda kind, name: apps.held_node(world, org_id, kind, name),
            distribution_of=_distribution(world),
            has_jwt_tokens=self._has_jwt_tokens,
            global_with_oauth_only=world.switches.global_settings_need_oauth_settings,
            taken_policies=self._taken,
        )

    def _has_jwt_tokens(self, app: str) -> bool:
        known = apps.consumer_key_of(self._world, self._org, app)
        return known is not None and self._world.apps[known].access_token_format != "opaque"  # noqa: S105

    def _taken(self, kind: str, app: str) -> str | None:
        for component in self._world.components.of(self._org.org_id, kind):
            if component.node().value("externalClientApplication") == app:
                return component.full_name
        return None

    # -- judging ----------------------------------------------------------------------------

    @staticmethod
    def _strange(archive: Archive) -> list[Message]:
        return [
            Message(
                kind="", full_name=path, path=path, problem=Problem(text=errors.unknown_kind(path))
            )
            for path in archive.strange
        ]

    def _judged(self, archive: Archive, facts: Facts) -> list[Message]:
        found = [self._message(file, archive, facts) for file in archive.files]
        there = {(file.kind.name, file.full_name) for file in archive.files}
        inside = {
            f"{file.full_name}.{node.value('fullName')}"
            for file in archive.files
            if file.kind.children
            for node in facts.deployed.get((file.kind.name, file.full_name), Node("")).children
        }
        for kind, names in archive.manifest.members.items():
            for name in names:
                child = kind not in BY_NAME and name in inside
                if name == "*" or (kind, name) in there or child:
                    continue
                problem = Problem(text=errors.not_in_zip(kind, name, ""))
                found.append(
                    Message(kind=kind, full_name=name, path="package.xml", problem=problem)
                )
        return found

    def _message(self, file: SourceFile, archive: Archive, facts: Facts) -> Message:
        named = archive.manifest.names(file.kind.name, file.full_name) or any(
            name.split(".")[0] == file.full_name
            for child in file.kind.children
            for name in archive.manifest.members.get(child, ())
        )
        problems = (
            judge(file, facts) if named else [Problem(text=errors.not_in_manifest(file.path))]
        )
        known = self._world.components.get(self._org.org_id, file.kind.name, file.full_name)
        return Message(
            kind=file.kind.name,
            full_name=file.full_name,
            path=file.path,
            problem=problems[0] if problems else None,
            created=known is None,
            component_id=None if known is None else known.component_id,
        )

    def _gone(self, archive: Archive) -> list[Message]:
        found = []
        for kind, name in archive.removed:
            known = self._world.components.get(self._org.org_id, kind, name)
            problem = None
            if known is None:
                problem = Problem(text=errors.not_there(kind, name), warning=True)
            found.append(
                Message(
                    kind=kind,
                    full_name=name,
                    path="destructiveChanges.xml",
                    problem=None if self._options.ignore_warnings else problem,
                    deleted=known is not None,
                )
            )
        return found

    # -- keeping ----------------------------------------------------------------------------

    def _keep(self, file: SourceFile) -> None:
        text = file.body.decode("utf-8", errors="replace")
        if file.kind.name == kinds.GLOBAL:
            text = document(_without_commands(parse(file.body)))
        about = None if file.about is None else file.about.decode("utf-8", errors="replace")
        self._put(file.kind.name, file.full_name, text, about)

    def _put(self, kind: str, full_name: str, text: str, about: str | None = None) -> None:
        world, now = self._world, self._world.clock.now()
        known = world.components.get(self._org.org_id, kind, full_name)
        world.components.put(
            Component(
                org_id=self._org.org_id,
                kind=kind,
                full_name=full_name,
                component_id=world.new_id(self._org.org_id, _PREFIXES.get(kind, "0qA"))
                if known is None
                else known.component_id,
                text=text,
                about=about,
                created_at=now if known is None else known.created_at,
                created_by=self._user.user_id if known is None else known.created_by,
                modified_at=now,
                modified_by=self._user.user_id,
            )
        )

    def _remove(self, kind: str, full_name: str) -> None:
        known = self._world.components.get(self._org.org_id, kind, full_name)
        if known is None:
            return
        self._world.components.remove(known)
        if kind == kinds.HEADER:
            for child in self._world.components.of(self._org.org_id):
                if child.kind in kinds.APP_KINDS and (
                    child.node().value("externalClientApplication") == full_name
                ):
                    self._world.components.remove(child)
            apps.forget_app(self._world, self._org, full_name)

    def _default_policies(self, oauth: Node) -> None:
        """Generate both policies of an app that has none yet (defaults reported)."""
        app = oauth.value("externalClientApplication")
        for kind, values in (
            (kinds.OAUTH_POLICIES, _DEFAULT_OAUTH_POLICIES),
            (kinds.POLICIES, _DEFAULT_POLICIES),
        ):
            if self._taken(kind, app) is None:
                name = f"{app}_defaultPolicy"
                node = tree(kind).with_values(
                    [*values, ("externalClientApplication", app), ("label", name)]
                )
                self._put(kind, name, document(node))


_PREFIXES = {kinds.HEADER: "0xI", "PermissionSet": "0PS", "Flow": "300", "CustomObject": "01I"}


def _without_commands(node: Node) -> Node:
    """Drop what is done once, and the credentials: an org keeps neither in the file.

    A deploy that leaves PKCE out or switches it off finds it required again (reported).
    """
    kept = node.without(
        "shouldRotateConsumerKey", "shouldRotateConsumerSecret", "consumerSecret", "consumerKey"
    )
    return kept.with_values([("isPkceRequired", "true")])


def _distribution(world: World) -> Callable[[str], str | None]:
    def of(reference: str) -> str | None:
        owner = owner_of(world, reference)
        return None if owner is None else owner.app.distribution

    return of
