"""Who can write the database opens nothing by it, and the audit says where they wrote."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from service.tests.support.databases import Base
from service.tests.support.fakes import FakeClock
from service.tests.support.values import (
    CANARY,
    CONNECTION,
    OTHER_WORKSPACE,
    VERIFIER,
    WORKSPACE,
    app,
    awaiting,
    connection,
    consumer_secret,
    grant,
    hash_of,
    private_key,
    revocation,
    signing_key,
    tokens,
)
from sqlalchemy import BigInteger, Boolean, LargeBinary, Table, Text, insert, literal

from keyturn_core.secrets import AccessToken, CodeVerifier, RefreshToken
from keyturn_service.adapters.sql.schema import SchemaTooNew, migrate
from keyturn_service.adapters.sql.tables import metadata
from keyturn_service.adapters.sql.types import Sealed
from keyturn_service.domain.ids import (
    AppId,
    ConnectionId,
    ConnectSessionId,
    RevocationId,
    SigningKeyId,
    WorkspaceId,
)
from keyturn_service.ports import AuditUnavailable, SealRefused
from keyturn_service.vault.place import Place

ANSWER = f'{{"access_token": "{CANARY}-kept-answer"}}'.encode()
REQUEST = hash_of("request")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A sealed column, the row of it that is written to, and who reads that."""

    table: str
    name: str
    key: str  # the column that names the row
    row: str
    read: Callable[[Base], Awaitable[object]]
    again: Callable[[Base], Awaitable[object]] | None = None  # another reader

    @property
    def readers(self) -> list[Callable[[Base], Awaitable[object]]]:
        """Whoever reads it."""
        return [self.read] if self.again is None else [self.read, self.again]

    async def sealed(self, base: Base) -> bytes:
        """Return what rests there."""
        asked = f"SELECT {self.name} FROM {self.table} WHERE {self.key} = :row"  # noqa: S608 - ours
        [(sealed,)] = await base.rows(asked, row=self.row)
        return bytes(sealed)

    async def plant(self, base: Base, value: bytes) -> None:
        """Write there, behind the service's back."""
        change = f"UPDATE {self.table} SET {self.name} = :value WHERE {self.key} = :row"  # noqa: S608 - ours
        await base.execute(change, value=value, row=self.row)


def _session(base: Base, what: str) -> Awaitable[object]:
    return getattr(base.stores.connect_sessions, what)(ConnectSessionId("cs_ws_one"))  # type: ignore[no-any-return]


COLUMNS = [
    Column(
        table="apps",
        name="consumer_secret",
        key="id",
        row="app_ws_one",
        read=lambda base: base.stores.apps.client(WORKSPACE, AppId("app_ws_one")),
    ),
    Column(
        table="signing_keys",
        name="private_key",
        key="id",
        row="sk_ws_one",
        read=lambda base: base.stores.signing_keys.private_key(
            signing_key(id=SigningKeyId("sk_ws_one"))
        ),
    ),
    Column(
        table="connect_sessions",
        name="verifier",
        key="id",
        row="cs_ws_one",
        read=lambda base: _session(base, "take_verifier"),
    ),
    Column(
        table="connect_sessions",
        name="pending_grant",
        key="id",
        row="cs_ws_one",
        read=lambda base: _session(base, "pending_grant"),
    ),
    Column(
        table="token_sets",
        name="access_token",
        key="connection_id",
        row=CONNECTION,
        read=lambda base: base.stores.tokens.load(CONNECTION),
        again=lambda base: base.stores.serving.read(CONNECTION, key_hash=b""),
    ),
    Column(
        table="token_sets",
        name="refresh_token",
        key="connection_id",
        row=CONNECTION,
        read=lambda base: base.stores.tokens.load(CONNECTION),
    ),
    Column(
        table="revocations",
        name="tokens",
        key="id",
        row="rev_ws_one",
        read=lambda base: base.stores.revocations.open(RevocationId("rev_ws_one")),
    ),
    Column(
        table="idempotency_keys",
        name="body",
        key="key",
        row="retry-ws_one",
        read=lambda base: base.stores.idempotency_keys.begin(
            WORKSPACE, "retry-ws_one", request_hash=REQUEST, now=base.clock.now()
        ),
    ),
]
WRAPPED = ("data_keys", "wrapped")  # sealed by the key source; its cases stand below
each_column = pytest.mark.parametrize(
    "column", COLUMNS, ids=[f"{column.table}.{column.name}" for column in COLUMNS]
)


