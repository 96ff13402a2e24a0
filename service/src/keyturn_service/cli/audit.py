"""`keyturn audit`: signed checkpoints of the audit, and whether it is whole."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from keyturn.cli.outcome import FAILED, Outcome, failure, json_option, refused_usage
from keyturn.errors import Problem
from keyturn_service.bootstrap import CannotStart
from keyturn_service.bootstrap_audit import CheckpointNotOurs, make_checkpoint, verify_audit
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
from keyturn_service.use_cases.verify_audit import Verdict

_WORDS: Final = {
    Wrong.EDITED: "what stands there is not what was recorded",
    Wrong.DELETED: "the record is missing, though its chain goes on behind it",
    Wrong.REORDERED: "another record stands there; the right one stands further on",
    Wrong.REWRITTEN: "this record, or one before it in the chain, was recorded anew",
    Wrong.CUT_OFF: "the record is missing with all behind it, though the checkpoint knows of them",
    Wrong.LEFT_OUT: "the whole chain is missing, though the checkpoint knows of it",
    Wrong.AFTER_END: "a record stands behind the one that closed its chain",
}
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
    "--public-key",
    metavar="HEX",
    help="Whose signature counts; then the key file is not needed.",
)
@json_option
def verify(*, file: BinaryIO | None, public_key: str | None) -> Outcome:
    r"""Verify every chain of the audit, and name the first bad record.

    Without a checkpoint a chain that was cut off at its end, left out, or recorded anew as a
    whole looks as it should. Exit status: 0 whole, 1 a bad record is named or nobody could
    look, 2 wrong usage.

    \b
    Example:
      keyturn audit verify --checkpoint audit-1.json
    """
    try:
        signed = None if file is None else read_checkpoint(file.read())
    except CheckpointUnreadable as error:
        return refused_usage(
            f"--checkpoint: this is not what `keyturn audit checkpoint` writes: {error}"
        )
    try:
        by = None if public_key is None else read_public_key(public_key)
    except CheckpointUnreadable as error:
        return refused_usage(f"--public-key: take it from `keyturn audit checkpoint`: {error}")
    if signed is None and by is not None:
        return refused_usage("--public-key says who signed a checkpoint: name --checkpoint too")
    try:
        log_to_stderr()
        verdict = asyncio.run(verify_audit(read_settings(), signed, by))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    except CheckpointNotOurs as error:
        return failure(
            "checkpoint_not_ours",
            f"the checkpoint was changed, or is not signed by key {error}: take the file from"
            " where it was exported to, and the key file that belongs to this database",
        )
    return _outcome(verdict, signed)


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise


def _is_there(path: Path) -> Outcome:
    return refused_usage(
        f"{path} is there, and a checkpoint is never written over: name another file"
    )


def _exported(signed: SignedCheckpoint, out: Path | None) -> Outcome:
    text = written_checkpoint(signed)
    if out is None:
        return Outcome(result=msgspec.json.decode(text), text=text.rstrip())
    try:
        _write_new(out, text)
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
        "checkpoint": None if signed is None else signed.checkpoint.made_at.isoformat(),
        "first_bad": None if bad is None else _as_result(bad),
    }
    if bad is not None:
        title = f"record {bad.sequence} of chain {bad.writer} ({bad.wrong}): {_WORDS[bad.wrong]}"
        problem = Problem(
            code="audit_broken", title=title, remedy="report", who="operator", detail=_MEND
        )
        return Outcome(status=FAILED, result=result, text=f"{title}\n{_MEND}", problem=problem)
    text = f"whole: {verdict.chains} chains, {verdict.records} records"
    if verdict.unclosed:
        text += f"; {verdict.unclosed} without an end (their run goes on, or was killed)"
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
