"""The Dev Hub org, reached by `sf` in a private home with the vendor's own authorization.

The vendor is logged in already. Two commands of `sf` in the vendor's own home tell where the org
is and give an access token; a third, in the private home, takes the token from its environment.
The refresh token and the vendor's files stay where they are.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from keyturn_builder.errors import BuilderError
from keyturn_builder.private_home import private_home
from keyturn_builder.sf_cli import Sf, SfAnswer
from keyturn_builder.sf_errors import error_of
from keyturn_builder.steps import Steps
from keyturn_core.errors import CoreError
from keyturn_core.salesforce.ids import OrgId, read_org_id
from keyturn_core.secrets import AccessToken

ALIAS: Final = "dev-hub"
_MENDED_BY_LOG_IN: Final = frozenset({"dev_hub_unknown", "dev_hub_session_ended"})
_TERMINATED: Final = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True, kw_only=True)
class DevHub:
    """The org for one run. `work` is a folder inside the private home, removed with it."""

    cli: Sf
    steps: Steps
    home: Path
    org_id: OrgId
    instance_url: str
    username: str
    access_token: AccessToken

    @property
    def work(self) -> Path:
        """A folder for files that must not stay."""
        folder = self.home / "work"
        folder.mkdir(exist_ok=True)
        return folder

    def sf(self, *arguments: str, doing: str, folder: Path | None = None) -> Any:
        """Run a command and return its result.

        Raises:
            BuilderError: it failed.
        """
        answer = self.ask(*arguments, folder=folder)
        if answer.status:
            raise error_of(answer, doing=doing)
        return answer.result

    def ask(self, *arguments: str, folder: Path | None = None) -> SfAnswer:
        """Run a command and return its answer, whatever it is."""
        with self.steps.outside():
            return self.cli.run(*arguments, home=self.home, folder=folder or self.work)


@contextmanager
def dev_hub(cli: Sf, alias: str, steps: Steps) -> Iterator[DevHub]:
    """Open the vendor's Dev Hub org for a run; nothing of it stays.

    Raises:
        BuilderError: `sf` has no authorization for it, or the org does not take it.
    """
    with _terminated_in_order(), private_home() as home:
        try:
            hub = _opened(cli, alias, steps, home)
        except BuilderError as error:
            raise with_log_in(error, alias) from error
        yield hub


def _opened(cli: Sf, alias: str, steps: Steps, home: Path) -> DevHub:
    with steps.step(f"find the Dev Hub org {alias}"), steps.outside():
        shown = _result(cli.run("org", "display", "--target-org", alias), "finding the org")
        token = _token(cli, alias)
    org_id, instance_url = _org(shown)
    with steps.step("open a private session"), steps.outside():
        _log_in(cli, home, token, instance_url)
    return DevHub(
        cli=cli,
        steps=steps,
        home=home,
        org_id=org_id,
        instance_url=instance_url,
        username=str(shown.get("username") or ""),
        access_token=token,
    )


def _token(cli: Sf, alias: str) -> AccessToken:
    shown = _result(
        cli.run("org", "auth", "show-access-token", "--target-org", alias), "reading the session"
    )
    token = shown.get("accessToken")
    if not isinstance(token, str) or not token:
        raise BuilderError("dev_hub_session_ended", "sf shows no access token")
    return AccessToken(token)


def _org(shown: dict[str, Any]) -> tuple[OrgId, str]:
    status = str(shown.get("connectedStatus") or "Connected")
    if status != "Connected":
        raise BuilderError("dev_hub_session_ended", said=status)
    try:
        org_id = read_org_id(str(shown.get("id")))
    except CoreError as error:
        raise BuilderError("sf_unreadable", "sf org display shows no org id") from error
    instance_url = str(shown.get("instanceUrl") or "").rstrip("/")
    if not instance_url:
        raise BuilderError("sf_unreadable", "sf org display shows no instance URL")
    return org_id, instance_url


def _log_in(cli: Sf, home: Path, token: AccessToken, instance_url: str) -> None:
    arguments = ("--instance-url", instance_url, "--alias", ALIAS, "--no-prompt")
    answer = cli.run("org", "login", "access-token", *arguments, home=home, access_token=token)
    if answer.status:
        raise error_of(answer, doing="opening a private session")


def _result(answer: SfAnswer, doing: str) -> dict[str, Any]:
    if answer.status:
        raise error_of(answer, doing=doing)
    return answer.result if isinstance(answer.result, dict) else {}


def with_log_in(error: BuilderError, alias: str) -> BuilderError:
    """Return the error with the very command that logs `sf` in, where that is what mends it."""
    if error.code not in _MENDED_BY_LOG_IN:
        return error
    where = f"sf org login web --set-default-dev-hub --alias {shlex.quote(alias)}"
    return BuilderError(error.code, error.detail, said=error.said, where=where)


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Let SIGTERM unwind, so that the private home goes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        sys.exit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
