"""`keyturn connection`: customers' connections, through the service's REST API."""

from __future__ import annotations

from typing import Any, Final

import click

from keyturn.cli.outcome import FAILED, OTHERS, SOMEBODY_ELSE, Outcome
from keyturn.cli.service import client_of, service_options
from keyturn.errors import Problem
from keyturn.models import Connection, VerificationStep

_STATES: Final = ("pending", "active", "uncertain", "reauthorization_required", "revoked")


@click.group()
def connection() -> None:
    r"""See and end the connections of your customers.

    \b
    Example:
      keyturn connection list --url http://127.0.0.1:8321 --api-key-file key.txt --state active
    """


@connection.command("list")
@service_options
@click.option("--customer", "customer_id", help="Your own id of the customer.")
@click.option("--state", type=click.Choice(_STATES), help="Those in this state.")
def list_connections(
    *, url: str, api_key_file: Any, customer_id: str | None, state: str | None
) -> Outcome:
    r"""List connections, the filters' matches only.

    \b
    Example:
      keyturn connection list --url http://127.0.0.1:8321 --api-key-file key.txt --json
    """
    with client_of(url, api_key_file) as keyturn:
        found = list(keyturn.connections.list(customer_id=customer_id, state=state))
    lines = [_line(one) for one in found] or ["no connections"]
    return Outcome(result=found, text="\n".join(lines))


@connection.command()
@service_options
@click.argument("connection_id")
def show(*, url: str, api_key_file: Any, connection_id: str) -> Outcome:
    r"""Show a connection as it stands.

    \b
    Example:
      keyturn connection show con_01 --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    with client_of(url, api_key_file) as keyturn:
        found = keyturn.connections.get(connection_id)
    return Outcome(result=found, text=_line(found))


@connection.command()
@service_options
@click.option("--customer", "customer_id", required=True, help="Your own id of the customer.")
@click.option("--username", required=True, help="The integration user to act as.")
@click.option("--my-domain", help="The org's own host, such as acme.my.salesforce.com.")
@click.option("--environment", type=click.Choice(("production", "sandbox")))
@click.option("--org", "org_id", help="The org that it has to be.")
@click.option("--app", "app_id", help="Needed where there are several apps.")
def create(*, url: str, api_key_file: Any, **asked: Any) -> Outcome:
    r"""Connect an org server to server (JWT Bearer): nobody logs in.

    The customer's admin has to have installed the package and pre-authorized the user; what is
    missing is named with the place where it is done (exit status 3). Run again it does no harm.

    \b
    Example:
      keyturn connection create --customer oakhollow --username integration@oakhollow.example \
        --my-domain oakhollow --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    with client_of(url, api_key_file) as keyturn:
        found = keyturn.connections.create(**asked)
    return Outcome(result=found, text=_line(found))


@connection.command()
@service_options
@click.argument("connection_id")
def verify(*, url: str, api_key_file: Any, connection_id: str) -> Outcome:
    r"""Prove that a connection works, or say which step is missing, whose it is and where.

    Exit status: 0 it works, 1 you or the operator have to act, 3 somebody else has to.

    \b
    Example:
      keyturn connection verify con_01 --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    with client_of(url, api_key_file) as keyturn:
        found = keyturn.connection(connection_id).verify()
    warnings = tuple(_told(warning) for warning in found.warnings)
    steps = [_step(step) for step in found.steps]
    if found.problem is None:
        return Outcome(result=found, text="\n".join(steps), warnings=warnings)
    lines = [*steps, *([f"Install: {found.install_url}"] if found.install_url else [])]
    return Outcome(
        result=found,
        text="\n".join([_told(found.problem), *lines]),
        warnings=warnings,
        status=SOMEBODY_ELSE if found.problem.who in OTHERS else FAILED,
        problem=found.problem,
    )


@connection.command()
@service_options
@click.argument("connection_id")
def disconnect(*, url: str, api_key_file: Any, connection_id: str) -> Outcome:
    r"""End a connection; Salesforce is told after the command has ended.

    Ending it twice does no harm.

    \b
    Example:
      keyturn connection disconnect con_01 --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    with client_of(url, api_key_file) as keyturn:
        handle = keyturn.connection(connection_id)
        handle.disconnect()
        found = handle.get()
    return Outcome(result=found, text=_line(found))


def _step(found: VerificationStep) -> str:
    line = f"{found.state:<12} {found.step}"
    return line if found.problem is None else f"{line}: {_told(found.problem)}"


def _told(problem: Problem) -> str:
    """Return what is missing, who can mend it, and where."""
    return f"{problem.title} [{problem.code}], by: {problem.who}. Where: {problem.where}"


def _line(found: Connection) -> str:
    where = found.org_name or found.org_id
    return f"{found.id}  {found.customer_id}  {found.state}  {where} ({found.environment})"