async def fill(base: Base) -> None:
    """Keep every kind of sealed value, in two workspaces."""
    await base.with_connection()
    await base.with_connection(id=ConnectionId("con_two"))
    await _fill_workspace(base, WORKSPACE)
    await _fill_workspace(base, OTHER_WORKSPACE)


async def _fill_workspace(base: Base, workspace: WorkspaceId) -> None:
    stores = base.stores
    own = app(id=f"app_{workspace}", workspace_id=workspace)
    await stores.apps.add(own)
    await stores.apps.put_consumer_credentials(
        own, consumer_key="3MVG9", consumer_secret=consumer_secret()
    )
    key = signing_key(id=SigningKeyId(f"sk_{workspace}"), app_id=own.id, workspace_id=workspace)
    await stores.signing_keys.add(key, private_key())
    waiting = awaiting(
        id=ConnectSessionId(f"cs_{workspace}"),
        workspace_id=workspace,
        app_id=own.id,
        link_hash=hash_of(f"wait {workspace}"),
        authorization=None,
    )
    await stores.connect_sessions.add(waiting)
    await stores.connect_sessions.replace(waiting, verifier=CodeVerifier(VERIFIER))
    given = grant(session_id=waiting.id)
    assert await stores.connect_sessions.await_confirmation(
        replace(waiting, version=2), given, new_connection=None
    )
    job = revocation(
        id=RevocationId(f"rev_{workspace}"), workspace_id=workspace, ends_connection=False
    )
    await stores.revocations.add(job, [tokens().access_token, RefreshToken(f"{CANARY} rev")])
    name = f"retry-{workspace}"
    now = base.clock.now()
    assert (
        await stores.idempotency_keys.begin(workspace, name, request_hash=REQUEST, now=now) is None
    )
    await stores.idempotency_keys.end(workspace, name, status=200, body=ANSWER)


async def everything_sealed(base: Base) -> dict[tuple[str, str], list[bytes]]:
    """Return all that rests sealed, by its column."""
    found = {}
    for table, name in sealed_columns():
        asked = f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL"  # noqa: S608 - ours
        found[table, name] = [bytes(value) for (value,) in await base.rows(asked)]
    return found


def sealed_columns() -> set[tuple[str, str]]:
    """Return the sealed columns that the schema declares."""
    return {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if type(column.type) is Sealed and getattr(column.type, "length", None) is None
    }


def regions(sealed: bytes) -> dict[str, int]:
    """Return a byte of each region of a sealed value."""
    head = 2 + sealed[1]
    return {
        "version": 0,
        "length of the key's id": 1,
        "first of the key's id": 2,
        "last of the key's id": head - 1,
        "nonce": head + 5,
        "first of the body": head + 12,
        "last of the body": len(sealed) - 17,
        "tag": len(sealed) - 1,
    }


