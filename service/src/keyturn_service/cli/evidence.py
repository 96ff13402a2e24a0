"""The evidence of an incident as files: a folder, or a zip of one.

Everything is written aside and put into its place at the end: what is there under its name is
whole. `incident.json` names every other file with its SHA-256.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from keyturn_service.adapters.disk import new_file
from keyturn_service.domain.audit import AuditRecord
from keyturn_service.domain.checkpoint import SignedCheckpoint, written_checkpoint
from keyturn_service.domain.incident import (
    AT_ONCE,
    Because,
    Incident,
    IncidentOutcome,
    Progress,
)
from keyturn_service.use_cases.report_incident import ReauthorizationLink, ReportedGrant

_FORMAT: Final = "keyturn-incident-1"
_CONNECTIONS: Final = "connections.jsonl"
_AUDIT: Final = "audit.jsonl"
_CHECKPOINT: Final = "checkpoint.json"
_LINKS: Final = "reauthorization-links.CONFIDENTIAL.jsonl"
_SUMMARY: Final = "summary.md"
_IN_SUMMARY: Final = 200
_NOTICE: Final = (
    "CONFIDENTIAL. Whoever has a link can begin to connect in the name of its customer. Send each"
    " to its own customer, over a channel that is theirs, and keep this file nowhere else."
)
_USAGE: Final = (
    "Setup > Connected Apps OAuth Usage > (the app): Revoke in the row of the user; Block ends all"
    " of the app's"
)
_POLICIES: Final = "Setup > External Client App Manager > (the app) > Policies > App Policies"
_WHAT: Final = {
    Because.REFRESH_TOKEN: "Salesforce ended the grant with all its access tokens",
    Because.ACCESS_TOKEN: "there was no refresh token; the access token is dead",
    Because.ENDED_BEFORE: "it had ended before",
    Because.ANSWER_LOST: "an answer of Salesforce was lost; asked again, it knows none of the"
    " tokens, though the session of the access token is not over",
    Because.CONNECTED_AGAIN: "the customer has connected again meanwhile, which ended the old one",
    Because.OUTCOME_UNKNOWN: "the answer to its last refresh was lost before the incident, and"
    " Salesforce does not know the refresh token we have: one that we never saw may be in force",
    Because.TOKEN_UNKNOWN: "Salesforce does not know the refresh token we have: it was ended there,"
    " or somebody else has used it",
    Because.PRE_AUTHORIZED: "no refresh token: whoever has a signing key of the app gets a new"
    " access token, as long as an admin lets the user in",
    Because.DOES_NOT_OPEN: "what is kept of its tokens does not open, so none could be presented",
}
_WHERE: Final = {
    Because.OUTCOME_UNKNOWN: _USAGE,
    Because.TOKEN_UNKNOWN: _USAGE,
    Because.DOES_NOT_OPEN: _USAGE,
    Because.PRE_AUTHORIZED: "you, for all customers at once: put a new certificate into the"
    " External Client App and retire the signing key; or each admin: "
    f"{_POLICIES}: take the user's permission sets and profiles away",
}


class EvidenceIsThere(Exception):
    """Something stands where the evidence should."""


@dataclass(kw_only=True)
class Evidence:
    """What is written so far, in a folder of its own aside."""

    folder: Path
    counts: dict[str, int] = field(
        default_factory=lambda: {"connections": 0, "records": 0, "links": 0, "links_refused": 0}
    )
    _admins: list[ReportedGrant] = field(default_factory=list, init=False)

    @classmethod
    @contextlib.contextmanager
    def at(cls, out: Path) -> Iterator[Evidence]:
        """Give evidence to be filled; it is put to `out` when the block ends without an error.

        Raises:
            EvidenceIsThere: something is there.
            OSError: it cannot be written.
        """
        if out.exists():
            raise EvidenceIsThere
        folder = out.absolute().parent
        for left in folder.glob(f".{glob.escape(out.name)}-*.tmp"):
            _remove_if_left(left)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".tmp", dir=folder))
        held = os.open(aside, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # a share may have no locks
                fcntl.flock(held, fcntl.LOCK_EX)
            evidence = cls(folder=aside)
            evidence._append(_CONNECTIONS, "")  # it is there, whatever comes
            yield evidence
            if out.suffix == ".zip":
                _zipped(aside, out)
            else:
                aside.rename(out)
        finally:
            os.close(held)
            shutil.rmtree(aside, ignore_errors=True)

    def add_connection(self, reported: ReportedGrant) -> None:
        """Add what became of one connection."""
        self.counts["connections"] += 1
        if reported.grant.outcome is IncidentOutcome.ADMIN:
            self._admins.append(reported)
        self._line(_CONNECTIONS, _connection(reported))

    def add_links(self, links: Sequence[ReauthorizationLink]) -> None:
        """Add the links, to a file of their own; there is none without a link."""
        if not links:
            return
        self._line(_LINKS, {"confidential": True, "notice": _NOTICE})
        for link in links:
            self.counts["links_refused" if link.url is None else "links"] += 1
            self._line(_LINKS, _link(link))

    def add_checkpoint(self, signed: SignedCheckpoint) -> None:
        """Add the signed checkpoint that the records lead up to."""
        self._append(_CHECKPOINT, written_checkpoint(signed))

    def add_record(self, record: AuditRecord) -> None:
        """Add one record of the audit, with what chains it to the one before."""
        self.counts["records"] += 1
        event = record.event
        said = {
            "writer": record.writer,
            "sequence": record.sequence,
            "type": event.type,
            "at": event.at.isoformat(),
            "workspace_id": event.workspace_id,
            "actor": event.actor,
            "connection_id": event.connection_id,
            "detail": dict(event.detail),
            "previous": record.previous.hex(),
            "hash": record.hash.hex(),
        }
        self._line(_AUDIT, said)

    def finish(self, incident: Incident, progress: Progress, at: datetime) -> None:
        """Add the summary, and last of all the list of files with their hashes."""
        self._append(_SUMMARY, _summary(incident, progress, at, self._admins, self.counts))
        files = {path.name: _sha256(path) for path in sorted(self.folder.iterdir())}
        last = progress.last_ended_at
        said = {
            "format": _FORMAT,
            "id": incident.id,
            "reason": incident.reason,
            "opened_at": incident.opened_at.isoformat(),
            "scope": {
                "workspace_id": incident.scope.workspace_id,
                "app_id": incident.scope.app_id,
            },
            "reported_at": at.isoformat(),
            "done": progress.is_done,
            "last_ended_at": None if last is None else last.isoformat(),
            "grants": {
                "waiting": progress.waiting,
                "revoked": progress.revoked,
                "admin": progress.admin,
                "failed": progress.failed,
            },
            "sha256": files,
        }
        text = msgspec.json.format(msgspec.json.encode(said), indent=1).decode()
        self._append("incident.json", text + "\n")

    def _line(self, name: str, said: Mapping[str, Any]) -> None:
        self._append(name, msgspec.json.encode(said).decode() + "\n")

    def _append(self, name: str, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.folder / name, flags, 0o600), "a", encoding="utf-8") as file:
            file.write(text)


def _remove_if_left(aside: Path) -> None:
    """Remove what a run that was killed had written aside; one that goes on holds a lock on it."""
    with contextlib.suppress(OSError):
        held = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(aside, ignore_errors=True)
        finally:
            os.close(held)


def _zipped(folder: Path, out: Path) -> None:
    try:
        with (
            new_file(out, 0o600) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for path in sorted(folder.iterdir()):
                packed.write(path, f"{out.stem}/{path.name}")
    except FileExistsError:
        raise EvidenceIsThere from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _connection(reported: ReportedGrant) -> dict[str, Any]:
    grant, connection = reported.grant, reported.connection
    user = connection.user
    moments = {
        "last_used_at": connection.last_used_at,
        "last_refreshed_at": connection.last_refreshed_at,
        "ended_at": grant.ended_at,
        "next_try_at": None if grant.due_at == AT_ONCE else grant.due_at,
    }
    return {
        "connection_id": connection.id,
        "customer_id": connection.customer_id,
        "workspace_id": connection.workspace_id,
        "app": {"id": reported.app.id, "name": reported.app.name},
        "org_id": connection.org_id,
        "org_name": connection.org_name,
        "environment": connection.environment,
        "instance_url": connection.instance_url,
        "user": {"id": user.id, "username": user.username, "email": user.email},
        "renewal": connection.renewal,
        "before": {"state": grant.was, "problem": grant.problem},
        "now": {"state": connection.state, "problem": connection.problem},
        "outcome": _outcome(reported),
        "because": grant.because,
        "what": None if grant.because is None else _WHAT[grant.because],
        "admin": _admin(reported),
        "access_token_ended": grant.access_token_ended,
        "attempts": grant.attempts,
        "tried_with": grant.tried_with,
        **{name: None if at is None else at.isoformat() for name, at in moments.items()},
    }


def _outcome(reported: ReportedGrant) -> str:
    grant = reported.grant
    if grant.outcome is not None:
        return grant.outcome
    return "failed" if grant.attempts else "waiting"


def _admin(reported: ReportedGrant) -> dict[str, str] | None:
    """Say what somebody has to do in the customer's org, and where."""
    grant = reported.grant
    if grant.outcome is not IncidentOutcome.ADMIN or grant.because is None:
        return None
    said = {"where": _WHERE[grant.because], "app": reported.app.name}
    said["user"] = reported.connection.user.username
    if grant.because is Because.PRE_AUTHORIZED:
        said["serves_again_by"] = f"keyturn connection verify {reported.connection.id}"
    return said


