"""Pull, push and trigger: what goes to the org, batch by batch and page by page."""

from __future__ import annotations

from datetime import date

import httpx2
import pytest

import keyturn as sdk

ROOT = "/v1/connections/con_1/salesforce/services/data/v68.0"
CONNECTION = {"id": "con_1", "customer_id": "n", "app_id": "app_1", "state": "active"}


def knows_the_namespace(service, namespace="acme"):
    """Let the service answer the two questions that a bare name costs once."""
    service.answers(200, CONNECTION)
    service.answers(200, {"id": "app_1", "name": "Acme", "namespace": namespace})


def saved(count):
    """Return what Salesforce answers when all records of a batch are saved."""
    return [{"id": f"a0{n}", "success": True, "created": True, "errors": []} for n in range(count)]


async def test_a_query_goes_on_to_its_last_page(keyturn, service):
    """Records are Salesforce's own, and the next page is Salesforce's own URL."""
    first = {"attributes": {"type": "Contact"}, "Id": "0031", "Account": {"Name": "N"}}
    service.relays(
        200,
        {"totalSize": 2, "done": False, "records": [first],
         "nextRecordsUrl": "/services/data/v68.0/query/01gA-2000"},
    )  # fmt: skip
    service.relays(200, {"totalSize": 2, "done": True, "records": [{"Id": "0032"}]})

    found = await keyturn.all(
        lambda it: it.connection("con_1").pull.query("SELECT Id FROM Contact WHERE Name = 'A&B'")
    )

    assert found == [first, {"Id": "0032"}]
    assert service.asked == [
        f"GET {ROOT}/query?q=SELECT%20Id%20FROM%20Contact%20WHERE%20Name%20%3D%20%27A%26B%27",
        f"GET {ROOT}/query/01gA-2000",
    ]


async def test_deleted_records_are_asked_for_by_name(keyturn, service):
    """They are another resource."""
    service.relays(200, {"totalSize": 0, "done": True, "records": []})

    found = await keyturn.all(
        lambda it: it.connection("con_1").pull.query("SELECT Id FROM Task", include_deleted=True)
    )

    assert found == []
    assert service.asked == [f"GET {ROOT}/queryAll?q=SELECT%20Id%20FROM%20Task"]


async def test_a_query_that_salesforce_refuses_is_its_error(keyturn, service):
    """With the caret and all."""
    service.relays(400, [{"message": "unexpected token", "errorCode": "MALFORMED_QUERY"}])

    with pytest.raises(sdk.SalesforceError, match="unexpected token"):
        await keyturn.all(lambda it: it.connection("con_1").pull.query("SELEC"))


async def test_an_upsert_goes_in_batches_under_the_apps_names(keyturn, service):
    """200 records a call; bare custom names get the namespace, which is asked for once."""
    knows_the_namespace(service)
    service.relays(200, saved(200))
    service.relays(200, saved(1))
    seen: list[int] = []
    records = [{"Key__c": f"k{n}", "Day__c": date(2026, 11, 24)} for n in range(201)]

    results = await keyturn(
        lambda it: it.connection("con_1").push.upsert(
            "Usage__c", iter(records), external_id="Key__c", progress=seen.append
        )
    )

    target = f"PATCH {ROOT}/composite/sobjects/acme__Usage__c/acme__Key__c"
    assert service.asked == [
        "GET /v1/connections/con_1",
        "GET /v1/apps/app_1",
        target,
        target,
    ]
    assert (len(results), results.failed, seen) == (201, (), [200, 201])
    assert service.body(2)["allOrNone"] is False
    assert service.body(3)["records"] == [
        {
            "acme__Key__c": "k200",
            "acme__Day__c": "2026-11-24",
            "attributes": {"type": "acme__Usage__c"},
        }
    ]


async def test_names_that_need_no_namespace_cost_no_question(keyturn, service):
    """Standard objects and qualified names are known already."""
    service.relays(200, saved(1))

    await keyturn(
        lambda it: it.connection("con_1").push.upsert(
            "Account", [{"other__Key__c": "1", "Name": "N"}], external_id="other__Key__c"
        )
    )

    assert service.asked == [f"PATCH {ROOT}/composite/sobjects/Account/other__Key__c"]


async def test_an_app_without_a_namespace_has_bare_names(keyturn, service):
    """Nothing is put before them."""
    knows_the_namespace(service, namespace=None)
    service.relays(200, saved(1))

    await keyturn(
        lambda it: it.connection("con_1").push.upsert(
            "Usage__c", [{"Key__c": "1"}], external_id="Key__c"
        )
    )

    assert service.asked[-1] == f"PATCH {ROOT}/composite/sobjects/Usage__c/Key__c"


async def test_nothing_to_upsert_sends_nothing(keyturn, service):
    """An empty list is done already."""
    results = await keyturn(
        lambda it: it.connection("con_1").push.upsert("Account", [], external_id="X__c")
    )

    assert results == ()
    assert service.requests == []


async def test_a_record_that_salesforce_refuses_is_a_result(keyturn, service):
    """The others are saved, and each result says what became of its record."""
    error = {"statusCode": "STRING_TOO_LONG", "message": "too long", "fields": ["Name"]}
    service.relays(200, [*saved(1), {"success": False, "errors": [error]}])

    results = await keyturn(
        lambda it: it.connection("con_1").push.upsert(
            "Account", [{"a__K__c": "1"}, {"a__K__c": "2"}], external_id="a__K__c"
        )
    )

    assert [result.success for result in results] == [True, False]
    assert results.failed[0].errors[0].code == "STRING_TOO_LONG"


