"""`keyturn signing-key`, against a small service over real HTTP."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from keyturn.cli.frame import run

ACTIVE = {
    "id": "sk_1",
    "app_id": "app_1",
    "state": "active",
    "fingerprint": "ab:cd",
    "certificate_pem": "-----BEGIN CERTIFICATE-----\nMIIBdummy\n-----END CERTIFICATE-----\n",
    "not_after": "2027-03-01T00:00:00Z",
    "usable": True,
}
SOON = {"code": "certificate_expiring", "title": "It ends soon", "who": "vendor"}
APPS = {"one": [{"id": "app_1", "name": "Acme"}], "none": []}
APPS["two"] = [*APPS["one"], {"id": "app_2", "name": "Acme, the second"}]


class Service(BaseHTTPRequestHandler):
    """Knows so many apps; a first key of app_1 is active, every other key is staged."""

    asked: list[str]
    apps: list

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        """List apps, or an app's keys."""
        self.asked.append(f"GET {self.path}")
        keys = [] if "app_2" in self.path else [{**ACTIVE, "problem": SOON}]
        self._say(200, {"data": keys if "signing-keys" in self.path else self.apps})

    def do_POST(self):
        """Make a key, or activate one."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        self.asked.append(f"POST {self.path} {body}".rstrip())
        staged = self.path.endswith("/signing-keys") and "days" in body
        self._say(201, {**ACTIVE, "id": "sk_2", "state": "staged"} if staged else ACTIVE)

    def do_DELETE(self):
        """Retire a key."""
        self.asked.append(f"DELETE {self.path}")
        self._say(200, {**ACTIVE, "state": "retired", "usable": False, "not_after": None})

    def _say(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(params=["one"])
def service(serving, request):
    """Return the arguments that lead to a service, and what it was asked."""
    return serving(Service, apps=APPS[request.param])


def test_keys_are_listed_with_when_they_end(service, capsys):
    """The only app need not be named; what is wrong with a key is a warning."""
    where, asked = service

    assert run(["signing-key", "list", *where]) == 0

    said = "".join(capsys.readouterr())
    assert "sk_1  active  until 2027-03-01  ab:cd\n" in said
    assert "sk_1: It ends soon [certificate_expiring]" in said
    assert asked == ["GET /v1/apps", "GET /v1/apps/app_1/signing-keys"]


def test_an_app_without_keys_has_none(service, capsys):
    """An empty answer could be taken for a failure."""
    where, _ = service
    assert run(["signing-key", "list", *where, "--app", "app_2"]) == 0
    assert capsys.readouterr().out == "no signing keys\n"


def test_a_second_key_is_staged_until_it_is_activated(service, capsys):
    """The certificate is printed, and what comes next."""
    where, asked = service

    assert run(["signing-key", "create", "--days", "730", *where, "--app", "app_1"]) == 0
    said = capsys.readouterr().out
    assert "MIIBdummy" in said
    assert "keyturn app apply" in said
    assert "keyturn signing-key activate sk_2" in said

    assert run(["signing-key", "activate", "sk_2", *where, "--app", "app_1"]) == 0
    assert asked == [
        'POST /v1/apps/app_1/signing-keys {"days":730}',
        "POST /v1/apps/app_1/signing-keys/sk_2/activate",
    ]


def test_a_first_key_need_not_be_activated(service, capsys):
    """It signs from the start."""
    where, _ = service
    assert run(["signing-key", "create", *where]) == 0
    assert "activate" not in capsys.readouterr().out


def test_a_key_is_forgotten_only_when_that_is_confirmed(service, capsys):
    """It cannot be undone."""
    where, asked = service

    assert run(["signing-key", "retire", "sk_1", *where]) == 2
    assert asked == []
    assert "add --yes" in capsys.readouterr().err

    assert run(["signing-key", "retire", "sk_1", "--yes", *where]) == 0
    assert "sk_1  retired  -  ab:cd  (private half forgotten)" in capsys.readouterr().out
    assert asked[-1] == "DELETE /v1/apps/app_1/signing-keys/sk_1"


@pytest.mark.parametrize(
    ("service", "said"),
    [("two", "app_1 (Acme), app_2 (Acme, the second)"), ("none", "none is there")],
    indirect=["service"],
)
def test_which_app_is_meant_has_to_be_said(service, capsys, said):
    """Where there is not just one."""
    where, _ = service
    assert run(["signing-key", "list", *where]) == 2
    assert said in capsys.readouterr().err
