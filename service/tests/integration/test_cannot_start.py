"""What keeps the service from starting is said in a line, with the setting that is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tools.world import BIN

NOT_OURS = "192.0.2.1"  # of documentation, RFC 5737


def keyturn(*words: str | bytes, **given: str) -> subprocess.CompletedProcess[str]:
    """Run a command until it ends."""
    kept = {name: value for name, value in os.environ.items() if "KEYTURN_" not in name}
    given = {f"KEYTURN_{name.upper()}": value for name, value in given.items()}
    return subprocess.run(
        [BIN / "keyturn", *words],
        env=kept | {"KEYTURN_PUBLIC_URLS": "https://connect.acme.example"} | given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with its key file."""
    data = tmp_path_factory.mktemp("start") / "data"
    assert keyturn("keys", "init", data_dir=str(data)).returncode == 0
    return data


@pytest.fixture
def refused(made: Path) -> Callable[..., str]:
    """Serve with settings, and return the one line that says why not."""

    def serve(**given: str) -> str:
        common = {"data_dir": str(made), "spool_accepts_loss": "true", "port": "0"}
        ended = keyturn("serve", **(common | {"port": str(_free_port())} | given))
        assert ended.returncode == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
        assert len(said) == 1, said
        return said[0]

    return serve


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def test_a_port_that_is_taken(refused: Callable[..., str]) -> None:
    """Nobody else has to act: the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1 port {port}" in refused(port=str(port))


@pytest.mark.parametrize("host", [NOT_OURS, "nosuch.invalid", "a..b"])
def test_an_address_that_is_not_ours(refused: Callable[..., str], host: str) -> None:
    """It is the setting that is named."""
    said = refused(host=host)
    assert f"cannot listen on {host}" in said
    assert "KEYTURN_HOST" in said


def test_files_of_https_that_cannot_be_used(refused: Callable[..., str], made: Path) -> None:
    """One that is not there, and one that is none."""
    files = {"tls_port": str(_free_port()), "tls_key_file": str(made / "keyturn.key")}
    missing = refused(tls_cert_file="/nonexistent", **files)
    odd = refused(tls_cert_file=str(made / "keyturn.key"), **files)

    assert "KEYTURN_TLS_CERT_FILE: cannot read /nonexistent: No such file" in missing
    assert "KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE" in odd


@pytest.mark.parametrize("file", ["/nonexistent", "/etc/passwd"])
def test_authorities_that_cannot_be_used(refused: Callable[..., str], file: str) -> None:
    """Not Salesforce, at the first call."""
    assert f"KEYTURN_CA_FILE: cannot use {file}" in refused(ca_file=file)


def test_an_egress_proxy_of_another_kind(refused: Callable[..., str]) -> None:
    """Its password is not said."""
    said = refused(egress_proxy_url="ftp://user:secret-word@egress.example")
    assert "KEYTURN_EGRESS_PROXY_URL" in said
    assert "secret-word" not in said


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("ssl=require", "TLS is asked for by sslmode"),
        ("foo=bar", "foo is no option"),
        ("host=a&host=b", "host is there more than once"),
        ("port=abc", "port is a number"),
    ],
)
def test_an_option_of_the_database_that_is_not_known(
    refused: Callable[..., str], option: str, words: str
) -> None:
    """The driver would fall over it."""
    said = refused(database_url=f"postgresql://user:secret-word@127.0.0.1/acme?{option}")
    assert words in said
    assert "KEYTURN_DATABASE_URL" in said
    assert "secret-word" not in said


def test_a_data_folder_of_somebody_else(tmp_path: Path) -> None:
    """Who may not look into it does not make a key file beside a database that they do not see."""
    if os.geteuid() == 0:
        pytest.skip("root may look everywhere")
    closed = tmp_path / "data"
    closed.mkdir(mode=0o000)
    ended = keyturn("keys", "init", data_dir=str(closed))
    closed.chmod(0o700)
    assert ended.returncode == 1
    assert "Permission denied" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_file_that_is_none(refused: Callable[..., str], tmp_path: Path) -> None:
    """What SQLite says of it is said, and where it is."""
    assert keyturn("keys", "init", data_dir=str(tmp_path)).returncode == 0
    (tmp_path / "keyturn.sqlite").write_bytes(b"no database " * 1000)
    said = refused(data_dir=str(tmp_path))
    assert "file is not a database" in said
    assert "keyturn.sqlite" in said


def test_a_new_installation_is_told_how_to_begin(tmp_path: Path) -> None:
    """Also who lost the file."""
    ended = keyturn("serve", data_dir=str(tmp_path))
    assert ended.returncode == 1
    assert "Bring the file back" in ended.stderr
    assert "`keyturn keys init`" in ended.stderr


def test_an_argument_that_is_no_text_is_refused(made: Path) -> None:
    """A terminal may be set to another writing."""
    ended = keyturn("incident", "seal", "--reason", b"\xff", data_dir=str(made))
    assert ended.returncode == 2
    assert "UTF-8" in ended.stderr
    assert "Traceback" not in ended.stderr
