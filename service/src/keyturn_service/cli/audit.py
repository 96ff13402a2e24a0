"""`keyturn audit`: signed checkpoints of the audit, and whether it is whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from keyturn.cli.outcome import FAILED, Outcome, failure, json_option, refused_usage
from keyturn.errors import Problem
from keyturn_service.adapters.checkpoints.directory import ahead_in, newest_in
from keyturn_service.adapters.disk import new_file
from keyturn_service.adapters.system import SystemClock
from keyturn_service.bootstrap import CannotStart
from keyturn_service.bootstrap_audit import (
    CheckpointNotOurs,
    make_checkpoint,
    see_audit_rounds,
    verify_audit,
)
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.domain.audit_check import BadRecord, Wrong
from keyturn_service.domain.checkpoint import (
    CheckpointUnreadable,
    SignedCheckpoint,
    read_checkpoint,
    read_public_key,
    written_checkpoint,
)
from keyturn_service.ports import ChainUnreadable
from keyturn_service.settings import SettingsRefused, read_settings
from keyturn_service.use_cases.export_checkpoint import EXPORT
from keyturn_service.use_cases.holding_off import SKEW
from keyturn_service.use_cases.see_audit_rounds import AuditRound, RoundState, late_after
from keyturn_service.use_cases.trim_audit import TRIM
from keyturn_service.use_cases.verify_audit import Verdict

_WORDS: Final = {
    Wrong.EDITED: "what stands there is not what was recorded",
    Wrong.DELETED: "the record is missing, though its chain goes on behind it",
    Wrong.REORDERED: "another record stands there; the right one stands further on",
    Wrong.REWRITTEN: "this record, or one before it in the chain, was recorded anew",
    Wrong.CUT_OFF: "the record is missing with all behind it, though the checkpoint knows of them",
    Wrong.LEFT_OUT: "the whole chain is missing, though the checkpoint knows of it",
    Wrong.AFTER_END: "a record stands behind the one that closed its chain",
    Wrong.TRIM_FORGED: "what says that it was trimmed up to here is not signed by the service",
}
_ROUNDS: Final = {EXPORT: "last exported", TRIM: "old records last removed"}
_FEW: Final = 3  # names that a warning says
_NO_ROUNDS: Final = "nothing is exported: see KEYTURN_AUDIT_EXPORT_DIR"
_MEND: Final = (
    "Somebody changed the database behind the service's back, or it was restored to before the"
    " checkpoint. Keep the database and the checkpoints as they are, compare this record with"
    " backups, and find out who could write there; the service itself never changes a record."
)


@click.group()
def audit() -> None:
    r"""Export signed checkpoints of the audit, and verify that it is whole.

    Reads the same KEYTURN_… settings as `keyturn serve`, and writes nothing to the database;
    replicas may run meanwhile.

    \b
    Examples:
      keyturn audit verify --checkpoint audit-1.json
      keyturn audit checkpoint --out audit-2.json
    """


@audit.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to make; standard output where none is named. One that is there is never changed.",
)
@json_option
def checkpoint(*, out: Path | None) -> Outcome:
    r"""Say where each chain of the audit ends now, signed.

    Verify before: a checkpoint of an audit that was changed signs the change. Keep it where
    nobody who writes the database can write.

    \b
    Example:
      keyturn audit checkpoint --out audit-2.json
    """
    if out is not None and out.exists():
        return _is_there(out)
    try:
        log_to_stderr()
        signed = asyncio.run(make_checkpoint(read_settings()))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    except ChainUnreadable as error:
        return failure(
            "audit_broken",
            f"the last row of chain {error} is no record of ours, so nothing is signed:"
            " run `keyturn audit verify`",
            remedy="report",
        )
    return _exported(signed, out)


@audit.command()
@click.option(
    "--checkpoint",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="The last exported checkpoint; - reads it from standard input.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True),
    metavar="FOLDER|FILE",
    help="The same, or the folder that checkpoints are exported to: the newest of it is taken.",
)
@click.option(
    "--public-key",
    metavar="HEX",
    help="Whose signature counts; then the key file is not needed.",
)
@json_option
def verify(*, file: BinaryIO | None, against: Path | None, public_key: str | None) -> Outcome:
    r"""Verify every chain of the audit, and name the first bad record.

    Without a checkpoint a chain that was cut off at its end, left out, or recorded anew as a
    whole looks as it should. What retention removed is not missed: a signed mark stands for it,
    so that the key file or --public-key is needed where chains were trimmed. Exit status: 0
    whole, 1 a bad record is named or nobody could look, 2 wrong usage.

    \b
    Example:
      keyturn audit verify --checkpoint audit-1.json
      keyturn audit verify --against /mnt/audit-checkpoints
    """
    try:
        signed, by = _given(file, against, public_key)
    except _UsageRefused as error:
        return refused_usage(str(error))
    try:
        log_to_stderr()
        settings = read_settings()
        verdict = asyncio.run(verify_audit(settings, signed, by))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    except CheckpointNotOurs as error:
        return failure(
            "checkpoint_not_ours",
            f"the checkpoint was changed, or is not signed by key {error}: take the file from"
            " where it was exported to, and the key file that belongs to this database",
        )
    outcome = _outcome(verdict, signed)
    if signed is None:
        return outcome
    warnings = _from_ahead(signed)
    if against is not None and against.is_dir():
        late = late_after(timedelta(minutes=settings.audit_export_minutes))
        warnings = (*_passed_over(against), *_old(signed, late))
    return replace(outcome, warnings=(*outcome.warnings, *warnings))


@audit.command()
@json_option
def status() -> Outcome:
    r"""Say when a checkpoint was last exported, and how the removal of old records goes.

    Exit status: 0 all is well, 1 one of them failed the last time, or was not done for more than
    twice as long as it should be, or nobody could look.

    \b
    Example:
      keyturn audit status
    """
    try:
        log_to_stderr()
        rounds = asyncio.run(see_audit_rounds(read_settings()))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    result = [_round_as_result(one) for one in rounds]
    text = "\n".join(_round(one) for one in rounds) or _NO_ROUNDS
    bad = [one for one in rounds if one.state is not RoundState.OK]
    if not bad:
        return Outcome(result=result, text=text)
    problem = Problem(
        code=f"audit_round_{bad[0].state}",
        title=_round(bad[0]),
        remedy="reconfigure",
        who="operator",
        detail="It is tried again by itself. Where chains do not fit the exported checkpoint, or"
        " one is not as it was written: run `keyturn audit verify`. Where nothing is tried: see"
        " whether replicas run with KEYTURN_AUDIT_EXPORT_DIR, and whether the folder hangs.",
    )
    return Outcome(status=FAILED, result=result, text=text, problem=problem)


def _round(one: AuditRound) -> str:
    turn = one.turn
    at = "never" if turn.succeeded_at is None else turn.succeeded_at.isoformat()
    text = f"{_ROUNDS[turn.name]}: {at}"
    if one.age is not None:
        text += f", {round(one.age.total_seconds() / 60)} minutes ago"
    if one.state is RoundState.LATE:
        text += "; that is too long ago, and nothing says why"
    return text if turn.problem is None else f"{text}; failed since: {turn.problem}"


def _round_as_result(one: AuditRound) -> dict[str, object]:
    turn = one.turn
    return {
        "name": turn.name,
        "state": str(one.state),
        "succeeded_at": None if turn.succeeded_at is None else turn.succeeded_at.isoformat(),
        "age_seconds": None if one.age is None else round(one.age.total_seconds()),
        "problem": turn.problem,
    }


def _old(signed: SignedCheckpoint, late: timedelta) -> tuple[str, ...]:
    """Return the warning that the newest checkpoint of a folder is older than it should be."""
    age = SystemClock().now() - signed.checkpoint.made_at
    if age <= late:
        return ()
    text = (
        f"the newest checkpoint of the folder is {round(age / timedelta(hours=1))} hours old, and"
        " what was recorded since is not held against any: see `keyturn audit status`"
    )
    return (text,)


def _from_ahead(signed: SignedCheckpoint) -> tuple[str, ...]:
    """Return the warning that a checkpoint is from a time to come."""
    made_at = signed.checkpoint.made_at
    if made_at <= _latest():
        return ()
    text = (
        f"the checkpoint says that it was made at {made_at.isoformat()}, which is to come: a clock"
        " was wrong. Later ones may have earlier times: verify against the newest of them too"
    )
    return (text,)


def _passed_over(folder: Path) -> tuple[str, ...]:
    """Return the warning that checkpoints of a folder are from a time to come."""
    try:
        ahead = ahead_in(folder, _latest())
    except OSError:
        return ()  # it is gone since the newest was read
    if not ahead:
        return ()
    text = (
        f"{', '.join(ahead[:_FEW])}{' …' if ahead[_FEW:] else ''}: made while a clock was ahead,"
        f" so {len(ahead)} of the folder's checkpoints are not taken for the newest. Set the clocks"
        " right, verify against the last of these by its name, move them elsewhere and keep them"
    )
    return (text,)


def _latest() -> datetime:
    """Return when a checkpoint can have been made at the latest."""
    return SystemClock().now() + SKEW


class _UsageRefused(Exception):
    """What was given cannot be used; the text says why."""


def _given(
    file: BinaryIO | None, against: Path | None, public_key: str | None
) -> tuple[SignedCheckpoint | None, bytes | None]:
    """Read the checkpoint and whose signature counts.

    Raises:
        _UsageRefused: one of them is none, or they do not go together.
    """
    if file is not None and against is not None:
        raise _UsageRefused("--checkpoint and --against both name a checkpoint: name one")
    option = "--checkpoint" if against is None else "--against"
    try:
        text = _newest(against) if file is None else file.read()
        signed = None if text is None else read_checkpoint(text)
    except OSError as error:
        raise _UsageRefused(f"{option}: cannot read {against}: {error.strerror}") from None
    except CheckpointUnreadable as error:
        raise _UsageRefused(
            f"{option}: this is not what `keyturn audit checkpoint` writes: {error}"
        ) from None
    try:
        by = None if public_key is None else read_public_key(public_key)
    except CheckpointUnreadable as error:
        raise _UsageRefused(
            f"--public-key: take it from `keyturn audit checkpoint`: {error}"
        ) from None
    if signed is None and by is not None:
        raise _UsageRefused("--public-key says who signed a checkpoint: name --checkpoint too")
    return signed, by


def _newest(against: Path | None) -> bytes | None:
    """Return the checkpoint to verify against.

    Raises:
        OSError: it cannot be read.
        CheckpointUnreadable: there is none in the folder.
    """
    if against is None:
        return None
    if not against.is_dir():
        return against.read_bytes()
    newest = newest_in(against, _latest())
    if newest is None:
        passed_over = "".join(f"; {warning}" for warning in _passed_over(against))
        raise CheckpointUnreadable(f"the folder holds no exported checkpoint{passed_over}")
    return newest


def _is_there(path: Path) -> Outcome:
    return refused_usage(
        f"{path} is there, and a checkpoint is never written over: name another file"
    )


def _exported(signed: SignedCheckpoint, out: Path | None) -> Outcome:
    text = written_checkpoint(signed)
    if out is None:
        return Outcome(result=msgspec.json.decode(text), text=text.rstrip())
    try:
        with new_file(out, 0o644) as file:
            file.write(text.encode())
    except FileExistsError:
        return _is_there(out)
    except OSError as error:
        return failure("cannot_write", f"cannot write {out}: {error.strerror}")
    chains = signed.checkpoint.chains
    records = sum(end.length for end in chains)
    result = {
        "file": str(out.absolute()),
        "made_at": signed.checkpoint.made_at.isoformat(),
        "chains": len(chains),
        "records": records,
        "public_key": signed.public_key.hex(),
    }
    said = (
        f"{out}: {len(chains)} chains, {records} records, signed by {signed.public_key.hex()}\n"
        "Keep it where nobody who writes the database can write."
    )
    return Outcome(result=result, text=said)


def _outcome(verdict: Verdict, signed: SignedCheckpoint | None) -> Outcome:
    bad = verdict.bad
    result = {
        "whole": bad is None,
        "chains": verdict.chains,
        "records": verdict.records,
        "unclosed": verdict.unclosed,
        "trimmed": verdict.trimmed,
        "checkpoint": None if signed is None else signed.checkpoint.made_at.isoformat(),
        "first_bad": None if bad is None else _as_result(bad),
    }
    if bad is not None:
        title = f"record {bad.sequence} of chain {bad.writer} ({bad.wrong}): {_WORDS[bad.wrong]}"
        problem = Problem(
            code="audit_broken", title=title, remedy="report", who="operator", detail=_MEND
        )
        return Outcome(status=FAILED, result=result, text=f"{title}\n{_MEND}", problem=problem)
    if verdict.forgotten:
        return failure(
            "checkpoint_too_old",
            f"{verdict.forgotten} chains of this checkpoint cannot be judged by it: since it was"
            " made, retention may have removed them. Take the newest exported one",
        )
    text = f"whole: {verdict.chains} chains, {verdict.records} records"
    if verdict.unclosed:
        text += f"; {verdict.unclosed} without an end (their run goes on, or was killed)"
    if verdict.trimmed:
        text += f"; {verdict.trimmed} older ones were removed by retention"
    if signed is not None:
        return Outcome(
            result=result, text=f"{text}; holds the checkpoint of {result['checkpoint']}"
        )
    warning = "no checkpoint: ends that were cut off and chains that were left out are not seen"
    return Outcome(result=result, text=text, warnings=(warning,))


def _as_result(bad: BadRecord) -> dict[str, str | int]:
    return {
        "writer": bad.writer,
        "sequence": bad.sequence,
        "wrong": str(bad.wrong),
        "what": _WORDS[bad.wrong],
    }
