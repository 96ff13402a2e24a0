"""When a call is made again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.errors import NotFound
from keyturn.proxied import salesforce_call
from keyturn.retrying import NoAnswer, Retries, Send, Wait, carried_out, wait_before_next
from keyturn.wire import Answer, Call, ask, get, read_nothing, write

READ = get("/v1/x", read_nothing)
KEYED = write("POST", "/v1/x", read_nothing)
PLAIN = Call(method="POST", target="/v1/x", read=read_nothing)
PROXIED_WRITE = salesforce_call("con_1", "POST", "/services/data")
PROXIED_READ = salesforce_call("con_1", "GET", "/services/data")
RETRIES = Retries(attempts=3, first_wait=1.0, longest_wait=8.0)


def no_chance(count):
    """Entropy without surprise: half of each wait."""
    return bytes(count)


def own(status, code="store_unavailable", patience=None):
    """Return a refusal of the service's."""
    headers = {"keyturn-problem": code}
    headers |= {"retry-after": patience} if patience else {}
    return Answer(status=status, headers=headers, body=b'{"code": "%s"}' % code.encode())


def between(status):
    """Return an answer of something in between."""
    return Answer(status=status, headers={}, body=b"<html>")


def relayed(status, body=b"[]", **headers):
    """Return an answer of Salesforce's."""
    return Answer(status=status, headers={"keyturn-request-id": "req_1", **headers}, body=body)


UNSENT = NoAnswer(sent=False, reason="ConnectError")
LOST = NoAnswer(sent=True, reason="ReadError")


def repeats(call, outcome):
    """Tell whether a call is made a second time."""
    wait = wait_before_next(call, outcome, made=1, retries=RETRIES, entropy=no_chance)
    return wait is not None


@pytest.mark.parametrize("call", [READ, KEYED, PLAIN, PROXIED_READ, PROXIED_WRITE])
@pytest.mark.parametrize("outcome", [UNSENT, own(503), own(429)])
def test_what_was_not_done_is_asked_again(call, outcome):
    """Whatever it is: nothing was sent, or the service says it did nothing."""
    assert repeats(call, outcome)


@pytest.mark.parametrize("outcome", [LOST, between(502), between(503), between(504), between(429)])
def test_what_may_have_been_done_is_asked_again_only_where_that_is_harmless(outcome):
    """Reads, and writes under an idempotency key."""
    assert repeats(READ, outcome)
    assert repeats(KEYED, outcome)
    assert repeats(PROXIED_READ, outcome)
    assert not repeats(PLAIN, outcome)
    assert not repeats(PROXIED_WRITE, outcome)


@pytest.mark.parametrize(
    "path",
    [
        "executeAnonymous",
        "EXECUTE%41nonymous/",
        "execute%2541nonymous",
        "\uff45xecuteAnonymous",
    ],
)
def test_code_that_runs_by_get_is_asked_for_once(path):
    """Anonymous Apex may have done its work before its answer was lost; a query only names it."""
    runs = salesforce_call("con_1", "GET", f"/services/data/v68.0/tooling/{path}?anonymousBody=x")
    names = salesforce_call("con_1", "GET", "/services/data/v68.0/query?q=executeAnonymous")

    assert not repeats(runs, LOST)
    assert not repeats(runs, own(502, "unexpected_answer"))
    assert repeats(runs, UNSENT)
    assert repeats(names, LOST)


def test_salesforces_own_overload_is_waited_for_by_reads_only():
    """A write that Salesforce answered 503 to may be half done."""
    assert repeats(PROXIED_READ, relayed(503))
    assert not repeats(PROXIED_WRITE, relayed(503))


@pytest.mark.parametrize("status", [429, 503])
def test_a_problem_of_the_orgs_own_is_no_refusal_of_the_services(status):
    """Code of the customer's org writes problem documents too, and may have done its work."""
    body = b'{"code": "busy", "title": "busy", "status": 503, "retry_after": 0}'
    problem = {"content-type": "application/problem+json"}

    assert not repeats(PROXIED_WRITE, relayed(status, body, **problem))
    assert repeats(PROXIED_READ, relayed(status, body, **problem))


