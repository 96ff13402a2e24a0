"""Zips of metadata: read with their manifest, and written.

Spec: Metadata API Developer Guide, "File-Based Calls to Deploy or Retrieve Metadata" (at most
10,000 files, 400 MB unzipped).
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from orgsim.metadata.kinds import BY_FOLDER, BY_NAME, Kind
from orgsim.metadata.xml_text import Node, NotXml, document, parse, tree

_MOST_FILES = 10_000
_MOST_BYTES = 400_000_000
_EPOCH = (1980, 1, 1, 0, 0, 0)
MANIFEST = "package.xml"
_ABOUT = "-meta.xml"


class NotAnArchive(Exception):
    """A zip that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One component as it came: the file of its kind and, for some, a file about it."""

    kind: Kind
    full_name: str
    path: str
    body: bytes
    about: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a `package.xml` names; `*` stands for all of a kind."""

    version: float
    members: Mapping[str, tuple[str, ...]]

    def names(self, kind: str, full_name: str) -> bool:
        """Tell whether a component is meant."""
        known = self.members.get(kind, ())
        return "*" in known or full_name in known


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A zip's components, what it deletes, and paths that are of no known kind."""

    manifest: Manifest
    files: tuple[SourceFile, ...]
    removed: tuple[tuple[str, str], ...]
    strange: tuple[str, ...]
    count: int


def unzip(data: bytes) -> dict[str, bytes]:
    """Return a zip's files by path.

    Raises:
        NotAnArchive: it is none, or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if len(entries) > _MOST_FILES or sum(e.file_size for e in entries) > _MOST_BYTES:
                raise NotAnArchive("LIMIT_EXCEEDED: Maximum size of request reached")
            return {entry.filename: opened.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise NotAnArchive("The zip file is not valid") from error


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Write files into a zip."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as made:
        for path, body in files.items():
            made.writestr(zipfile.ZipInfo(path, _EPOCH), body, zipfile.ZIP_DEFLATED)
    return kept.getvalue()


def read_manifest(body: bytes) -> Manifest:
    """Read a `package.xml`.

    Raises:
        NotXml: it is no XML.
    """
    root = parse(body)
    version = root.value("version") or "68.0"
    return manifest_of(root.all("types"), version)


def manifest_of(types: tuple[Node, ...], version: str) -> Manifest:
    """Return what `types` elements name.

    Raises:
        NotXml: the version is no number.
    """
    members: dict[str, tuple[str, ...]] = {}
    for group in types:
        named = tuple(member.text.strip() for member in group.all("members"))
        members[group.value("name")] = members.get(group.value("name"), ()) + named
    try:
        return Manifest(version=float(version), members=members)
    except ValueError as error:
        raise NotXml(f"Invalid version specified: {version}") from error


def written_manifest(members: Mapping[str, list[str]], *, version: str) -> bytes:
    """Write a `package.xml`."""
    types = [
        tree("types", *(("members", name) for name in sorted(members[kind])), ("name", kind))
        for kind in sorted(members)
    ]
    return document(tree("Package", *types, ("version", version))).encode()


def read_archive(data: bytes) -> Archive:
    """Read a zip with its manifest, wrapped in a folder or not.

    Raises:
        NotAnArchive: it is no zip, or has no manifest that can be read.
    """
    files = unzip(data)
    at = min((path for path in files if path.split("/")[-1] == MANIFEST), key=len, default=None)
    if at is None:
        raise NotAnArchive("No package.xml found")
    root = at[: -len(MANIFEST)]
    inside = {path[len(root) :]: body for path, body in files.items() if path.startswith(root)}
    try:
        manifest = read_manifest(inside.pop(MANIFEST))
        removed = _removed(inside)
    except NotXml as error:
        raise NotAnArchive(f"Error parsing package.xml: {error}") from error
    found, strange = _components(inside)
    return Archive(
        manifest=manifest, files=found, removed=removed, strange=strange, count=len(files)
    )


def _removed(files: dict[str, bytes]) -> tuple[tuple[str, str], ...]:
    gone: list[tuple[str, str]] = []
    for path in [path for path in files if path.startswith("destructiveChanges")]:
        members = read_manifest(files.pop(path)).members
        gone += [(kind, name) for kind, names in members.items() for name in names]
    return tuple(gone)


def _components(files: Mapping[str, bytes]) -> tuple[tuple[SourceFile, ...], tuple[str, ...]]:
    found: list[SourceFile] = []
    strange: list[str] = []
    for path, body in files.items():
        folder, _, rest = path.partition("/")
        kind = BY_FOLDER.get(folder)
        if kind is not None and kind.content and path.endswith(_ABOUT):
            continue
        if kind is None or not rest.endswith(f".{kind.suffix}"):
            strange.append(path)
            continue
        found.append(
            SourceFile(
                kind=kind,
                full_name=rest[: -len(kind.suffix) - 1],
                path=path,
                body=body,
                about=files.get(path + _ABOUT) if kind.content else None,
            )
        )
    return tuple(found), tuple(strange)


def path_of(kind: str, full_name: str) -> str:
    """Return where a component lies in a zip."""
    known = BY_NAME[kind]
    return f"{known.folder}/{full_name}.{known.suffix}"
