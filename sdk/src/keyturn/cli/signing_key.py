"""`keyturn signing-key`: the keys that an app's assertions are signed with (JWT Bearer)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from keyturn.cli.outcome import Outcome
from keyturn.cli.service import client_of, service_options
from keyturn.client import Keyturn
from keyturn.models import SigningKey

_app_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--app", "app_id", help="Needed where there are several apps."
)


@click.group("signing-key")
def signing_key() -> None:
    r"""See and change the keys of an app that connects server to server.

    To change the certificate: create, put it into the app's settings (keyturn app apply does),
    activate. Until then, and for a week after, the other key signs where it has to.

    \b
    Example:
      keyturn signing-key list --url http://127.0.0.1:8321 --api-key-file key.txt
    """


@signing_key.command("list")
@service_options
@_app_option
def list_keys(*, url: str, api_key_file: Any, app_id: str | None) -> Outcome:
    r"""List an app's signing keys, oldest first, with when their certificates end.

    \b
    Example:
      keyturn signing-key list --url http://127.0.0.1:8321 --api-key-file key.txt --json
    """
    with client_of(url, api_key_file) as keyturn:
        found = list(keyturn.apps.signing_keys(_app(keyturn, app_id)))
    return Outcome(
        result=found,
        text="\n".join(_line(key) for key in found) or "no signing keys",
        warnings=tuple(
            f"{key.id}: {key.problem.title} [{key.problem.code}]" for key in found if key.problem
        ),
    )


@signing_key.command()
@service_options
@_app_option
@click.option("--days", type=click.IntRange(min=1), help="How long the certificate is to live.")
def create(*, url: str, api_key_file: Any, app_id: str | None, days: int | None) -> Outcome:
    r"""Make a key pair; the private half stays in the service, the certificate comes out.

    The first is active at once, a later one is staged. Run again it makes another one.

    \b
    Example:
      keyturn signing-key create --days 730 --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    with client_of(url, api_key_file) as keyturn:
        made = keyturn.apps.create_signing_key(_app(keyturn, app_id), days=days)
    after = [] if made.state == "active" else [f"Then: keyturn signing-key activate {made.id}"]
    lines = [
        _line(made),
        made.certificate_pem.rstrip(),
        "Next: put the certificate into the app's settings; keyturn app apply does",
        *after,
    ]
    return Outcome(result=made, text="\n".join(lines))


@signing_key.command()
@service_options
@_app_option
@click.argument("key_id")
def activate(*, url: str, api_key_file: Any, app_id: str | None, key_id: str) -> Outcome:
    r"""Let a staged key sign first, once its certificate is in the app's settings.

    The one that did is retired, and signs on for a week where Salesforce does not know the new
    one yet. Run again it changes nothing.

    \b
    Example:
      keyturn signing-key activate sk_01 --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    with client_of(url, api_key_file) as keyturn:
        found = keyturn.apps.activate_signing_key(_app(keyturn, app_id), key_id)
    return Outcome(result=found, text=_line(found))


@signing_key.command()
@service_options
@_app_option
@click.argument("key_id")
@click.option("--yes", is_flag=True, help="Needed: it cannot be undone.")
def retire(*, url: str, api_key_file: Any, app_id: str | None, key_id: str, yes: bool) -> Outcome:
    r"""Forget a key's private half at once, the active one's too; that cannot be undone.

    \b
    Example:
      keyturn signing-key retire sk_01 --yes --url http://127.0.0.1:8321 --api-key-file key.txt
    """
    if not yes:
        raise click.UsageError(f"nothing brings the private half of {key_id} back: add --yes")
    with client_of(url, api_key_file) as keyturn:
        gone = keyturn.apps.retire_signing_key(_app(keyturn, app_id), key_id)
    return Outcome(result=gone, text=_line(gone))


def _app(keyturn: Keyturn, app_id: str | None) -> str:
    """Return the app's id: the one that is named, or the only one.

    Raises:
        click.UsageError: there are several, or none.
    """
    if app_id is not None:
        return app_id
    apps = list(keyturn.apps.list())
    if len(apps) != 1:
        names = ", ".join(f"{app.id} ({app.name})" for app in apps) or "none is there"
        raise click.UsageError(f"name one app by --app: {names}")
    return apps[0].id


def _line(key: SigningKey) -> str:
    ends = "-" if key.not_after is None else f"until {key.not_after:%Y-%m-%d}"
    gone = "" if key.usable else "  (private half forgotten)"
    return f"{key.id}  {key.state}  {ends}  {key.fingerprint}{gone}"