async def test_an_upsert_whose_answer_was_lost_is_done_again(keyturn, service):
    """The external id makes it safe."""
    service.fails(httpx2.ReadTimeout("slow"))
    service.relays(200, saved(1))

    results = await keyturn(
        lambda it: it.connection("con_1").push.upsert(
            "Account", [{"a__K__c": "1"}], external_id="a__K__c"
        )
    )

    assert len(results) == 1


async def test_an_answer_about_another_number_of_records_is_unexpected(keyturn, service):
    """Or results would be told of the wrong records."""
    service.relays(200, saved(2))

    with pytest.raises(sdk.UnexpectedAnswer):
        await keyturn(
            lambda it: it.connection("con_1").push.upsert(
                "Account", [{"a__K__c": "1"}], external_id="a__K__c"
            )
        )


async def test_an_activity_becomes_a_task(keyturn, service):
    """Its id comes back; what was not given is left to Salesforce."""
    service.relays(201, {"id": "00T1", "success": True, "errors": []})

    made = await keyturn(
        lambda it: it.connection("con_1").push.log_activity(
            who_id="0031", subject="Exported a report", activity_date=date(2026, 11, 24)
        )
    )

    assert made == "00T1"
    assert service.asked == [f"POST {ROOT}/sobjects/Task"]
    assert service.body() == {
        "Subject": "Exported a report",
        "WhoId": "0031",
        "Status": "Completed",
        "ActivityDate": "2026-11-24",
    }


async def test_an_activity_whose_answer_was_lost_is_not_logged_twice(keyturn, service):
    """Nobody knows whether it is there: the caller is told so."""
    service.fails(httpx2.ReadTimeout("slow"))

    with pytest.raises(sdk.TransportError) as caught:
        await keyturn(lambda it: it.connection("con_1").push.log_activity(subject="x"))

    assert caught.value.code == "answer_lost"
    assert len(service.requests) == 1


async def test_an_activity_that_never_left_is_sent_again(keyturn, service):
    """Without a connection nothing was done."""
    service.fails(httpx2.ConnectError("refused"))
    service.relays(201, {"id": "00T1", "success": True, "errors": []})

    made = await keyturn(lambda it: it.connection("con_1").push.log_activity(subject="x"))

    assert made == "00T1"


async def test_an_event_is_published_under_the_apps_name(keyturn, service):
    """A published event has an error that is none: it carries the event's UUID."""
    knows_the_namespace(service)
    queued = {"statusCode": "OPERATION_ENQUEUED", "message": "0a1b", "fields": []}
    service.relays(201, {"id": "e01", "success": True, "errors": [queued]})

    event = await keyturn(
        lambda it: it.connection("con_1").trigger.event("Renewal_Alert__e", {"Account__c": "001"})
    )

    assert event.uuid == "0a1b"
    assert service.asked[-1] == f"POST {ROOT}/sobjects/acme__Renewal_Alert__e"
    assert service.body() == {"acme__Account__c": "001"}


async def test_an_event_that_was_not_taken_is_an_error(keyturn, service):
    """Although the status says that all is well."""
    refused = {"statusCode": "LIMIT_EXCEEDED", "message": "too many", "fields": []}
    service.relays(201, {"success": False, "errors": [refused]})

    with pytest.raises(sdk.SalesforceError, match="LIMIT_EXCEEDED"):
        await keyturn(lambda it: it.connection("con_1").trigger.event("a__X__e", {}))


async def test_a_flow_runs_under_the_apps_name(keyturn, service):
    """Its inputs keep their names, its outputs come back."""
    knows_the_namespace(service)
    service.relays(200, [{"isSuccess": True, "errors": None, "outputValues": {"taskId": "00T1"}}])

    result = await keyturn(
        lambda it: it.connection("con_1").trigger.flow("Renewal_Alert", {"accountId": "001"})
    )

    assert result.outputs == {"taskId": "00T1"}
    assert service.asked[-1] == f"POST {ROOT}/actions/custom/flow/acme__Renewal_Alert"
    assert service.body() == {"inputs": [{"accountId": "001"}]}


@pytest.mark.parametrize("status", [200, 400])
async def test_a_flow_that_fails_is_an_error(keyturn, service, status):
    """With what the flow said."""
    error = {"statusCode": "FLOW_EXCEPTION", "message": "no such account"}
    service.relays(status, [{"isSuccess": False, "errors": [error], "outputValues": None}])

    with pytest.raises(sdk.SalesforceError, match="no such account"):
        await keyturn(lambda it: it.connection("con_1").trigger.flow("a__F"))


async def test_the_namespace_is_known_from_then_on(keyturn, service):
    """Whatever handle asks next."""
    knows_the_namespace(service)
    for _ in range(2):
        service.relays(200, [{"isSuccess": True, "outputValues": {}}])

    for _ in range(2):
        await keyturn(lambda it: it.connection("con_1").trigger.flow("F"))

    assert service.asked.count("GET /v1/apps/app_1") == 1
    assert len(service.requests) == 4


@pytest.mark.parametrize(("namespace", "whole"), [("acme", "acme__F"), ("", "F")])
def test_a_namespace_that_is_given_is_not_asked_for(service, namespace, whole):
    """A vendor knows its own; an API key then needs no right to read apps."""
    service.relays(200, [{"isSuccess": True, "outputValues": {}}])
    transport = httpx2.MockTransport(service.handle)

    with sdk.Keyturn(
        "https://a.example", api_key="kt_x", namespace=namespace, transport=transport
    ) as keyturn:
        keyturn.connection("con_1").trigger.flow("F")

    assert service.asked == [f"POST {ROOT}/actions/custom/flow/{whole}"]


async def test_an_empty_name_is_refused(keyturn, service):
    """It would name another resource."""
    with pytest.raises(ValueError, match="empty"):
        await keyturn(lambda it: it.connection("con_1").trigger.event("", {}))

    assert service.requests == []
