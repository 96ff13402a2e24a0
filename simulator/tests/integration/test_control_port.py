"""The control port: clock, people, journal, reset, and how it says no."""

from datetime import datetime, timedelta

import pytest


def _now(sim):
    return datetime.fromisoformat(sim.control.get("/clock").json()["now"])


def test_the_clock_runs_and_moves_forwards(sim):
    """By what is asked, and by nothing else."""
    before = _now(sim)
    answer = sim.control.post("/clock", json={"advance": "P1DT2H"})
    after = datetime.fromisoformat(answer.json()["now"])
    assert timedelta(hours=26) <= after - before < timedelta(hours=26, minutes=1)
    assert _now(sim) >= after


@pytest.mark.parametrize("advance", ["-PT1H", "2 hours", "P1Y", "P", "PT", "", None, 7, "PT1H\n"])
def test_the_clock_refuses_what_is_no_forward_duration(sim, advance):
    """And stays where it is."""
    before = _now(sim)
    answer = sim.control.post("/clock", json={"advance": advance})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["at"] == "body.advance"
    assert _now(sim) - before < timedelta(minutes=1)


def test_a_world_has_what_its_users_rely_on(sim):
    """Orgs of every kind, three people in each, two apps for testers."""
    orgs = sim.orgs()
    ready = [
        org
        for org in orgs
        if org["environment"] == "production"
        and org["package_installed"]
        and org["permitted_users"] == "all"
    ]
    assert len(ready) >= 2
    assert any(not org["package_installed"] for org in orgs)
    assert any(org["environment"] == "sandbox" for org in orgs)
    assert any(org["permitted_users"] == "pre_authorized" for org in orgs)
    for org in orgs:
        assert len(org["org_id"]) == 18
        assert {user["role"] for user in org["users"]} == {"admin", "standard", "integration"}
        assert all(sim.line["canary"] in user["password"] for user in org["users"])
    for name in ("Acme", "Scratch"):
        app = sim.app(name)
        assert app["consumer_key"].startswith("3MVG9")
        assert sim.line["canary"] in app["consumer_secret"]


def test_the_line_and_the_control_port_say_the_same(program):
    """As long as nobody reset the world to another seed."""
    program.reset()
    assert program.line["orgs"] == program.orgs()
    assert program.line["apps"] == program.control.get("/apps").json()


def test_the_journal_has_each_request_in_order_without_secrets(sim, caller):
    """Of the sites; who asks the control port is not noted."""
    tokens = caller.connect(sim.org())
    caller.refresh(tokens["refresh_token"])
    entries = sim.journal()
    numbers = [entry["n"] for entry in entries]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert entries[0]["path"] == "/services/oauth2/authorize"
    assert entries[-1]["grant_type"] == "refresh_token"
    assert entries[-1]["org_id"] == sim.org()["org_id"]
    assert entries[-1]["status"] == 200
    assert entries[-1]["user_agent"].startswith("python-httpx2")
    text = sim.control.get("/journal").text
    assert sim.line["canary"] not in text


def test_the_journal_leaves_out_secrets_wherever_a_caller_puts_them(sim, caller):
    """In the path, the User-Agent or as a grant type; they are shown by the hash of a token."""
    org = sim.org()
    tokens = caller.connect(org)
    token = tokens["refresh_token"]
    jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    url = f"{caller.org_url(org)}/services/oauth2/token"
    asked = caller.http.post(
        url,
        data={"grant_type": token},
        headers={"User-Agent": f"acme/1.0 (token={tokens['access_token']}; {jwt})"},
    )
    caller.http.get(f"{caller.org_url(org)}/services/nowhere/{token}/{jwt}")
    escaped = "".join(f"%{ord(one):02X}" for one in jwt + tokens["access_token"])
    caller.http.get(f"{caller.org_url(org)}/services/other", headers={"User-Agent": escaped})
    caller.refresh(token)
    posted, walked, other, refreshed = sim.journal()[-4:]
    hidden = f"secret-{refreshed['token_ref']}"
    assert asked.status_code == 400
    assert posted["grant_type"] == hidden
    assert posted["user_agent"].startswith("acme/1.0 (secret-")
    assert walked["path"].startswith(f"/services/nowhere/{hidden}/secret-")
    assert other["user_agent"].startswith("secret-")
    text = sim.control.get("/journal").text
    assert sim.line["canary"] not in text
    assert jwt not in text


