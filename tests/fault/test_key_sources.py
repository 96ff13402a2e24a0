"""A service whose root key is in a KMS: it moves there and back, and the KMS goes away meanwhile.

Transit, by its own client; `tests/support/kms/transit.py` says what the stand-in does not do.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.kms.front import Front, running_front
from tests.support.kms.transit import NAMESPACE, TOKEN, TransitStandIn
from tools.world import BIN

from keyturn_service.bootstrap import House, open_house
from keyturn_service.domain.api_key import Right
from keyturn_service.settings import read_settings
from keyturn_service.vault.key_uri import KeyUri
from keyturn_service.vault.root_keys import Standing

_T = TypeVar("_T")
LOCAL = "file"


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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CrashWorld]:
    """A world with a key file of its own."""
    with crash_world(tmp_path) as world:
        yield world


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


def _move_data_keys(world: CrashWorld) -> None:
    _beside(world, lambda house: house.root_keys.rewrap())


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


def test_the_root_key_moves_to_a_kms_and_back_and_its_absence_costs_nothing(
    world: CrashWorld, kms: tuple[TransitStandIn, Front]
) -> None:
    """By `rotate` and `rewrap` alone, under a running replica, which takes each key up.

    While the KMS is away, what is open serves and is refreshed, what is not gets a 503, and no
    replica starts.
    """
    transit, front = kms
    uri = _new_key(transit)
    world.start()
    connection = world.connect("Northwind")
    assert _keyturn(world, "rotate", key_source=uri).returncode == 0
    _move_data_keys(world)
    connected = world.connect("Larkfield")
    transit.new_version("keyturn")
    second = _move(world, uri)
    transit.least["keyturn"] = 2  # nothing needs the first version any more
    needs = {need.key.id: need for need in _standing(world).keys}
    assert [key_id for key_id, need in needs.items() if need.data_keys] == [second]
    assert needs[second].key.uri == KeyUri.read(uri).at("2")
    before = world.token(connection).json()["generation"]
    key, app_id = _stranger(world)

    front.away = True
    world.advance("PT3H")
    read = world.token(connection)
    assert (read.status_code, read.json()["generation"]) == (200, before + 1)
    refused = _put_credentials(world, key, app_id)
    assert (refused.status_code, refused.json()["code"]) == (503, "key_source_unavailable")
    assert refused.headers["retry-after"] == "5"
    front.away = False
    transit.denied.add("encrypt")
    refused = _until(lambda: _put_credentials(world, key, app_id), "key_source_refused")
    assert refused.json()["remedy"] == "reconfigure"
    assert "permission denied" in (world.folder / "replica.log").read_text()
    transit.denied.clear()
    _until(lambda: _put_credentials(world, key, app_id), "")

    front.away = True
    world.stop()
    with pytest.raises(RuntimeError, match="Vault or OpenBao does not answer for"):
        world.start()
    front.away = False
    world.start()  # nothing but the KMS opens its data keys now
    assert world.token(connection).json()["generation"] == before + 1

    local = _move(world, LOCAL)
    world.stop()
    transit.delete("keyturn")
    world.start()
    for each in (connection, connected):
        assert world.token(each).status_code == 200
    assert [need.key.id for need in _standing(world).keys if need.data_keys] == [local]


def _until(ask: Callable[[], httpx2.Response], code: str) -> httpx2.Response:
    """Ask until a problem of that code comes, or none: a source is left alone for a moment."""
    for _ in range(1000):
        answer = ask()
        if (answer.json()["code"] if answer.content else "") == code:
            return answer
    raise AssertionError(answer.text)
