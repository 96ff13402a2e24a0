"""`keyturn incident`: stop all use of tokens on every replica, and allow it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import click

from keyturn.cli.outcome import Outcome, failure, json_option
from keyturn_service.bootstrap import CannotStart, open_house
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.ports import AuditUnavailable, ServiceSeal, StoreUnavailable
from keyturn_service.settings import Settings, SettingsRefused, read_settings

_ACTOR: Final = "operator"
_SEALED: Final = (
    "Sealed: no replica hands out or uses a token, from its next request on.\n"
    "Calls that had gone out before are not called back. Take it off with: keyturn incident unseal"
)


@click.group()
def incident() -> None:
    r"""Stop all use of tokens when something is wrong, on the machine of the service.

    Reads the same KEYTURN_… settings as `keyturn serve`, and reaches every replica through the
    database that they share.

    \b
    Examples:
      keyturn incident seal --reason "a laptop with a database dump is gone"
      keyturn incident status
      keyturn incident unseal
    """


@incident.command()
@click.option("--reason", required=True, help="For the audit, and for whoever finds it sealed.")
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


@incident.command()
@json_option
def status() -> Outcome:
    r"""Say whether the service is sealed, since when and why.

    \b
    Example:
      keyturn incident status --json
    """
    return _carried_out(_status)


async def _seal(settings: Settings, reason: str) -> Outcome:
    async with open_house(settings, background=False) as house:
        try:
            kept, new = await house.wiring.seal.put_on(_ACTOR, reason)
        except AuditUnavailable:
            return failure(
                "audit_unavailable",
                "The seal is on, but the audit has no record of it: look after the database, then"
                " run this again",
            )
    if new:
        return Outcome(result=_told(kept), text=_SEALED)
    return Outcome(
        result=_told(kept),
        text=f"Sealed already, since {kept.sealed_at.isoformat()}: {kept.reason}",
    )


async def _unseal(settings: Settings) -> Outcome:
    async with open_house(settings, background=False) as house:
        try:
            taken = await house.wiring.seal.take_off(_ACTOR)
        except AuditUnavailable:
            return failure(
                "audit_unavailable",
                "The seal is still on: the audit could not be written. Look after the database,"
                " then run this again",
            )
    text = "Not sealed." if taken is None else "The seal is off: tokens are used again."
    return Outcome(result=_told(None), text=text)


async def _status(settings: Settings) -> Outcome:
    async with open_house(settings, background=False) as house:
        kept = await house.wiring.seal.current()
    if kept is None:
        return Outcome(result=_told(None), text="Not sealed.")
    return Outcome(result=_told(kept), text=f"It is {_words(kept)}")


def _words(kept: ServiceSeal) -> str:
    return f"sealed, since {kept.sealed_at.isoformat()}: {kept.reason}"


def _told(kept: ServiceSeal | None) -> dict[str, Any]:
    return {
        "sealed": kept is not None,
        "sealed_at": None if kept is None else kept.sealed_at.isoformat(),
        "reason": None if kept is None else kept.reason,
    }


def _carried_out(work: Callable[..., Coroutine[Any, Any, Outcome]], *arguments: str) -> Outcome:
    log_to_stderr()
    try:
        return asyncio.run(work(read_settings(), *arguments))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    except StoreUnavailable:
        return failure("cannot_start", "The database does not answer any more: run this again")