def test_the_journal_shows_the_same_token_twice(sim, caller):
    """By a keyed hash, which tells nothing of the token."""
    tokens = caller.connect(sim.org())
    caller.refresh(tokens["refresh_token"])
    caller.refresh(tokens["refresh_token"])
    caller.call(tokens["access_token"])
    first, second = sim.refreshes()
    assert first["token_ref"] == second["token_ref"]
    assert second["error"] == "invalid_grant"
    called = sim.journal(path="/services/data/*")[0]
    assert called["token_ref"] not in (None, first["token_ref"])


def test_the_journal_is_filtered_by_all_that_is_given(sim, caller):
    """Path, which may be a glob, method, org and grant type."""
    caller.connect(sim.org())
    caller.connect(sim.org("Larkfield"))
    larkfield = sim.org("Larkfield")["org_id"]
    tokens = sim.journal(path="/services/oauth2/token")
    assert [entry["grant_type"] for entry in tokens] == ["authorization_code"] * 2
    assert len(sim.journal(path="/services/oauth2/*", method="GET")) == 2
    assert len(sim.journal(path="/services/oauth2/*", method="get")) == 2
    assert len(sim.journal(path="/services/oauth2/token", org_id=larkfield)) == 1
    assert len(sim.journal(path="/services/oauth2/token", org_id=larkfield[:15])) == 1
    assert sim.journal(path="/services/oauth2/token", method="GET") == []
    assert sim.journal(grant_type="refresh_token") == []


def test_the_journal_is_read_on_from_where_it_ended(sim, caller):
    """`next` is the `since` of the following call, cut off by `limit` or not."""
    for _ in range(5):
        caller.http.get(f"{caller.login_url}/id/keys")
    read, since = [], 0
    while True:
        page = sim.control.get("/journal", params={"since": since, "limit": 2}).json()
        if not page["entries"]:
            break
        read += [entry["n"] for entry in page["entries"]]
        since = page["next"]
    assert len(read) == 5
    assert len(set(read)) == 5
    caller.http.get(f"{caller.login_url}/id/keys")
    assert len(sim.journal(since=since)) == 1


def test_a_reset_leaves_nothing_valid(sim, caller):
    """Neither tokens nor faults, switches nor settings; ports, canary and time stay."""
    tokens = caller.connect(sim.org())
    sim.fault("maintenance_page", times=0)
    sim.switch(logins_per_hour=0)
    sim.change_app(rotation=False)
    before, addresses = _now(sim), [org["my_domain_url"] for org in sim.orgs()]
    sim.reset()
    assert sim.control.get("/faults").json()["faults"] == []
    assert sim.journal() == []
    assert _now(sim) >= before
    assert [org["my_domain_url"] for org in sim.orgs()] == addresses
    assert caller.refresh(tokens["refresh_token"]).status_code == 400
    assert caller.call(tokens["access_token"]).status_code == 401
    assert "refresh_token" in caller.refresh(caller.connect(sim.org())["refresh_token"]).json()


def test_another_seed_is_another_world(sim):
    """Other ids and keys; the same seed is the same world again."""
    first = sim.orgs()
    sim.reset(seed=8)
    assert {org["org_id"] for org in sim.orgs()}.isdisjoint(org["org_id"] for org in first)
    sim.reset(seed=7)
    assert sim.orgs() == first


def test_a_reset_without_a_seed_keeps_it(sim):
    """As `{"hostile": true}` alone does."""
    first = sim.orgs()
    assert sim.control.post("/reset", json={"hostile": True}).status_code == 204
    assert sim.orgs() == first


