"""The token endpoint over real sockets, well and badly behaved."""

from __future__ import annotations

import asyncio

import pytest
from hostile_servers import (
    Behaviour,
    TestClock,
    answering,
    raw_server,
    resetting,
    silent,
    unused_port,
)

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown, TokenAnswer
from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.http.egress import Egress
from keyturn_service.adapters.http.one_shot import OneShot
from keyturn_service.adapters.http.token_endpoint import HttpTokenEndpoint
from keyturn_service.ports import AnswerLost, DeadlinePassed, OrgUnreachable, StoreUnavailable

FORM = b"grant_type=refresh_token&refresh_token=dummy-token"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Type: application/json\r\n\r\n"
BODY = b'{"access_token":"x"}'


def endpoint(
    *origins: Origin, proxy: str | None = None, clock: TestClock | None = None, seconds: float = 5
) -> HttpTokenEndpoint:
    """Build a token endpoint that may reach `origins` directly."""
    egress = Egress(
        proxy_url=proxy,
        loopback=frozenset(origins),
        connect_seconds=seconds,
        answer_seconds=seconds,
    )
    return HttpTokenEndpoint(one_shot=OneShot(egress), clock=clock or TestClock())  # type: ignore[arg-type]


async def presented(behaviour: Behaviour, *, seconds: float = 5) -> TokenAnswer:
    """Present a token to a server that behaves so."""
    async with raw_server(behaviour) as server:
        return await endpoint(server.origin, seconds=seconds).present(server.origin, FORM)


async def test_a_token_request_arrives_as_it_was_written():
    """One POST of the form, with a length, on a connection that is not used again."""
    async with raw_server(answering(HEAD, BODY)) as server:
        answer = await endpoint(server.origin).present(server.origin, FORM)

    assert answer == TokenAnswer(status=200, body=BODY, complete=True)
    assert server.requests[0].startswith(b"POST /services/oauth2/token HTTP/1.1\r\nHost: 127.0")
    assert server.requests[0].endswith(b"\r\n\r\n" + FORM)
    assert b"Connection: close" in server.requests[0]


async def test_each_request_has_a_connection_of_its_own():
    """A pooled connection could break under a token request; there is none."""
    async with raw_server(answering(HEAD, BODY)) as server:
        tokens = endpoint(server.origin)
        for _ in range(3):
            await tokens.present(server.origin, FORM)

    assert server.connections == 3


@pytest.mark.parametrize("sent", range(len(BODY)))
async def test_a_truncated_answer_keeps_every_byte_that_came(sent):
    """Wherever it breaks off, status and part are handed over as incomplete."""
    answer = await presented(answering(HEAD + BODY[:sent]))

    assert answer == TokenAnswer(status=200, body=BODY[:sent], complete=False)


async def test_bytes_that_were_read_survive_a_reset():
    """What a connection brought before it broke is not forgotten with it."""
    read = asyncio.Event()

    async def behave(request, reader, writer):
        writer.write(HEAD + BODY[:9])
        await read.wait()
        await resetting()(request, reader, writer)

    async with raw_server(behave) as server:
        asking = asyncio.create_task(endpoint(server.origin).present(server.origin, FORM))
        asyncio.get_running_loop().call_later(0.05, read.set)
        answer = await asking

    assert answer == TokenAnswer(status=200, body=BODY[:9], complete=False)


@pytest.mark.parametrize("behaviour", [answering(), resetting(), answering(HEAD[:20])])
async def test_no_status_means_that_the_outcome_is_unknown(behaviour):
    """The request left; the org may have acted."""
    with pytest.raises(OutcomeUnknown):
        await presented(behaviour)


async def test_a_silent_org_is_given_up_in_time():
    """Nothing came: unknown, too."""
    with pytest.raises(OutcomeUnknown):
        await presented(silent, seconds=0.05)


async def test_an_answer_that_stops_in_the_middle_is_given_up_with_its_part():
    """A connection that stays open but silent does not hold the lease for ever."""

    async def behave(request, reader, writer):
        writer.write(HEAD + BODY[:4])
        await silent(request, reader, writer)

    answer = await presented(behave, seconds=0.1)

    assert answer == TokenAnswer(status=200, body=BODY[:4], complete=False)


async def test_a_port_that_nobody_listens_on_has_not_seen_the_token():
    """No connection, nothing presented."""
    origin = Origin(f"http://127.0.0.1:{unused_port()}")

    with pytest.raises(NotProcessed):
        await endpoint(origin).present(origin, FORM)


async def test_a_server_without_tls_has_not_seen_the_token():
    """A handshake that fails comes before the first byte of the request."""
    async with raw_server(answering(HEAD, BODY)) as server:
        secure = Origin(server.origin.replace("http:", "https:"))
        with pytest.raises(NotProcessed):
            await endpoint(secure, seconds=0.3).present(secure, FORM)

    assert not any(b"refresh_token" in request for request in server.requests)


