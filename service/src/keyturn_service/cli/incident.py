"""`keyturn incident`: stop use, end every grant, and gather the evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import click
import structlog

from keyturn.cli.outcome import Outcome, failure, json_option, refused_usage
from keyturn_service.bootstrap import CannotStart
from keyturn_service.bootstrap_audit import make_checkpoint
from keyturn_service.bootstrap_incident import IncidentDesk, incident_desk
from keyturn_service.cli.evidence import Evidence, EvidenceIsThere
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.cli.workspaces import ambiguous, not_found
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import AppId, ConnectionId, IncidentId
from keyturn_service.domain.incident import Incident, Progress, Scope
from keyturn_service.ports import (
    AuditUnavailable,
    ChainUnreadable,
    ServiceSeal,
    StoreUnavailable,
)
from keyturn_service.settings import Settings, SettingsRefused, read_settings
from keyturn_service.use_cases.find_workspaces import find_workspaces
from keyturn_service.use_cases.open_incident import Opened
from keyturn_service.vault.errors import KeySourceRefused, KeySourceUnavailable

_log = structlog.get_logger()
_ACTOR: Final = "operator"
_SHOWN: Final = 5
_SEALED: Final = (
    "Sealed: no replica hands out or uses a token, from its next request on.\n"
    "Calls that had gone out before are not called back. Take it off with: keyturn incident unseal"
)


def _in_words(context: click.Context, option: click.Parameter, value: str) -> str:
    del context
    if not value.strip():
        raise click.BadParameter("say why, in a few words", param=option)
    return value


@click.group()
def incident() -> None:
    r"""Stop all use, end every grant and gather the evidence, on the machine of the service.

    Reads the same KEYTURN_… settings as `keyturn serve`, and reaches every replica through the
    database that they share. What to do in which order: the how-to page "Survive a bad day".

    \b
    Examples:
      keyturn incident seal --reason "a laptop with a database dump is gone"
      keyturn incident open --reason "a laptop with a database dump is gone"
      keyturn incident status
      keyturn incident report --out evidence
      keyturn incident unseal
    """


@incident.command("open")
@click.option(
    "--reason",
    required=True,
    callback=_in_words,
    help="For the audit, and for whoever reads the evidence.",
)
@click.option(
    "--workspace",
    metavar="NAME|WS_ID",
    help="Only the grants of the workspace with this name or id.",
)
@click.option("--app", metavar="APP_ID", help="Only the grants of this app.")
@click.option("--dry-run", is_flag=True, help="Count what would be ended; change nothing.")
@json_option
def open_(*, reason: str, workspace: str | None, app: str | None, dry_run: bool) -> Outcome:
    r"""Stop use at once, and have every grant revoked at Salesforce. There is no way back.

    Every customer has to grant access again: `report` makes the links. To stop use and keep the
    grants, `seal`. Without --workspace and --app it is the whole service, which is sealed too;
    with one of them only those connections stop, and the others go on. Each workspace that it
    is about gets a new data key, and replicas seal anew what rests under the old ones.

    The replicas do the work, and go on where one of them dies. A second run while it is under
    way starts nothing new and says how far it is; data keys that are older than it are rotated
    then.

    \b
    Examples:
      keyturn incident open --reason "a laptop with a database dump is gone"
      keyturn incident open --reason "a key of ours was on a forum" --app app_… --dry-run
    """
    return _carried_out(_open, reason, workspace, app, dry_run)


@incident.command()
@json_option
def status() -> Outcome:
    r"""Say whether the service is sealed, and how far incidents are.

    `waiting` were not tried yet. `failed` were, and are tried again by themselves. `admin` are
    those that somebody has to end in the customer's org: `report` names each, and the place.

    \b
    Example:
      keyturn incident status --json
    """
    return _carried_out(_status)


@incident.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder to make, or a file ending in .zip. One that is there is never changed.",
)
@click.option(
    "--incident",
    "which",
    metavar="INC_ID",
    help="The latest that lists a grant, where none is named.",
)
@click.option(
    "--return-url",
    metavar="URL",
    help="Page of your product that browsers come back to, as in POST /v1/connect-sessions;"
    " the app's first return origin where none is named.",
)
@click.option("--no-links", is_flag=True, help="Make no links to grant access again.")
@json_option
def report(*, out: Path, which: str | None, return_url: str | None, no_links: bool) -> Outcome:
    r"""Write the evidence of an incident, and a link for each customer to grant access again.

    Run it again for a later state: each run is a folder of its own, and makes new links. A link
    works once, for seven days; it stands in a file of its own, which says that it is
    confidential. No token, secret or key is in any of the files.

    \b
    Example:
      keyturn incident report --out evidence --return-url https://acme.example/settings
    """
    return _carried_out(_report, out, which, return_url, no_links)


@incident.command()
@click.option(
    "--reason",
    required=True,
    callback=_in_words,
    help="For the audit, and for whoever finds it sealed.",
)
@json_option
def seal(*, reason: str) -> Outcome:
    r"""Stop: no access token leaves, nothing is proxied, nothing is refreshed.

    Callers are answered with `sealed` (503) until it is taken off. Grants are kept, and can be
    ended meanwhile (DELETE /v1/connections/{id}); links to connect go on working.

    \b
    Example:
      keyturn incident seal --reason "a laptop with a database dump is gone"
    """
    return _carried_out(_seal, reason)


@incident.command()
@json_option
def unseal() -> Outcome:
    r"""Allow the use of tokens again; 0 too where nothing was sealed.

    \b
    Example:
      keyturn incident unseal
    """
    return _carried_out(_unseal)


async def _seal(desk: IncidentDesk, reason: str) -> Outcome:
    try:
        kept, new = await desk.seal.put_on(_ACTOR, reason)
    except AuditUnavailable:
        return failure(
            "audit_unavailable",
            "The seal is on, but the audit has no record of it: look after the database, then"
            " run this again",
            remedy="retry",
        )
    if new:
        return Outcome(result=_told(kept), text=_SEALED)
    return Outcome(
        result=_told(kept),
        text=f"Sealed already, since {kept.sealed_at.isoformat()}: {kept.reason}",
    )


async def _unseal(desk: IncidentDesk) -> Outcome:
    try:
        taken = await desk.seal.take_off(_ACTOR)
    except AuditUnavailable:
        return failure(
            "audit_unavailable",
            "The seal is still on: the audit could not be written. Look after the database,"
            " then run this again",
            remedy="retry",
        )
    text = "Not sealed." if taken is None else "The seal is off: tokens are used again."
    return Outcome(result=_told(None), text=text)


async def _open(
    desk: IncidentDesk,
    reason: str,
    workspace: str | None,
    app: str | None,
    dry_run: bool,  # noqa: FBT001 - handed on from the options
) -> Outcome:
    scope = await _scope_of(desk, workspace, app)
    if isinstance(scope, Outcome):
        return scope
    if dry_run:
        count = await desk.open.count(scope)
        text = f"{count} grants would be ended ({_scope_words(scope)}). Nothing was changed."
        return Outcome(result={"grants": count, "scope": _scope_told(scope)}, text=text)
    try:
        opened = await desk.open(_ACTOR, reason=reason, scope=scope)
    except AuditUnavailable:
        done = "Use is stopped, and nothing else was done" if scope.is_whole else "Nothing was done"
        return failure(
            "audit_unavailable",
            f"{done}: the audit cannot be written, and without it no grant is listed. Look after"
            " the database, then run this again",
            remedy="retry",
        )
    except StoreUnavailable:
        return failure(
            "store_unavailable",
            "The database went away: what was done is not known. Run this again, it goes on where"
            " it stopped; `keyturn incident status` says what there is",
            remedy="retry",
        )
    return await _opened(desk, opened)


async def _scope_of(desk: IncidentDesk, workspace: str | None, app: str | None) -> Scope | Outcome:
    """Return the scope that is meant, or say that there is none."""
    workspace_id = None
    if workspace is not None:
        found = await find_workspaces(desk.workspaces, workspace)
        if len(found) > 1:
            return refused_usage(ambiguous(workspace, found))
        if not found:
            return refused_usage(not_found(workspace, await desk.workspaces.all()))
        workspace_id = found[0].id
    try:
        return await desk.open.scope(workspace_id, None if app is None else AppId(app))
    except NotFound as error:
        return refused_usage(
            f"there is no such {error.what} there: GET /v1/apps names those of a workspace"
        )


async def _opened(desk: IncidentDesk, opened: Opened) -> Outcome:
    """Do and tell what follows; from here on all that fails is a warning: it is open."""
    one = opened.incident
    rotated, *warnings = await _rotate_data_keys(desk, opened)
    warnings = [*_unfinished(opened), *warnings]
    progress = None
    try:
        progress = await desk.incidents.progress(one.id)
    except StoreUnavailable:
        warnings.append(
            "the database went away, so how far it is is not known: keyturn incident status"
        )
    said = "Opened" if opened.new else "Under way already"
    result = _incident_told(one, progress)
    result |= {"new": opened.new, "data_keys_rotated": rotated, "unconfirmed": list(opened.left)}
    return Outcome(
        result=result,
        text=f"{said}: {_line(one, progress)}\n\n{_next_steps(one.scope, progress)}",
        warnings=tuple(warnings),
    )


def _unfinished(opened: Opened) -> list[str]:
    """Say what was in the way of opening it, and stopped nothing."""
    warnings = []
    if opened.left:
        warnings.append(
            f"{len(opened.left)} grants that waited for their confirmation are not ended yet:"
            f" {', '.join(opened.left)}. The log has what was in the way of each; replicas try"
            " again by themselves until it is mended"
        )
    if not opened.recorded:
        warnings.append(
            "the audit has no record that the grants were listed (`incident.grants_listed`): look"
            " after the database. They are being ended all the same"
        )
    return warnings


async def _rotate_data_keys(desk: IncidentDesk, opened: Opened) -> tuple[Any, ...]:
    """Return how many workspaces have a new data key; None, and a warning, where not all have.

    What does not work here stops nothing: grants are being ended, which matters more.
    """
    incident = opened.incident
    try:
        done = await desk.data_keys.rotate(
            incident.scope.workspace_id, made_before=None if opened.new else incident.opened_at
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the incident is open
        _log.error("data_keys_not_rotated", error=type(error).__name__)
        warning = (
            f"not all data keys were rotated: {_in_the_way(error)}. Run this again, or"
            " `keyturn keys rotate-data`"
        )
        return None, warning
    return (len(done.made),)


def _in_the_way(error: Exception) -> str:
    match error:
        case KeySourceRefused():
            return f"the key source refused ({error})"
        case KeySourceUnavailable():
            return "the key source does not answer"
        case StoreUnavailable():
            return "the database does not answer"
        case AuditUnavailable():
            return "the audit cannot be written"
        case _:
            return f"{type(error).__name__}, see the log"


async def _status(desk: IncidentDesk) -> Outcome:
    kept = await desk.seal.current()
    text = ["Not sealed." if kept is None else f"It is {_words(kept)}"]
    told = []
    for one in (await desk.incidents.newest_first())[:_SHOWN]:
        progress = await desk.incidents.progress(one.id)
        told.append(_incident_told(one, progress))
        text.append(_line(one, progress))
    return Outcome(result={**_told(kept), "incidents": told}, text="\n".join(text))


async def _report(
    desk: IncidentDesk,
    out: Path,
    which: str | None,
    return_url: str | None,
    no_links: bool,  # noqa: FBT001 - handed on from the options
) -> Outcome:
    found = await desk.find(None if which is None else IncidentId(which))
    if found is None:
        return refused_usage(
            "there is no such incident: `keyturn incident status` names those that there are"
        )
    noted = False
    try:
        with Evidence.at(out) as evidence:
            await desk.report.note(found, _ACTOR, links=not no_links)
            noted, waiting = True, []
            async for reported in desk.report.grants(found):
                evidence.add_connection(reported)
                if reported.waits_for_customer:
                    waiting.append(reported)
            if not no_links:
                links = await desk.report.links(waiting, _ACTOR, return_url=return_url)
                evidence.add_links(links)
            signed = await make_checkpoint(desk.settings)
            evidence.add_checkpoint(signed)
            async for record in desk.report.records(found, signed.checkpoint):
                evidence.add_record(record)
            progress = await desk.incidents.progress(found.id)
            evidence.finish(found, progress, signed.checkpoint.made_at)
    except EvidenceIsThere:
        return refused_usage(f"{out} is there, and evidence is never written over: name another")
    except OSError as error:
        return failure("cannot_write", f"cannot write {out}: {error.strerror}")
    except AuditUnavailable:
        done = (
            "The audit cannot be written any more, so no evidence was kept; links that were made"
            " until then are in no file, and end by themselves"
            if noted
            else "The audit cannot be written, so no evidence was read and no link was made"
        )
        text = f"{done}. Look after the database, then run this again"
        return failure("audit_unavailable", text, remedy="retry")
    except ChainUnreadable as error:
        return failure(
            "audit_broken",
            f"chain {error} of the audit has a row that is no record of ours: run `keyturn audit"
            " verify` first, and keep the database as it is",
            remedy="report",
        )
    return _reported(out, found, progress, evidence, desk.report.left_out)


def _reported(
    out: Path,
    found: Incident,
    progress: Progress,
    evidence: Evidence,
    left_out: Sequence[ConnectionId],
) -> Outcome:
    result = _incident_told(found, progress) | {"path": str(out.absolute()), **evidence.counts}
    result |= {"left_out": list(left_out)}
    text = f"{out}: {_line(found, progress)}"
    if evidence.counts["links"]:
        text += (
            f"\n{evidence.counts['links']} links to grant access again are in it. Whoever has one"
            " can begin to connect in its customer's name: send each to its customer only."
        )
    warnings = []
    if left_out:
        warnings.append(
            f"{len(left_out)} grants are not in it, for what is kept of them, the connection or its"
            f" app cannot be read: {', '.join(left_out)}"
        )
    if not progress.is_done:
        warnings.append("it is not over: report again when nothing is waiting or failed")
    if evidence.counts["links_refused"]:
        warnings.append(
            f"{evidence.counts['links_refused']} links were refused: name a page of a registered"
            " return origin by --return-url"
        )
    return Outcome(result=result, text=text, warnings=tuple(warnings))


def _scope_words(scope: Scope) -> str:
    if scope.is_whole:
        return "the whole service"
    return scope.app_id or scope.workspace_id or ""


def _scope_told(scope: Scope) -> dict[str, str | None]:
    return {"workspace_id": scope.workspace_id, "app_id": scope.app_id}


def _line(one: Incident, progress: Progress | None) -> str:
    """Say in two lines what an incident is and how far it is, where that is known."""
    line = f"{one.id}, {_scope_words(one.scope)}, since {one.opened_at.isoformat()}: {one.reason}"
    if progress is None:
        return line
    counts = (
        f"{progress.revoked} revoked, {progress.waiting} waiting, {progress.admin} to be done by"
        f" an admin, {progress.failed} failed"
    )
    if progress.failed:
        counts += " (tried again by themselves)"
    return f"{line}\n  {'done' if progress.is_done else 'under way'}: {counts}"


def _incident_told(one: Incident, progress: Progress | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": one.id,
        "scope": _scope_told(one.scope),
        "reason": one.reason,
        "opened_at": one.opened_at.isoformat(),
    }
    if progress is None:
        return told | {"done": None, "last_ended_at": None, "grants": None}
    last = progress.last_ended_at
    return told | {
        "done": progress.is_done,
        "last_ended_at": None if last is None else last.isoformat(),
        "grants": {
            "waiting": progress.waiting,
            "revoked": progress.revoked,
            "admin": progress.admin,
            "failed": progress.failed,
        },
    }


def _next_steps(scope: Scope, progress: Progress | None) -> str:
    """Say what to do now; the first thing first."""
    steps = [
        "The replicas end the grants; this terminal may be closed. If none runs: keyturn serve",
        "See how far it is, until nothing is waiting: keyturn incident status",
        "Write evidence, and links for your customers: keyturn incident report --out evidence",
        "Replicas seal everything anew; then destroy the old data keys: keyturn keys destroy-data",
        'Change what got out (secrets, keys): the how-to page "Survive a bad day"',
    ]
    if scope.is_whole:
        steps.append("When the leak is closed, allow the use of tokens: keyturn incident unseal")
    lines = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    if progress is not None and progress.is_done and not progress.revoked and not progress.admin:
        lines.insert(0, "There was no grant to end.")
    return "\n".join(lines)


def _words(kept: ServiceSeal) -> str:
    return f"sealed, since {kept.sealed_at.isoformat()}: {kept.reason}"


def _told(kept: ServiceSeal | None) -> dict[str, Any]:
    return {
        "sealed": kept is not None,
        "sealed_at": None if kept is None else kept.sealed_at.isoformat(),
        "reason": None if kept is None else kept.reason,
    }


def _carried_out(work: Callable[..., Coroutine[Any, Any, Outcome]], *arguments: Any) -> Outcome:
    log_to_stderr()
    try:
        return asyncio.run(_at_the_desk(work, read_settings(), *arguments))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    except StoreUnavailable:
        return failure(
            "cannot_start", "The database does not answer any more: run this again", remedy="retry"
        )


async def _at_the_desk(
    work: Callable[..., Coroutine[Any, Any, Outcome]], settings: Settings, *arguments: Any
) -> Outcome:
    async with incident_desk(settings) as desk:
        return await work(desk, *arguments)
