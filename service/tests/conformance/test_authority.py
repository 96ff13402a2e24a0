"""Who can write the database gives nobody more rights: rows that say who may do what have codes."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from service.tests.support.databases import Base
from service.tests.support.fakes import fake_hash
from service.tests.support.values import (
    CONNECTION,
    WORKSPACE,
    api_key,
    hash_of,
    proxy_session,
)

from keyturn_service.adapters.sql.authority import fill_macs
from keyturn_service.adapters.sql.schema import SchemaTooNew, migrate
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.ids import ApiKeyId
from keyturn_service.use_cases.delete_api_key import DeleteApiKey
from keyturn_service.use_cases.end_keys_again import EndKeysAgain
from keyturn_service.vault.row_macs import RowMacs


async def refusals_of(base: Base) -> list[dict[str, Any]]:
    """Return what the audit says of refused rows, in order."""
    rows = await base.rows(
        "SELECT detail FROM audit_events WHERE type = 'vault.seal_refused' ORDER BY at, sequence"
    )
    return [json.loads(detail) for (detail,) in rows]


KEY_CHANGES = [
    "UPDATE api_keys SET workspace_id = 'ws_two'",
    """UPDATE api_keys SET rights = '["tokens:read", "connections:read"]'""",
    "UPDATE api_keys SET expires_at = NULL",
    "UPDATE api_keys SET id = 'key_another'",
    "UPDATE api_keys SET created_at = created_at + 1",
]


@pytest.mark.parametrize("change", [*KEY_CHANGES, "UPDATE api_keys SET mac = hash"])
async def test_a_key_whose_row_was_changed_opens_nothing(base: Base, change: str) -> None:
    """Whoever has a key of this installation and writes the database is nobody else by that."""
    await base.with_connection()
    key = api_key(
        id=ApiKeyId("key_own"),
        hash=hash_of("own"),
        rights=frozenset({Right.CONNECTIONS_READ}),
        expires_at=base.clock.now() + timedelta(days=1),
    )
    await base.stores.api_keys.add(key)
    assert await base.stores.api_keys.by_hash(key.hash) == key
    before = len(await refusals_of(base))

    await base.execute(change + " WHERE hash = :hash", hash=key.hash)

    assert await base.stores.api_keys.by_hash(key.hash) is None
    assert (await base.stores.serving.read(CONNECTION, key_hash=key.hash)).api_key is None
    refused = (await refusals_of(base))[before:]
    assert [(one["table"], one["column"]) for one in refused][:1] == [("api_keys", "mac")]


async def test_a_deleted_key_stays_deleted(base: Base) -> None:
    """Clearing the moment of its end is not enough, nor is the code of another key."""
    await base.with_connection()
    for name in ("key_own", "key_other"):
        await base.stores.api_keys.add(api_key(id=ApiKeyId(name), hash=hash_of(name)))
    assert await base.stores.api_keys.delete(WORKSPACE, ApiKeyId("key_own"), at=base.clock.now())

    await base.execute("UPDATE api_keys SET deleted_at = NULL WHERE id = 'key_own'")
    assert await base.stores.api_keys.by_hash(hash_of("key_own")) is None
    await base.execute(
        "UPDATE api_keys SET mac = (SELECT mac FROM api_keys WHERE id = 'key_other')"
        " WHERE id = 'key_own'"
    )
    assert await base.stores.api_keys.by_hash(hash_of("key_own")) is None


PLANTED_ENDS = {
    "no JSON": ("workspace_id", "brought back"),
    "a list": ("workspace_id", '["key_own"]'),
    "no key": ("workspace_id", '{"api_key_id": 7}'),
    "of nobody": ("workspace_id", '{"api_key_id": "key_none"}'),
    "nothing a database takes": ("workspace_id", '{"api_key_id": "\\u0000"}'),
    "half a character": ("workspace_id", '{"api_key_id": "\\ud800"}'),
    "of another workspace": ("'ws_two'", '{"api_key_id": "key_own"}'),
    "of no workspace": ("NULL", '{"api_key_id": "key_own"}'),
}


def _ending(base: Base) -> EndKeysAgain:
    return EndKeysAgain(
        keys=base.stores.api_keys, audit=base.audit_log("run_ends"), clock=base.clock
    )


@pytest.mark.parametrize("planted", PLANTED_ENDS.values(), ids=PLANTED_ENDS.keys())
async def test_a_deleted_key_whose_whole_row_is_put_back_is_ended_again(
    base: Base, planted: tuple[str, str]
) -> None:
    """Its code holds, since it held before; the audit knows better, whatever else is planted."""
    await base.with_connection()
    keys = base.stores.api_keys
    for name in ("key_own", "key_other"):
        await keys.add(api_key(id=ApiKeyId(name), hash=hash_of(name)))
    asked = "SELECT mac FROM api_keys WHERE id = 'key_own'"
    [(mac,)] = await base.rows(asked)
    audit = base.audit_log()
    delete = DeleteApiKey(keys=keys, audit=audit, clock=base.clock)
    await delete(WORKSPACE, ApiKeyId("key_own"), "operator")
    workspace, said = planted
    await base.execute(
        f"INSERT INTO audit_events SELECT 'run_planted', sequence, {workspace}, connection_id,"  # noqa: S608 - ours
        " type, actor, at + 1, :said, previous, hash"
        " FROM audit_events WHERE type = 'api_key.deleted'",
        said=said,
    )
    assert await _ending(base)() == 0

    await base.execute(
        "UPDATE api_keys SET deleted_at = NULL, mac = :mac WHERE id = 'key_own'", mac=mac
    )
    assert await keys.by_hash(hash_of("key_own")) is not None

    assert await _ending(base)() == 1
    found = await keys.by_hash(hash_of("key_own"))
    assert found is not None
    assert found.deleted_at == base.clock.now()
    assert [key.id for key in await keys.list(WORKSPACE)] == ["key_other"]
    [(workspace, actor, detail)] = await base.rows(
        "SELECT workspace_id, actor, detail FROM audit_events WHERE type = 'api_key.brought_back'"
    )
    assert (workspace, actor) == (WORKSPACE, "system")
    assert json.loads(detail) == {"api_key_id": "key_own", "because": "its row was put back"}
    assert await _ending(base)() == 0


@pytest.mark.parametrize(
    "change",
    [
        "id = 'ps_another'",
        "unsafe = NOT unsafe",
        "expires_at = expires_at + 1",
        "api_key_id = 'key_other'",
        "workspace_id = 'ws_two'",
    ],
)
async def test_a_proxy_session_whose_row_was_changed_opens_nothing(base: Base, change: str) -> None:
    """It is for the connection, the key and the time that it was made for."""
    await base.with_connection()
    for name in ("key_own", "key_other"):
        await base.stores.api_keys.add(api_key(id=ApiKeyId(name), hash=hash_of(name)))
    session = proxy_session(api_key_id=ApiKeyId("key_own"), connection_id=CONNECTION)
    await base.stores.proxy_sessions.add(session)
    assert await base.stores.proxy_sessions.by_hash(session.hash) == session

    await base.execute(f"UPDATE proxy_sessions SET {change}")  # noqa: S608 - ours

    assert await base.stores.proxy_sessions.by_hash(session.hash) is None
    assert (await refusals_of(base))[-1]["table"] == "proxy_sessions"


async def test_rows_of_an_earlier_release_get_their_codes_once(base: Base) -> None:
    """With the columns; a version that somebody put back by hand brings none."""
    key, over = api_key(hash=hash_of("own")), api_key(id=ApiKeyId("key_over"), hash=hash_of("over"))
    session = proxy_session(api_key_id=key.id)
    await base.with_connection()
    for one in (key, over):
        await base.stores.api_keys.add(one)
    await base.stores.proxy_sessions.add(session)
    await base.stores.api_keys.delete(WORKSPACE, over.id, at=base.clock.now())
    filling = partial(fill_macs, macs=RowMacs(fake_hash))
    await base.execute("UPDATE schema_version SET version_num = '0013'")

    await base.execute("UPDATE api_keys SET rights = '[]' WHERE id = 'key_own'")
    with pytest.raises(SchemaTooNew):
        await migrate(base.database, fill=filling)

    for table in ("api_keys", "proxy_sessions"):
        await base.execute(f"ALTER TABLE {table} DROP COLUMN mac")
    await base.execute("DROP INDEX ix_connections_login_rate")
    await base.execute("DROP TABLE destroyed_root_keys")
    later = (
        "ix_audit_events_key_ended",
        "ix_revocations_connection_id",
        "ix_attempts_ended_at",
        "ix_connect_sessions_created_at",
    )
    for index in later:
        await base.execute(f"DROP INDEX {index}")
    await base.execute("ALTER TABLE connect_sessions DROP COLUMN created_at")
    await migrate(base.database, fill=filling)
    assert await base.stores.api_keys.by_hash(key.hash) == key
    assert await base.stores.proxy_sessions.by_hash(session.hash) == session
    await base.execute("UPDATE api_keys SET deleted_at = NULL")
    assert await base.stores.api_keys.by_hash(over.hash) is None
