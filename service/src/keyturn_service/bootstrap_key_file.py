"""Join the key file, and what holds the keys that it names."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import ProgrammingError

from keyturn_service.adapters.key_sources.file import KeyFile, KeyFileRefused
from keyturn_service.adapters.key_sources.kms_key import KmsAccess
from keyturn_service.adapters.key_sources.remote import KmsKeys
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.ports import StoreUnavailable
from keyturn_service.settings import Settings
from keyturn_service.vault.key_uri import KeyUri

_RANDOMNESS: Final = SystemRandomness()
_log = structlog.get_logger()


async def open_key_file(settings: Settings) -> KeyFile:
    """Read the key file.

    Raises:
        KeyFileRefused: there is none, others can read it, or it is out of shape.
    """
    keys = await asyncio.to_thread(
        KeyFile.load, settings.keys, _RANDOMNESS, _keys_elsewhere(settings)
    )
    asked, active = settings.next_key, keys.active
    if asked is not None and (active.uri is None or not active.uri.may_be(asked)):
        _log.warning(
            "key_source_is_another",
            name=asked.text,
            reason="the active key is another: keyturn keys rotate, then keyturn keys rewrap",
        )
    return keys


async def new_key_file(settings: Settings) -> bool:
    """Make the key file of a new installation; one that is there stays as it is.

    Returns whether it was made.

    Raises:
        KeyFileRefused: it cannot be made, the one that is there cannot be used, or the database is
            sealed under a key that another file has.
        DatabaseRefused: the database's URL cannot be used.
        KeySourceUnavailable: what is to hold the key does not answer, or refuses.
    """
    elsewhere = _keys_elsewhere(settings)
    asked = settings.next_key
    try:
        is_new = not await asyncio.to_thread(settings.keys.exists)
        sealed_under = sorted(await _sealed_under(settings)) if is_new else []
    except OSError as error:
        raise KeyFileRefused(
            f"no key file is made: cannot look at {error.filename} ({error.strerror}); run the"
            " command as the user that the service runs as"
        ) from None
    if sealed_under:
        raise KeyFileRefused(
            f"no key file is made: the database is sealed under {', '.join(sealed_under)}, which a"
            f" new file would not have. Bring the key file that has it back to {settings.keys}"
        )
    if asked is not None and is_new:
        asked = await elsewhere.current(asked)
    await asyncio.to_thread(KeyFile.create, settings.keys, _RANDOMNESS, asked, elsewhere)
    return is_new


async def _sealed_under(settings: Settings) -> Collection[str]:
    """Return the key-encryption keys that the database needs; none where there is no database."""
    url = read_database_url(settings.database)
    is_file = url.get_backend_name() == "sqlite"
    if is_file and not await asyncio.to_thread(Path(url.database or "").exists):
        return ()
    database = Database(url)
    try:
        return await SqlDataKeys(database).needs()
    except ProgrammingError:
        return ()  # it has no tables
    except StoreUnavailable as error:
        _log.warning("database_not_looked_at", reason=str(error))
        return ()  # it may not be there yet
    finally:
        await database.close()


async def newest_key(settings: Settings) -> KeyUri | None:
    """Return the key that a rotation takes, tried; None for one that the key file makes.

    Raises:
        KeySourceUnavailable: what is to hold the key does not answer, or refuses.
    """
    asked = settings.next_key
    return None if asked is None else await _keys_elsewhere(settings).current(asked)


def _keys_elsewhere(settings: Settings) -> KmsKeys:
    return KmsKeys(KmsAccess(token_file=settings.key_source_token_file))
