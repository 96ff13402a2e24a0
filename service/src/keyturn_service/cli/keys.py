"""`keyturn keys`: the key file and its rotation, and API keys without asking an API key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import click

from keyturn.cli.outcome import Outcome, failure, json_option
from keyturn_service.adapters.key_sources.file import KeyFileRefused
from keyturn_service.bootstrap import CannotStart, House, make_key_file, open_house
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.cli.workspaces import ambiguous, not_found
from keyturn_service.domain.api_key import Right
from keyturn_service.ports import AuditUnavailable, StoreUnavailable
from keyturn_service.settings import Settings, SettingsRefused, read_settings
from keyturn_service.use_cases.find_workspaces import find_workspaces
from keyturn_service.vault.data_key_rotation import DataKeyStanding
from keyturn_service.vault.errors import KeySourceUnavailable
from keyturn_service.vault.root_keys import KeyUnknown, RootKey, SpoolHeard, StillNeeded

_ACTOR = "operator"
_IDS_BEGIN: Final = "ws_"
_LONGEST_NAME: Final = 200


def _name(context: click.Context, option: click.Parameter, value: str) -> str:
    del context
    name = value.strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise click.BadParameter(f"a name of 1 to {_LONGEST_NAME} characters", param=option)
    return name


@click.group()
def keys() -> None:
    r"""Make and rotate the key file, and issue API keys, on the machine of the service.

    Reads the same KEYTURN_… settings as `keyturn serve`. Replicas go on running meanwhile.

    \b
    Examples:
      keyturn keys init
      keyturn keys rotate
      keyturn keys issue --workspace "Acme (live)" --name backend --right tokens:read
    """


@keys.command()
@json_option
def init() -> Outcome:
    r"""Make the key file of a new installation; one that is there stays as it is.

    Whoever has this file and the database can open the tokens: keep a copy of it, apart from
    the database's backups. Where KEYTURN_KEY_SOURCE names a key of a key management service, the
    file only says which it is, and the key is tried first.

    \b
    Examples:
      KEYTURN_PUBLIC_URLS=https://connect.acme.example keyturn keys init
      KEYTURN_KEY_SOURCE=vault-transit://vault.acme.example:8200/transit/keys/keyturn \
        KEYTURN_PUBLIC_URLS=https://connect.acme.example keyturn keys init
    """
    try:
        settings = _settings()
        is_new = asyncio.run(make_key_file(settings))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    path = str(settings.keys.absolute())
    text = f"Made the key file {path}" if is_new else f"The key file {path} is there already"
    return Outcome(result={"key_file": path, "is_new": is_new}, text=text)


@keys.command()
@click.option(
    "--workspace",
    required=True,
    callback=_name,
    metavar="NAME|WS_ID",
    help="Its name, and it is made if that is new; or its id.",
)
@click.option(
    "--name", required=True, callback=_name, help="Whose key it is, for you to tell keys apart."
)
@click.option(
    "--right",
    "rights",
    multiple=True,
    type=click.Choice([right.value for right in Right]),
    default=[right.value for right in Right],
    help="May be given several times; all rights where none is named.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it ends; never if left out.")
@json_option
def issue(*, workspace: str, name: str, rights: tuple[str, ...], days: int | None) -> Outcome:
    r"""Issue an API key; it is shown once.

    \b
    Example:
      keyturn keys issue --workspace "Acme (live)" --name operations --right admin --days 90
    """
    return _with_house(lambda house: _issue(house, workspace, name, rights, days))


@keys.command()
@click.option(
    "--stage",
    is_flag=True,
    help="Only add the key: it opens, but wraps nothing until the next `keyturn keys rotate`.",
)
@json_option
def rotate(*, stage: bool) -> Outcome:
    r"""Make a new key-encryption key active; the old one is retired and goes on opening.

    The new key is one of the key file's own, or the newest version of the key that
    KEYTURN_KEY_SOURCE names. Replicas that read this very file take the new key up by themselves.
    Where each has a copy, say --stage first, copy the file to all of them, say it again without,
    and copy once more.

    \b
    Examples:
      keyturn keys rotate
      keyturn keys rotate --stage
      KEYTURN_KEY_SOURCE=azure-key-vault://acme.vault.azure.net/keys/keyturn keyturn keys rotate
    """
    return _with_house(lambda house: _rotate(house, stage=stage))


async def _rotate(house: House, *, stage: bool) -> Outcome:
    if stage:
        key_id = await house.root_keys.stage()
        text = f"{key_id} is staged: copy the key file to every replica, then `keyturn keys rotate`"
        return Outcome(result={"staged": key_id}, text=text)
    key_id = await house.root_keys.rotate()
    text = f"{key_id} is active now; `keyturn keys rewrap` puts the data keys under it"
    return Outcome(result={"active": key_id}, text=text)


@keys.command()
@json_option
def rewrap() -> Outcome:
    r"""Put every data key under the active key-encryption key.

    Nothing is sealed anew, and nobody waits. Killed half-way, it goes on where it stopped when it
    is run again; two runs do not harm each other.

    \b
    Example:
      keyturn keys rewrap
    """
    return _with_house(_rewrap)


async def _rewrap(house: House) -> Outcome:
    def tell(done: int, total: int) -> None:
        click.echo(f"{done} of {total} data keys", err=True)

    done = await house.root_keys.rewrap(tell)
    result = {
        "active": done.key_id,
        "rewrapped": done.rewrapped,
        "refused": list(done.refused),
    }
    if done.refused:
        named = ", ".join(done.refused)
        return failure(
            "seal_refused",
            f"{done.rewrapped} data keys are under {done.key_id} now. These did not open, and stay"
            f" as they are: {named}. Bring back their rows, or the key file that has their key",
            remedy="report",
        )
    text = f"{done.rewrapped} data keys put under {done.key_id}"
    return Outcome(result=result, text=text)


@keys.command()
@json_option
def status() -> Outcome:
    r"""Show each key-encryption key with what needs it, and how far re-sealing is.

    Counted are the data keys of the database and what every replica's spool said that it needs,
    also the spools of replicas that do not run. Of data keys: how many are in use, how many are
    retired, and how many rows the replicas looked through to seal anew what these had sealed.

    \b
    Example:
      keyturn keys status
    """
    return _with_house(_status)


async def _status(house: House) -> Outcome:
    standing = await house.root_keys.standing()
    data_keys = await house.data_keys.standing()
    listed = [
        {
            "id": need.key.id,
            "held_at": _held_at(need.key),
            "state": need.key.state.value,
            "retired_at": _written(need.key.retired_at),
            "data_keys": need.data_keys,
            "spooled_answers": need.files,
            "spools": [spool.spool_id for spool in need.spools],
            "destroyable_at": _written(need.destroyable_at),
        }
        for need in standing.keys
    ]
    lines = [
        f"{need.key.id}  {need.key.state.value:8} {need.data_keys:6} data keys"
        f" {need.files:6} spooled answers on {len(need.spools)} spools  {_held_at(need.key)}"
        for need in standing.keys
    ]
    lines += [
        f"{key_id}  MISSING  {count:6} data keys do not open: bring back the key file that has it"
        for key_id, count in standing.unknown_keys.items()
    ]
    lines += [f"spool {spool_id} never said what it needs" for spool_id in standing.silent_spools]
    lines += _data_key_lines(data_keys)
    result = {
        "keys": listed,
        "missing": dict(standing.unknown_keys),
        "silent_spools": list(standing.silent_spools),
        "data_keys": _data_keys_said(data_keys),
    }
    return Outcome(result=result, text="\n".join(lines))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--backups-are-gone",
    is_flag=True,
    help="No backup from before the last `keyturn keys rewrap` will ever be restored.",
)
@json_option
def destroy(*, key_id: str, backups_are_gone: bool) -> Outcome:
    r"""Take a retired key-encryption key out of the key file, for good.

    Refused while a data key, a spool or a backup of the last 35 days needs it. Copies of the key
    file are yours to destroy, and so is a key that a key management service holds.

    \b
    Example:
      keyturn keys destroy kek_4Xq0Xb1
    """
    return _with_house(lambda house: _destroy(house, key_id, backups_are_gone=backups_are_gone))


async def _destroy(house: House, key_id: str, *, backups_are_gone: bool) -> Outcome:
    try:
        destroyed = await house.root_keys.destroy(key_id, backups_are_gone=backups_are_gone)
    except KeyUnknown as error:
        return failure("key_unknown", str(error))
    except StillNeeded as error:
        return failure("key_still_needed", str(error))
    text = f"{key_id} is destroyed here; destroy the copies of the key file that have it"
    if destroyed.uri is not None:
        text = f"{key_id} is not asked for any more; destroy it where it is: {destroyed.uri.text}"
    return Outcome(result={"destroyed": key_id, "held_at": _held_at(destroyed)}, text=text)


@keys.command("rotate-data")
@click.option(
    "--workspace",
    metavar="NAME|WS_ID",
    help="Only that of the workspace with this name or id; all workspaces if left out.",
)
@json_option
def rotate_data(*, workspace: str | None) -> Outcome:
    r"""Give each workspace a new data key, and retire the old ones.

    Running replicas seal under the new key within a second, and seal anew what rests under the
    old ones; `keyturn keys status` shows how far they are.

    \b
    Examples:
      keyturn keys rotate-data
      keyturn keys rotate-data --workspace "Acme (live)"
    """
    return _with_house(lambda house: _rotate_data(house, workspace))


async def _rotate_data(house: House, workspace: str | None) -> Outcome:
    workspace_id = None
    if workspace is not None:
        found = await find_workspaces(house.wiring.workspaces, workspace)
        if len(found) > 1:
            return failure("ambiguous", ambiguous(workspace, found))
        if not found:
            return failure("not_found", not_found(workspace, await house.wiring.workspaces.all()))
        workspace_id = found[0].id
    done = await house.data_keys.rotate(workspace_id)
    text = (
        f"{len(done.made)} workspaces have a new data key, {done.retired} are retired; running"
        " replicas seal anew what these had sealed: see `keyturn keys status`"
    )
    return Outcome(result={"made": dict(done.made), "retired": done.retired}, text=text)


@keys.command("destroy-data")
@click.argument("key_ids", metavar="[ID]...", nargs=-1)
@json_option
def destroy_data(*, key_ids: tuple[str, ...]) -> Outcome:
    r"""Destroy the retired data keys that nothing is sealed under any more, for good.

    All of them, or those named. A key that something needs stays, and is said.

    \b
    Examples:
      keyturn keys destroy-data
      keyturn keys destroy-data dk_4Xq0Xb1
    """
    return _with_house(lambda house: _destroy_data(house, key_ids))


async def _destroy_data(house: House, key_ids: tuple[str, ...]) -> Outcome:
    try:
        done = await house.data_keys.destroy(key_ids)
    except StillNeeded as error:
        return failure("key_still_needed", str(error))
    if done.needed and (key_ids or not done.gone):
        because = "; ".join(_needed(key_id, count) for key_id, count in done.needed.items())
        return failure("key_still_needed", f"{len(done.gone)} are destroyed; {because}")
    text = f"{len(done.gone)} data keys are destroyed, {len(done.needed)} are still needed"
    return Outcome(result={"destroyed": list(done.gone), "needed": list(done.needed)}, text=text)


def _needed(key_id: str, count: int | None) -> str:
    if count is None:
        return f"{key_id} is needed until the replicas have sealed anew what it sealed"
    return (
        f"{key_id} is needed for {count} values; the replicas seal them anew, unless they do not"
        " open: the audit says which in `vault.seal_refused`"
    )


def _data_key_lines(standing: DataKeyStanding) -> list[str]:
    unneeded = sum(key.unneeded_since is not None for key in standing.retired)
    retired = len(standing.retired)
    lines = [f"data keys: {standing.in_use} in use, {retired} retired, {unneeded} of them unneeded"]
    going = standing.resealing
    if going is not None:
        how = "goes on" if going.ended_at is None else f"ended {going.ended_at:%Y-%m-%d %H:%M}"
        lines.append(
            f"re-sealing {going.number} {how}: {going.looked} of {going.total} rows looked"
            f" through, {going.resealed} sealed anew, {going.refused} values did not open"
        )
    return lines


def _data_keys_said(standing: DataKeyStanding) -> dict[str, object]:
    going = standing.resealing
    return {
        "in_use": standing.in_use,
        "retired": [
            {
                "id": key.id,
                "workspace_id": key.workspace_id,
                "retired_at": _written(key.retired_at),
                "unneeded_since": _written(key.unneeded_since),
            }
            for key in standing.retired
        ],
        "resealing": None
        if going is None
        else {
            "number": going.number,
            "begun_at": _written(going.begun_at),
            "ended_at": _written(going.ended_at),
            "rows": going.total,
            "looked_through": going.looked,
            "resealed": going.resealed,
            "refused": going.refused,
        },
    }


@keys.command("forget-spool")
@click.argument("spool_id", metavar="ID")
@click.option(
    "--disk-is-gone",
    is_flag=True,
    help="Also where its replica said something in the last two minutes.",
)
@json_option
def forget_spool(*, spool_id: str, disk_is_gone: bool) -> Outcome:
    r"""Declare a spool lost, so that no key is kept for it, and no connection waits for it.

    Only for a disk that is gone: answers on it that were not delivered do not open any more once
    their key is destroyed, and tokens that they would have replaced are presented once more.

    \b
    Example:
      keyturn keys forget-spool spool_4Xq0Xb1
    """
    return _with_house(lambda house: _forget_spool(house, spool_id, disk_is_gone=disk_is_gone))


async def _forget_spool(house: House, spool_id: str, *, disk_is_gone: bool) -> Outcome:
    try:
        known = await house.root_keys.forget_spool(spool_id, disk_is_gone=disk_is_gone)
    except SpoolHeard:
        return failure(
            "spool_heard",
            f"{spool_id} said something in the last two minutes: if its replica runs, its answers"
            " would be lost. Nothing was changed. Stop the replica and start it on its own disk;"
            " where that is gone, wait two minutes, or say --disk-is-gone",
        )
    if not known:
        return failure("not_found", f"nobody knows a spool {spool_id}: see `keyturn keys status`")
    return Outcome(result={"forgotten": spool_id}, text=f"{spool_id} is not waited for any more")


def _held_at(key: RootKey) -> str:
    return "file" if key.uri is None else key.uri.text


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _with_house(work: Callable[[House], Awaitable[Outcome]]) -> Outcome:
    """Open the service beside its replicas, and do something about keys."""

    async def working() -> Outcome:
        async with open_house(_settings(), background=False) as house:
            return await work(house)

    try:
        return asyncio.run(working())
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    except KeyFileRefused as error:
        return failure("key_file_refused", str(error))
    except KeySourceUnavailable as error:
        return failure(
            "key_source_unavailable",
            f"{error}. Mend that and run the command again, it goes on where it stopped",
            remedy="retry",
        )
    except (StoreUnavailable, AuditUnavailable) as error:
        because = f" ({error})" if str(error) else ""
        return failure(
            "store_unavailable",
            f"the database went away{because}: run the command again, it goes on where it stopped",
            remedy="retry",
        )


async def _issue(
    house: House, workspace: str, name: str, rights: tuple[str, ...], days: int | None
) -> Outcome:
    found = await find_workspaces(house.wiring.workspaces, workspace)
    if len(found) > 1:
        return failure("ambiguous", ambiguous(workspace, found))
    if not found and workspace.startswith(_IDS_BEGIN):  # none is made of an id
        return failure("not_found", not_found(workspace, await house.wiring.workspaces.all()))
    workspace_id = found[0].id if found else await house.new_workspace(workspace)
    ends = None if days is None else house.clock.now() + timedelta(days=days)
    key, secret = await house.wiring.create_api_key(
        workspace_id,
        _ACTOR,
        name=name,
        rights=frozenset(Right(right) for right in rights),
        expires_at=ends,
    )
    result = {
        "id": key.id,
        "api_key": secret,
        "workspace_id": workspace_id,
        "workspace_is_new": not found,
        "rights": sorted(key.rights),
        "expires_at": None if ends is None else ends.isoformat(),
    }
    made = "" if found else ", which is new"
    return Outcome(result=result, text=f"{secret}\n(shown once; workspace {workspace_id}{made})")


def _settings() -> Settings:
    log_to_stderr()
    return read_settings()
