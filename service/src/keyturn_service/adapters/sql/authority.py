"""Rows that say who may do what, kept with a code that tells whether somebody changed them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.rows import api_key_of, proxy_session_of
from keyturn_service.adapters.sql.tables import api_keys, proxy_sessions
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.domain.api_key import ApiKey
from keyturn_service.domain.ids import WorkspaceId
from keyturn_service.ports import ProxySession
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.place import Place
from keyturn_service.vault.row_macs import RowMacs
from keyturn_service.vault.vault import Vault

ENDED: Final = b""
"""The code of a key that was deleted: nobody makes it valid again by clearing `deleted_at`."""
_KEYS: Final = "api_keys"
_SESSIONS: Final = "proxy_sessions"


class Authority:
    """Makes the codes, and sees that they hold; what does not is in the audit, and is no row."""

    def __init__(self, macs: RowMacs, vault: Vault) -> None:
        self._macs = macs
        self._vault = vault

    def of_key(self, key: ApiKey) -> bytes:
        """Return the code of an API key that stands."""
        return self._macs.of(_KEYS, _key_fields(key))

    def of_session(self, session: ProxySession) -> bytes:
        """Return the code of a proxy session."""
        return self._macs.of(_SESSIONS, _session_fields(session))

    def key_holds(self, key: ApiKey, mac: bytes) -> bool:
        """Tell whether the key is as it was made; one that was deleted opens nothing anyway."""
        return key.deleted_at is not None or self._macs.holds(mac, _KEYS, _key_fields(key))

    def session_holds(self, session: ProxySession, mac: bytes) -> bool:
        """Tell whether the session is as it was made."""
        return self._macs.holds(mac, _SESSIONS, _session_fields(session))

    async def refuse_key(self, key: ApiKey) -> None:
        """Record that somebody changed a key's row.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        await self._refuse(key.workspace_id, _KEYS, key.id)

    async def refuse_session(self, session: ProxySession) -> None:
        """Record that somebody changed a session's row.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        await self._refuse(session.workspace_id, _SESSIONS, session.id)

    async def _refuse(self, workspace_id: WorkspaceId, table: str, row: str) -> None:
        place = Place(workspace_id=workspace_id, table=table, row=row, column="mac")
        await self._vault.note_refused(place, CannotOpen("the row was changed"))


async def fill_macs(connection: AsyncConnection, macs: RowMacs) -> None:
    """Make the codes of rows that were there before rows had any."""
    made: list[tuple[Table, str, bytes]] = []
    for row in (await connection.execute(select(api_keys))).all():
        key = api_key_of(row)
        mac = ENDED if key.deleted_at else macs.of(_KEYS, _key_fields(key))
        made.append((api_keys, key.id, mac))
    for row in (await connection.execute(select(proxy_sessions))).all():
        session = proxy_session_of(row)
        made.append((proxy_sessions, session.id, macs.of(_SESSIONS, _session_fields(session))))
    for table, row_id, mac in made:
        await connection.execute(update(table).where(table.c.id == row_id).values(mac=mac))


def _key_fields(key: ApiKey) -> Sequence[str]:
    return [
        key.id,
        key.workspace_id,
        key.hash.hex(),
        " ".join(sorted(key.rights)),
        _text(key.created_at),
        _text(key.expires_at),
    ]


def _session_fields(session: ProxySession) -> Sequence[str]:
    return [
        session.id,
        session.workspace_id,
        session.connection_id,
        session.api_key_id,
        str(session.unsafe),
        session.hash.hex(),
        _text(session.created_at),
        _text(session.expires_at),
    ]


def _text(moment: datetime | None) -> str:
    return "" if moment is None else str(to_micros(moment))