def _link(link: ReauthorizationLink) -> dict[str, Any]:
    connection = link.reported.connection
    return {
        "connection_id": connection.id,
        "customer_id": connection.customer_id,
        "org_id": connection.org_id,
        "org_name": connection.org_name,
        "username": connection.user.username,
        "email": connection.user.email,
        "url": link.url,
        "expires_at": None if link.expires_at is None else link.expires_at.isoformat(),
        "problem": link.problem,
    }


def _summary(
    incident: Incident,
    progress: Progress,
    at: datetime,
    admins: Sequence[ReportedGrant],
    counts: Mapping[str, int],
) -> str:
    scope = incident.scope
    of = scope.app_id or scope.workspace_id or "the whole service"
    lines = [
        f"# Incident {incident.id}",
        "",
        f"- Reason: {incident.reason}",
        f"- Grants of: {of}",
        f"- Opened: {incident.opened_at.isoformat()}",
        f"- This report: {at.isoformat()}",
        f"- {'Nothing is left for the service to do' if progress.is_done else 'Not over yet'}",
        "",
        "| revoked | waiting | failed, tried again | to be done by an admin |",
        "| --- | --- | --- | --- |",
        f"| {progress.revoked} | {progress.waiting} | {progress.failed} | {progress.admin} |",
        "",
        "## To be done in the customers' orgs",
        "",
        *(_admin_lines(admins) or ["Nothing."]),
        "",
        "## The files",
        "",
        f"- `{_CONNECTIONS}`: one connection a line: whose, what became of it, when and why",
        f"- `{_AUDIT}`: {counts['records']} records from ten minutes before on, chain by chain",
        f"- `{_CHECKPOINT}`: signed; it names the hash of each chain's last record. To hold the",
        "  database against it: `keyturn audit verify --checkpoint`",
        "- `incident.json`: the SHA-256 of each file",
    ]
    if counts["links"] or counts["links_refused"]:
        lines.append(f"- `{_LINKS}`: **confidential**, {counts['links']} links; {_NOTICE}")
    return "\n".join(lines) + "\n"


def _admin_lines(admins: Sequence[ReportedGrant]) -> list[str]:
    lines: list[str] = []
    for because, where in _WHERE.items():
        theirs = [one for one in admins if one.grant.because is because]
        if not theirs:
            continue
        lines += ["", f"### {len(theirs)}: {_WHAT[because]}", "", f"Where: {where}", ""]
        for one in theirs[:_IN_SUMMARY]:
            connection = one.connection
            dead = "" if one.grant.access_token_ended else "; its access token was not ended by us"
            lines.append(
                f"- {connection.customer_id}: org {connection.org_id}"
                f" ({connection.org_name or 'no name known'}), user {connection.user.username},"
                f" app {one.app.name}, {connection.id}{dead}"
            )
        if len(theirs) > _IN_SUMMARY:
            lines.append(f"- and {len(theirs) - _IN_SUMMARY} more in `{_CONNECTIONS}`")
    return lines[1:]
