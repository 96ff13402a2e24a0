"""Acme as a program: its one line, its two ports, its end, and the clock that it follows."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acme.clock import Clock
from acme.config import Config
from acme.faces import open_faces

ACME = Path(sys.executable).parent / "keyturn-acme"


def free_ports(count):
    """Return ports that are free now."""
    with contextlib.ExitStack() as open_ones:
        found = []
        for _ in range(count):
            listener = open_ones.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
    return found


def certificate(folder):
    """Write a certificate for loopback and a name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test")])
    now = dt.datetime.now(dt.UTC)
    names = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("app.acme.example"),
        x509.DNSName("connect.keyturn.example"),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


@dataclass
class Running:
    """A running Acme."""

    process: subprocess.Popen[str]
    line: dict[str, object]
    plain: str
    secure: str
    config_file: Path
    ca_file: Path


@pytest.fixture
def start(tmp_path):
    """Start Acme with a configuration; whatever still runs is ended afterwards."""
    processes = []

    def _start(*arguments, **members):
        plain, tls = free_ports(2)
        cert_file, key_file = certificate(tmp_path)
        config = {
            "service_urls": {
                f"http://127.0.0.1:{plain}": "http://127.0.0.1:9",
                f"https://127.0.0.1:{tls}": "https://127.0.0.1:9",
            },
            "api_key": "kt_test_hush",
            "users": [{"username": "ann", "password": "hush-hush", "customer_id": "northwind"}],
            "session_key": "hush-hush-hush",
            **members,
        }
        config_file = tmp_path / "acme.json"
        config_file.write_text(json.dumps(config))
        argv = [str(ACME), "serve", "--json", "--config", str(config_file), "--port", str(plain)]
        argv += ["--tls-port", str(tls), "--cert", str(cert_file), "--key", str(key_file)]
        process = subprocess.Popen(
            [*argv, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        line = process.stdout.readline()
        return Running(
            process=process,
            line=json.loads(line) if line else {},
            plain=f"http://127.0.0.1:{plain}",
            secure=f"https://127.0.0.1:{tls}",
            config_file=config_file,
            ca_file=cert_file,
        )

    yield _start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def test_acme_says_when_it_answers_and_ends_when_it_is_told(start):
    """One line on stdout; SIGTERM ends it with status 0."""
    acme = start()

    assert acme.line == {"urls": [acme.plain, acme.secure]}
    assert httpx2.get(f"{acme.plain}/login", trust_env=False).status_code == 200
    acme.process.send_signal(signal.SIGTERM)
    assert acme.process.wait(10) == 0
    assert acme.config_file.exists()


def test_both_ports_are_faces_of_their_own(start):
    """Each by its own name only, with cookies of its own."""
    acme = start()
    context = ssl.create_default_context(cafile=acme.ca_file)

    with httpx2.Client(verify=context, trust_env=False) as http:
        secure = http.get(f"{acme.secure}/login")
        stranger = http.get(f"{acme.secure}/login", headers={"Host": "app.acme.example"})

    assert secure.headers["set-cookie"].startswith("__Host-acme_session=")
    assert stranger.status_code == 421


def test_acme_ends_with_who_started_it(start):
    """And has removed the configuration, which holds secrets."""
    acme = start("--exit-with-stdin")

    assert not acme.config_file.exists()
    acme.process.stdin.close()
    assert acme.process.wait(10) == 0


def test_no_secret_is_written_anywhere(start):
    """Neither a failing login nor an unreachable service tells one."""
    acme = start("--exit-with-stdin")
    with httpx2.Client(base_url=acme.plain, trust_env=False, follow_redirects=True) as http:
        token = http.get("/login").text.partition('name="form_token" value="')[2][:64]
        for password in ("hush-hush-not", "hush-hush"):
            http.post("/login", data={"username": "ann", "password": password, "form_token": token})
        http.get("/salesforce?confirmation_code=hush-code")

    acme.process.send_signal(signal.SIGINT)
    output, errors = acme.process.communicate(timeout=10)

    assert acme.process.returncode == 0
    assert "login_refused" in errors
    assert "hush" not in output + errors


def test_a_port_that_is_taken_is_said_to_be(start):
    """With status 1."""
    acme = start()
    port = acme.plain.rpartition(":")[2]

    ended = subprocess.run(
        [str(ACME), "serve", "--config", str(acme.config_file), "--port", port],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert f"cannot listen on port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--config", "not-there.json", "--port", "1"], 1, "No such file"),
        (["--config", "x.json", "--port", "1", "--tls-port", "2"], 2, "--cert and --key"),
        (["--config", "x.json"], 2, "--port"),
    ],
)
def test_what_cannot_be_served_is_said(arguments, status, said):
    """In a line."""
    ended = subprocess.run(
        [str(ACME), "serve", *arguments], capture_output=True, text=True, check=False
    )

    assert ended.returncode == status
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


class WorldClock(BaseHTTPRequestHandler):
    """A world's clock, which is two days ahead; every other answer is none."""

    asked: list[str]

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        """Tell the time."""
        self.asked.append(self.path)
        if len(self.asked) == 1:
            body = b"<html>"
        else:
            now = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
            body = json.dumps({"now": now.isoformat().replace("+00:00", "Z")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving(handler):
    """Serve HTTP on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_worlds_clock_is_followed():
    """An answer that is none changes nothing; the next one is taken."""
    handler = type("OneClock", (WorldClock,), {"asked": []})
    clock = Clock()
    ahead = clock.now() + dt.timedelta(days=1)

    with serving(handler) as url:
        following = asyncio.create_task(clock.follow(url))
        async with asyncio.timeout(10):
            while clock.now() < ahead:
                await asyncio.sleep(0)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    assert handler.asked[0] == "/clock?program=acme"
    assert len(handler.asked) >= 2


@dataclass
class ConnectProxy:
    """A proxy that refuses every CONNECT, and notes what it was asked for."""

    asked: list[str] = field(default_factory=list)

    async def answer(self, reader, writer):
        """Refuse a tunnel."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


async def test_names_are_reached_through_the_worlds_proxy_and_addresses_are_not(tmp_path):
    """So that the service's true-looking name leads to this machine."""
    cert_file, _ = certificate(tmp_path)
    proxy = ConnectProxy()
    server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = Config(
        service_urls={
            "https://app.acme.example": "https://connect.keyturn.example",
            "https://127.0.0.1:1": "https://127.0.0.1:9",
        },
        api_key="kt_test_x",
        users=(),
        session_key="k",
        clock_url=None,
        connect_proxy_url=f"http://127.0.0.1:{port}",
        ca_file=str(cert_file),
    )
    faces = open_faces(config)

    for scheme, host in (("https", "app.acme.example"), ("https", "127.0.0.1:1")):
        face = faces.of(scheme, host)
        assert face is not None
        with pytest.raises(Exception, match="service_unreachable"):
            await face.keyturn.connection("con_1").push.log_activity(subject="x")
    await faces.close()
    server.close()
    await server.wait_closed()

    assert set(proxy.asked) == {"CONNECT connect.keyturn.example:443 HTTP/1.1"}
