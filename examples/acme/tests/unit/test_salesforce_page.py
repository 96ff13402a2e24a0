"""People and deals, and the three buttons."""

from __future__ import annotations

import re

import pytest

ROOT = "/v1/connections/con_1/salesforce/services/data/v68.0"


@pytest.fixture
async def page(ann, keyturn):
    """Ann on the page, with Salesforce connected."""
    keyturn.connect()
    await ann.get("/salesforce")
    return ann


def written(keyturn):
    """Return what was sent to the org, without questions."""
    return [
        (method, path.removeprefix(ROOT), body)
        for method, path, body in keyturn.asked
        if path.startswith(ROOT) and method != "GET"
    ]


def rows(source, table):
    """Return the texts of a table's rows."""
    body = re.search(rf'<table id="{table}".*?<tbody>(.*?)</tbody>', source, re.DOTALL)
    assert body
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body[1].split("</tr>")]
    return [row for row in cells if row]


async def test_the_page_shows_people_and_deals(page):
    """What the org has, escaped; what it has not, as a dash."""
    assert page.answer.status_code == 200
    assert rows(page.page.source, "contacts") == [
        ["Ann &lt;b&gt;", "—", "ann@n.example", "North"],
        ["Bob", "CTO", "—", "—"],
    ]
    assert rows(page.page.source, "opportunities") == [
        ["Nobody&#39;s", "—", "Open", "—", "2026-12-01"],
        ["Renewal", "North", "Open", "12,500", "2026-12-24"],
    ]
    assert {"push-usage", "log-activity", "raise-alert"} <= page.page.ids


async def test_an_empty_org_is_said_to_be_one(page, keyturn):
    """Nobody wonders whether the page is broken."""
    keyturn.contacts, keyturn.deals = [], []

    await page.get("/salesforce")

    assert rows(page.page.source, "contacts") == []
    assert "There are no contacts" in page.page.source
    assert "There are no opportunities" in page.page.source


@pytest.mark.parametrize("state", [None, "revoked", "pending", "reauthorization_required"])
async def test_without_a_connection_there_is_a_way_to_the_settings(ann, keyturn, state):
    """And the org is not asked."""
    if state:
        keyturn.connect(state=state)

    await ann.get("/salesforce")

    assert ann.page.code == "not_connected"
    assert 'href="/settings"' in ann.page.source
    assert not [path for _, path, _ in keyturn.asked if "/salesforce/" in path]


async def test_usage_is_pushed_under_keys_that_say_account_and_day(page, keyturn, clock):
    """So that pushing twice changes nothing; the package's names get its namespace."""
    today = clock.now().date().isoformat()

    await page.press("push-usage")
    await page.press("push-usage")

    first, second = written(keyturn)
    assert first == second
    method, path, body = first
    assert (method, path) == ("PATCH", "/composite/sobjects/acme__Usage__c/acme__Key__c")
    assert [record["acme__Key__c"] for record in body["records"]] == [
        f"0011-{today}",
        f"0012-{today}",
    ]
    record = body["records"][0]
    assert (record["acme__Account__c"], record["acme__Day__c"]) == ("0011", today)
    assert 1 <= record["acme__Logins__c"] <= 80
    assert (page.path, page.page.code) == ("/salesforce", None)
    assert "Usage of 2 accounts is in Salesforce." in page.page.source


async def test_records_that_salesforce_refuses_are_told(page, keyturn):
    """How many, and why the first one was."""
    keyturn.records_refused = True

    await page.press("push-usage")

    assert page.page.code == "records_refused"
    assert "refused 2 of 2 records. STRING_TOO_LONG: too long" in page.page.source


@pytest.mark.parametrize(("chosen", "who"), [({}, "0031"), ({"contact_id": "0032"}, "0032")])
async def test_an_activity_is_logged_of_the_chosen_contact(page, keyturn, chosen, who):
    """The first one where none is chosen."""
    await page.press("log-activity", chosen)

    [(method, path, body)] = written(keyturn)
    assert (method, path) == ("POST", "/sobjects/Task")
    assert (body["WhoId"], body["Status"]) == (who, "Completed")
    assert page.page.code is None


async def test_an_activity_of_somebody_else_is_not_logged(page, keyturn):
    """Only of those that the page shows."""
    await page.press("log-activity", {"contact_id": "0039"})

    assert written(keyturn) == []
    assert page.page.code == "nothing_there"


async def test_an_alert_is_an_event_and_a_flow(page, keyturn):
    """About the deal that closes first and has an account."""
    await page.press("raise-alert")

    (_, event, fields), (_, flow, inputs) = written(keyturn)
    assert event == "/sobjects/acme__Renewal_Alert__e"
    assert fields["acme__Account__c"] == "0011"
    assert "North" in fields["acme__Message__c"]
    assert flow == "/actions/custom/flow/acme__Renewal_Alert"
    assert inputs == {"inputs": [{"accountId": "0011"}]}
    assert "The renewal alert for North is raised." in page.page.source


async def test_no_deal_with_an_account_means_no_alert(page, keyturn):
    """And the page says so."""
    keyturn.deals = keyturn.deals[:1]

    await page.press("raise-alert")

    assert written(keyturn) == []
    assert page.page.code == "nothing_there"


@pytest.mark.parametrize("button", ["push-usage", "log-activity", "raise-alert"])
async def test_a_connection_that_cannot_serve_is_told(page, keyturn, button):
    """With its code, and who can mend it."""
    keyturn.refuse("/salesforce/", 409, "reauthorization_required", who="user")

    await page.press(button)

    assert (page.path, page.page.code) == ("/salesforce", "reauthorization_required")
    assert page.answer.status_code == 502


async def test_buttons_do_nothing_without_a_connection(page, keyturn):
    """It may have ended since the page was shown."""
    keyturn.connect(state="revoked")

    await page.press("raise-alert")

    assert written(keyturn) == []
    assert page.page.code == "not_connected"
