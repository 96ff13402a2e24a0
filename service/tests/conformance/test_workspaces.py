"""`ports.Workspaces`, `ports.Apps`, and `vault.data_keys.DataKeys`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    APP,
    CONSUMER_SECRET,
    HOUR,
    NO_MOMENT,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    app,
    consumer_secret,
    workspace,
)
from sqlalchemy.exc import IntegrityError

from keyturn_core.oauth.client import Client
from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import ConsumerSecret
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.domain.app import Workspace
from keyturn_service.domain.ids import AppId, WorkspaceId
from keyturn_service.ports import StoreUnavailable
from keyturn_service.vault.data_keys import DataKeyId, WrappedDataKey

KEY = WrappedDataKey(
    id=DataKeyId("dk_one"),
    workspace_id="ws_keys",
    key_id="kek_test",
    wrapped=bytes(range(60)),
    created_at=START,
)


async def test_every_workspace_is_listed(base: Base) -> None:
    """Oldest first."""
    older = Workspace(id=WorkspaceId("ws_old"), name="Prøve", created_at=START - HOUR)
    await base.stores.workspaces.ensure(older)

    listed = await base.stores.workspaces.all()

    assert list(listed) == [older, workspace(), workspace(OTHER_WORKSPACE)]


async def test_a_workspace_that_is_kept_stays_as_it_is(base: Base) -> None:
    """Ensuring it again changes nothing, however many do it at once."""
    renamed = Workspace(id=WORKSPACE, name="another", created_at=START + HOUR)

    await asyncio.gather(*(base.stores.workspaces.ensure(renamed) for _ in range(3)))

    assert list(await base.stores.workspaces.all()) == [workspace(), workspace(OTHER_WORKSPACE)]


async def test_a_workspace_made_at_an_odd_moment_hides_no_other(base: Base) -> None:
    """Nor is it hidden itself: by its id and name it can be meant."""
    await base.execute("INSERT INTO workspaces VALUES ('ws_odd', 'odd', :at)", at=NO_MOMENT)

    listed = await base.stores.workspaces.all()

    assert [one.id for one in listed] == [WORKSPACE, OTHER_WORKSPACE, "ws_odd"]


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)
async def test_a_workspace_made_at_a_text_hides_no_other(base: Base) -> None:
    """SQLite keeps anything anywhere."""
    await base.execute("INSERT INTO workspaces VALUES ('ws_odd', 'odd', 'yesterday')")

    assert len(await base.stores.workspaces.all()) == 3


async def test_an_app_comes_back_as_it_was_kept(base: Base) -> None:
    """In its workspace, and in no other."""
    kept = app(
        id=AppId("app_two"),
        name="Zürich 🦊",
        namespace=None,
        callback_urls=("https://a.example/cb", "https://b.example/cb"),
        return_origins=(),
        scopes=frozenset({Scope("full")}),
        login_hosts={Environment.SANDBOX: Origin("https://globex.my.salesforce.com")},
        install_urls={Environment.PRODUCTION: "https://login.salesforce.com/packaging?p0=04t"},
        allow_same_org=True,
        start_url="https://app.acme.example/salesforce",
    )
    await base.stores.apps.add(kept)

    assert await base.stores.apps.get(WORKSPACE, AppId("app_two")) == kept
    assert await base.stores.apps.get(OTHER_WORKSPACE, AppId("app_two")) is None
    assert await base.stores.apps.get(WORKSPACE, AppId("app_three")) is None


async def test_the_apps_of_a_workspace_are_listed(base: Base) -> None:
    """Oldest first; another workspace's are not among them."""
    older = app(id=AppId("app_z"), created_at=START - HOUR)
    same = app(id=AppId("app_a"))
    others = app(id=AppId("app_b"), workspace_id=OTHER_WORKSPACE)
    for made in (older, same, others):
        await base.stores.apps.add(made)

    assert list(await base.stores.apps.list(WORKSPACE)) == [older, same, app()]
    assert list(await base.stores.apps.list(OTHER_WORKSPACE)) == [others]


async def test_an_app_belongs_to_a_workspace_that_is_kept(base: Base) -> None:
    """There is no app of nobody."""
    with pytest.raises(IntegrityError):
        await base.stores.apps.add(app(id=AppId("app_two"), workspace_id=WorkspaceId("ws_none")))


