"""What rests sealed: nothing of it can be read in the database, or opens in another place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CANARY,
    CONNECTION,
    OTHER_WORKSPACE,
    SESSION,
    START,
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
    session,
    signing_key,
    tokens,
)

from keyturn_core.secrets import AccessToken, CodeVerifier, RefreshToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.tables import metadata
from keyturn_service.adapters.sql.types import Sealed
from keyturn_service.domain.ids import (
    AppId,
    ConnectionId,
    ConnectSessionId,
    RevocationId,
    SigningKeyId,
)
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.place import Place

Opening: TypeAlias = Callable[[Base], Awaitable[object]]
ANSWER = f'{{"access_token": "{CANARY}-kept-answer"}}'.encode()
SEALED = {
    ("apps", "consumer_secret"),
    ("signing_keys", "private_key"),
    ("connect_sessions", "verifier"),
    ("connect_sessions", "pending_grant"),
    ("token_sets", "access_token"),
    ("token_sets", "refresh_token"),
    ("revocations", "tokens"),
    ("idempotency_keys", "body"),
}


async def fill(base: Base) -> None:
    """Keep every kind of sealed value, two rows of each."""
    stores = base.stores
    for number, name in enumerate((CONNECTION, ConnectionId("con_two"))):
        await base.with_connection(id=name)
        session_id = ConnectSessionId(f"cs_wait_{number}")
        waiting = awaiting(id=session_id, link_hash=hash_of(f"wait {number}"), authorization=None)
        await stores.connect_sessions.add(waiting)
        await stores.connect_sessions.replace(waiting, verifier=CodeVerifier(VERIFIER))
        await stores.connect_sessions.await_confirmation(
            replace(waiting, version=2), grant(session_id=session_id), new_connection=None
        )
        job = revocation(id=RevocationId(f"rev_{number}"), ends_connection=False)
        await stores.revocations.add(job, [tokens().access_token, RefreshToken(f"{CANARY} rev")])
        app_id = AppId(f"app_{number}")
        await stores.apps.add(app(id=app_id))
        await stores.apps.put_consumer_credentials(
            app(id=app_id), consumer_key="3MVG9", consumer_secret=consumer_secret()
        )
        await stores.signing_keys.add(
            signing_key(id=SigningKeyId(f"sk_{number}"), app_id=app_id), private_key()
        )
        key = f"retry-{number}"
        await stores.idempotency_keys.begin(
            WORKSPACE, key, request_hash=hash_of("request"), now=START
        )
        await stores.idempotency_keys.end(WORKSPACE, key, status=200, body=ANSWER)


async def test_no_secret_can_be_read_in_the_database(base: Base) -> None:
    """In no table, no index and no journal of the whole database, in no usual writing."""
    await fill(base)

    dump = await base.dump()

    assert b"globex" in dump, "the search would find what is there"
    for written in (CANARY.encode(), CANARY.encode().hex().encode(), CANARY.encode("utf-16-le")):
        assert written not in dump


async def test_the_list_of_sealed_columns_is_whole(base: Base) -> None:
    """Each is filled in these tests; a new one has to be added here."""
    await fill(base)
    declared = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if type(column.type) is Sealed and column.name != "wrapped"
        if getattr(column.type, "length", None) is None
    }

    assert declared == SEALED
    for table, column in SEALED:
        [(count,)] = await base.rows(f"SELECT count({column}) FROM {table}")  # noqa: S608 - ours
        assert count == 2


async def test_two_seals_of_one_value_differ(base: Base) -> None:
    """Nobody can see in the database that two customers have the same secret."""
    await fill(base)

    for table, column in SEALED:
        asked = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - ours
        rows = await base.rows(asked)
        assert len({bytes(value) for (value,) in rows}) == 2


MOVES: list[tuple[str, str, Opening]] = [
    (
        (
            "UPDATE apps SET consumer_secret ="
            " (SELECT consumer_secret FROM apps WHERE id = 'app_1') WHERE id = 'app_0'"
        ),
        "another app",
        lambda base: base.stores.apps.client(WORKSPACE, AppId("app_0")),
    ),
    (
        (
            "UPDATE signing_keys SET private_key ="
            " (SELECT private_key FROM signing_keys WHERE id = 'sk_1') WHERE id = 'sk_0'"
        ),
        "another key",
        lambda base: base.stores.signing_keys.private_key(signing_key(id=SigningKeyId("sk_0"))),
    ),
    (
        (
            "UPDATE connect_sessions SET verifier = (SELECT verifier FROM connect_sessions"
            " WHERE id = 'cs_wait_1') WHERE id = 'cs_wait_0'"
        ),
        "another session",
        lambda base: base.stores.connect_sessions.take_verifier(ConnectSessionId("cs_wait_0")),
    ),
    (
        (
            "UPDATE connect_sessions SET pending_grant ="
            " (SELECT pending_grant FROM connect_sessions WHERE id = 'cs_wait_1')"
            " WHERE id = 'cs_wait_0'"
        ),
        "another session",
        lambda base: base.stores.connect_sessions.pending_grant(ConnectSessionId("cs_wait_0")),
    ),
    (
        "UPDATE connect_sessions SET pending_grant = verifier WHERE id = 'cs_wait_0'",
        "another column",
        lambda base: base.stores.connect_sessions.pending_grant(ConnectSessionId("cs_wait_0")),
    ),
    (
        (
            "UPDATE token_sets SET access_token = (SELECT access_token FROM token_sets"
            " WHERE connection_id = 'con_two') WHERE connection_id = 'con_one'"
        ),
        "another connection",
        lambda base: base.stores.tokens.load(CONNECTION),
    ),
    (
        "UPDATE token_sets SET access_token = refresh_token WHERE connection_id = 'con_one'",
        "another column",
        lambda base: base.stores.tokens.load(CONNECTION),
    ),
    (
        "UPDATE token_sets SET refresh_token = access_token WHERE connection_id = 'con_one'",
        "another column",
        lambda base: base.stores.tokens.load(CONNECTION),
    ),
    (
        "UPDATE token_sets SET generation = 2 WHERE connection_id = 'con_one'",
        "another generation",
        lambda base: base.stores.tokens.load(CONNECTION),
    ),
    (
        "UPDATE connections SET workspace_id = 'ws_two' WHERE id = 'con_one'",
        "another workspace",
        lambda base: base.stores.tokens.load(CONNECTION),
    ),
    (
        "UPDATE connections SET workspace_id = 'ws_two' WHERE id = 'con_one'",
        "another workspace, by the hot read",
        lambda base: base.stores.serving.read(CONNECTION, key_hash=b""),
    ),
    (
        (
            "UPDATE revocations SET tokens = (SELECT tokens FROM revocations WHERE id = 'rev_1')"
            " WHERE id = 'rev_0'"
        ),
        "another job",
        lambda base: base.stores.revocations.open(RevocationId("rev_0")),
    ),
    (
        (
            "UPDATE revocations SET tokens = (SELECT access_token FROM token_sets"
            " WHERE connection_id = 'con_one') WHERE id = 'rev_0'"
        ),
        "another table",
        lambda base: base.stores.revocations.open(RevocationId("rev_0")),
    ),
    (
        (
            "UPDATE idempotency_keys SET body = (SELECT body FROM idempotency_keys"
            " WHERE key = 'retry-1') WHERE key = 'retry-0'"
        ),
        "another key",
        lambda base: base.stores.idempotency_keys.begin(
            WORKSPACE, "retry-0", request_hash=hash_of("request"), now=START
        ),
    ),
]


@pytest.mark.parametrize(
    ("move", "opening"),
    [
        pytest.param(move, opening, id=f"{number} {to}")
        for number, (move, to, opening) in enumerate(MOVES)
    ],
)
async def test_a_sealed_value_opens_in_its_own_place_only(
    base: Base, move: str, opening: Opening
) -> None:
    """Where it rests it opens; moved by whoever can write the database, it does not."""
    await fill(base)
    await opening(base)
    await fill_verifier_again(base)

    await base.execute(move)

    with pytest.raises(CannotOpen):
        await opening(base)


async def fill_verifier_again(base: Base) -> None:
    """Put back the verifier that opening it has taken."""
    [(taken,)] = await base.rows(
        "SELECT count(*) FROM connect_sessions WHERE verifier IS NULL AND id = 'cs_wait_0'"
    )
    if taken:
        found = await base.stores.connect_sessions.get(WORKSPACE, ConnectSessionId("cs_wait_0"))
        assert found is not None
        await base.stores.connect_sessions.replace(found, verifier=CodeVerifier(VERIFIER))


@pytest.mark.parametrize("bit", [0, 9, 60, -1])
async def test_one_flipped_bit_does_not_open(base: Base, bit: int) -> None:
    """Neither in the head, nor in the nonce, the text or the tag."""
    await base.with_connection()
    [(sealed,)] = await base.rows("SELECT access_token FROM token_sets")
    changed = bytearray(sealed)
    changed[bit] ^= 1

    await base.execute("UPDATE token_sets SET access_token = :changed", changed=bytes(changed))

    with pytest.raises(CannotOpen):
        await base.stores.tokens.load(CONNECTION)


def test_every_sealed_column_has_a_place_of_its_own() -> None:
    """No two columns share what their seals are bound to."""
    made = [
        places.consumer_secret(WORKSPACE, "id"),
        places.private_key(WORKSPACE, "id"),
        places.verifier(WORKSPACE, "id"),
        places.pending_grant(WORKSPACE, "id"),
        places.access_token(WORKSPACE, "id", 0),
        places.refresh_token(WORKSPACE, "id", 0),
        places.revocation_tokens(WORKSPACE, "id"),
        places.kept_answer(WORKSPACE, "id"),
        places.access_token(WORKSPACE, "id", 1),
        places.access_token(WORKSPACE, "id2", 0),
        places.access_token(OTHER_WORKSPACE, "id", 0),
    ]

    assert len({place.associated_data for place in made}) == len(made)
    assert {(place.table, place.column) for place in made} == SEALED


def test_a_place_is_not_another_one_written_together() -> None:
    """The parts of a place do not run into each other."""
    one = Place(workspace_id="ws", table="t", row="ab", column="c")
    two = Place(workspace_id="ws", table="t", row="a", column="bc")

    assert one.associated_data != two.associated_data


async def test_a_verifier_that_was_taken_leaves_nothing_behind(base: Base) -> None:
    """Neither it nor a confirmed grant is kept sealed longer than needed."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    await sessions.replace(session(), verifier=CodeVerifier(VERIFIER))
    await sessions.take_verifier(SESSION)
    await base.with_connection()

    rows = await base.rows("SELECT verifier, pending_grant FROM connect_sessions")

    assert rows == [(None, None), (None, None)]


async def test_a_value_sealed_before_a_restart_opens_after_it(base: Base) -> None:
    """Another process with the same key source opens what this one sealed."""
    await base.with_connection(org_name="Globex")

    async with base.replica("spool_two") as restarted:
        loaded = await restarted.tokens.load(CONNECTION)

    assert loaded == (connection(), tokens())
    assert loaded[1].access_token != AccessToken("another")
