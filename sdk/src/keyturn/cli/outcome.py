"""What a verb of the command ends with, and how it is shown to people and programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click
import msgspec

from keyturn.errors import KeyturnError, Problem

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
SOMEBODY_ELSE: Final = 3
"""Somebody else must act first: a customer's admin or user, or Salesforce itself."""

OTHERS: Final = frozenset({"admin", "user", "salesforce"})
"""Who they are."""

json_option: Final[Callable[[Callable[..., Any]], Callable[..., Any]]] = click.option(
    "--json", "as_json", is_flag=True, expose_value=False, help="Say it in one JSON object."
)
"""Put this on every verb that returns an `Outcome`; the frame reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a verb ended. `text` is for people, `result` for programs."""

    result: object = None
    text: str = ""
    warnings: tuple[str, ...] = ()
    status: int = DONE
    problem: Problem | None = None

    @classmethod
    def of_error(cls, error: KeyturnError) -> Outcome:
        """Return what an error of the SDK ends a verb with."""
        status = SOMEBODY_ELSE if error.who in OTHERS else FAILED
        lines = [str(error)]
        if error.problem.where:
            lines.append(f"Where: {error.problem.where}")
        return cls(status=status, text="\n".join(lines), problem=error.problem)


def failure(code: str, text: str, *, remedy: str = "reconfigure") -> Outcome:
    """Return the outcome of a verb that did not do its work; the text says what to do."""
    problem = Problem(code=code, title=text, remedy=remedy, who="operator")
    return Outcome(status=FAILED, text=text, problem=problem)


def refused_usage(text: str) -> Outcome:
    """Return the outcome of arguments that make no sense."""
    problem = Problem(code="usage", title=text, remedy="reconfigure", who="operator")
    return Outcome(status=WRONG_USAGE, text=text, problem=problem)


def show(outcome: Outcome, *, as_json: bool) -> int:
    """Print an outcome and return its exit status."""
    if as_json:
        click.echo(msgspec.json.encode(_envelope(outcome)).decode())
        return outcome.status
    for warning in outcome.warnings:
        click.echo(f"warning: {warning}", err=True)
    if outcome.problem is not None:
        click.echo(f"keyturn: {outcome.text}", err=True)
    elif outcome.text:
        click.echo(outcome.text)
    return outcome.status


def _envelope(outcome: Outcome) -> dict[str, object]:
    return {
        "status": outcome.status,
        "result": outcome.result,
        "warnings": outcome.warnings,
        "problem": outcome.problem,
    }
