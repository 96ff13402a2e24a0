"""The answer parser keeps what came and says whether it is all."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_service.adapters.http.answer_parser import AnswerParser

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 7\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
UNFRAMED = b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"


def parsed(*parts: bytes, limit: int = 1000, clean: bool | None = None) -> AnswerParser:
    """Feed a parser, and end the connection where `clean` says how."""
    parser = AnswerParser(limit=limit)
    for part in parts:
        parser.feed(part)
    if clean is not None:
        parser.end(clean=clean)
    return parser


@pytest.mark.parametrize("wire", [PLAIN, CHUNKED])
@given(cuts=st.sets(st.integers(1, 60)))
def test_an_answer_reads_the_same_however_it_is_cut(wire, cuts):
    """The parts in which bytes arrive do not matter."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    parts = [wire[start:end] for start, end in pairwise(edges)]

    parser = parsed(*parts)

    assert (parser.status, parser.body(), parser.complete) == (200, b"hello", True)


@pytest.mark.parametrize("wire", [PLAIN, CHUNKED])
def test_an_answer_cut_anywhere_in_its_body_is_not_complete(wire):
    """A promised end that does not come is told, and what came is kept."""
    start = wire.index(b"\r\n\r\n") + 4
    for end in range(start, len(wire)):
        parser = parsed(wire[:end], clean=True)

        assert not parser.complete
        assert parser.status == 200
        assert b"hello".startswith(parser.body())


@pytest.mark.parametrize("clean", [True, False])
def test_an_answer_without_a_length_ends_with_its_connection(clean):
    """It is complete where the connection was closed in order."""
    parser = parsed(UNFRAMED, clean=clean)

    assert (parser.status, parser.body(), parser.complete) == (502, b"<html>", clean)


def test_an_answer_longer_than_it_says_is_not_complete():
    """A wrong length is a reason to doubt all of it."""
    parser = parsed(PLAIN + b" and more")

    assert (parser.body(), parser.complete) == (b"hello", False)


def test_a_status_without_all_its_headers_is_no_answer():
    """Nothing is read into half a head."""
    parser = parsed(PLAIN[:30], clean=True)

    assert parser.status is None
    assert not parser.complete


def test_an_interim_answer_is_passed_over():
    """`100 Continue` and early hints come before the answer, with headers of their own."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"

    parser = parsed(b"HTTP/1.1 100 Continue\r\n\r\n" + interim, PLAIN)

    assert (parser.status, parser.body(), parser.complete) == (200, b"hello", True)
    assert "link" not in parser.headers


def test_a_body_past_the_limit_is_cut_and_not_complete():
    """A flood fills no memory."""
    parser = parsed(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 600, b"x" * 600, limit=1000)

    assert parser.finished
    assert (len(parser.body()), parser.complete) == (1000, False)


def test_a_head_without_end_is_given_up():
    """Headers are bounded too."""
    parser = parsed(b"HTTP/1.1 200 OK\r\n", b"X-Flood: 1\r\n" * 10_000)

    assert parser.finished
    assert parser.status is None


def test_the_first_of_doubled_headers_counts():
    """Names are compared in any case."""
    parser = parsed(
        b"HTTP/1.1 429 No\r\nRetry-After: 3\r\nRETRY-AFTER: 9\r\nContent-Length: 0\r\n\r\n"
    )

    assert parser.headers["retry-after"] == "3"


@pytest.mark.parametrize("lost", [0, 1, 12])
def test_a_packed_body_is_unpacked_as_far_as_it_came(lost):
    """An edge that packs without being asked costs nothing; a lost end shows."""
    packed = gzip.compress(b'{"refresh_token":"dummy"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"

    parser = parsed(head + packed[: len(packed) - lost], clean=True)
    body = parser.body()

    assert b'{"refresh_token":"dummy"}'.startswith(body)
    assert parser.complete == (lost == 0)


def test_a_body_that_only_says_it_is_packed_is_kept_as_it_came():
    """Nothing that could hold a token is thrown away."""
    parser = parsed(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")

    assert parser.body() == b"hello"
    assert not parser.complete


@given(parts=st.lists(st.binary(max_size=80), max_size=8), clean=st.booleans())
def test_any_bytes_give_an_answer_or_none(parts, clean):
    """Whatever arrives, the parser ends and never claims a body without a status."""
    parser = parsed(*parts, clean=clean)

    assert parser.finished
    assert parser.status is not None or not parser.complete
