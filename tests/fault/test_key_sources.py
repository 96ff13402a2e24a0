"""Two replicas whose root key is in a KMS: it moves there and back, and the KMS goes away.

Transit, by its own client; `tests/support/kms/transit.py` says what the stand-in does not do.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import httpx2
import pytest
from tests.fault.crash_world import CrashWorld, crash_world, reading_at, second_replica
from tests.support.kms.front import Asked, Front, running_front
from tests.support.kms.transit import NAMESPACE, TOKEN, TransitStandIn
from tests.support.postgres import running_postgres
from tools.world import BIN

from keyturn_service.bootstrap import CannotStart, House, open_house
from keyturn_service.domain.api_key import Right
from keyturn_service.settings import read_settings
from keyturn_service.vault.key_uri import KeyUri
from keyturn_service.vault.root_keys import Standing

_T = TypeVar("_T")
LOCAL: Final = "file"
AWAY: Final = "key_source_unavailable"
KEPT: Final = 6  # seconds
PATIENCE: Final = 60.0


@pytest.fixture
def kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TransitStandIn, Front]]:
    """Transit, and an environment that leads there, for replicas too."""
    made = TransitStandIn()
    with running_front(tmp_path / "kms", [made]) as (front, url):
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.ca_file))
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        yield made, front


@dataclass(kw_only=True)
class Pair:
    """Two replicas on one PostgreSQL and one key file.

    West keeps opened data keys for seconds where east does for a day. `stranger` is API key and
    app of a workspace in which nothing was sealed yet.
    """

    transit: TransitStandIn
    front: Front
    east: CrashWorld
    west: CrashWorld
    stranger: tuple[str, str]
    connection: str


@pytest.fixture
def pair(tmp_path: Path, kms: tuple[TransitStandIn, Front]) -> Iterator[Pair]:
    """Two replicas, of which east runs, and a key file whose key is its own."""
    with ExitStack() as ending:
        url = ending.enter_context(running_postgres()).create_database()
        east = ending.enter_context(crash_world(tmp_path, database_url=url))
        (tmp_path / "west").mkdir()
        west = second_replica(east, tmp_path / "west")
        west.settings["data_keys_kept"] = f"PT{KEPT}S"
        for close in (west.http.close, west.control.close, west.kill):
            ending.callback(close)
        east.start()
        yield Pair(
            transit=kms[0],
            front=kms[1],
            east=east,
            west=west,
            stranger=_stranger(east),
            connection=east.connect("Northwind"),
        )


def _beside(
    world: CrashWorld, work: Callable[[House], Awaitable[_T]], key_source: str = LOCAL
) -> _T:
    """Do something as `keyturn keys` does, without the seconds that it takes to start."""

    async def working() -> _T:
        settings = world.settings | {"key_source": key_source}
        read = read_settings(**settings, dev_world=world.dev_world)
        async with open_house(read, background=False) as house:
            return await work(house)

    return asyncio.run(working())


def _move(world: CrashWorld, key_source: str) -> str:
    """Rotate to a key of that source and put all data keys under it."""

    async def moving(house: House) -> str:
        key_id = await house.root_keys.rotate()
        await house.root_keys.rewrap()
        return key_id

    return _beside(world, moving, key_source)


def _standing(world: CrashWorld) -> Standing:
    return _beside(world, lambda house: house.root_keys.standing())


def _new_key(transit: TransitStandIn) -> str:
    return f"vault-transit://{transit.new_key('keyturn')}?namespace={NAMESPACE}"


def _keyturn(
    world: CrashWorld, *arguments: str, key_source: str
) -> subprocess.CompletedProcess[str]:
    """Run `keyturn keys` as an operator does."""
    settings = {
        "KEYTURN_PUBLIC_URLS": world.url,
        "KEYTURN_DATA_DIR": world.settings["data_dir"],
        "KEYTURN_DATABASE_URL": world.settings["database_url"],
        "KEYTURN_KEY_SOURCE": key_source,
    }
    return subprocess.run(
        [str(BIN / "keyturn"), "keys", *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _stranger(world: CrashWorld) -> tuple[str, str]:
    """Make another workspace, in which nothing was ever sealed; return its API key and app."""

    async def making(house: House) -> str:
        workspace = await house.new_workspace("Another")
        _, key = await house.wiring.create_api_key(
            workspace, "test", name="test", rights=frozenset(Right), expires_at=None
        )
        return key

    key = _beside(world, making)
    app = {
        "name": "Another",
        "namespace": "another",
        "callback_urls": [f"{world.url}/oauth/callback"],
        "return_origins": ["http://127.0.0.1:9"],
        "scopes": ["api", "refresh_token"],
    }
    headers = {"Authorization": f"Bearer {key}"}
    made = world.http.post(f"{world.url}/v1/apps", json=app, headers=headers)
    made.raise_for_status()
    return key, str(made.json()["id"])


def _put_credentials(world: CrashWorld, key: str, app_id: str) -> httpx2.Response:
    return world.http.put(
        f"{world.url}/v1/apps/{app_id}/consumer-credentials",
        json={"consumer_key": "3MVG9.dummy", "consumer_secret": "dummy"},
        headers={"Authorization": f"Bearer {key}"},
    )


def test_the_root_key_moves_to_a_kms_and_back_and_its_absence_passes(pair: Pair) -> None:
    """By `rotate` and `rewrap` alone, under running replicas, which take each key up.

    No read fails while keys move. While the KMS is away, what is open is served and refreshed
    until its time is up, what is not gets a 503, and nothing starts; then it passes by itself.
    """
    uri = _new_key(pair.transit)
    with reading_at([pair.east], pair.connection, pause=0.1) as answers:
        assert _keyturn(pair.east, "rotate", key_source=uri).returncode == 0
        _beside(pair.east, lambda house: house.root_keys.rewrap())
        pair.west.start()  # nothing but the KMS opens its data keys
        with reading_at([pair.west], pair.connection, pause=0.1) as answers_of_west:
            _move_on(pair, uri)
    assert set(answers) == set(answers_of_west) == {200}
    assert len(answers_of_west) > 10

    _go_away(pair)
    _refuse(pair)

    local = _move(pair.east, LOCAL)
    pair.transit.delete("keyturn")  # nothing needs it: not to start, and not to serve
    with reading_at([pair.east, pair.west], pair.connection, pause=0.5) as answers:
        threading.Event().wait(KEPT + 1)  # no key that the KMS opened is kept by west any more
    assert set(answers) == {200}
    needs = {need.key.id: need for need in _standing(pair.east).keys}
    assert [key_id for key_id, need in needs.items() if need.data_keys] == [local]
    assert KeyUri.read(uri).at("2").id in needs


def _move_on(pair: Pair, uri: str) -> None:
    """Move to a new version of the key, and let the old one open nothing any more."""
    pair.transit.new_version("keyturn")
    second = _move(pair.east, uri)
    pair.transit.least["keyturn"] = 2
    needs = {need.key.id: need for need in _standing(pair.east).keys}
    assert [key_id for key_id, need in needs.items() if need.data_keys] == [second]
    assert needs[second].key.uri == KeyUri.read(uri).at("2")
    _see_it_opened_anew(pair.front)


def _go_away(pair: Pair) -> None:
    """West's opened keys serve for some seconds; east's for a day, to refresh as well."""
    with reading_at([pair.west], pair.connection, pause=0.1) as answers:
        _see_it_opened_anew(pair.front)
        pair.front.away = True
        before = pair.east.token(pair.connection).json()["generation"]
        answers.clear()
        refused = _until(lambda: pair.west.token(pair.connection), AWAY)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert answers.count(200) > 2, "it was refused at once"
        pair.east.advance("PT3H")
        read = pair.east.token(pair.connection)
        assert (read.status_code, read.json()["generation"]) == (200, before + 1)
        assert _put_credentials(pair.east, *pair.stranger).json()["code"] == AWAY
        with pytest.raises(CannotStart, match="Vault or OpenBao does not answer for"):
            _standing(pair.east)
        pair.front.away = False
        _until(lambda: pair.west.token(pair.connection), "")
        _until(lambda: _put_credentials(pair.east, *pair.stranger), "")
    assert set(answers) == {200, 503}


def _refuse(pair: Pair) -> None:
    """A right that is missing is another problem than a KMS that is away."""
    pair.transit.denied.add("decrypt")
    refused = _until(lambda: pair.west.token(pair.connection), "key_source_refused")
    assert (refused.status_code, refused.json()["remedy"]) == (503, "reconfigure")
    assert "permission denied" in (pair.west.folder / "replica.log").read_text()
    pair.transit.denied.clear()
    _until(lambda: pair.west.token(pair.connection), "")


def _see_it_opened_anew(front: Front) -> None:
    """Wait until the KMS has opened the workspace's data key: west asks every few seconds."""
    seen = len(front.asked)
    give_up = time.monotonic() + PATIENCE
    while not any(_opens_a_workspaces_key(asked) for asked in front.asked[seen:]):
        assert time.monotonic() < give_up, "the KMS is not asked"
        threading.Event().wait(0.05)


def _opens_a_workspaces_key(asked: Asked) -> bool:
    return "/decrypt/" in asked.path and b"ws_" in b64decode(asked.json()["associated_data"])


def _until(ask: Callable[[], httpx2.Response], code: str) -> httpx2.Response:
    """Ask until a problem of that code comes, or none: a source is left alone for a moment."""
    give_up = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if (answer.json().get("code", "") if answer.content else "") == code:
            return answer
        assert time.monotonic() < give_up, answer.text
        threading.Event().wait(0.2)