def damaged(sealed: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a sealed value cut short, made longer, and changed by one bit in each region."""
    head = 2 + sealed[1]
    for length in (0, 1, 2, head, head + 11, head + 12, head + 27, head + 28, len(sealed) - 1):
        yield f"cut to {length}", sealed[:length]
    yield "made longer", sealed + b"\0"
    for region, at in regions(sealed).items():
        for bit in (0x01, 0x80):
            changed = bytearray(sealed)
            changed[at] ^= bit
            yield f"bit {bit:#x} of {region}", bytes(changed)
    yield "an id with a zero byte", bytes([1, 4]) + b"dk_\0" + sealed[head:]
    yield "an id that is no text", bytes([1, 2]) + b"\xff\xfe" + sealed[head:]


async def refusals_of(base: Base) -> list[dict[str, Any]]:
    """Return what the audit says of refused seals, in order."""
    rows = await base.rows(
        "SELECT workspace_id, detail FROM audit_events WHERE type = 'vault.seal_refused'"
        " ORDER BY at, sequence"
    )
    return [{"workspace_id": workspace, **json.loads(detail)} for workspace, detail in rows]


async def refuses(base: Base, column: Column, what: str) -> None:
    """See that nothing opens, and that the audit says where somebody wrote."""
    assert isinstance(base.clock, FakeClock)
    for read in column.readers:
        base.clock.advance(seconds=1)
        before = await refusals_of(base)
        with pytest.raises(SealRefused) as refused:
            await read(base)
        assert CANARY not in str(refused.value)
        [said] = (await refusals_of(base))[len(before) :]
        named = (said["workspace_id"], said["table"], said["row"], said["column"])
        assert named == (WORKSPACE, column.table, column.row, column.name), what
        assert said["because"], what
        assert said["left_out"] == 0, what


def test_every_sealed_column_of_the_schema_has_its_case() -> None:
    """A new one has to be added here: nobody else would try to open what was moved."""
    cases = {(column.table, column.name) for column in COLUMNS}

    assert cases | {WRAPPED} == sealed_columns()


@each_column
async def test_what_was_sealed_elsewhere_does_not_open(base: Base, column: Column) -> None:
    """Of another row, column, table or workspace: every other value that rests sealed."""
    await fill(base)
    own = await column.sealed(base)
    others = [
        (f"from {table}.{name}", value)
        for (table, name), values in (await everything_sealed(base)).items()
        for value in values
        if value != own
    ]
    assert len(others) >= 2 * len(COLUMNS) - 1

    for what, value in others:
        await column.plant(base, value)
        await refuses(base, column, what)

    await column.plant(base, own)
    assert await column.read(base) is not None


@each_column
async def test_what_was_cut_short_or_changed_does_not_open(base: Base, column: Column) -> None:
    """At any length, by any bit; put back as it was, it opens."""
    await fill(base)
    own = await column.sealed(base)

    for what, value in damaged(own):
        await column.plant(base, value)
        await refuses(base, column, what)

    await column.plant(base, own)
    assert await column.read(base) is not None


@pytest.mark.parametrize(
    "column",
    [
        column
        for column in COLUMNS
        if column.table not in {"apps", "signing_keys", "idempotency_keys"}
    ],
    ids=lambda column: f"{column.table}.{column.name}",
)
async def test_a_row_given_to_another_workspace_does_not_open(base: Base, column: Column) -> None:
    """Who gives a row to their own workspace does not read it there.

    The other three tables are asked with the caller's workspace, and have no such row then.
    """
    await fill(base)
    table = "connections" if column.table == "token_sets" else column.table
    key = "id" if column.table == "token_sets" else column.key

    await base.execute(
        f"UPDATE {table} SET workspace_id = :other WHERE {key} = :row",  # noqa: S608 - ours
        other=OTHER_WORKSPACE,
        row=column.row,
    )

    for read in column.readers:
        with pytest.raises(SealRefused):
            await read(base)
    assert {said["workspace_id"] for said in await refusals_of(base)} == {OTHER_WORKSPACE}


async def test_a_signing_key_given_to_another_workspace_does_not_open(base: Base) -> None:
    """Nor one that names another app's row."""
    await fill(base)
    key = signing_key(id=SigningKeyId("sk_ws_one"), workspace_id=OTHER_WORKSPACE)

    with pytest.raises(SealRefused):
        await base.stores.signing_keys.private_key(key)


@pytest.mark.parametrize("column", ["access_token", "refresh_token"])
async def test_a_value_of_an_earlier_generation_does_not_open_in_a_later_one(
    base: Base, column: str
) -> None:
    """The number of the row's generation is what it was sealed for, or it stays closed.

    A whole old row, beside the connection's whole old row, does open: the threat model says so.
    """
    await base.with_connection()
    [target] = [one for one in COLUMNS if (one.table, one.name) == ("token_sets", column)]
    earlier = await target.sealed(base)
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert lease is not None
    later = tokens(generation=2, access_token=AccessToken("second"))
    renewed = replace(connection(), generation=2)
    assert await base.stores.tokens.renew(renewed, later, instead_of=1, fence=lease.fence)

    await target.plant(base, earlier)

    await refuses(base, target, "an earlier generation")


async def test_a_renumbered_generation_does_not_open(base: Base) -> None:
    """Up or down."""
    await base.with_connection()

    for generation in (0, 2, 3):
        await base.execute("UPDATE token_sets SET generation = :n", n=generation)
        with pytest.raises(SealRefused):
            await base.stores.tokens.load(CONNECTION)


async def test_a_data_key_that_was_changed_opens_and_seals_nothing(base: Base) -> None:
    """Moved to another workspace, under another name, cut, changed, or under a key that is not."""
    await fill(base)
    [target] = [one for one in COLUMNS if one.name == "access_token"]
    name = (await target.sealed(base))[2:]
    own_id = name[: (await target.sealed(base))[1]].decode()
    [(own, key_id)] = await base.rows(
        "SELECT wrapped, key_id FROM data_keys WHERE id = :id", id=own_id
    )
    others = await base.rows("SELECT wrapped FROM data_keys WHERE id <> :id", id=own_id)
    assert len(others) >= 1
    planted = [(bytes(value), key_id) for (value,) in others]
    planted += [(bytes(own)[:length], key_id) for length in (0, 1, 11, 12, 27, 59)]
    for at in (0, 12, 40, -1):
        changed = bytearray(own)
        changed[at] ^= 1
        planted.append((bytes(changed), key_id))
    planted += [
        (bytes(own), "kek_of_nobody"),
        (bytes(own), ""),
        (await target.sealed(base), key_id),
    ]

    for wrapped, under in planted:
        await base.execute(
            "UPDATE data_keys SET wrapped = :wrapped, key_id = :under WHERE id = :id",
            wrapped=wrapped,
            under=under,
            id=own_id,
        )
        before = len(await refusals_of(base))
        async with base.replica("spool_two") as restarted:
            with pytest.raises(SealRefused):
                await restarted.tokens.load(CONNECTION)
            with pytest.raises(SealRefused):
                await restarted.apps.put_consumer_credentials(
                    app(), consumer_key="3MVG9", consumer_secret=consumer_secret()
                )
        assert len(await refusals_of(base)) == before + 2


async def test_a_data_key_of_another_workspace_opens_nothing(base: Base) -> None:
    """Nor does a seal of ours come to rest under a key that somebody planted as the newest."""
    await fill(base)
    await base.execute(
        "UPDATE data_keys SET workspace_id = 'ws_one', created_at = created_at + 1"
        " WHERE workspace_id = 'ws_two'"
    )

    async with base.replica("spool_two") as restarted:
        with pytest.raises(SealRefused):
            await restarted.apps.put_consumer_credentials(
                app(), consumer_key="3MVG9", consumer_secret=consumer_secret()
            )
        assert await restarted.tokens.load(CONNECTION) is not None


async def test_a_refusal_that_cannot_be_recorded_is_no_opening_either(base: Base) -> None:
    """The caller hears that the audit is away."""
    await fill(base)
    [target] = [one for one in COLUMNS if one.name == "pending_grant"]
    await target.plant(base, b"planted")
    await base.refuse("INSERT", "audit_events")

    try:
        with pytest.raises(AuditUnavailable):
            await target.read(base)
    finally:
        await base.allow("audit_events")


HOSTILE = (
    'c__builtin__\nexec\n(S\'open("planted","w")\'\ntR.',  # what pickle would run
    "!!python/object/apply:os.system ['touch planted']",
    "{{ cycler.__init__.__globals__.os.system('touch planted') }}",
    "__import__('os').system('touch planted')",
    "'; DROP TABLE token_sets; --",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_row_planted_in_any_table_runs_nothing_and_opens_nothing(
    base: Base, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it gets a value or an error; no program and no token come out of it."""
    monkeypatch.chdir(tmp_path)
    await fill(base)
    planted = [await plant_row(base, table, text) for table in metadata.sorted_tables]
    assert planted == [1] * len(metadata.sorted_tables)
    stores, name = base.stores, "planted"
    readers: list[Callable[[], Awaitable[object]]] = [
        lambda: stores.tokens.load(ConnectionId(name)),
        lambda: stores.tokens.open_attempt(ConnectionId(name)),
        lambda: stores.tokens.latest_attempt(ConnectionId(name)),
        lambda: stores.serving.read(ConnectionId(name), key_hash=_planted_hash(text)),
        lambda: stores.connections.get(WORKSPACE, ConnectionId(name)),
        lambda: stores.apps.client(WORKSPACE, AppId(name)),
        lambda: stores.apps.list(WORKSPACE),
        lambda: stores.signing_keys.list(WORKSPACE, AppId(name)),
        lambda: stores.signing_keys.private_key(signing_key(id=SigningKeyId(name))),
        lambda: stores.connect_sessions.get(WORKSPACE, ConnectSessionId(name)),
        lambda: stores.connect_sessions.take_verifier(ConnectSessionId(name)),
        lambda: stores.connect_sessions.pending_grant(ConnectSessionId(name)),
        lambda: stores.connect_sessions.overdue(base.clock.now(), after=None, limit=10),
        lambda: stores.revocations.open(RevocationId(name)),
        lambda: stores.api_keys.by_hash(_planted_hash(text)),
        lambda: stores.proxy_sessions.by_hash(_planted_hash(text)),
        stores.workspaces.all,
        lambda: stores.idempotency_keys.begin(
            WORKSPACE, name, request_hash=REQUEST, now=base.clock.now()
        ),
        lambda: base.vault.open(bytes([1, len(name)]) + name.encode() + bytes(40), PLACE),
    ]

    for read in readers:
        with contextlib.suppress(SealRefused, ValueError, TypeError, LookupError, AttributeError):
            assert CANARY not in repr(await read())

    assert list(tmp_path.rglob("planted")) == []
    assert await stores.tokens.load(CONNECTION) is not None, "the others' rows are as they were"


@pytest.mark.parametrize("text", [*HOSTILE, "../../planted"])
async def test_a_planted_schema_version_runs_nothing(base: Base, text: str) -> None:
    """It names no file that is looked for: the service says that it does not know it."""
    [(own,)] = await base.rows("SELECT version_num FROM schema_version")
    changes = [
        ("UPDATE schema_version SET version_num = :text", {"text": text[:32]}),
        ("INSERT INTO schema_version VALUES (:text)", {"text": own}),
    ]
    try:
        for change, given in changes:
            await base.execute(change, **given)
            with pytest.raises(SchemaTooNew):
                await migrate(base.database)
    finally:
        await base.execute("DELETE FROM schema_version")
        await base.execute("INSERT INTO schema_version VALUES (:own)", own=own)


PLACE = Place(workspace_id=WORKSPACE, table="apps", row="planted", column="consumer_secret")


def _planted_hash(text: str) -> bytes:
    return hash_of(f"planted {text}")


async def plant_row(base: Base, table: Table, text: str) -> int:
    """Insert a row with the text wherever a text goes, named `planted`."""
    values: dict[str, Any] = {}
    for column in table.columns:
        kind = column.type.python_type
        if column.foreign_keys:
            values[column.name] = {"workspaces": WORKSPACE}.get(
                next(iter(column.foreign_keys)).column.table.name, "planted"
            )
        elif (column.primary_key and kind is str) or column.name == "workspace_id":
            values[column.name] = WORKSPACE if column.name == "workspace_id" else "planted"
        elif kind is bytes:
            hashed = getattr(column.type, "length", None) is not None
            values[column.name] = _planted_hash(text) if hashed else text.encode()
        elif kind is bool:
            values[column.name] = True
        elif kind is str:
            values[column.name] = text[: getattr(column.type, "length", None) or 200]
        else:
            values[column.name] = 1
    if table.name == "workspaces":
        values["id"] = "ws_planted"
    async with base.database.write() as connection:
        done = await connection.execute(
            insert(table).values({name: _as_it_is(value) for name, value in values.items()})
        )
    return done.rowcount


def _as_it_is(value: Any) -> Any:
    """Return a literal that no column's type of ours turns into something else."""
    kinds: dict[type, Any] = {str: Text(), bytes: LargeBinary(), bool: Boolean(), int: BigInteger()}
    return literal(value, kinds[type(value)])
