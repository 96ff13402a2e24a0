"""The one place that starts Salesforce's `sf`: argument lists, `--json`, and no secret in them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess  # noqa: TID251 - this is the one place of this part
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from keyturn_builder.errors import BuilderError
from keyturn_builder.settings import (
    private_environment,
    search_path,
    sf_path,
    users_environment,
)
from keyturn_core.secrets import AccessToken

TESTED: Final = (2, 150, 6)
"""The version that the tests run; older ones are refused."""
INSTALL: Final = f"npm install --global @salesforce/cli@{'.'.join(map(str, TESTED))}"
_OLDEST_NODE: Final = 22  # its HTTP library crashes on older ones
_NODE_FIRST: Final = (
    f"get Node.js {_OLDEST_NODE} or newer (https://nodejs.org), first in the path; then: {INSTALL}"
)
_WITHIN: Final = 3600.0  # seconds for one command, longer than any wait it is given
_VERSION: Final = re.compile(r"@salesforce/cli/(\d+)\.(\d+)\.(\d+)")
_NODE: Final = re.compile(r"node-v(\d+)\.")
# Installed by npm, `sf` reads the first of the two names alone as "somebody has decided", and then
# updates itself all the same, because its updater reads the second.
_QUIET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SF_AUTOUPDATE_DISABLE": "true",
        "SF_DISABLE_AUTOUPDATE": "true",
        "SF_DISABLE_LOG_FILE": "true",
        "SF_DISABLE_TELEMETRY": "true",
        "SF_SKIP_NEW_VERSION_CHECK": "true",
        "SF_PROJECT_AUTOUPDATE_DISABLE_FOR_PACKAGE_CREATE": "true",
        "SF_PROJECT_AUTOUPDATE_DISABLE_FOR_PACKAGE_VERSION_CREATE": "true",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SfAnswer:
    """What a command said in its one JSON object."""

    status: int
    result: Any = None
    name: str = ""
    message: str = ""
    actions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """The error in `sf`'s own words."""
        words = " ".join(self.message.split())
        hints = " ".join(self.actions)
        return ": ".join(part for part in (self.name, words) if part) + (
            f" ({hints})" if hints else ""
        )


class Sf(Protocol):
    """What the rest of this part asks of `sf`."""

    def run(
        self,
        *arguments: str,
        home: Path | None = None,
        folder: Path | None = None,
        access_token: AccessToken | None = None,
    ) -> SfAnswer:
        """Run a command with `--json` and return what it says, whatever it says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SfCli:
    """The program, found and old enough.

    In a `home` of its own a command sees no authorization but what was put there; without one
    it sees the user's.
    """

    program: str
    environment: Mapping[str, str] = field(default_factory=private_environment)
    users_environment: Mapping[str, str] = field(default_factory=users_environment)

    def run(
        self,
        *arguments: str,
        home: Path | None = None,
        folder: Path | None = None,
        access_token: AccessToken | None = None,
    ) -> SfAnswer:
        """Run a command with `--json` and return what it says, whatever it says.

        Raises:
            BuilderError: it says nothing that can be read.
        """
        environment = self._environment(home)
        if access_token is not None:
            environment["SF_ACCESS_TOKEN"] = access_token.reveal()
        ended = _ended([self.program, *arguments, "--json"], environment, folder)
        return _answer(ended, arguments)

    def _environment(self, home: Path | None) -> dict[str, str]:
        given = dict(self.users_environment if home is None else self.environment)
        given["PATH"] = path_with_node(given.get("PATH", search_path()))
        if home is not None:
            private = {"HOME": str(home), "SF_USE_GENERIC_UNIX_KEYCHAIN": "true"}
            given |= {**private, "XDG_CACHE_HOME": str(home), "XDG_DATA_HOME": str(home)}
            # `sf` leaves folders behind in the temporary one, with what it sent and retrieved
            given |= dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(home))
        return {**given, **_QUIET}


def find_sf() -> SfCli:
    """Return the program: the one that KEYTURN_SF names, the environment's own, or the path's.

    Raises:
        BuilderError: there is none, or it or its Node is too old; with how to get it.
    """
    program = _program()
    if program is None:
        raise BuilderError("sf_missing", where=f"with Node.js {_OLDEST_NODE} or newer: {INSTALL}")
    cli = SfCli(program=program)
    ended = _ended([program, "version", "--json"], cli._environment(None), None)  # noqa: SLF001 - its own maker
    said = ended.stdout + ended.stderr
    version, node = _VERSION.search(said), _NODE.search(said)
    if version is None or node is None:
        raise BuilderError("sf_unreadable", program, said=_short(said), where=INSTALL)
    said = f"{version[0]} on Node.js {node[1]}"
    if int(node[1]) < _OLDEST_NODE:
        raise BuilderError("sf_too_old", said, where=_NODE_FIRST)
    if tuple(map(int, version.groups())) < TESTED:
        raise BuilderError("sf_too_old", said, where=INSTALL)
    return cli


def _program() -> str | None:
    named = sf_path()
    if named:
        return shutil.which(named)
    beside = Path(sys.prefix) / "bin" / "sf"
    if beside.is_file():
        return str(beside)
    return shutil.which("sf", path=search_path())


def path_with_node(path: str) -> str:
    """Return a search path on which the Node of our own environment comes first, if it has one."""
    folder = Path(sys.prefix) / "bin"
    return f"{folder}:{path}" if (folder / "node").is_file() else path


def _ended(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; an interrupt kills it, and the next run if we are killed."""
    try:
        with subprocess.Popen(  # noqa: S603 - an argument list, and no shell
            list(argv),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            try:
                out, err = running.communicate(timeout=_WITHIN)
            except BaseException:
                running.kill()
                raise
    except OSError as error:
        raise BuilderError("sf_missing", str(error), where=INSTALL) from error
    except subprocess.TimeoutExpired as error:
        raise BuilderError("sf_timed_out", " ".join(argv[1:4])) from error
    return subprocess.CompletedProcess(list(argv), running.returncode, out, err)


def _answer(ended: subprocess.CompletedProcess[str], arguments: Sequence[str]) -> SfAnswer:
    try:
        read = json.loads(ended.stdout)
    except ValueError as error:
        said = _short(ended.stdout + ended.stderr)
        raise BuilderError("sf_unreadable", " ".join(arguments[:3]), said=said) from error
    if not isinstance(read, dict):
        raise BuilderError("sf_unreadable", " ".join(arguments[:3]))
    return SfAnswer(
        status=int(read.get("status") or 0),
        result=read.get("result"),
        name=str(read.get("name") or ""),
        message=str(read.get("message") or ""),
        actions=tuple(str(one) for one in read.get("actions") or ()),
        warnings=tuple(str(one) for one in read.get("warnings") or ()),
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words[:400]
