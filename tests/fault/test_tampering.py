"""What callers hear of a damaged database: over HTTP, from a whole service, on both databases."""

from __future__ import annotations

import socketserver
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.postgres import Server, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CrashWorld]:
    """A world with a database of its own."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("server").create_database()
    with crash_world(tmp_path, database_url=url) as world:
        yield world


@pytest.fixture
def change(world: CrashWorld) -> Callable[[str], None]:
    """Write to the database behind the service's back."""

    def changing(statement: str) -> None:
        if world.settings["database_url"]:
            Server(url=world.settings["database_url"]).execute(statement)
            return
        path = Path(world.settings["data_dir"]) / "keyturn.sqlite"
        with closing(sqlite3.connect(path, timeout=30)) as database, database:
            database.execute(statement)

    return changing


def _refused(world: CrashWorld, connection: str) -> dict[str, str]:
    """Ask for the token; return what the audit says of it."""
    answer = world.token(connection)
    assert answer.status_code == 503, answer.text
    problem = answer.json()
    assert (problem["code"], problem["who"], problem["remedy"]) == (
        "seal_refused",
        "operator",
        "report",
    )
    assert answer.headers["retry-after"]
    assert "access_token" not in problem
    [event] = [one for one in world.events(connection) if one["type"] == "vault.seal_refused"]
    return dict(event["detail"])


def test_a_damaged_token_is_refused_and_said_where(
    world: CrashWorld, change: Callable[[str], None]
) -> None:
    """The caller hears who mends it, the audit names the row, and the service serves others."""
    world.start()
    connection, other = world.connect("Northwind"), world.connect("Larkfield")
    world.stop()  # a replica that has read a token remembers it, sealed, as it was

    change(
        "UPDATE token_sets SET access_token = (SELECT access_token FROM token_sets"  # noqa: S608
        f" WHERE connection_id = '{other}') WHERE connection_id = '{connection}'"
    )

    world.start()
    detail = _refused(world, connection)
    assert (detail["table"], detail["row"], detail["column"]) == (
        "token_sets",
        connection,
        "access_token",
    )
    assert world.token(other).status_code == 200
    assert "request_failed" not in (world.folder / "replica.log").read_text()


def test_a_damaged_refresh_token_is_never_presented(
    world: CrashWorld, change: Callable[[str], None]
) -> None:
    """Salesforce sees nothing of it: a wrong token presented could end the grant."""
    world.start()
    connection = world.connect("Northwind")
    since = world.next_entry()

    change(
        "UPDATE token_sets SET refresh_token = access_token"  # noqa: S608 - ours
        f" WHERE connection_id = '{connection}'"
    )
    world.advance("PT3H")

    detail = _refused(world, connection)
    assert detail["column"] == "refresh_token"
    assert world.refreshes(since) == []


@pytest.fixture
def asked_of_the_proxy(world: CrashWorld) -> Iterator[list[str]]:
    """An egress proxy, through which every call but those to the world's own hosts goes.

    Gives what it was asked for; it leads nowhere.
    """
    asked: list[str] = []

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode())
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        world.settings["egress_proxy_url"] = f"http://127.0.0.1:{proxy.server_address[1]}"
        yield asked
        proxy.shutdown()


@pytest.mark.parametrize(
    "host", ["https://evil.example", "https://a.my.salesforce.com.evil.example"]
)
def test_a_host_planted_in_the_database_is_sent_nothing(
    world: CrashWorld, change: Callable[[str], None], asked_of_the_proxy: list[str], host: str
) -> None:
    """Neither refresh token nor secret nor access token: nobody even connects there."""
    world.start()
    refreshed, called = world.connect("Northwind"), world.connect("Larkfield")
    path = "/services/data/v67.0/limits"
    assert world.call("GET", f"/v1/connections/{called}/salesforce{path}").status_code == 200
    world.stop()  # a replica that has read a connection remembers where it leads

    change(f"UPDATE connections SET login_url = '{host}' WHERE id = '{refreshed}'")  # noqa: S608
    change(f"UPDATE connections SET instance_url = '{host}' WHERE id = '{called}'")  # noqa: S608
    world.start()
    proxied = world.call("GET", f"/v1/connections/{called}/salesforce{path}")
    handed_out = world.token(called)
    world.advance("PT3H")
    token = world.token(refreshed)

    assert (proxied.status_code, proxied.json()["code"]) == (503, "org_unavailable")
    assert (handed_out.status_code, handed_out.json()["code"]) == (503, "org_unavailable")
    assert (token.status_code, token.json()["code"]) == (503, "org_unavailable")
    assert asked_of_the_proxy == []
    logged = (world.folder / "replica.log").read_text()
    assert '"host_is_not_salesforces"' in logged
    assert '"host_serves_no_api"' in logged
    assert host in logged


def test_a_site_planted_as_a_target_is_sent_no_call(
    world: CrashWorld, change: Callable[[str], None], asked_of_the_proxy: list[str]
) -> None:
    """A customer's site is a login host, no more: nobody even connects there."""
    world.start()
    connection = world.connect("Northwind")
    world.stop()

    host = "https://else.my.site.com"
    change(f"UPDATE connections SET instance_url = '{host}' WHERE id = '{connection}'")  # noqa: S608
    world.start()
    path = f"/v1/connections/{connection}/salesforce/services/data/v67.0/limits"
    proxied = world.call("GET", path)

    assert (proxied.status_code, proxied.json()["code"]) == (503, "org_unavailable")
    assert asked_of_the_proxy == []


def test_a_host_of_salesforces_is_asked_for_at_the_proxy(
    world: CrashWorld, change: Callable[[str], None], asked_of_the_proxy: list[str]
) -> None:
    """So the proxy of the test before would have heard of any other, too."""
    world.start()
    connection = world.connect("Northwind")
    world.stop()

    host = "https://else.my.salesforce.com"
    change(f"UPDATE connections SET login_url = '{host}' WHERE id = '{connection}'")  # noqa: S608
    world.start()
    world.advance("PT3H")

    assert world.token(connection).status_code == 503
    assert asked_of_the_proxy == ["CONNECT else.my.salesforce.com:443 HTTP/1.1\r\n"]


def test_a_deleted_api_key_put_back_whole_ends_again(
    world: CrashWorld, change: Callable[[str], None]
) -> None:
    """Within seconds, at a replica that had it in memory, by the record of its deletion."""
    world.start()
    connection = world.connect("Northwind")
    body = {"name": "leaked", "rights": ["tokens:read"]}
    made = world.call("POST", "/v1/api-keys", body).raise_for_status().json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    url = f"{world.url}/v1/connections/{connection}/access-token"

    def status() -> int:
        return world.http.post(url, headers=headers).status_code

    assert status() == 200
    change("CREATE TABLE kept AS SELECT * FROM api_keys")
    world.call("DELETE", f"/v1/api-keys/{made['id']}").raise_for_status()
    assert status() == 401

    change(
        "UPDATE api_keys SET deleted_at = NULL, mac ="  # noqa: S608 - ours
        f" (SELECT mac FROM kept WHERE kept.id = api_keys.id) WHERE id = '{made['id']}'"
    )

    give_up = time.monotonic() + 30
    types: list[str] = []
    while "api_key.brought_back" not in types or status() != 401:  # it is recorded, then ended
        assert time.monotonic() < give_up
        page = world.call("GET", "/v1/audit-events?limit=200").json()
        types = [event["type"] for event in page["data"]]
    assert [status() for _ in range(10)] == [401] * 10
    assert world.token(connection).status_code == 200
    assert '"api_key_brought_back"' in (world.folder / "replica.log").read_text()
