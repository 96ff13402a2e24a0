"""The CONNECT proxy: the world's names, programs that asked for a route, and nothing else."""

import socket
import ssl
from urllib.parse import urlsplit

import httpx2
import pytest
from orgsim_program import OrgsimProgram


def _say(program, text):
    """Send bytes to the proxy and return the first line of what comes back."""
    parts = urlsplit(program.line["tls"]["connect_proxy_url"])
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(text.encode())
        return connection.makefile("rb").readline().decode().strip()


@pytest.mark.parametrize(
    "target",
    [
        "example.com:443",
        "salesforce.com:443",
        "elsewhere.my.salesforce.com:443",
        "login.salesforce.com.example.com:443",
        "login.salesforce.com:80",
        "127.0.0.1:443",
    ],
)
def test_every_other_host_is_refused(program, target):
    """No client can reach a real host by mistake."""
    told = _say(program, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
    assert told == "HTTP/1.1 403 Forbidden"


@pytest.mark.parametrize("name", ["login.salesforce.com", "NORTHWIND.my.salesforce.com"])
def test_the_worlds_names_are_connected(program, name):
    """Whatever their case."""
    told = _say(program, f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n")
    assert told.startswith("HTTP/1.1 200")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
    ],
)
def test_it_speaks_connect_only(program, text, told):
    """Anything else is an error."""
    assert _say(program, text).split()[1] == str(told)


def test_a_program_is_reached_by_the_name_it_asked_for(tmp_path):
    """With a certificate that the world's authority signed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        route = f"app.acme.example=127.0.0.1:{listener.getsockname()[1]}"
        arguments = ("--route", route, "--issue", "app.acme.example", "--tls-dir", str(tmp_path))
        with OrgsimProgram(*arguments) as program:
            told = _say(program, "CONNECT app.acme.example:443 HTTP/1.1\r\n\r\n")
            assert told.startswith("HTTP/1.1 200")
            listener.accept()[0].close()
            leaf = program.line["certificates"]["app.acme.example"]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(leaf["cert_file"], leaf["key_file"])


def test_certificates_are_checked_against_their_names(program):
    """A client that does not know the authority refuses the world."""
    with (
        httpx2.Client(proxy=program.line["tls"]["connect_proxy_url"], trust_env=False) as stranger,
        pytest.raises(httpx2.ConnectError),
    ):
        stranger.get("https://login.salesforce.com/")