async def test_consumer_credentials_are_sealed_and_opened(base: Base) -> None:
    """Until they are put there is no client; a second pair takes the place of the first."""
    apps = base.stores.apps
    assert await apps.client(WORKSPACE, APP) is None
    assert await apps.client(WORKSPACE, AppId("app_none")) is None

    await apps.put_consumer_credentials(app(), consumer_key="3MVG9", consumer_secret=SECRET)
    assert await apps.client(WORKSPACE, APP) == Client(consumer_key="3MVG9", consumer_secret=SECRET)
    assert await apps.client(OTHER_WORKSPACE, APP) is None
    kept = await apps.get(WORKSPACE, APP)
    assert kept == app(consumer_key="3MVG9")

    later = ConsumerSecret("another")
    await apps.put_consumer_credentials(app(), consumer_key="3MVG8", consumer_secret=later)
    assert await apps.client(WORKSPACE, APP) == Client(consumer_key="3MVG8", consumer_secret=later)


SECRET = consumer_secret()


async def test_changing_an_app_leaves_its_credentials(base: Base) -> None:
    """Whoever changes a name has not read the secret and cannot lose it."""
    apps = base.stores.apps
    await apps.put_consumer_credentials(app(), consumer_key="3MVG9", consumer_secret=SECRET)

    await apps.replace(app(name="Another", consumer_key=None, allow_same_org=True))

    changed = await apps.get(WORKSPACE, APP)
    assert changed == app(name="Another", consumer_key="3MVG9", allow_same_org=True)
    client = await apps.client(WORKSPACE, APP)
    assert client is not None
    assert client.consumer_secret is not None
    assert client.consumer_secret.reveal() == CONSUMER_SECRET


async def test_without_a_database_there_is_no_app(base: Base) -> None:
    """Silence is told apart from "no such app" and from "no credentials"."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await base.stores.apps.get(WORKSPACE, APP)
    with pytest.raises(StoreUnavailable):
        await base.stores.apps.client(WORKSPACE, APP)
    with pytest.raises(StoreUnavailable):
        await base.stores.workspaces.ensure(workspace())


async def test_a_data_key_comes_back_as_it_was_kept(base: Base) -> None:
    """By its id, and as the newest of its workspace."""
    keys = SqlDataKeys(base.database)

    assert await keys.add(KEY) == KEY

    assert await keys.get(KEY.id) == KEY
    assert await keys.latest("ws_keys") == KEY
    assert await keys.get(DataKeyId("dk_none")) is None
    assert await keys.latest("ws_none") is None


async def test_the_newest_data_key_seals(base: Base) -> None:
    """An older one that is added later does not come back into use."""
    keys = SqlDataKeys(base.database)
    newest = WrappedDataKey(
        id=DataKeyId("dk_new"),
        workspace_id="ws_keys",
        key_id="kek_test",
        wrapped=b"\x00\xff",
        created_at=START + HOUR,
    )
    await keys.add(newest)
    await keys.add(KEY)

    assert await keys.latest("ws_keys") == newest


async def test_a_data_key_that_is_kept_wins(base: Base) -> None:
    """Two first starts at once end with one key, and both know which."""
    keys = SqlDataKeys(base.database)
    other = WrappedDataKey(
        id=KEY.id, workspace_id="ws_keys", key_id="kek_test", wrapped=b"other", created_at=START
    )

    first, second = await asyncio.gather(keys.add(KEY), keys.add(other))

    assert first == second
    assert await keys.get(KEY.id) == first


@pytest.mark.parametrize("column", ["created_at", "retired_at", "unneeded_since"])
async def test_a_data_key_with_an_odd_moment_is_read_and_rewrapped(base: Base, column: str) -> None:
    """All else of it is as it was kept, and none of the others is hidden by it."""
    keys = SqlDataKeys(base.database)
    other = replace(KEY, id=DataKeyId("dk_other"))
    for key in (KEY, other):
        await keys.add(key)
    await base.execute("UPDATE data_keys SET retired_at = 0 WHERE id = :id", id=KEY.id)
    await base.execute(
        f"UPDATE data_keys SET {column} = :at WHERE id = :id",  # noqa: S608 - ours
        at=NO_MOMENT,
        id=KEY.id,
    )

    odd, whole = await keys.after(DataKeyId("dk"), but_under="kek_new", limit=9)

    assert whole == other
    assert (odd.id, odd.wrapped) == (KEY.id, KEY.wrapped)
    assert list(await keys.retired()) == [odd]
    assert await keys.get(KEY.id) == odd
    assert await keys.latest("ws_keys") == other
    assert await keys.rewrap(odd, key_id="kek_new", wrapped=b"new")