def test_a_problem_whose_mark_was_lost_is_the_services_where_it_alone_answers():
    """Something in between dropped the header; of a proxied call nobody knows what was done."""
    answer = Answer(
        status=503, headers={"content-type": "application/problem+json"}, body=b'{"code": "x"}'
    )

    assert repeats(PLAIN, answer)
    assert not repeats(PROXIED_WRITE, answer)


def test_a_lost_answer_that_the_service_tells_of_is_not_asked_for_again():
    """The service answers 502 where the org may have done the write."""
    assert not repeats(PROXIED_WRITE, own(502, "org_answer_lost"))


@pytest.mark.parametrize("status", [200, 400, 401, 404, 409, 422, 500])
def test_answers_that_would_come_again_are_final(status):
    """Asking twice does not make a request better."""
    assert not repeats(READ, own(status, "any"))
    assert not repeats(PROXIED_READ, relayed(status))


def test_a_write_that_is_still_at_work_is_asked_about_again():
    """The second attempt came before the first one's answer was kept."""
    assert repeats(KEYED, own(409, "idempotency_key_in_use"))
    assert not repeats(PLAIN, own(409, "idempotency_key_in_use"))


@pytest.mark.parametrize(
    ("patience", "wait"), [("0", 0.0), ("3", 3.0), ("8", 8.0), ("9", None), ("soon", 0.5)]
)
def test_the_services_patience_is_obeyed(patience, wait):
    """Up to the longest wait; what is longer is left to the caller."""
    outcome = own(503, patience=patience)

    found = wait_before_next(READ, outcome, made=1, retries=RETRIES, entropy=no_chance)

    assert found == wait


def test_the_members_patience_counts_too():
    """Where a proxy dropped the header."""
    answer = Answer(
        status=503,
        headers={"keyturn-problem": "x"},
        body=b'{"code": "x", "retry_after": 2}',
    )

    assert wait_before_next(READ, answer, made=1, retries=RETRIES, entropy=no_chance) == 2


@given(made=st.integers(1, 40), chance=st.binary(min_size=1, max_size=1))
def test_waits_double_by_chance_within_bounds(made, chance):
    """So that many clients do not come back at the same moment."""
    retries = Retries(attempts=50, first_wait=1.0, longest_wait=8.0)

    wait = wait_before_next(READ, UNSENT, made=made, retries=retries, entropy=lambda _: chance)

    assert wait is not None
    assert min(8.0, 2.0 ** (made - 1)) / 2 <= wait < min(8.0, 2.0 ** (made - 1))


def test_a_call_is_made_waited_for_and_made_again():
    """The client only carries out what it is told."""
    steps = carried_out(ask(READ), RETRIES, no_chance)

    assert steps.send(None) == Send(call=READ, key=None)
    assert steps.send(UNSENT) == Wait(seconds=0.5)
    assert steps.send(None) == Send(call=READ, key=None)
    with pytest.raises(StopIteration) as ended:
        steps.send(Answer(status=200, headers={}, body=b""))
    assert ended.value.value is None


def test_an_error_reaches_the_conversation_that_can_go_on():
    """A conversation may catch what one of its calls raises."""

    def conversation():
        try:
            yield READ
        except NotFound as error:
            return error.code
        return "found"

    steps = carried_out(conversation(), RETRIES, no_chance)
    next(steps)
    with pytest.raises(StopIteration) as ended:
        steps.send(own(404, "not_found"))

    assert ended.value.value == "not_found"


def test_the_attempts_have_an_end():
    """Then the last outcome is the result."""
    assert wait_before_next(READ, UNSENT, made=3, retries=RETRIES, entropy=no_chance) is None


def test_a_client_that_carries_out_nothing_is_found():
    """It would go round for ever."""
    steps = carried_out(ask(READ), RETRIES, no_chance)
    next(steps)

    with pytest.raises(RuntimeError, match="no step"):
        steps.send(None)