def test_faults_are_listed_with_their_meanings(sim):
    """Each of the interface's names."""
    told = sim.control.get("/faults").json()
    assert set(told["names"]) >= {
        "lost_answer",
        "truncated_answer",
        "slow",
        "status",
        "connection_reset",
        "clock_skew",
        "already_processing",
        "login_rate_exceeded",
        "ip_restricted",
        "maintenance_page",
    }
    sim.fault("slow", match={"path": "/x"}, options={"delay": "PT1M30S"}, times=4)
    fault = sim.control.get("/faults").json()["faults"][0]
    assert fault["name"] == "slow"
    assert fault["match"] == {"path": "/x", "org_id": None, "grant_type": None}
    assert (fault["times"], fault["left"]) == (4, 4)
    assert fault["options"] == {"delay": "PT90S"}


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"name": "nonsense"}, "body"),
        ({"name": "slow", "options": {"delay": "long"}}, "body.slow.options.delay"),
        ({"name": "slow", "options": {"dealy": "PT1S"}}, "body.slow.options.dealy"),
        ({"name": "status", "options": {"status": 99}}, "body.status.options.status"),
        ({"name": "clock_skew"}, "body.clock_skew.options"),
        ({"name": "lost_answer", "times": -1}, "body.lost_answer.times"),
        ({"name": "lost_answer", "match": {"host": "x"}}, "body.lost_answer.match.host"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(sim, body, at):
    """And says where the mistake is."""
    answer = sim.control.post("/faults", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"] == at


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "slow", "match": {"org_id": "00D000000000001"}}, "no org 00D000000000001"),
        ({"name": "slow", "match": {"org_id": "Northwind"}}, "no org Northwind"),
        ({"name": "slow", "match": {"grant_type": "jwt-bearer"}}, "grant-type:jwt-bearer"),
        ({"name": "lost_answer", "match": {"grant_type": "refresh"}}, "refresh_token"),
        (
            {"name": "clock_skew", "options": {"program": "sevrice", "by": "PT1H"}},
            "acme, service",
        ),
    ],
)
def test_a_fault_that_nothing_could_meet_is_refused(sim, body, said):
    """A misspelt org, grant type or program would be a test that tests nothing."""
    answer = sim.control.post("/faults", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert said in answer.json()["detail"]
    assert sim.control.get("/faults").json()["faults"] == []


def test_a_program_that_reads_the_clock_by_name_is_known_from_then_on(sim):
    """Whoever it is; also after a reset."""
    skew = {"name": "clock_skew", "options": {"program": "worker", "by": "PT1H"}}
    assert sim.control.post("/faults", json=skew).status_code == 409
    sim.control.get("/clock", params={"program": "worker"})
    assert sim.control.post("/faults", json=skew).status_code == 201
    sim.reset()
    assert sim.control.post("/faults", json=skew).status_code == 201


def test_a_fault_finds_an_org_by_either_form_of_its_id(sim):
    """Customers' orgs and the Dev Hub."""
    hub = sim.control.get("/dev-hub").json()["org_id"]
    for org_id in (sim.org()["org_id"], sim.org()["org_id"][:15], hub):
        sim.fault("slow", match={"org_id": org_id, "grant_type": "refresh_token"})


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("DELETE", "/faults/fault_999", 404, None),
        ("PATCH", "/orgs/00D000000000000", 404, None),
        ("PUT", "/faults", 405, "DELETE, GET, POST"),
        ("DELETE", "/clock", 405, "GET, POST"),
    ],
)
def test_refusals_are_problems(sim, method, path, status, allow):
    """With the methods that there are."""
    body = {"state": "active"} if method == "PATCH" else None
    answer = sim.control.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.headers.get("allow") == allow


def test_broken_json_is_a_problem(sim):
    """As is a query that does not exist."""
    answer = sim.control.post("/clock", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["status"]) == (422, 422)
    assert sim.control.get("/journal", params={"limits": "1"}).status_code == 422


def test_only_the_two_lists_hold_secrets(sim, caller):
    """Every other answer is free of the canary."""
    tokens = caller.connect(sim.org())
    caller.refresh(tokens["refresh_token"])
    answers = [sim.control.get(path) for path in ("/journal", "/faults", "/clock", "/openapi.json")]
    answers.append(sim.control.patch("/apps/Acme", json={"rotation": True}))
    answers.append(sim.control.patch(f"/orgs/{sim.org()['org_id']}", json={"state": "active"}))
    for answer in answers:
        assert answer.status_code == 200
        assert sim.line["canary"] not in answer.text
