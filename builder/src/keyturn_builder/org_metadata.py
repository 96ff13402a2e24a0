"""Metadata of the Dev Hub org, by `sf`: retrieved into, and deployed from, a folder that goes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from keyturn_builder.dev_hub import ALIAS, DevHub
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.component import API_VERSION, Component
from keyturn_builder.project import texts_below
from keyturn_builder.sf_cli import SfAnswer
from keyturn_builder.sf_errors import error_of, meaning_of

_SOURCE: Final = "app"
_MINUTES: Final = "30"  # that a deploy or retrieve is waited for
_NOT_THERE: Final = "cannot be found"


def retrieve(hub: DevHub, members: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of components, by path; what the org does not have is left out.

    Raises:
        BuilderError: the retrieve failed.
    """
    folder = _project(hub, "retrieve", ())
    named = [word for type_, name in members.items() for word in ("--metadata", f"{type_}:{name}")]
    arguments = ("project", "retrieve", "start", *named, "--target-org", ALIAS)
    answer = hub.ask(*arguments, "--wait", _MINUTES, folder=folder)
    if answer.status and not _only_missing(answer):
        raise error_of(answer, doing="retrieving the app")
    return texts_below(folder / _SOURCE)


def deploy(hub: DevHub, components: Iterable[Component]) -> None:
    """Deploy components together.

    Raises:
        BuilderError: Salesforce refuses one; all are as they were.
    """
    folder = _project(hub, "deploy", components)
    arguments = ("project", "deploy", "start", "--source-dir", _SOURCE, "--target-org", ALIAS)
    answer = hub.ask(*arguments, "--wait", _MINUTES, folder=folder)
    if not answer.status:
        return
    failures = list(_failures(answer.result))
    if failures:
        said = "; ".join(failures)
        known = meaning_of(said, doing="deploying the app")
        raise known if known.code != "sf_failed" else BuilderError("deploy_refused", said=said)
    raise error_of(answer, doing="deploying the app")


def _project(hub: DevHub, name: str, components: Iterable[Component]) -> Path:
    folder = hub.work / name
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / _SOURCE
    source.mkdir(parents=True)
    said = {
        "packageDirectories": [{"path": _SOURCE, "default": True}],
        "sourceApiVersion": API_VERSION,
    }
    (folder / "sfdx-project.json").write_text(json.dumps(said), encoding="utf-8")
    for one in components:
        path = source / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.text, encoding="utf-8")
    return folder


def _only_missing(answer: SfAnswer) -> bool:
    """Tell whether a retrieve failed only for components that are not there."""
    result: Any = answer.result
    files: list[Any] = result.get("files", []) if isinstance(result, dict) else []
    failed: list[dict[str, Any]] = [one for one in files if one.get("state") == "Failed"]
    errors = [str(one.get("error", "")) for one in failed]
    return bool(errors) and all(_NOT_THERE in error for error in errors)


def _failures(result: Any) -> Iterator[str]:
    details = result.get("details", {}) if isinstance(result, dict) else {}
    found: Any = details.get("componentFailures") or []
    failures: list[Any] = found if isinstance(found, list) else [found]
    for one in failures:
        yield f"{one.get('componentType')} {one.get('fullName')}: {one.get('problem')}"
