"""`keyturn connection`, against a small service over real HTTP."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from keyturn.cli.frame import run

CONNECTION = {
    "id": "con_1",
    "customer_id": "northwind",
    "app_id": "app_1",
    "state": "active",
    "environment": "production",
    "org_id": "00D000000000001EAA",
    "org_name": "Northwind",
}


def _verification(who=None):
    """Return a connection that works, or that somebody has to do something for."""
    if who is None:
        steps = [{"step": "app", "state": "done"}, {"step": "identity", "state": "done"}]
        soon = {"code": "certificate_expiring", "title": "Soon", "who": "vendor", "where": "here"}
        return {"works": True, "connection": CONNECTION, "steps": steps, "warnings": [soon]}
    problem = {"code": "missing", "title": "A step is missing", "who": who, "where": "Setup > …"}
    return {
        "works": False,
        "connection": CONNECTION,
        "steps": [
            {"step": "user", "state": "failed", "problem": problem},
            {"step": "identity", "state": "not_reached"},
        ],
        "problem": problem,
        "install_url": "https://login.salesforce.com/packaging/x" if who == "admin" else None,
    }


VERIFICATIONS = {
    "con_1": _verification(),
    "con_admin": _verification("admin"),
    "con_vendor": _verification("vendor"),
}


class Service(BaseHTTPRequestHandler):
    """Knows one connection, and one API key."""

    asked: list[str]

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        """Answer a question."""
        self.asked.append(f"GET {self.path}")
        if self.headers["Authorization"] != "Bearer kt_test_1":
            self._say(401, {"code": "unauthorized", "title": "Unknown key", "who": "vendor"})
        elif self.path.startswith("/v1/connections?"):
            self._say(200, {"data": [CONNECTION] if "active" in self.path else []})
        else:
            self._say(200, {**CONNECTION, "state": "revoked"})

    def do_POST(self):
        """Connect an org, or verify a connection."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        self.asked.append(f"POST {self.path} {body}".rstrip())
        if self.path.endswith("/verify"):
            self._say(200, VERIFICATIONS[self.path.split("/")[3]])
        else:
            self._say(201, {**CONNECTION, "renewal": "jwt_bearer"})

    def do_DELETE(self):
        """End the connection."""
        self.asked.append(f"DELETE {self.path}")
        self._say(202, CONNECTION)

    def _say(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        if status >= 400:
            self.send_header("Keyturn-Problem", body["code"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def service(serving):
    """Return the arguments that lead to a service, and what it was asked."""
    return serving(Service)


def test_connections_are_listed(service, capsys):
    """One line each."""
    where, asked = service

    assert run(["connection", "list", *where, "--state", "active"]) == 0

    assert capsys.readouterr().out == "con_1  northwind  active  Northwind (production)\n"
    assert asked == ["GET /v1/connections?state=active"]


def test_no_connections_are_said_to_be_none(service, capsys):
    """An empty answer could be taken for a failure."""
    where, _ = service

    assert run(["connection", "list", *where, "--state", "revoked"]) == 0

    assert capsys.readouterr().out == "no connections\n"


def test_a_program_reads_a_connection(service, capsys):
    """As the service told it."""
    where, _ = service

    assert run(["connection", "show", "con_1", *where, "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["result"]["org_name"] == "Northwind"


def test_an_org_is_connected_server_to_server(service, capsys):
    """As the integration user that is named."""
    where, asked = service

    arguments = ["--customer", "northwind", "--username", "i@n.example", "--my-domain", "northwind"]
    assert run(["connection", "create", *where, *arguments]) == 0

    (call,) = asked
    assert json.loads(call.removeprefix("POST /v1/connections ")) == {
        "customer_id": "northwind",
        "username": "i@n.example",
        "my_domain": "northwind",
    }
    assert "con_1  northwind  active" in capsys.readouterr().out


def test_a_connection_that_works_is_verified(service, capsys):
    """A line a step; what will be a problem is warned of."""
    where, asked = service

    assert run(["connection", "verify", "con_1", *where]) == 0

    said = capsys.readouterr()
    assert said.out.splitlines() == ["done         app", "done         identity"]
    assert "warning: Soon [certificate_expiring], by: vendor. Where: here" in said.err
    assert asked == ["POST /v1/connections/con_1/verify"]


@pytest.mark.parametrize(("who", "status"), [("admin", 3), ("vendor", 1)])
def test_a_missing_step_says_whose_it_is_and_where(service, capsys, who, status):
    """By the exit status too."""
    where, _ = service

    assert run(["connection", "verify", f"con_{who}", *where]) == status

    said = capsys.readouterr().err
    assert f"A step is missing [missing], by: {who}. Where: Setup > …" in said
    assert ("https://login.salesforce.com/packaging/x" in said) is (who == "admin")
    assert "not_reached  identity" in said


def test_a_program_reads_a_verification(service, capsys):
    """In the envelope of every command."""
    where, _ = service

    assert run(["connection", "verify", "con_admin", *where, "--json"]) == 3

    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["problem"]["who"]) == (3, "admin")
    assert said["result"]["works"] is False


def test_a_connection_is_ended(service, capsys):
    """And shown as it stands then."""
    where, asked = service

    assert run(["connection", "disconnect", "con_1", *where]) == 0

    assert asked == ["DELETE /v1/connections/con_1", "GET /v1/connections/con_1"]
    assert "revoked" in capsys.readouterr().out


def test_a_wrong_key_fails(service, tmp_path, capsys):
    """With the code, and without the key."""
    where, _ = service
    (tmp_path / "key.txt").write_text("kt_test_wrong")

    assert run(["connection", "show", "con_1", *where, "--json"]) == 1

    said = capsys.readouterr()
    assert json.loads(said.out)["problem"]["code"] == "unauthorized"
    assert "kt_test_wrong" not in said.out + said.err


def test_an_empty_key_is_wrong_usage(service, tmp_path):
    """Nothing is sent."""
    where, asked = service
    (tmp_path / "key.txt").write_text("\n")

    assert run(["connection", "list", *where]) == 2

    assert asked == []