async def test_a_proxy_that_refuses_has_not_passed_the_token_on():
    """The answer to CONNECT decides before anything is presented."""
    async with raw_server(answering(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as proxy:
        with pytest.raises(NotProcessed):
            await endpoint(proxy=proxy.origin).present(
                Origin("https://acme.my.salesforce.com"), FORM
            )

    assert proxy.requests[0].startswith(b"CONNECT acme.my.salesforce.com:443 HTTP/1.1")
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("behaviour", [answering(), resetting(), silent, answering(b"x" * 20_000)])
async def test_a_proxy_that_gives_no_answer_has_not_passed_the_token_on(behaviour):
    """Closed, broken, silent or talking nonsense."""
    async with raw_server(behaviour) as proxy:
        with pytest.raises(NotProcessed):
            await endpoint(proxy=proxy.origin, seconds=0.3).present(
                Origin("https://acme.my.salesforce.com"), FORM
            )


async def test_the_deadline_is_looked_at_after_the_connection_stands():
    """A lease that ends while the connection is made is not used: nothing is sent."""
    clock = TestClock(seconds=10)

    async with raw_server(answering(HEAD, BODY)) as server:
        tokens = endpoint(server.origin, clock=clock)
        connect = tokens.one_shot._connected

        async def slow(*arguments):
            transport = await connect(*arguments)
            clock.seconds = 20
            return transport

        tokens.one_shot._connected = slow  # type: ignore[method-assign]
        with pytest.raises(DeadlinePassed):
            await tokens.present(server.origin, FORM, deadline=15)

    assert server.requests == []


async def test_a_deadline_that_stands_lets_the_request_go():
    """The bound is the deadline itself."""
    async with raw_server(answering(HEAD, BODY)) as server:
        tokens = endpoint(server.origin, clock=TestClock(seconds=14.9))
        answer = await tokens.present(server.origin, FORM, deadline=15)

    assert answer.status == 200


async def test_how_long_to_wait_is_kept():
    """`Retry-After` goes along with a refusal for now."""
    refused = b"HTTP/1.1 503 Busy\r\nRetry-After: 12\r\nContent-Length: 0\r\n\r\n"

    answer = await presented(answering(refused))

    assert (answer.status, answer.retry_after, answer.complete) == (503, "12", True)


async def test_a_redirect_is_an_answer_and_nothing_else():
    """A token is never carried on to another host."""
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(moved)) as server:
        answer = await endpoint(server.origin).present(server.origin, FORM)

    assert answer.status == 307
    assert server.connections == 1


async def test_a_flood_is_cut_off():
    """No answer of a token endpoint has a megabyte."""
    flood = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (3 * 1024 * 1024)

    answer = await presented(answering(flood))

    assert (len(answer.body), answer.complete) == (1024 * 1024, False)


async def test_another_endpoint_takes_only_a_complete_answer():
    """A revocation whose answer is cut is tried again; the org may have acted on it."""
    async with raw_server(answering(HEAD, BODY[:3])) as server:
        with pytest.raises(AnswerLost):
            await endpoint(server.origin).post(server.origin, "/services/oauth2/revoke", FORM)

    assert server.requests[0].startswith(b"POST /services/oauth2/revoke ")


async def test_another_endpoint_that_is_away_is_unreachable():
    """No connection: the org has not seen it, and nothing was done before the first byte."""
    origin = Origin(f"http://127.0.0.1:{unused_port()}")
    noted = Noted()

    with pytest.raises(OrgUnreachable) as away:
        await endpoint(origin).post(
            origin, "/services/oauth2/revoke", FORM, before_first_byte=noted
        )

    assert not isinstance(away.value, AnswerLost)
    assert noted.with_requests == []


async def test_an_answer_that_never_comes_is_lost():
    """The org may have acted all the same."""
    async with raw_server(silent) as server:
        with pytest.raises(AnswerLost):
            await endpoint(server.origin, seconds=0.3).post(
                server.origin, "/services/oauth2/revoke", FORM
            )


async def test_what_is_to_be_kept_before_the_first_byte_is_kept_before_it():
    """When the connection stands, and the request has not left."""
    async with raw_server(answering(HEAD, BODY)) as server:
        noted = Noted(server.requests)
        await endpoint(server.origin).post(
            server.origin, "/services/oauth2/revoke", FORM, before_first_byte=noted
        )

    assert (noted.with_requests, len(server.requests)) == ([0], 1)


async def test_where_nothing_could_be_kept_nothing_is_sent():
    """What went wrong with it goes to the caller."""
    async with raw_server(answering(HEAD, BODY)) as server:
        with pytest.raises(StoreUnavailable):
            await endpoint(server.origin).post(
                server.origin,
                "/services/oauth2/revoke",
                FORM,
                before_first_byte=Noted(fails=StoreUnavailable()),
            )

    assert server.requests == []


class Noted:
    """Notes how many requests had come when it was called."""

    def __init__(self, requests=(), *, fails=None):
        self.requests, self.fails = requests, fails
        self.with_requests: list[int] = []

    async def __call__(self):
        """Note it; fail where it is to."""
        self.with_requests.append(len(self.requests))
        if self.fails is not None:
            raise self.fails
